"""Sums of finished sessions, kept by url: the catalogue's order may change before they are trained on.

The counts are rows, the pair counts a `.npy` file whose SHA-256 stands in the row. The file is complete
and on disk before the row exists.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, delete, desc, insert, select

from daemon.errors import StoreError
from daemon.store.engine import reads, writes
from daemon.store.tables import Session, Sum, SumVideo


@dataclass(frozen=True)
class StoredSum:
    """The others' sum over a head of videos.

    Attributes:
        urls: (h,) videos of the head in the order of the arrays, ascending.
        counts: (h,) int64 viewers per video.
        triangle: (h(h-1)/2,) int64 viewers per pair, strict upper triangle, row-major.
        survivors: hosts whose contributions are in the sum.
        privacy: the noise in it and the terms it was given on, see `daemon.sessions.terms.privacy_of`.
    """

    session_id: str
    created: float
    urls: tuple[str, ...]
    counts: NDArray[np.int64]
    triangle: NDArray[np.int64]
    survivors: tuple[str, ...]
    privacy: dict[str, Any]


def save(
    engine: Engine,
    directory: Path,
    *,
    session_id: str,
    urls: tuple[str, ...],
    counts: NDArray[np.int64],
    triangle: NDArray[np.int64],
    privacy: dict[str, Any],
    now: float,
) -> None:
    """Store a sum; its session must have been saved before.

    Raises:
        ValueError: the lengths disagree.
    """
    size = len(urls)
    if counts.shape != (size,) or triangle.shape != (size * (size - 1) // 2,):
        raise ValueError("counts and triangle do not fit the number of videos")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{hashlib.sha256(session_id.encode()).hexdigest()[:32]}.npy"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, triangle.astype("<i8"), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    digest = _sha256(partial)
    partial.rename(path)
    rows = [
        {"session_id": session_id, "position": i, "url": url, "count": int(count)}
        for i, (url, count) in enumerate(zip(urls, counts, strict=True))
    ]
    with writes(engine) as connection:
        # A job that died behind this point is run again, with the same sum.
        connection.execute(delete(SumVideo).where(SumVideo.session_id == session_id))
        connection.execute(delete(Sum).where(Sum.session_id == session_id))
        values = {
            "session_id": session_id,
            "created": now,
            "triangle_file": path.name,
            "triangle_sha256": digest,
            "privacy": privacy,
        }
        connection.execute(insert(Sum).values(values))
        if rows:
            connection.execute(insert(SumVideo), rows)


def newest(engine: Engine, directory: Path) -> StoredSum | None:
    """Return the sum of the latest session, None where there is none.

    Raises:
        StoreError: its file is missing or altered.
    """
    with reads(engine) as connection:
        query = select(Sum.__table__, Session.survivors).join(Session, Session.id == Sum.session_id)
        row = connection.execute(query.order_by(desc(Sum.created)).limit(1)).mappings().first()
        if row is None:
            return None
        head = select(SumVideo.url, SumVideo.count).where(SumVideo.session_id == row["session_id"])
        videos = connection.execute(head.order_by(SumVideo.position)).all()
    path = directory / row["triangle_file"]
    if not path.exists() or _sha256(path) != row["triangle_sha256"]:
        raise StoreError(
            f"the pair counts of session {row['session_id'][:12]} are missing or damaged",
            advice="Run a new session: shoal sessions start.",
        )
    return StoredSum(
        session_id=row["session_id"],
        created=row["created"],
        urls=tuple(url for url, _ in videos),
        counts=np.array([count for _, count in videos], np.int64),
        triangle=np.load(path, allow_pickle=False).astype(np.int64),
        survivors=tuple(row["survivors"]),
        privacy=dict(row["privacy"]),
    )


def prune(engine: Engine, directory: Path, *, keep: int) -> int:
    """Delete all but the newest sums, and files that no row names; returns how many sums."""
    with writes(engine) as connection:
        rows = connection.execute(select(Sum.session_id, Sum.triangle_file).order_by(desc(Sum.created))).all()
        old = [session_id for session_id, _ in rows[keep:]]
        connection.execute(delete(SumVideo).where(SumVideo.session_id.in_(old)))
        connection.execute(delete(Sum).where(Sum.session_id.in_(old)))
    known = {name for _, name in rows[:keep]}
    for path in directory.glob("*") if directory.exists() else ():
        if path.name not in known:
            path.unlink()
    return len(old)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
