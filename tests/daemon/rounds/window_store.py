"""One instance's data windows on disk, viewers who change and leave, and proposals that ask for them."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from nacl.secret import SecretBox
from numpy.typing import NDArray

from daemon.rounds.data_windows import DataWindows, StoredWindow
from daemon.rounds.packed_vector import unpack
from daemon.rounds.viewer_digests import viewer_digests, viewer_tags
from federation.errors import Refusal
from federation.identity import Identity
from federation.keys import derive
from federation.proposal import BlobReference, Proposal, Segment
from tests.simulator.cohort import NOW, Clock

ME = Identity("me.example", b"\x01" * 32)
MEMBERS = tuple(Identity(f"m{n}.example", bytes([n + 2]) * 32).public for n in range(5))
HOSTS = tuple(member.host for member in MEMBERS)
URLS = tuple(f"https://one.example/w/{n:02}" for n in range(20))
HEAD = np.arange(0, 20, 2)
PAIRS = np.triu_indices(len(HEAD), 1)
SEGMENTS = (Segment(len(URLS), 1, 4), Segment(len(PAIRS[0]), 1, 8))
SHARES = (Fraction(4, 3), Fraction(8, 3))
"""Variances of what each member adds, for a threshold of four and one colluder."""
LENGTH = timedelta(days=7)
LEAST = 3
BOB = b"bob's pseudonym."

Values = NDArray[np.int64]


@dataclass
class Viewers:
    """Who is there, and what they watched, by position in URLS; those in `new` for less than a week."""

    rows: dict[bytes, frozenset[int]]
    new: set[bytes] = field(default_factory=set)

    @classmethod
    def some(cls) -> Viewers:
        rng = random.Random(3)
        rows = {rng.randbytes(16): frozenset(rng.sample(range(len(URLS)), 6)) for _ in range(50)}
        return cls({**rows, BOB: frozenset({1, 4, 9})})

    def digests(self, key: bytes) -> dict[bytes, bytes]:
        names = sorted(self.rows)
        columns = [sorted(self.rows[name]) for name in names]
        starts = np.cumsum([0, *map(len, columns)])
        return viewer_digests(
            key, names, URLS, starts, np.concatenate([np.array(c, np.int64) for c in columns])
        )

    def settled(self, key: bytes) -> frozenset[bytes]:
        return viewer_tags(key, self.rows.keys() - self.new)

    def present(self, key: bytes) -> frozenset[bytes]:
        return viewer_tags(key, self.rows)

    def plain(self) -> Values:
        matrix = np.array([[v in row for v in range(len(URLS))] for row in self.rows.values()], np.int64)
        gram: Values = matrix[:, HEAD].T @ matrix[:, HEAD]
        return np.concatenate((matrix.sum(axis=0), gram[PAIRS]))

    def change(self, number: int) -> None:
        """Let as many viewers watch something else."""
        for name in [name for name in sorted(self.rows) if name != BOB][:number]:
            self.rows[name] = frozenset((v + 1) % len(URLS) for v in self.rows[name])


EVERYBODY = 50
"""More than any threshold that is drawn around three."""


@dataclass
class Store:
    """One instance's windows, which can be opened again and again."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    viewers: Viewers = field(default_factory=Viewers.some)
    identity: Identity = ME
    served: bool = False
    least: int = LEAST

    def open(self) -> DataWindows:
        return DataWindows(
            self.folder,
            self.identity,
            longest=LENGTH,
            least_changed=self.least,
            clock=self.clock,
            rng=os.urandom,
            served=lambda: self.served,
        )

    def freeze(self, proposal: Proposal, windows: DataWindows | None = None) -> Values:
        """Count, and keep what would be given; nothing has left yet."""
        return (windows or self.open()).contribution(proposal, self.viewers, self.viewers.plain)

    def give(self, proposal: Proposal, windows: DataWindows | None = None) -> Values:
        """Count, and let it leave."""
        windows = windows or self.open()
        vector = self.freeze(proposal, windows)
        windows.leave(proposal)
        return vector

    def refusal(self, proposal: Proposal) -> Refusal:
        with pytest.raises(Refusal) as refused:
            self.give(proposal)
        return refused.value

    def kept(self, aggregator: str = "peer.example") -> StoredWindow:
        kept = self.open().read(aggregator)
        assert kept is not None
        return kept

    def next_window(self, changed: int = EVERYBODY) -> None:
        self.clock.now += LENGTH.total_seconds()
        self.viewers.change(changed)

    def plain(self) -> bytes:
        """Return everything in the folder, opened as whoever has the identity could open it."""
        box = SecretBox(derive(self.identity.seed, b"storage", "windows"))
        found = b""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                raw = path.read_bytes()
                found += raw
                if path.name in ("state", "viewers", "given"):
                    plain = box.decrypt(raw)
                    found += unpack(plain) if path.name == "given" else plain
        return found


NONCES = iter(range(1, 1 << 60))


def asked(aggregator: str = "peer.example", *, vocabulary: bytes = bytes(32), **changes: object) -> Proposal:
    """Return a new proposal; two calls differ in nonce and time only."""
    nonce = next(NONCES)
    base = Proposal(
        aggregator=aggregator,
        roster=MEMBERS,
        threshold=4,
        trainer="gram/2",
        segments=SEGMENTS,
        entry_bound=1000,
        ring=32,
        nonce=nonce.to_bytes(16, "big"),
        created=NOW + nonce,
        expires=NOW + nonce + 600,
        colluders=1,
        parameters={"early": 0, "min_users": 9},
        blobs={"vocabulary": BlobReference(vocabulary, 10)},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def early() -> Proposal:
    return asked(parameters={"early": 1, "min_users": 9})


def same(one: Values, other: Values) -> bool:
    return bool(np.array_equal(one, other))


def not_counted() -> Values:
    raise AssertionError("counted")
