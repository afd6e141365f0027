"""A public key as eight words, which two admins can read to one another on the telephone.

The words are from the English list of BIP 39 (2,048 words, no two with the same first four letters). Each
stands for 11 bits of the SHA-256 of the key under a label of its own, 88 bits together: whoever wants another
key with the same words has to try about 2^88 of them.
"""

from __future__ import annotations

import hashlib
from functools import cache

from federation.identity import KEY_SIZE

COUNT = 8
_BITS = 11
_LABEL = b"shoal/2 fingerprint\x00"


def words(key: bytes) -> tuple[str, ...]:
    """Return the eight words of an Ed25519 public key (32 bytes).

    Raises:
        ValueError: the key has another length.

    """
    if len(key) != KEY_SIZE:
        raise ValueError(f"a public key has {KEY_SIZE} bytes")
    digest = hashlib.sha256(_LABEL + key).digest()
    number = int.from_bytes(digest, "big") >> (len(digest) * 8 - COUNT * _BITS)
    places = ((number >> shift) % (1 << _BITS) for shift in range((COUNT - 1) * _BITS, -1, -_BITS))
    known = _list()
    return tuple(known[place] for place in places)


def same(one: str, other: str) -> bool:
    """Tell whether two fingerprints, as people type them, are the same words in the same order."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> list[str]:
    return text.replace("-", " ").replace(",", " ").lower().split()


@cache
def _list() -> list[str]:
    # Only when words are asked for: most processes never show a key to a person.
    from mnemonic import Mnemonic

    return Mnemonic("english").wordlist
