"""A cohort whose members hold every aggregator to data windows, over viewers who change and leave."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.rounds.data_windows import DataWindows
from daemon.rounds.viewer_digests import viewer_digests, viewer_tags
from federation.aggregator import Aggregator
from federation.envelope import Stage
from federation.journal import Journal
from federation.proposal import BlobReference, Proposal, Segment, SignedProposal, least_threshold
from models import counting
from models.interactions import Interactions
from tests.simulator.cohort import Cohort, Instance, Values

VIDEOS = 12
LONGEST = timedelta(days=28)
HEADS = tuple(
    np.array(head, np.int64) for head in ([0, 1, 2, 3], [0, 1, 2, 4], [5, 6, 7, 8], [0, 1, 2, 3, 4], [0, 9])
)
"""Heads that may be proposed; the first is the usual one."""


def head_blob(number: int) -> BlobReference:
    """Return what a proposal says about one of HEADS."""
    data = HEADS[number].astype("<u4").tobytes()
    return BlobReference(hashlib.sha256(data).digest(), len(data))


@dataclass
class People:
    """The viewers of one instance, and which of VIDEOS each watched."""

    rows: dict[bytes, frozenset[int]]
    counted: int = 0
    """How often they were counted."""

    def digests(self, key: bytes) -> dict[bytes, bytes]:
        """Name everybody, under a key."""
        names = sorted(self.rows)
        columns = [np.array(sorted(self.rows[name]), np.int64) for name in names]
        starts = np.cumsum([0, *map(len, columns)])
        joined = np.concatenate([np.zeros(0, np.int64), *columns])
        return viewer_digests(key, names, [f"https://v.example/{n}" for n in range(VIDEOS)], starts, joined)

    def settled(self, key: bytes) -> frozenset[bytes]:
        """Name those of whom a change counts: all."""
        return self.present(key)

    def present(self, key: bytes) -> frozenset[bytes]:
        """Name everybody who is stored."""
        return viewer_tags(key, self.rows)

    def vector(self, proposal: Proposal) -> Values:
        """Count them for a proposal, without noise."""
        self.counted += 1
        dense = np.array([[v in row for v in range(VIDEOS)] for row in self.rows.values()], np.uint8)
        head = next(h for n, h in enumerate(HEADS) if head_blob(n) == proposal.blobs["head"])
        return counting.contribution(Interactions(csr_array(dense.reshape(-1, VIDEOS))), head)


@dataclass
class Record:
    """What a daemon keeps of its windows at each stage; without the database of releases."""

    windows: DataWindows
    people: People

    def check(self, round_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Look who left, then ask the window."""
        self.windows.withdraw(self.people.present, aggregator=proposal.aggregator)
        self.windows.check(proposal)
        if stage is Stage.SHARES:
            self.windows.leave(proposal)

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Hold the window to these survivors."""
        self.windows.release(proposal, survivors)


@dataclass
class WindowCohort:
    """A cohort with data windows; `people` by host."""

    cohort: Cohort
    folder: Path
    people: dict[str, People] = field(default_factory=dict)
    nonce: int = 0

    @classmethod
    def of(cls, members: int, folder: Path, *, viewers: int = 6, seed: int = 0) -> WindowCohort:
        """Return a cohort in which nothing was asked yet."""
        rng = np.random.default_rng(seed)
        found = cls(Cohort.of([np.zeros(1, np.int64)] * members, seed=seed), folder)
        for host, member in found.cohort.members.items():
            rows = {rng.bytes(16): frozenset(rng.choice(VIDEOS, 5, False).tolist()) for _ in range(viewers)}
            found.people[host] = People(rows)
            found.start(member)
        return found

    @property
    def hosts(self) -> tuple[str, ...]:
        """Everybody, sorted."""
        return tuple(sorted(self.cohort.members))

    def instance(self, host: str) -> Instance:
        """Return a member."""
        return self.cohort.members[host]

    def start(self, member: Instance, windows: DataWindows | None = None) -> None:
        """Start a member, or start it again after a crash."""
        host = member.identity.host
        people, windows = self.people[host], windows or self.windows(host)
        member.count = lambda asked: windows.contribution(asked, people, lambda: people.vector(asked))
        member.contributions = Record(windows, people)
        member.start()

    def windows(self, host: str) -> DataWindows:
        """Return a member's windows as they are on disk."""
        member = self.instance(host)
        return DataWindows(
            self.folder / host,
            member.identity,
            longest=LONGEST,
            least_changed=5,
            clock=self.cohort.clock,
            rng=member.random,
        )

    def propose(
        self, *, roster: Collection[str] | None = None, head: int = 0, noise: int = 16, **changes: object
    ) -> SignedProposal:
        """Return a new proposal; two calls with the same arguments differ in the nonce only."""
        self.nonce += 1
        members = tuple(self.instance(host).identity.public for host in sorted(roster or self.hosts))
        size = len(HEADS[head])
        terms: dict[str, object] = {
            "roster": members,
            "threshold": least_threshold(len(members)),
            "segments": (Segment(VIDEOS, 1, noise), Segment(size * (size - 1) // 2, 1, noise)),
            "parameters": {"head": size, "vocabulary": VIDEOS},
            "blobs": {"head": head_blob(head)},
            "nonce": self.nonce.to_bytes(16, "big"),
        }
        return self.cohort.propose(**{**terms, **changes})

    def aggregator(
        self,
        signed: SignedProposal,
        journal: Journal | None = None,
        *,
        asked: Collection[str] | None = None,
        exactly: bool = False,
    ) -> Aggregator:
        """Return an aggregator of a proposal, or one built again on its journal."""
        return Aggregator(
            signed,
            self.cohort.aggregator,
            self.cohort.journal if journal is None else journal,
            self.cohort.limits,
            asked=asked,
            exactly=exactly,
        )

    def left(self, host: str) -> bytes:
        """Return the vector that is frozen for the aggregator at a member, and may have left."""
        return self.windows(host).frozen(self.cohort.aggregator.host) or b""

    def withdraw(self, host: str, number: int = 1) -> None:
        """Let viewers of an instance leave it."""
        rows = self.people[host].rows
        for name in sorted(rows)[:number]:
            del rows[name]

    def sum_of(self, hosts: Sequence[str], ring: int = 32) -> Values:
        """Return the sum of what is frozen at these members: what a secure sum over them has to give."""
        parts: list[NDArray[np.int64]] = [
            np.frombuffer(self.left(host), f"<i{ring // 8}").astype(np.int64) for host in hosts
        ]
        total: Values = np.sum(parts, axis=0)
        return total
