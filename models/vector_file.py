"""The file of video vectors that browsers rank from, and the ranking itself. Imports numpy only.

Little-endian, and nothing in it but public names and what the model learnt:

    offset  size       what
    0       4          "SHLV"
    4       2          version, 1
    6       2          rank r, 64
    8       4          number of videos n, at most 5,000
    12      4          time of training, Unix seconds
    16      32         SHA-256 of everything that follows
    48      16 n       uuids, strictly ascending
    .       4 n        float32 weights w of a video in a history, finite and positive
    .       4 n        float32 weights v of a video that is ranked, likewise
    .       r n        int8 vectors q, one row per video, -127 to 127

A history is a list of rows h1, h2, ... The score of video j is

    p_k = w_h1 q_h1,k + w_h2 q_h2,k + ...          for k = 1 .. r
    score_j = v_j (p_1 q_j,1 + p_2 q_j,2 + ...)

in IEEE double precision, products rounded before they are added, from left to right. JavaScript computes so
by definition and numpy does in loops over whole columns, so both give the same bits, and the same list. A
list holds videos with a positive score that are not in the history, best first, equal scores by row.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.tensors import broken

NAME = "vectors.bin"
RANK = 64
MAX_VIDEOS = 5_000
MAX_BYTES = 500_000
MAX_HISTORY = 200

_MAGIC, _VERSION = b"SHLV", 1
_HEADER = struct.Struct("<4sHHII32s")
_PER_VIDEO = 16 + 4 + 4 + RANK


@dataclass(frozen=True)
class VideoVectors:
    """Vectors of some videos, by which a browser ranks. Raises ValueError when the arrays disagree."""

    uuids: NDArray[np.uint8]
    """(n, 16), strictly ascending."""
    history_weights: NDArray[np.float32]
    """(n,) weight of a video as part of a history."""
    ranked_weights: NDArray[np.float32]
    """(n,) weight of a video as one that is ranked."""
    vectors: NDArray[np.int8]
    """(n, 64)."""
    created: int
    """Time of training, Unix seconds."""

    def __post_init__(self) -> None:
        """Check the shapes; values are checked when a file is read."""
        size = len(self.uuids)
        if size > MAX_VIDEOS:
            raise ValueError(f"at most {MAX_VIDEOS} videos can have vectors")
        shapes = [array.shape for array in (self.history_weights, self.ranked_weights)]
        if self.uuids.shape != (size, 16) or self.vectors.shape != (size, RANK) or shapes != [(size,)] * 2:
            raise ValueError("every video needs a uuid, two weights and a vector")
        if problem := _problem(self):
            raise ValueError(problem)

    def __len__(self) -> int:
        return len(self.uuids)

    def names(self) -> list[str]:
        """Uuids in their usual form, in order of rows."""
        return [str(uuid.UUID(bytes=row.tobytes())) for row in self.uuids]

    def index(self, key: str) -> int | None:
        """Row of a uuid, None where it has no vector."""
        try:
            wanted = uuid.UUID(key).bytes
        except ValueError:
            return None
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.uuids[middle].tobytes() < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self.uuids[low].tobytes() == wanted else None

    def only(self, keep: NDArray[np.bool_]) -> VideoVectors:
        """Return the videos that `keep`, (n,), marks; scores of the others do not change by it."""
        return VideoVectors(
            self.uuids[keep],
            self.history_weights[keep],
            self.ranked_weights[keep],
            self.vectors[keep],
            self.created,
        )

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        body = b"".join(
            (
                np.ascontiguousarray(self.uuids).tobytes(),
                self.history_weights.astype("<f4").tobytes(),
                self.ranked_weights.astype("<f4").tobytes(),
                np.ascontiguousarray(self.vectors).tobytes(),
            )
        )
        digest = hashlib.sha256(body).digest()
        return _HEADER.pack(_MAGIC, _VERSION, RANK, len(self), self.created, digest) + body


@dataclass(frozen=True)
class Ranked:
    """One place in a list; `via` is the row of the history that speaks most for it."""

    row: int
    score: float
    via: int


def from_bytes(content: bytes) -> VideoVectors:
    """Check and open a file's content.

    Raises:
        ModelFileError: it is truncated, altered, of another version, or does not make sense.
    """
    if len(content) < _HEADER.size:
        raise broken(NAME, "it is shorter than its header")
    magic, version, rank, size, created, digest = _HEADER.unpack_from(content)
    if (magic, version, rank) != (_MAGIC, _VERSION, RANK):
        raise broken(NAME, f"it is not of version {_VERSION} and rank {RANK}")
    if size > MAX_VIDEOS or len(content) != _HEADER.size + size * _PER_VIDEO:
        raise broken(NAME, f"its {len(content)} bytes do not fit its {size} videos")
    body = memoryview(content)[_HEADER.size :]
    if hashlib.sha256(body).digest() != digest:
        raise broken(NAME, "its SHA-256 is not the one in its header")
    ends = np.cumsum([0, 16 * size, 4 * size, 4 * size, RANK * size])
    parts = [body[start:stop] for start, stop in pairwise(ends)]
    try:
        return VideoVectors(
            np.frombuffer(parts[0], np.uint8).reshape(size, 16),
            np.frombuffer(parts[1], "<f4").astype(np.float32),
            np.frombuffer(parts[2], "<f4").astype(np.float32),
            np.frombuffer(parts[3], np.int8).reshape(size, RANK),
            created,
        )
    except ValueError as error:
        raise broken(NAME, str(error)) from None


def load(directory: Path) -> VideoVectors | None:
    """Read the vectors of a stored model, None where it has none.

    Raises:
        ModelFileError: as `from_bytes`, or the file cannot be read.
    """
    try:
        with (directory / NAME).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise broken(NAME, f"it cannot be read ({error.strerror or 'unknown reason'})") from None
    return from_bytes(content)


def save(vectors: VideoVectors, directory: Path) -> None:
    """Write the vectors into a stored model's folder so that they appear at once or not at all."""
    handle, scratch = tempfile.mkstemp(prefix=f".{NAME}.", dir=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(vectors.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(directory / NAME)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def scores(vectors: VideoVectors, history: Sequence[int]) -> NDArray[np.float64]:
    """Score all videos for a history of rows, (n,) float64, bit for bit as a browser does."""
    profile = np.zeros(RANK)
    for row in history:
        profile += np.float64(vectors.history_weights[row]) * vectors.vectors[row].astype(np.float64)
    total = np.zeros(len(vectors))
    # One column at a time: a matrix product would add in an order of its own.
    for column, weight in enumerate(profile):
        total += weight * vectors.vectors[:, column].astype(np.float64)
    found: NDArray[np.float64] = total * vectors.ranked_weights.astype(np.float64)
    return found


def rank(vectors: VideoVectors, history: Sequence[int], limit: int) -> list[Ranked]:
    """Return at most `limit` videos for a history of rows, best first; only the first 200 rows count."""
    rows = list(dict.fromkeys(history[:MAX_HISTORY]))
    found = scores(vectors, rows)
    found[rows] = 0.0
    order = np.argsort(-found, kind="stable")[:limit]
    return [
        Ranked(int(row), float(found[row]), _weightiest(vectors, rows, int(row)))
        for row in order
        if found[row] > 0
    ]


def _weightiest(vectors: VideoVectors, history: Sequence[int], row: int) -> int:
    """Row of the history with the largest part in a score; equal parts: the earlier one."""
    rows = np.asarray(history)
    products = vectors.vectors[rows].astype(np.int64) @ vectors.vectors[row].astype(np.int64)
    return int(rows[np.argmax(vectors.history_weights[rows].astype(np.float64) * products)])


def _problem(vectors: VideoVectors) -> str | None:
    for weights in (vectors.history_weights, vectors.ranked_weights):
        if not (np.isfinite(weights) & (weights > 0)).all():
            return "a weight is not a positive number"
    if (vectors.vectors == -128).any():
        return "a vector holds a number below -127"
    # Big-endian halves compare as the bytes do.
    halves = vectors.uuids.reshape(-1).view(">u8").reshape(-1, 2).astype(np.uint64)
    first, second = halves[:-1], halves[1:]
    above = (second[:, 0] > first[:, 0]) | ((second[:, 0] == first[:, 0]) & (second[:, 1] > first[:, 1]))
    return None if above.all() else "its uuids are not strictly ascending"
