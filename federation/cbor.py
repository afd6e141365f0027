"""Deterministic CBOR (RFC 8949, section 4.2), strict in both directions.

The decoder accepts exactly what `encode` writes from None, bool, int, bytes, str, list and dict with str
keys: no tags, no floats, no indefinite lengths, no duplicate keys, nothing behind the item, shortest
integers, keys in order. One value has one encoding, so a hash of bytes is a hash of the value.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias

import cbor2

from federation.errors import Code, Refusal

Item: TypeAlias = "bool | int | bytes | str | list[Item] | dict[str, Item] | None"

_MAX_DEPTH = 8
_SCALARS = frozenset((type(None), bool, int, bytes, str))


def encode(item: Item) -> bytes:
    """Return the one encoding of `item`."""
    return cbor2.dumps(item, canonical=True)


def _no_tags(*_args: object, **_kwargs: object) -> NoReturn:
    raise ValueError("tags are not allowed")


# Built-in tags would otherwise run code on hostile input: regular expressions, big decimals, dates.
_BUILT_IN_TAGS: dict[int, Any] = dict.fromkeys(
    (*range(64), 100, *range(256, 264), 1004, 43000, 55799), _no_tags
)


def decode(data: bytes) -> Item:
    """Return the item that `data` encodes.

    Raises:
        Refusal: `malformed`, when `data` is not the deterministic encoding of one allowed item.

    """
    try:
        item = cbor2.loads(
            data,
            max_depth=_MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            semantic_decoders=_BUILT_IN_TAGS,
            tag_hook=_no_tags,
        )
        _require_plain(item)
        if encode(item) != data:
            raise ValueError("not the deterministic encoding")
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError, cbor2.CBORError) as error:
        raise Refusal(Code.MALFORMED, "the message is not deterministic CBOR of plain values") from error
    return item  # type: ignore[no-any-return]


def _require_plain(item: object) -> None:
    kind = type(item)
    if kind in _SCALARS:
        return
    if isinstance(item, list):
        for part in item:
            _require_plain(part)
    elif isinstance(item, dict):
        if not all(type(key) is str for key in item):
            raise TypeError("a key that is not a text")
        for part in item.values():
            _require_plain(part)
    else:
        raise TypeError("a value of a type that is not allowed")
