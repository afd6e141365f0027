"""Reading the fields of a decoded CBOR map: exact keys, exact types, bounded sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from federation.cbor import Item
from federation.errors import Code, Refusal

T = TypeVar("T")

_MAX_HOST = 230
"""A journal's file name holds a stage beside it, and file systems stop at 255 bytes."""
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-:[]")


def malformed(what: str) -> Refusal:
    """Return the refusal for a message in which `what` is wrong."""
    return Refusal(Code.MALFORMED, f"the message is malformed: {what}")


def exact_map(item: Item, *keys: str) -> dict[str, Item]:
    """Return `item` as a map that has exactly `keys`."""
    if not isinstance(item, dict) or set(item) != set(keys):
        raise malformed(f"expected a map with the keys {', '.join(sorted(keys))}")
    return item


def integer(item: Item, *, low: int = 0, high: int = 2**63 - 1) -> int:
    """Return `item` as an integer in [low, high]."""
    if isinstance(item, bool) or not isinstance(item, int) or not low <= item <= high:
        raise malformed(f"expected an integer between {low} and {high}")
    return item


def octets(item: Item, size: int | None = None, *, at_most: int | None = None) -> bytes:
    """Return `item` as bytes of exactly `size` or of at most `at_most`."""
    if not isinstance(item, bytes) or (size is not None and len(item) != size):
        raise malformed("expected a byte string" if size is None else f"expected {size} bytes")
    if at_most is not None and len(item) > at_most:
        raise malformed(f"expected at most {at_most} bytes")
    return item


def text(item: Item, at_most: int = 64) -> str:
    """Return `item` as a text of 1 to `at_most` printable characters."""
    if not isinstance(item, str) or not 0 < len(item) <= at_most or not item.isprintable():
        raise malformed(f"expected a text of 1 to {at_most} printable characters")
    return item


def host(item: Item) -> str:
    """Return `item` as a host name in lower case, with an optional port."""
    name = text(item, _MAX_HOST)
    if not set(name) <= _HOST_CHARACTERS:
        raise malformed("expected a host name in lower case")
    return name


def sequence(item: Item, read: Callable[[Item], T], *, at_most: int) -> list[T]:
    """Return `item` as a list of at most `at_most` entries, each through `read`."""
    if not isinstance(item, list) or len(item) > at_most:
        raise malformed(f"expected a list of at most {at_most} entries")
    return [read(part) for part in item]


def mapping(item: Item, read: Callable[[Item], T], *, at_most: int) -> dict[str, T]:
    """Return `item` as a map of at most `at_most` entries with printable names, each value through `read`."""
    if not isinstance(item, dict) or len(item) > at_most:
        raise malformed(f"expected a map of at most {at_most} entries")
    return {text(key): read(part) for key, part in item.items()}


def host_map(item: Item, read: Callable[[Item], T], *, at_most: int) -> dict[str, T]:
    """Return `item` as a map from at most `at_most` host names, each value through `read`."""
    if not isinstance(item, dict) or len(item) > at_most:
        raise malformed(f"expected a map of at most {at_most} hosts")
    return {host(key): read(part) for key, part in item.items()}
