"""Viewers as keyed hashes: to see who changed or left since something was given, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_SIZE = 16


def tag(key: bytes, pseudonym: bytes) -> bytes:
    """Return what a viewer is called under a key, 16 bytes."""
    return hashlib.blake2b(pseudonym, digest_size=_SIZE, key=key, person=b"shoal viewer").digest()


def tags(key: bytes, pseudonyms: Iterable[bytes]) -> frozenset[bytes]:
    """Return several."""
    return frozenset(tag(key, pseudonym) for pseudonym in pseudonyms)


def digests(
    key: bytes,
    pseudonyms: Sequence[bytes],
    urls: Sequence[str],
    starts: NDArray[np.integer],
    columns: NDArray[np.integer],
) -> dict[bytes, bytes]:
    """Return, per viewer that counts with any video, a hash of which videos those are, 16 bytes each.

    `starts` (viewers + 1,) and `columns` are a CSR index: the positions in `urls` of each viewer's videos,
    ascending.
    """
    videos = np.frombuffer(
        b"".join(hashlib.blake2b(url.encode(), digest_size=_SIZE, key=key).digest() for url in urls),
        dtype=f"V{_SIZE}",
    )
    found = {}
    for row, pseudonym in enumerate(pseudonyms):
        mine = columns[starts[row] : starts[row + 1]]
        if mine.size:
            content = videos[mine].tobytes()
            found[tag(key, pseudonym)] = hashlib.blake2b(content, digest_size=_SIZE, key=key).digest()
    return found
