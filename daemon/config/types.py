"""The small value types that settings are made of: host names, durations, peer keys, addresses."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr

KEY_PREFIX: Final = "ed25519:"
KEY_BYTES: Final = 32

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def check_host(value: str) -> str:
    """Check a host name: lower case, no scheme, a port only where it is not the usual one."""
    host = value.strip().lower()
    name, _, port = host.partition(":")
    labels = name.split(".")
    good_port = not port or (port.isdecimal() and 0 < int(port) < 65536)
    if len(name) > 253 or not good_port or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError('is not a host name; write it like "video.example.org", without https:// or a path')
    return host


def is_loopback(host: str) -> bool:
    """Whether an address or name can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_peer_url(value: str) -> str:
    """Check a URL: https, or plain http to this very machine, so that nobody in between can alter answers."""
    return _check_url(
        value,
        "https://video.example.org/plugins/shoal/router",
        is_loopback,
        "to another machine; use https://",
    )


def check_source_url(value: str) -> str:
    """Check the address of a PeerTube: https, or http within this machine or a private network."""
    return _check_url(
        value,
        "http://127.0.0.1:9000",
        _is_private,
        "to another machine, which would show the secret and what viewers watched; use https://, or an "
        "address within the private network",
    )


def _check_url(value: str, example: str, plain_http_to: Callable[[str], bool], otherwise: str) -> str:
    wrong = f'is not a URL; write it like "{example}"'
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(wrong) from error
    if parts.username or parts.password:
        raise ValueError("must not contain a user name or password")
    unusual = not value.isascii() or any(c.isspace() for c in value) or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not host or unusual:
        raise ValueError(wrong)
    if parts.scheme == "http" and not plain_http_to(host):
        raise ValueError(f"uses plain http {otherwise}")
    return value.rstrip("/")


def _is_private(host: str) -> bool:
    """Whether a host is this machine, a name without dots (a compose service), or in a private network."""
    if is_loopback(host) or ("." not in host.strip("[]") and ":" not in host) or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return False


def check_secret(value: SecretStr) -> SecretStr:
    """Check a shared secret: 16 to 200 characters that can stand in an HTTP header."""
    text = value.get_secret_value()
    if not 16 <= len(text) <= 200 or not all("!" <= c <= "~" for c in text):
        raise ValueError(
            "is not a secret of the plugin: 16 to 200 characters without spaces; copy it from the plugin's "
            "settings page"
        )
    return value


def check_key(value: str) -> str:
    """Check an Ed25519 public key: `ed25519:` and 32 bytes in base64."""
    try:
        raw = base64.b64decode(value.removeprefix(KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not value.startswith(KEY_PREFIX) or len(raw) != KEY_BYTES:
        raise ValueError(
            'is not a public key; ask the peer\'s admin for it: "ed25519:" and 44 more characters'
        )
    return value


def parse_duration(value: object) -> object:
    """Read "90s", "30m", "6h", "7d", "1w" or a number of seconds; anything else is left to pydantic."""
    if isinstance(value, bool):
        raise ValueError('is not a duration; write it like "30m", "6h" or "7d"')
    if isinstance(value, (int, float)):
        return timedelta(seconds=value)
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip().lower())
        if match is None:
            raise ValueError('is not a duration; write it like "30m", "6h" or "7d"')
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


def format_duration(value: timedelta) -> str:
    """Return the shortest spelling that `parse_duration` reads back to the same value."""
    seconds = value.total_seconds()
    for unit, size in reversed(_UNITS.items()):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


Host = Annotated[str, AfterValidator(check_host)]
PeerUrl = Annotated[str, AfterValidator(check_peer_url)]
SourceUrl = Annotated[str, AfterValidator(check_source_url)]
Secret = Annotated[SecretStr, AfterValidator(check_secret)]
PublicKey = Annotated[str, AfterValidator(check_key)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="always"),
]
