"""Vectors of integers as they lie on disk: in the narrowest type, byte by byte of all entries, deflated.

A frozen contribution is kept for weeks, for each aggregator. Nearly all of its entries are noise of a few
dozen units: the low byte of each is random, and what is above it hardly more than a sign. Put one after the
other in planes, these take a little over a byte an entry instead of four.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

_TYPES = {size: np.dtype(f"<i{size}") for size in (1, 2, 4, 8)}
_LEVEL = 1
"""Of deflate; a higher one takes longer and finds nothing more in noise."""


def pack(vector: NDArray[np.int64], ring: int) -> bytes:
    """Return a vector, (n,), whose entries fit into `ring` bits, as bytes that `unpack` reads.

    Raises:
        ValueError: they do not fit, or the ring is none of 8, 16, 32 and 64 bits.
    """
    if ring // 8 not in _TYPES or ring % 8:
        raise ValueError("a ring has 8, 16, 32 or 64 bits")
    low, high = int(vector.min(initial=0)), int(vector.max(initial=0))
    size = next(size for size in _TYPES if -(2 ** (8 * size - 1)) <= low and high < 2 ** (8 * size - 1))
    if size > ring // 8:
        raise ValueError("the entries do not fit into the ring")
    planes = vector.astype(_TYPES[size]).view(np.uint8).reshape(-1, size).T
    return bytes((ring // 8, size)) + zlib.compress(planes.tobytes(), _LEVEL)


def unpack(packed: bytes) -> bytes:
    """Return the entries little-endian, as many bits each as the ring has.

    Raises:
        ValueError: these are not bytes that `pack` made.
    """
    try:
        wanted, size = _TYPES[packed[0]], packed[1]
        planes = np.frombuffer(zlib.decompress(packed[2:]), np.uint8).reshape(size, -1)
        entries = np.ascontiguousarray(planes.T).view(_TYPES[size])
    except (zlib.error, KeyError, IndexError) as error:
        raise ValueError("no packed vector") from error
    return entries.astype(wanted).tobytes()
