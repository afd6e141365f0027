"""One text for one entry, so that a hash of the text is a hash of the entry.

The text is JSON with sorted keys and nothing between them, as in RFC 8785 (JSON Canonicalization Scheme),
over the values on which every JSON library agrees. So a ledger can be checked without Shoal, with `jq -cS`
and `sha256sum`; deterministic CBOR, in which messages to peers are written, would need more than that.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from daemon.log import FORBIDDEN, REDACTED, scrub
from daemon.store.ledger_rows import Row

MAX_BYTES: Final = 1_000_000
"""Of the details of one entry: rosters of a thousand peers with the longest of names are a quarter of it."""

_LEFT_OUT: Final = (FORBIDDEN - {"key"}) | {"user", "username", "email", "urls", "uuids", "videos"}
"""As in logs, but for keys of instances, which are public."""
_COUNTED: Final = frozenset({"tags", "titles", "urls", "videos", "viewers"})
"""Of these a number may be told: it names none of them."""
# Begins only where a part of an address can: else a long text would take time by its square.
_WATCH_PAGE = re.compile(r"(?<![^\s/])(?:https?://)?[^\s/]+/(?:w|videos/watch)/\S+")
_LARGEST_INTEGER = 2**53
_DECIMALS = 4


def canonical(value: Any) -> bytes:
    """Return the text of a value, UTF-8.

    Raises:
        ValueError, TypeError: it holds something that has no one text.

    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def plain(details: dict[str, Any]) -> dict[str, Any]:
    """Return details as an entry may hold them.

    Numbers are rounded to four decimals (much smaller or larger ones are written differently by different
    languages), and what is no number becomes null. As in logs, fields that would name a viewer, a video or a
    secret are left out by name, addresses by shape: this is the last line of defence, not the first.

    Raises:
        ValueError: they are larger than `MAX_BYTES`, or a number than 2^53.
        TypeError: they hold something that JSON does not know.

    """
    found = _object(details)
    if len(canonical(found)) > MAX_BYTES:
        raise ValueError(f"the details of an entry have at most {MAX_BYTES} bytes")
    return found


def _object(values: dict[str, Any]) -> dict[str, Any]:
    for name in values:
        # Other names sort differently in different languages.
        if not isinstance(name, str) or not name.isascii() or not name.isprintable():
            raise TypeError("names in an entry are printable ASCII")
    return {name: _field(name.lower(), value) for name, value in values.items()}


def _field(name: str, value: Any) -> Any:
    counted = name in _COUNTED and type(value) is int
    return REDACTED if name in _LEFT_OUT and not counted else _value(value)


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, int):
        if abs(value) >= _LARGEST_INTEGER:
            raise ValueError("a number in an entry is smaller than 2^53")
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    raise TypeError(f"an entry cannot hold a {type(value).__name__}")


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    rounded = round(value, _DECIMALS)
    return _value(int(rounded)) if rounded.is_integer() else rounded


def printable(text: str) -> str:
    """Return a text without addresses of machines and videos, control characters and halves of characters."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return _WATCH_PAGE.sub(REDACTED, scrub(clean))


def signed_part(entry: Row) -> dict[str, Any]:
    """Return what the hash of an entry covers: everything but hash and signature."""
    at = int(entry.at) if float(entry.at).is_integer() else entry.at
    return {
        "seq": entry.seq,
        "at": at,
        "kind": entry.kind,
        "subject": entry.subject,
        "details": entry.details,
        "previous": entry.previous.hex(),
    }


def as_json(entry: Row) -> dict[str, Any]:
    """Return an entry with its hash and signature in hexadecimal."""
    return {**signed_part(entry), "hash": entry.hash.hex(), "signature": entry.signature.hex()}
