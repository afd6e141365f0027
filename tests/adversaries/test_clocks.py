"""Peers whose clocks are a day apart: nobody is fooled, nothing is given twice, and the others go on."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from daemon.rounds.data_windows import PARTS, DataWindows
from daemon.rounds.viewer_digests import viewer_tags
from federation import envelope, hello
from federation.errors import Code, CohortLost, Refusal
from federation.identity import Identity
from federation.limits import Limits
from federation.proposal import Proposal, Segment
from tests.simulator.cohort import NOW, Clock, Cohort
from tests.simulator.table import Table, snapshot

DAY = 86400.0
ME = Identity("me.example", b"\x01" * 32)
VIEWERS = {bytes([n]) * 16: f"seen {n}".encode() for n in range(30)}


def a_day_apart(cohort: Cohort, hosts: dict[str, float]) -> None:
    for host, days in hosts.items():
        cohort.members[host].clock = Clock(NOW + days * DAY)
        cohort.members[host].start()


@pytest.mark.parametrize("days", [-1, 1])
def test_a_member_whose_clock_is_off_refuses_and_the_others_go_on(days: int) -> None:
    cohort = Cohort.of([np.full(8, number, np.int64) for number in range(5)])
    a_day_apart(cohort, {"m002.example": days})
    aggregator = cohort.run(cohort.propose())
    assert ("propose", "m002.example", "expired") in cohort.log
    assert aggregator.lost == {"m002.example": "expired"}
    assert np.array_equal(aggregator.result.total, np.full(8, 0 + 1 + 3 + 4))
    # It holds nothing of it: nothing was frozen, and nothing counts towards what it gave.
    assert cohort.members["m002.example"].journal.ids() == []


def test_with_too_many_clocks_off_the_round_ends_cleanly() -> None:
    cohort = Cohort.of([np.full(8, number, np.int64) for number in range(5)])
    a_day_apart(cohort, {"m001.example": 1, "m002.example": -1})
    with pytest.raises(CohortLost, match="expired"):
        cohort.run(cohort.propose())
    assert {stage for stage, _, _ in cohort.log} == {"propose"}


@pytest.mark.parametrize("days", [-1, 1])
def test_an_aggregator_whose_clock_is_off_is_told_so_and_gets_nothing(days: int) -> None:
    created = int(NOW + days * DAY)
    table = Table(5, created=created, expires=created + 600)
    for host in table.hosts:
        refused = table.refused(host, table.signed.raw)
        assert refused.code is Code.EXPIRED
        assert ("check both clocks" in refused.sentence) == (days > 0)
        assert snapshot(table.instance(host).journal) == {}


@pytest.mark.parametrize("days", [-1, 1])
def test_a_hello_from_another_day_is_refused_by_name(days: int) -> None:
    said = hello.say(Identity("other.example", b"\x02" * 32), ME.host, NOW + days * DAY, approves=True)
    message = envelope.parse(said, max_size=100_000)
    with pytest.raises(Refusal, match="set the clocks") as refused:
        hello.read(message, ME.host, NOW, Limits())
    assert refused.value.code is Code.EXPIRED
    assert hello.read(message, ME.host, NOW + days * DAY, Limits()).approves


# -- the windows of a member, which only its own clock ends -------------------------------------------------


class Everybody:
    """Viewers who all agreed long ago, and of whom as many as asked for watch something new."""

    def __init__(self) -> None:
        self.changed = 0

    def digests(self, key: bytes) -> dict[bytes, bytes]:
        tags = [next(iter(viewer_tags(key, [name]))) for name in VIEWERS]
        return {tag: bytes([number < self.changed]) * 16 for number, tag in enumerate(tags)}

    def settled(self, key: bytes) -> frozenset[bytes]:
        return viewer_tags(key, VIEWERS)


def windows(folder: Path, clock: Clock) -> DataWindows:
    return DataWindows(
        folder, ME, longest=timedelta(weeks=4), least_changed=3, clock=clock, rng=random.Random(1).randbytes
    )


def proposal(aggregator: str = "a.example", *, created: float = NOW, nonce: int = 0) -> Proposal:
    return Proposal(
        aggregator=aggregator,
        roster=tuple(Identity(f"m{n}.example", bytes([n + 2]) * 32).public for n in range(5)),
        threshold=4,
        trainer="test",
        segments=(Segment(4, noise=16),),
        entry_bound=1000,
        ring=32,
        nonce=nonce.to_bytes(16, "big"),
        created=int(created),
        expires=int(created) + 600,
    )


def give(kept: DataWindows, asked: Proposal, viewers: Everybody) -> list[int]:
    """Give a vector and open its sum."""
    vector = kept.contribution(asked, viewers, lambda: np.zeros(4, np.int64))
    kept.leave(asked)
    kept.release(asked, asked.hosts)
    return [int(value) for value in vector]


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def test_an_aggregator_a_day_ahead_gets_no_second_vector_before_the_members_own_window_is_over(
    tmp_path: Path,
) -> None:
    clock, viewers = Clock(), Everybody()
    kept = windows(tmp_path, clock)
    first = give(kept, proposal(), viewers)
    viewers.changed = len(VIEWERS)
    opened = kept.read("a.example")
    assert opened is not None
    # By its own clock a day has passed; by the member's, five minutes.
    clock.now += 300
    with pytest.raises(Refusal) as refused:
        give(kept, proposal(created=NOW + DAY, nonce=1), viewers)
    assert refused.value.code is Code.WINDOW_OPEN
    clock.now = opened.window.ends
    assert give(kept, proposal(created=clock.now, nonce=2), viewers) != first


def test_a_members_clock_set_back_ends_no_window_and_makes_none_short(tmp_path: Path) -> None:
    clock, viewers = Clock(), Everybody()
    kept = windows(tmp_path, clock)
    give(kept, proposal(), viewers)
    viewers.changed = len(VIEWERS)
    clock.now -= DAY
    with pytest.raises(Refusal) as refused:
        give(kept, proposal(nonce=1), viewers)
    assert refused.value.code is Code.WINDOW_OPEN
    # Who asks for the first time meanwhile gets a window as long as any: the contributor has no age now.
    give(kept, proposal("b.example"), viewers)
    other = kept.read("b.example")
    assert other is not None
    least = PARTS[0] * timedelta(weeks=4).total_seconds()
    assert other.window.ends - other.window.opened >= least


def test_a_members_clock_a_day_ahead_costs_at_most_the_windows_of_that_day(tmp_path: Path) -> None:
    clock, viewers = Clock(), Everybody()
    kept = windows(tmp_path, clock)
    given = {tuple(give(kept, proposal(), viewers))}
    for nonce in range(1, 20):
        # It jumps a day ahead and back again, and somebody asks each time.
        clock.now = NOW + (DAY if nonce % 2 else 60.0 * nonce)
        viewers.changed = nonce % len(VIEWERS)
        with suppress(Refusal):
            given.add(tuple(give(kept, proposal(nonce=nonce, created=clock.now), viewers)))
    assert len(given) <= 2
