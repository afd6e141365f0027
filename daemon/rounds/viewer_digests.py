"""Viewers as keyed hashes: enough to see who changed or left, under a key that is drawn for each window."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

SIZE: Final = 16
"""Bytes of a hash."""

Digests = Mapping[bytes, bytes]
"""Per viewer: a keyed hash of who, a keyed hash of what counts; 16 bytes each."""


class Viewers(Protocol):
    """Who is counted now, under a key that is drawn for each window."""

    def digests(self, key: bytes) -> Digests:
        """Describe everybody who is counted."""

    def settled(self, key: bytes) -> frozenset[bytes]:
        """Name those who agreed long enough ago for a change of theirs to count."""


def viewer_tag(key: bytes, pseudonym: bytes) -> bytes:
    """Return what a viewer is called under a key, 16 bytes: to see who left."""
    return hashlib.blake2b(pseudonym, digest_size=SIZE, key=key, person=b"shoal viewer").digest()


def viewer_tags(key: bytes, pseudonyms: Iterable[bytes]) -> frozenset[bytes]:
    """Return what several viewers are called under a key."""
    return frozenset(viewer_tag(key, pseudonym) for pseudonym in pseudonyms)


def viewer_digests(
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
        b"".join(hashlib.blake2b(url.encode(), digest_size=SIZE, key=key).digest() for url in urls),
        dtype=f"V{SIZE}",
    )
    found = {}
    for row, pseudonym in enumerate(pseudonyms):
        mine = columns[starts[row] : starts[row + 1]]
        if mine.size:
            content = videos[mine].tobytes()
            found[viewer_tag(key, pseudonym)] = hashlib.blake2b(content, digest_size=SIZE, key=key).digest()
    return found
