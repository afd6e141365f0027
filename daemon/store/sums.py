"""Sums of finished rounds, kept by url: the catalogue's order may change before they are trained on.

The counts are rows, the pair counts a `.npy` file of the narrowest type, whose SHA-256 stands in the row. The
file is complete and on disk before the row exists.
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
from daemon.store.activity import Role
from daemon.store.engine import reads, writes
from daemon.store.tables import Round, Sum, SumVideo

Verdict = Literal["new", "awaiting", "accepted", "quarantined"]


@dataclass(frozen=True)
class SumRecord:
    """What is known of a stored sum without its numbers: one sub-cohort's, or that of the whole cohort.

    Attributes:
        run: names the run of the aggregator; sums of one run have the same head and can be added up.
        verdict: of acceptance; `report` says why.
        role: what this instance was in its round.
        passed_on_by: the peer that passed it on to this instance, empty where none did.
    """

    round_id: str
    created: float
    run: str
    sub_cohort: int
    verdict: Verdict
    report: dict[str, Any]
    survivors: tuple[str, ...]
    role: Role = "aggregator"
    passed_on_by: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the hosts on whose word it rests: without one of them, it may not be learnt from."""
        return _sources(self.survivors, self.passed_on_by)


@dataclass(frozen=True)
class SumPrivacy:
    """The noise in a sum and the terms it was given on.

    Attributes:
        counts_noise, pairs_noise: variances that honest survivors reach in the worst case.
        counts_noise_realised, pairs_noise_realised: variances of the noise in this sum.
        max_videos_per_user: how many videos of one viewer count.
        min_users: how many viewers, noise included, a video of the head has at least.
        sub_cohorts: how many sums its run was to have.
        members, threshold, colluders: of the secure sum; `survivors` of its members are in the result.
        publish: whether all members agreed to vectors of videos being made public from it.
    """

    counts_noise: int
    pairs_noise: int
    counts_noise_realised: float
    pairs_noise_realised: float
    max_videos_per_user: int
    min_users: int
    sub_cohorts: int
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
        rounds: the rounds that it comes of; `round_id` is the first of them.
        passed_on_by: as in `SumRecord`.
    """

    round_id: str
    created: float
    urls: tuple[str, ...]
    counts: NDArray[np.int64]
    triangle: NDArray[np.int64]
    survivors: tuple[str, ...]
    privacy: SumPrivacy
    rounds: tuple[str, ...] = ()
    passed_on_by: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the hosts on whose word it rests, as in `SumRecord`."""
        return _sources(self.survivors, self.passed_on_by)


def _sources(survivors: Sequence[str], passed_on_by: str) -> tuple[str, ...]:
    return tuple(sorted({*survivors, passed_on_by} - {""}))


def save(
    engine: Engine,
    directory: Path,
    *,
    round_id: str,
    urls: tuple[str, ...],
    counts: NDArray[np.int64],
    triangle: NDArray[np.int64],
    privacy: SumPrivacy,
    now: float,
    run: str = "",
    sub_cohort: int = 0,
    verdict: Verdict = "new",
    proposal: bytes = b"",
) -> None:
    """Store a sum; its round must have been saved before. Without a `run` it is one of its own.

    `proposal` is the signed one of its round; without it, the sum cannot be passed on.

    Raises:
        ValueError: the lengths disagree.
    """
    size = len(urls)
    if counts.shape != (size,) or triangle.shape != (size * (size - 1) // 2,):
        raise ValueError("counts and triangle do not fit the number of videos")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{hashlib.sha256(round_id.encode()).hexdigest()[:32]}.npy"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, _narrowest(triangle), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    digest = _sha256(partial)
    partial.rename(path)
    rows = [
        {"round_id": round_id, "position": i, "url": url, "count": int(count)}
        for i, (url, count) in enumerate(zip(urls, counts, strict=True))
    ]
    with writes(engine) as connection:
        # A job that died behind this point is run again, with the same sum.
        connection.execute(delete(SumVideo).where(SumVideo.round_id == round_id))
        connection.execute(delete(Sum).where(Sum.round_id == round_id))
        values = {
            "round_id": round_id,
            "created": now,
            "triangle_file": path.name,
            "triangle_sha256": digest,
            "privacy": asdict(privacy),
            "run": run or round_id,
            "sub_cohort": sub_cohort,
            "verdict": verdict,
            "report": {},
            "proposal": proposal,
        }
        connection.execute(insert(Sum).values(values))
        if rows:
            connection.execute(insert(SumVideo), rows)


def records(engine: Engine) -> list[SumRecord]:
    """Return every stored sum, newest first; those of one run by sub-cohort."""
    columns = (Sum.round_id, Sum.created, Sum.run, Sum.sub_cohort, Sum.verdict, Sum.report)
    query = select(*columns, Round.survivors, Round.role, Round.aggregator)
    query = query.join(Round, Round.id == Sum.round_id)
    with reads(engine) as connection:
        rows = connection.execute(query.order_by(desc(Sum.created), Sum.run, Sum.sub_cohort)).mappings()
        return [_record(row) for row in rows]


def _record(row: RowMapping) -> SumRecord:
    known = {name: value for name, value in row.items() if name != "aggregator"}
    return SumRecord(**{**known, "survivors": tuple(row["survivors"]), "passed_on_by": _passed_on_by(row)})


def _passed_on_by(row: RowMapping) -> str:
    return str(row["aggregator"]) if row["role"] == "newcomer" else ""


def proposal_of(engine: Engine, round_id: str) -> bytes:
    """Return the signed proposal of a stored sum's round; empty where there is none."""
    with reads(engine) as connection:
        found = connection.execute(select(Sum.proposal).where(Sum.round_id == round_id)).scalar()
    return found or b""


def exist(engine: Engine, round_ids: Sequence[str]) -> bool:
    """Tell whether all of these sums are still stored."""
    with reads(engine) as connection:
        found = connection.execute(select(Sum.round_id).where(Sum.round_id.in_(round_ids))).all()
    return len(found) == len(set(round_ids))


def set_verdict(
    engine: Engine, round_ids: Sequence[str], verdict: Verdict, report: Mapping[str, Any]
) -> None:
    """Record how the acceptance of sums went."""
    with writes(engine) as connection:
        connection.execute(
            update(Sum).where(Sum.round_id.in_(round_ids)).values(verdict=verdict, report=dict(report))
        )


def newest(engine: Engine, directory: Path) -> StoredSum | None:
    """Return what the latest run of the aggregator gave, its sums together; None where there is none.

    Raises:
        StoreError: its file is missing or altered.
    """
    found = records(engine)
    if not found:
        return None
    return load(engine, directory, [one.round_id for one in found if one.run == found[0].run])


def load(engine: Engine, directory: Path, round_ids: Sequence[str]) -> StoredSum:
    """Return one stored sum, or several of one run added up.

    Raises:
        StoreError: one of them is gone, or its file is missing or altered.
    """
    with reads(engine) as connection:
        query = select(Sum.__table__, Round.survivors, Round.role, Round.aggregator)
        query = query.join(Round, Round.id == Sum.round_id)
        query = query.where(Sum.round_id.in_(round_ids)).order_by(Sum.sub_cohort)
        rows = connection.execute(query).mappings().all()
        heads = [
            connection.execute(
                select(SumVideo.url, SumVideo.count)
                .where(SumVideo.round_id == row["round_id"])
                .order_by(SumVideo.position)
            ).all()
            for row in rows
        ]
    if len(rows) != len(set(round_ids)) or not rows:
        raise StoreError("a sum is not stored any more", advice="Run a new round: shoal rounds start.")
    found = [
        _read(directory, row, [(url, count) for url, count in head])
        for row, head in zip(rows, heads, strict=True)
    ]
    return found[0] if len(found) == 1 else _together(found)


def _read(directory: Path, row: RowMapping, videos: list[tuple[str, int]]) -> StoredSum:
    path = directory / row["triangle_file"]
    if not path.exists() or _sha256(path) != row["triangle_sha256"]:
        raise StoreError(
            f"the pair counts of round {row['round_id'][:12]} are missing or damaged",
            advice="Run a new round: shoal rounds start.",
        )
    return StoredSum(
        round_id=row["round_id"],
        created=row["created"],
        urls=tuple(url for url, _ in videos),
        counts=np.array([count for _, count in videos], np.int64),
        triangle=np.load(path, allow_pickle=False).astype(np.int64),
        survivors=tuple(row["survivors"]),
        privacy=SumPrivacy(**row["privacy"]),
        rounds=(row["round_id"],),
        passed_on_by=_passed_on_by(row),
    )


def _together(found: Sequence[StoredSum]) -> StoredSum:
    """Add up the sums of a run, under the name of the first; noise adds up as well."""
    first = found[0]
    if any(one.urls != first.urls for one in found):
        raise StoreError(
            "the sums of a run have different heads", advice="Run a new round: shoal rounds start."
        )
    terms = [one.privacy for one in found]
    return replace(
        first,
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
        rounds=tuple(one.round_id for one in found),
    )


def drop(engine: Engine, directory: Path, round_ids: Sequence[str]) -> None:
    """Delete stored sums, rows first: a row without its file would be a lie."""
    with writes(engine) as connection:
        rows = connection.execute(select(Sum.triangle_file).where(Sum.round_id.in_(round_ids))).scalars()
        files = list(rows)
        connection.execute(delete(SumVideo).where(SumVideo.round_id.in_(round_ids)))
        connection.execute(delete(Sum).where(Sum.round_id.in_(round_ids)))
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
    old = [one.round_id for one in found if one.run not in kept]
    drop(engine, directory, old)
    with reads(engine) as connection:
        known = set(connection.execute(select(Sum.triangle_file)).scalars())
    for path in directory.glob("*") if directory.exists() else ():
        if path.name not in known:
            path.unlink()
    return len(old)


def _narrowest(numbers: NDArray[np.int64]) -> NDArray[np.signedinteger[Any]]:
    """Return the same numbers in the smallest type that holds them: two bytes, as a rule."""
    low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    needed = np.promote_types(np.min_scalar_type(min(low, -1)), np.min_scalar_type(-high - 1))
    return numbers.astype(needed.newbyteorder("<"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
