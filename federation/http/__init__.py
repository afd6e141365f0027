"""The protocol over HTTP between daemons: small requests to members, large things as responses."""

MESSAGE_PATH = "/federation/v1/message"
CARD_PATH = "/federation/v1/card"
CONTENT_TYPE = "application/octet-stream"
