"""Sums of finished sessions, kept by url: the catalogue's order may change before they are trained on.

The counts are rows, the pair counts a `.npy` file whose SHA-256 stands in the row. The file is complete
and on disk before the row exists.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
class SumRecord:
    """What is known of a stored sum without its numbers: one sub-cohort's, or that of the whole cohort.

    Attributes:
        run: names the run of the aggregator; sums of one run have the same head and can be added up.
        verdict: of acceptance; `report` says why.
        of: how many sums its run was to have; some may have failed, or been deleted since.
    """

    session_id: str
    created: float
    run: str
    sub_cohort: int
    verdict: Verdict
    report: dict[str, Any]
    survivors: tuple[str, ...]
    of: int = 1


@dataclass(frozen=True)
class SumPrivacy:
    """The noise in a sum and the terms it was given on.

    Attributes:
        counts_noise, pairs_noise: variances that honest survivors reach in the worst case.
        counts_noise_realised, pairs_noise_realised: variances of the noise in this sum.
        max_videos_per_user: how many videos of one viewer count.
        min_users: how many viewers, noise included, a video of the head has at least.
        parts: how many sums its run was to have.
        members, threshold, colluders: of the secure sum; `survivors` of its members are in the result.
        publish: whether all members agreed to vectors of videos being made public from it.
    """

    counts_noise: int
    pairs_noise: int
    counts_noise_realised: float
    pairs_noise_realised: float
    max_videos_per_user: int
    min_users: int
    parts: int
    members: int
    threshold: int
    colluders: int
    survivors: int
    publish: bool


@dataclass(frozen=True)
class StoredSum:
    """The others' sum over a head of videos.

    Attributes:
        urls: (h,) videos of the head in the order of the arrays, ascending.
        counts: (h,) int64 viewers per video.
        triangle: (h(h-1)/2,) int64 viewers per pair, strict upper triangle, row-major.
        survivors: hosts whose contributions are in the sum.
        privacy: the noise in it and the terms it was given on.
        sessions: the sums that it is made of, where it is made of several.
    """

    session_id: str
    created: float
    urls: tuple[str, ...]
    counts: NDArray[np.int64]
    triangle: NDArray[np.int64]
    survivors: tuple[str, ...]
    privacy: SumPrivacy
    sessions: tuple[str, ...] = ()


def save(
    engine: Engine,
    directory: Path,
    *,
    session_id: str,
    urls: tuple[str, ...],
    counts: NDArray[np.int64],
    triangle: NDArray[np.int64],
    privacy: SumPrivacy,
    now: float,
    run: str = "",
    sub_cohort: int = 0,
    verdict: Verdict = "new",
) -> None:
    """Store a sum; its session must have been saved before. Without a `run` it is one of its own.

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
            "privacy": asdict(privacy),
            "run": run or session_id,
            "sub_cohort": sub_cohort,
            "verdict": verdict,
            "report": {},
        }
        connection.execute(insert(Sum).values(values))
        if rows:
            connection.execute(insert(SumVideo), rows)


def records(engine: Engine) -> list[SumRecord]:
    """Return every stored sum, newest first; those of one run by sub-cohort."""
    columns = (Sum.session_id, Sum.created, Sum.run, Sum.sub_cohort, Sum.verdict, Sum.report, Sum.privacy)
    query = select(*columns, Session.survivors).join(Session, Session.id == Sum.session_id)
    with reads(engine) as connection:
        rows = connection.execute(query.order_by(desc(Sum.created), Sum.run, Sum.sub_cohort)).mappings()
        return [_record(row) for row in rows]


def _record(row: RowMapping) -> SumRecord:
    known = {name: value for name, value in row.items() if name != "privacy"}
    return SumRecord(**{**known, "survivors": tuple(row["survivors"]), "of": row["privacy"]["parts"]})


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
    """Return what the latest run of the aggregator gave, its sums together; None where there is none.

    Raises:
        StoreError: its file is missing or altered.
    """
    found = records(engine)
    if not found:
        return None
    return load(engine, directory, [one.session_id for one in found if one.run == found[0].run])


def load(engine: Engine, directory: Path, session_ids: Sequence[str]) -> StoredSum:
    """Return one stored sum, or several of one run added up.

    Raises:
        StoreError: one of them is gone, or its file is missing or altered.
    """
    with reads(engine) as connection:
        query = select(Sum.__table__, Session.survivors).join(Session, Session.id == Sum.session_id)
        query = query.where(Sum.session_id.in_(session_ids)).order_by(Sum.sub_cohort)
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
    return found[0] if len(found) == 1 else _together(rows[0]["run"], found)


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
        privacy=SumPrivacy(**row["privacy"]),
        sessions=(row["session_id"],),
    )


def _together(run: str, found: Sequence[StoredSum]) -> StoredSum:
    """Add up the sums of a run; noise adds up as well."""
    first = found[0]
    if any(one.urls != first.urls for one in found):
        raise StoreError(
            "the sums of a run have different heads", advice="Run a new session: shoal sessions start."
        )
    terms = [one.privacy for one in found]
    return replace(
        first,
        session_id=run,
        counts=np.sum([one.counts for one in found], axis=0),
        triangle=np.sum([one.triangle for one in found], axis=0),
        survivors=tuple(sorted(host for one in found for host in one.survivors)),
        privacy=replace(
            first.privacy,
            counts_noise_realised=sum(one.counts_noise_realised for one in terms),
            pairs_noise_realised=sum(one.pairs_noise_realised for one in terms),
            members=sum(one.members for one in terms),
            survivors=sum(one.survivors for one in terms),
        ),
        sessions=tuple(one.session_id for one in found),
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

    Kept are the newest `keep` runs, and as many of those that were accepted: what is new may yet be refused.
    """
    found = records(engine)
    runs = list(dict.fromkeys(one.run for one in found))
    accepted = list(dict.fromkeys(one.run for one in found if one.verdict == "accepted"))
    kept = {*runs[:keep], *accepted[:keep]}
    old = [one.session_id for one in found if one.run not in kept]
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
