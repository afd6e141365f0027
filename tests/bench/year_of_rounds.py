"""The disk that a year of rounds with 20 peers takes: the real store, ledger, windows, sums and pruning.

The instance asks its peers as often as it may, and each of them asks it; enough viewers change each week for
every window to end on time, and no budget stops anything. That is the most there can be at this size: 3,000
videos, 300 own viewers and as many at each peer, four syncs and trainings a day. Time is a clock that is set.

Left out are the messages between members, of which nothing is kept once a round has ended, and the solving:
the numbers in models are made up, and what is written around them is written by the daemon's own code.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.maintenance import prune
from daemon.process.job_context import JobContext
from daemon.rounds import own_release, round_config
from daemon.rounds.aggregate_job import _PeerRun
from daemon.rounds.attempts import Attempt, Carry
from daemon.rounds.contribution_job import noisy, windows_of
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.member_log import MemberLog
from daemon.rounds.own_statistics import own_viewers, public_vocabulary
from daemon.store import activity, content_arrays, model_records, releases, sums
from daemon.store.activity import JobRecord
from daemon.store.engine import open_checked, truncate_wal
from daemon.store.migrate import migrate
from daemon.store.model_inputs import labels
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace
from daemon.store.viewers import Pseudonyms
from daemon.training import deploy
from daemon.training.model_writer import ModelWriter
from daemon.training.own_numbers import OwnNumbers
from federation.aggregator import SumResult
from federation.blob_access import reference_to
from federation.envelope import Stage
from federation.errors import Refusal
from federation.identity import Identity, format_key
from federation.masks import RING
from federation.proposal import Proposal, SignedProposal, least_threshold
from models import counting
from models.interactions import Interactions
from models.weights import UNIT
from policies.sharing import TRAINER
from policies.window_length import length
from tests.bench.training import made_users
from tests.daemon.daemon_with_history import nameless
from tests.daemon.running_daemon import instance
from tests.models.made import made_model
from tests.simulator.cohort import Clock

PEERS, VIDEOS, OWN_VIEWERS, ITEMS = 20, 3_000, 300, 1_500
TRAININGS_A_DAY, DAYS = 4, 365
DAY, BEGIN = 86400.0, 1_800_000_000.0
_CHANNELS = 200
_CHANGED = 40
"""Viewers that watch something new in a week."""
_TOGETHER = 7
"""Members of a sub-cohort at the peers, this instance among them."""
_FILES: Final = {
    "database": ("shoal.db",),
    "ledger_copy": ("ledger.jsonl",),
    "journals": ("journal", "windows"),
    "sums": ("sums",),
    "models": ("models",),
}


def run() -> dict[str, Any]:
    """Play a year.

    Returns:
        mebibytes of the data folder: after the year and its last pruning, by what is in it, and the most on
        any evening; how many rounds it had; mebibytes a year by which the ledger grows, with its copy, which
        is kept for good; processor seconds of it all.
    """
    with tempfile.TemporaryDirectory() as name, _Year.opened(Path(name)) as year:
        most = 0.0
        for day in range(DAYS):
            year.play(day)
            # Once more after pruning, the day's models are gone.
            most = max(most, _mib(year.folder))
            year.prune()
            if day % 30 == 29:
                print(f"day {day + 1}: {_mib(year.folder):.0f} MiB", file=sys.stderr, flush=True)
        year.settle()
        return year.measured() | {"most_mib": most}


@dataclass
class _Played:
    """The protocol's part of a round that this instance was a member of."""

    proposal: Proposal
    survivors: tuple[str, ...]

    def proposal_of(self, _round_id: bytes) -> Proposal:
        return self.proposal

    def survivors_of(self, _round_id: bytes) -> tuple[str, ...]:
        return self.survivors


class _OwnRun(_PeerRun):
    """Asks all peers, who give at once what made-up viewers of theirs did."""

    def __init__(self, context: JobContext, others: Others) -> None:
        super().__init__(context)
        self._others = others
        self._rosters = self._divided(frozenset())
        self.attempts.drive = self._given  # type: ignore[assignment, method-assign]

    def ask(self) -> dict[str, Any]:
        """Return the summary of a run."""
        return asyncio.run(self.sum(lambda _signed: None))  # type: ignore[arg-type, return-value]

    async def _given(self, attempt: Attempt, _carry: Carry) -> SumResult:
        proposal, window = attempt.signed.proposal, self.windows.current()
        assert window is not None
        self.windows.note_left()
        self.windows.bind(attempt.number, proposal.hosts, revealed=True)
        head = round_config.decode_head(window.head)
        total = self._others.counted(attempt.number, len(self._rosters), head, proposal)
        self.attempts.seconds[attempt.id] = {}
        self.attempts.traffic.add(proposal.hosts[0], total.size * 4, total.size * 4)
        return SumResult(attempt.signed.round_id, total, proposal.hosts, {})


@dataclass
class Others:
    """The peers' viewers, over the catalogue."""

    rng: np.random.Generator
    users: Interactions = field(init=False)

    def __post_init__(self) -> None:
        """Make them up."""
        self.users = made_users(PEERS * OWN_VIEWERS, VIDEOS, self.rng)

    def counted(
        self, number: int, parts: int, head: NDArray[np.int64], proposal: Proposal
    ) -> NDArray[np.int64]:
        """Return the noisy sum of a sub-cohort, (length,)."""
        rows = np.arange(number, self.users.users, parts)
        plain = counting.contribution(self.users.rows(rows).limited(200), head)
        noise = round_config.noise_in(proposal, len(proposal.hosts))
        spread = np.repeat(
            [noise.counts**0.5 * UNIT, noise.pairs**0.5 * UNIT], [one.length for one in proposal.segments]
        )
        drawn: NDArray[np.int64] = np.round(self.rng.normal(size=plain.size) * spread).astype(np.int64)
        return plain + drawn


class _Year:
    def __init__(self, config: Config, engine: Any) -> None:
        self._rng = np.random.default_rng(1)
        self.folder = config.data_dir
        self._config, self._engine, self._clock = config, engine, Clock(BEGIN)
        self._context = JobContext(config, engine, lambda _stage, _part: None, self._clock)
        config.models_dir.mkdir()
        self._identity = open_identity(config.identity_file, config.instance.host)
        self._others = Others(self._rng)
        mine = made_users(OWN_VIEWERS, VIDEOS, self._rng).matrix
        self._watched = [set(row.tolist()) for row in np.split(mine.indices, mine.indptr[1:-1])]
        self._due = dict.fromkeys([peer.host for peer in _peers()], 0.0)
        self._first: dict[str, float] = {}
        self._own_due, self._own_first = 8.0, 8.0
        self._rounds = {"asked": 0, "given": 0, "refused": 0}
        self._trained = 0
        self._model = nameless(
            made_model(VIDEOS, ITEMS, rank=256, tags=VIDEOS // 5, related=40, channels=_CHANNELS)
        )
        self._began = time.process_time()

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[_Year]:
        """Begin a year in a new folder."""
        file = instance(folder, extra='mode = "contribute"')
        peers = "".join(
            f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
            for p in _peers()
        )
        limits = '[privacy]\nyearly_budget_pair = 0\nmin_video_age = "0s"\n'
        file.write_text(file.read_text() + limits + peers)
        config = load(file)
        migrate(config.database)
        engine = open_checked(config.database)
        try:
            yield cls(config, engine)
        finally:
            engine.dispose()

    def play(self, day: int) -> None:
        """Let a day pass: a sync once a week, rounds that are due, trainings."""
        self._clock.now = BEGIN + day * DAY
        if day % 7 == 0:
            self._sync()
        if day >= self._own_due:
            self._ask(day)
        for peer in _peers():
            if day >= max(8.0, self._due[peer.host]):
                self._give(peer, day)
        for hour in range(TRAININGS_A_DAY):
            self._clock.now = BEGIN + day * DAY + (hour + 1) * 3600
            self._train(kept=day % 7 == 0)
            for job in ("sync", "train"):
                result = {"videos": VIDEOS, "viewers": OWN_VIEWERS, "engagements": 9_000, "skipped": 0}
                now = self._clock.now
                activity.save_job(self._engine, JobRecord(job, now - 60, now, "done", "", result))

    def prune(self) -> None:
        """Delete what is not needed any more, as every day."""
        result = prune.run(self._context)
        now = self._clock.now
        activity.save_job(self._engine, JobRecord("prune", now - 1, now, "done", "", result))

    def settle(self) -> None:
        """Empty the database's log, as each sync does."""
        truncate_wal(self._engine)

    def measured(self) -> dict[str, Any]:
        """Return what is on disk."""
        found: dict[str, Any] = {"disk_mib": _mib(self.folder)}
        for name, places in _FILES.items():
            found[f"{name}_mib"] = sum(_mib(self.folder / place) for place in places)
        newest = sums.newest(self._engine, self._config.sums_dir)
        entries, size = _ledger(self._engine)
        return (
            found
            | {f"rounds_{name}": float(number) for name, number in self._rounds.items()}
            | {
                "head": 0.0 if newest is None else float(len(newest.urls)),
                "models": float(len(model_records.models(self._engine))),
                "releases": float(len(releases.since(self._engine, 0.0))),
                "ledger_entries": float(entries),
                "ledger_mib_a_year": size / 2**20 + found["ledger_copy_mib"],
                "processor_seconds": time.process_time() - self._began,
            }
        )

    def _sync(self) -> None:
        for row in self._rng.choice(OWN_VIEWERS, _CHANGED, replace=False).tolist():
            self._watched[row].add(int(self._rng.integers(0, VIDEOS)))
        key = Pseudonyms.open(self.folder / "viewers.key")
        with replace(self._engine, key) as snapshot:
            snapshot.add_videos(_videos())
            snapshot.add_engagements(
                EngagementRow(f"viewer {row}", _url(video), liked=True, at=float(video))
                for row, videos in enumerate(self._watched)
                for video in sorted(videos)
            )
            snapshot.describe(SourceFacts("peertube"), now=self._clock(), participants=OWN_VIEWERS)
        self._own = own_viewers(self._engine, self._config, now=self._clock())
        self._catalogue = content_arrays.read(self._engine)

    def _ask(self, day: int) -> None:
        own_release.current(self._context)
        _OwnRun(self._context, self._others).ask()
        self._rounds["asked"] += 1
        longest = self._config.privacy.window_max.total_seconds()
        self._own_due = day + length((day - self._own_first) * DAY, longest) / DAY
        accepted = [one.round_id for one in sums.records(self._engine) if one.verdict == "new"]
        sums.set_verdict(self._engine, accepted, "accepted", {})

    def _give(self, peer: Identity, day: int) -> None:
        """Give to a peer what it asks for; it asks again tomorrow when it is too early."""
        proposal, blobs = self._proposed(peer)
        limits = round_config.limits(self._config)
        round_id = SignedProposal.sign(proposal, peer, limits).round_id
        windows = windows_of(self._context)
        try:
            noisy(self._context, proposal, blobs, self._own, windows)
        except Refusal:
            self._rounds["refused"] += 1
            self._due[peer.host] = day + 1
            return
        played = _Played(proposal, proposal.hosts)
        given = ContributionLog(windows, self._engine, self._clock)
        log = MemberLog(self._engine, self._identity, played, self._clock)  # type: ignore[arg-type]
        for stage in (Stage.PROPOSE, Stage.KEYS, Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS):
            if stage is not Stage.PROPOSE:
                given.check(round_id, proposal, stage)
            if stage is Stage.CONFIRMATIONS:
                given.release(proposal, proposal.hosts)
            log.answered(round_id, stage, 1_000, 1_000)
        self._rounds["given"] += 1
        first = self._first.setdefault(peer.host, float(day))
        longest = self._config.privacy.window_max.total_seconds()
        self._due[peer.host] = day + length((day - first) * DAY, longest) / DAY

    def _proposed(self, peer: Identity) -> tuple[Proposal, dict[str, bytes]]:
        """Return what a peer asks for: about the videos that this instance asks its own peers for."""
        vocabulary = public_vocabulary(self._catalogue, self._config.sharing.max_vocabulary)
        stored = sums.newest(self._engine, self._config.sums_dir)
        urls = vocabulary[:900] if stored is None else stored.urls
        place = {url: at for at, url in enumerate(vocabulary)}
        head = np.array(sorted(place[url] for url in urls), np.int64)
        blobs = {
            round_config.VOCABULARY: round_config.encode_vocabulary(vocabulary),
            round_config.HEAD: round_config.encode_head(head),
        }
        others = [one.public for one in _peers() if one.host != peer.host][: _TOGETHER - 1]
        roster = tuple(sorted((*others, self._identity.public)))
        now = int(self._clock())
        proposal = Proposal(
            aggregator=peer.host,
            roster=roster,
            threshold=least_threshold(len(roster)),
            colluders=1,
            trainer=TRAINER,
            segments=round_config.segments(self._config, len(vocabulary), len(head)),
            entry_bound=UNIT * OWN_VIEWERS * 100,
            ring=RING,
            nonce=self._rng.bytes(16),
            created=now,
            expires=now + 600,
            parameters=round_config.parameters(
                self._config, len(vocabulary), len(head), sub_cohorts=3, pass_on=False
            ),
            blobs={name: reference_to(data) for name, data in blobs.items()},
        )
        return proposal, blobs

    def _train(self, *, kept: bool) -> None:
        """Write the models of a training; of most, which are pruned the same day, the entries alone."""
        found = sums.newest(self._engine, self._config.sums_dir)
        kinds: list[model_records.Kind] = ["local"] if found is None else ["local", "federated"]
        self._trained += 1
        if not kept:
            for kind in (*kinds, "served"):
                host = self._config.instance.host
                details = {"kind": kind, "manifest": "0" * 64, "sums": [], "quality": 0.3, "state": "ready"}
                details["survivors"] = [] if kind == "local" else [peer.host for peer in _peers()]
                entry = Kind.SERVED if kind == "served" else Kind.MODEL
                append(self._engine, self._identity, entry, f"{self._trained}-{host}", details, self._clock())
            return
        writer = ModelWriter(self._context, labels(self._catalogue), self._identity, OwnNumbers())
        for kind in kinds:
            stored = None if kind == "local" else found
            record = writer.keep(self._model, kind=kind, stored=stored)
        deploy.put_into_service(self._engine, self._config, record.id)


def _peers() -> list[Identity]:
    return [Identity(f"p{n:02}.example", bytes([n + 1]) * 32) for n in range(PEERS)]


def _videos() -> Iterator[VideoRow]:
    for number in range(VIDEOS):
        yield VideoRow(
            _url(number),
            f"{number:08x}-0000-4000-8000-000000000000",
            f"A title of the usual length, number {number} of the catalogue",
            channel=f"https://p{number % PEERS:02}.example/video-channels/{number % _CHANNELS}",
            host=f"p{number % PEERS:02}.example",
            views=VIDEOS * 20 // (number + 1) + 20,
            tags=(f"tag {number % 997}", f"tag {number % 101}"),
            stored=BEGIN - 30 * DAY,
        )


def _url(number: int) -> str:
    return f"https://p{number % PEERS:02}.example/videos/watch/{number:08x}-0000-4000-8000-000000000000"


def _ledger(engine: Any) -> tuple[int, int]:
    """Return how many entries the database holds, and bytes of what is in them."""
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT count(*), sum(length(details) + length(subject) + length(kind) + 160) FROM ledger"
        ).one()
    return int(row[0]), int(row[1])


def _mib(path: Path) -> float:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_blocks * 512 for one in files) / 2**20


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
