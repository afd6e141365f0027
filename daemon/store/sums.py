"""Sums of finished sessions, kept by url: the catalogue's order may change before they are trained on.

The counts are rows, the pair counts a `.npy` file whose SHA-256 stands in the row. The file is complete
and on disk before the row exists.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, RowMapping, delete, desc, insert, select, update

from daemon.errors import StoreError
from daemon.store.engine import reads, writes
from daemon.store.tables import Session, Sum, SumVideo

Verdict = Literal["new", "awaiting", "accepted", "quarantined"]


@dataclass(frozen=True)
class Part:
    """What is known of a stored sum without its numbers: one sub-cohort's, or that of the whole cohort.

    Attributes:
        batch: names the run of the aggregator; parts of one batch have the same head and can be added up.
        verdict: of acceptance; `report` says why.
        of: how many parts its batch was to have; some may have failed, or been deleted since.
    """

    session_id: str
    created: float
    batch: str
    subcohort: int
    verdict: Verdict
    report: dict[str, Any]
    survivors: tuple[str, ...]
    of: int = 1


@dataclass(frozen=True)
class StoredSum:
    """The others' sum over a head of videos.

    Attributes:
        urls: (h,) videos of the head in the order of the arrays, ascending.
        counts: (h,) int64 viewers per video.
        triangle: (h(h-1)/2,) int64 viewers per pair, strict upper triangle, row-major.
        survivors: hosts whose contributions are in the sum.
        privacy: the noise in it and the terms it was given on, see `daemon.rounds.round_config.privacy_of`.
        sessions: the sums that it is made of, where it is made of several.
    """

    session_id: str
    created: float
    urls: tuple[str, ...]
    counts: NDArray[np.int64]
    triangle: NDArray[np.int64]
    survivors: tuple[str, ...]
    privacy: dict[str, Any]
    sessions: tuple[str, ...] = ()


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
    batch: str = "",
    subcohort: int = 0,
    verdict: Verdict = "new",
) -> None:
    """Store a sum; its session must have been saved before. Without a `batch` it is one of its own.

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
            "batch": batch or session_id,
            "subcohort": subcohort,
            "verdict": verdict,
            "report": {},
        }
        connection.execute(insert(Sum).values(values))
        if rows:
            connection.execute(insert(SumVideo), rows)


def parts(engine: Engine) -> list[Part]:
    """Return every stored sum, newest first; those of one batch by sub-cohort."""
    columns = (Sum.session_id, Sum.created, Sum.batch, Sum.subcohort, Sum.verdict, Sum.report, Sum.privacy)
    query = select(*columns, Session.survivors).join(Session, Session.id == Sum.session_id)
    with reads(engine) as connection:
        rows = connection.execute(query.order_by(desc(Sum.created), Sum.batch, Sum.subcohort)).mappings()
        return [_part(row) for row in rows]


def _part(row: RowMapping) -> Part:
    known = {name: value for name, value in row.items() if name != "privacy"}
    return Part(**{**known, "survivors": tuple(row["survivors"]), "of": int(row["privacy"].get("parts", 1))})


def exist(engine: Engine, session_ids: Sequence[str]) -> bool:
    """Tell whether all of these sums are still stored."""
    with reads(engine) as connection:
        found = connection.execute(select(Sum.session_id).where(Sum.session_id.in_(session_ids))).all()
    return len(found) == len(set(session_ids))


def set_verdict(
    engine: Engine, session_ids: Sequence[str], verdict: Verdict, report: Mapping[str, Any]
) -> None:
    """Record how the acceptance of sums went."""
    with writes(engine) as connection:
        connection.execute(
            update(Sum).where(Sum.session_id.in_(session_ids)).values(verdict=verdict, report=dict(report))
        )


def newest(engine: Engine, directory: Path) -> StoredSum | None:
    """Return what the latest run of the aggregator gave, its parts together; None where there is none.

    Raises:
        StoreError: its file is missing or altered.
    """
    found = parts(engine)
    return (
        load(engine, directory, [p.session_id for p in found if p.batch == found[0].batch]) if found else None
    )


def load(engine: Engine, directory: Path, session_ids: Sequence[str]) -> StoredSum:
    """Return one stored sum, or several of one batch added up.

    Raises:
        StoreError: one of them is gone, or its file is missing or altered.
    """
    with reads(engine) as connection:
        query = select(Sum.__table__, Session.survivors).join(Session, Session.id == Sum.session_id)
        query = query.where(Sum.session_id.in_(session_ids)).order_by(Sum.subcohort)
        rows = connection.execute(query).mappings().all()
        heads = [
            connection.execute(
                select(SumVideo.url, SumVideo.count)
                .where(SumVideo.session_id == row["session_id"])
                .order_by(SumVideo.position)
            ).all()
            for row in rows
        ]
    if len(rows) != len(set(session_ids)) or not rows:
        raise StoreError("a sum is not stored any more", advice="Run a new session: shoal sessions start.")
    found = [
        _read(directory, row, [(url, count) for url, count in head])
        for row, head in zip(rows, heads, strict=True)
    ]
    return found[0] if len(found) == 1 else _together(rows[0]["batch"], found)


def _read(directory: Path, row: RowMapping, videos: list[tuple[str, int]]) -> StoredSum:
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
        sessions=(row["session_id"],),
    )


def _together(batch: str, found: Sequence[StoredSum]) -> StoredSum:
    """Add up the parts of a batch; noise adds up as well."""
    first = found[0]
    if any(part.urls != first.urls for part in found):
        raise StoreError("the parts of a sum have different heads", advice="Run a new session.")
    realised: dict[str, Any] = {
        name: sum(part.privacy[name] for part in found)
        for name in ("counts_noise_realised", "pairs_noise_realised")
        if name in first.privacy
    }
    members = {name: sum(p.privacy.get(name, 0) for p in found) for name in ("members", "survivors")}
    return replace(
        first,
        session_id=batch,
        counts=np.sum([part.counts for part in found], axis=0),
        triangle=np.sum([part.triangle for part in found], axis=0),
        survivors=tuple(sorted(host for part in found for host in part.survivors)),
        privacy={**first.privacy, **realised, **members},
        sessions=tuple(part.session_id for part in found),
    )


def drop(engine: Engine, directory: Path, session_ids: Sequence[str]) -> None:
    """Delete stored sums, rows first: a row without its file would be a lie."""
    with writes(engine) as connection:
        rows = connection.execute(select(Sum.triangle_file).where(Sum.session_id.in_(session_ids))).scalars()
        files = list(rows)
        connection.execute(delete(SumVideo).where(SumVideo.session_id.in_(session_ids)))
        connection.execute(delete(Sum).where(Sum.session_id.in_(session_ids)))
    for name in files:
        (directory / name).unlink(missing_ok=True)


def prune(engine: Engine, directory: Path, *, keep: int) -> int:
    """Delete sums that are not needed, and files that no row names; returns how many sums.

    Kept are the newest `keep` batches, and as many of those that were accepted: what is new may yet be
    refused.
    """
    found = parts(engine)
    batches = list(dict.fromkeys(part.batch for part in found))
    accepted = list(dict.fromkeys(part.batch for part in found if part.verdict == "accepted"))
    kept = {*batches[:keep], *accepted[:keep]}
    old = [part.session_id for part in found if part.batch not in kept]
    drop(engine, directory, old)
    with reads(engine) as connection:
        known = set(connection.execute(select(Sum.triangle_file)).scalars())
    for path in directory.glob("*") if directory.exists() else ():
        if path.name not in known:
            path.unlink()
    return len(old)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
