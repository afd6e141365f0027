"""Four accounts that change every day, to learn from an answer whether anybody else did.

A new window needs five changed viewers. Whoever makes four of them change, and sees whether the fifth did,
has learnt that a single viewer watched something. The threshold is therefore drawn with noise, each daily
look at the number of changed viewers has noise of its own, and accounts younger than a week change nothing.
What all answers of four weeks tell together is computed in `tests.daemon.rounds.test_changed_viewers`.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from daemon.rounds.data_windows import DataWindows
from daemon.rounds.viewer_digests import viewer_tags
from federation.errors import Refusal
from federation.identity import Identity
from federation.proposal import Proposal, Segment
from policies.window import CHANGE_EPSILON, noisy_threshold
from tests.simulator.cohort import NOW, Clock

LEAST = 5
ACCOUNTS = 4
DAY = 86400.0
ME = Identity("me.example", b"\x01" * 32)
MADE_UP = [bytes([1, n]) * 8 for n in range(ACCOUNTS)]
HONEST = [bytes([2, n]) * 8 for n in range(20)]


@dataclass
class Viewers:
    """What everybody watches is a number; accounts in `young` agreed less than a week ago."""

    watched: dict[bytes, int] = field(default_factory=lambda: dict.fromkeys([*MADE_UP, *HONEST], 0))
    young: frozenset[bytes] = frozenset()

    def digests(self, key: bytes) -> dict[bytes, bytes]:
        names = {next(iter(viewer_tags(key, [name]))): seen for name, seen in self.watched.items()}
        return {tag: seen.to_bytes(16, "big") for tag, seen in names.items()}

    def settled(self, key: bytes) -> frozenset[bytes]:
        return viewer_tags(key, self.watched.keys() - self.young)


def proposal(nonce: int) -> Proposal:
    return Proposal(
        aggregator="a.example",
        roster=tuple(Identity(f"m{n}.example", bytes([n + 2]) * 32).public for n in range(5)),
        threshold=4,
        trainer="test",
        segments=(Segment(4, noise=16),),
        entry_bound=1000,
        ring=32,
        nonce=nonce.to_bytes(16, "big"),
        created=NOW,
        expires=NOW + 600,
    )


def days_until_answered(
    folder: Path, seed: int, *, honest: int, young: bool = False, days: int = 1
) -> int | None:
    """Give once, then be asked daily while the accounts change and so many honest viewers changed once.

    Returns the day on which a fresh vector was given, None where it never was.
    """
    clock, viewers = Clock(), Viewers(young=frozenset(MADE_UP) if young else frozenset())
    kept = DataWindows(
        folder,
        ME,
        longest=timedelta(days=1),
        least_changed=LEAST,
        clock=clock,
        rng=random.Random(seed).randbytes,
    )

    def ask(nonce: int) -> None:
        asked = proposal(nonce)
        kept.contribution(asked, viewers, lambda: np.zeros(4, np.int64))
        kept.leave(asked)
        kept.release(asked, asked.hosts)

    ask(0)
    for name in HONEST[:honest]:
        viewers.watched[name] += 1
    for day in range(1, days + 1):
        clock.now += DAY
        for name in MADE_UP:
            viewers.watched[name] += 1
        try:
            ask(day)
        except Refusal:
            continue
        return day
    return None


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power, and hundreds of stores take their time."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(number) for number in range(10_000))


def test_one_viewer_more_shifts_the_odds_of_an_answer_by_little() -> None:
    draw = random.Random(1)
    drawn = [noisy_threshold(LEAST, draw) for _ in range(100_000)]
    opens = [sum(least <= changed for least in drawn) / len(drawn) for changed in range(12)]
    most = math.exp(CHANGE_EPSILON) * 1.03
    for changed in range(2, 11):
        few, more = opens[changed], opens[changed + 1]
        assert few <= more <= most * few
        assert (1 - few) <= most * (1 - more)
    # Without noise the answer would say it: never with four, always with five.
    assert 0.2 < opens[ACCOUNTS] < opens[ACCOUNTS + 1] < 0.75


def test_the_answer_of_a_store_tells_as_little(folders: Iterator[Path]) -> None:
    tries = 100
    alone, with_one = (
        sum(days_until_answered(next(folders), seed, honest=honest) is not None for seed in range(tries))
        / tries
        for honest in (0, 1)
    )
    # Three standard deviations of a difference of two such shares are .21; without noise it would be 1.
    assert abs(with_one - alone) < (math.exp(CHANGE_EPSILON) - 1) * 0.5 + 0.21
    assert 0.15 < alone < 0.75
    assert 0.15 < with_one < 0.85


def test_a_refusal_on_the_days_before_proves_nothing(folders: Iterator[Path]) -> None:
    # With a noisy threshold alone, nobody could be answered late while only the accounts change.
    late = [days_until_answered(next(folders), seed, honest=0, days=6) not in (None, 1) for seed in range(60)]
    assert 0.1 < sum(late) / len(late) < 0.7


def test_accounts_younger_than_a_week_change_nothing(folders: Iterator[Path]) -> None:
    tries = 100
    young = sum(
        days_until_answered(next(folders), seed, honest=0, young=True) is not None for seed in range(tries)
    )
    # As if nobody had changed: in nine of a hundred cases noise alone is enough.
    assert young / tries < 0.09 + 0.1
