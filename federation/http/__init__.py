"""The protocol over HTTP between daemons: small requests to members, large things as responses."""

MESSAGE_PATH = "/federation/v1/message"
CARD_PATH = "/federation/v1/card"
CONTENT_TYPE = "application/octet-stream"
CACHED_TYPE = "application/vnd.shoal.cached"
"""Of a body that only names a request, by SHA-256 and size (CBOR): it came to this machine before."""
