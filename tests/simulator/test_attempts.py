"""A data window of attempts, under losses and kills: one vector, one answer, and the right sum or none."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.aggregator import Aggregator, SumResult
from federation.envelope import Stage
from federation.errors import CohortLost, Refusal
from federation.journal import FileJournal, Journal, MemoryJournal
from federation.messages import Revealed
from federation.proposal import SignedProposal
from tests.simulator.crashes import Crash, FailingFiles, FailingJournal
from tests.simulator.table import REQUESTS, read
from tests.simulator.windows import WindowCohort

ME = "m001.example"


@pytest.fixture(autouse=True, scope="module")
def no_flushing() -> Iterator[None]:
    """Nothing here cuts the power, and thousands of flushes take their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@contextlib.contextmanager
def cohort_of(members: int) -> Iterator[WindowCohort]:
    with tempfile.TemporaryDirectory() as folder:
        yield WindowCohort.of(members, Path(folder), viewers=3)


@dataclass
class Witness:
    """All that an aggregator ever got in one window, to be judged at the end."""

    cohort: WindowCohort
    vectors: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """By member: what was frozen when a masked vector of it was received."""
    answers: dict[tuple[bytes, Stage, str], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    revealed_for: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    sums: list[SumResult] = field(default_factory=list)

    def hears(self, host: str, raw: bytes) -> None:
        """Note an answer, whether the aggregator makes use of it or not."""
        message = read(raw)
        self.answers[message.round_id, message.stage, host].add(raw)
        if message.stage is Stage.MASK:
            self.vectors[host].add(self.cohort.left(host))
        elif message.stage is Stage.UNMASK:
            shares = Revealed.from_payload(bytes(message.payload), self.cohort.cohort.limits)
            self.revealed_for[host].add(tuple(sorted(shares.self_seeds)))

    def judge(self) -> None:
        """Check what must hold whatever happened."""
        assert all(len(vectors) == 1 for vectors in self.vectors.values()), "a second vector left"
        assert all(len(raws) == 1 for raws in self.answers.values()), "a second answer to one stage"
        assert all(len(sets) == 1 for sets in self.revealed_for.values()), "shares for two survivor sets"
        assert len({result.survivors for result in self.sums}) <= 1, "two sums over different members"
        for result in self.sums:
            np.testing.assert_array_equal(result.total, self.cohort.sum_of(result.survivors))


# -- kill -9 at every write ----------------------------------------------------------------------------------


def with_journals(cohort: WindowCohort, which: str, at: int, *, after: bool) -> FailingJournal:
    """Start ME with a journal that fails: its own of sums, or that of its data windows."""
    member, windows = cohort.instance(ME), cohort.windows(ME)
    failing: FailingJournal
    if which == "sums":
        member.journal = failing = FailingJournal(member.journal, at=at, after=after, error=Crash)
    else:
        failing = FailingFiles(windows._journal, at=at, after=after, error=Crash)
        windows._journal = failing  # type: ignore[assignment]
    cohort.start(member, windows)
    return failing


def recover(cohort: WindowCohort, failing: FailingJournal) -> None:
    member = cohort.instance(ME)
    if not isinstance(failing.inner, FileJournal):
        member.journal = failing.inner
    cohort.start(member)


def play_and_kill(cohort: WindowCohort, failing: FailingJournal) -> Witness:
    """Play two attempts with the same terms; ME dies at some write, starts again and is asked once more."""
    witness = Witness(cohort)
    for last in (Stage.SURVIVORS, None):
        aggregator = cohort.aggregator(cohort.propose(), MemoryJournal())
        while not aggregator.finished and aggregator.stage is not last:
            for host, request in aggregator.requests().items():
                try:
                    answer = cohort.instance(host).handle(request)
                except Crash:
                    recover(cohort, failing)
                    try:
                        answer = cohort.instance(host).handle(request)
                    except Refusal as refusal:
                        aggregator.drop(host, f"refused: {refusal.code}")
                        continue
                witness.hears(host, answer)
                aggregator.receive(host, answer)
            aggregator.close()
    witness.sums.append(aggregator.result)
    return witness


def changes(which: str) -> int:
    with cohort_of(4) as cohort:
        failing = with_journals(cohort, which, -1, after=False)
        play_and_kill(cohort, failing)
        return failing.changes


KILLS = [
    (which, at, after)
    for which in ("sums", "windows")
    for at in range(changes(which))
    for after in (False, True)
]


@pytest.mark.parametrize(("which", "at", "after"), KILLS)
def test_a_member_killed_at_any_write_gives_one_vector_and_the_round_completes(
    which: str, at: int, after: bool
) -> None:
    with cohort_of(4) as cohort:
        failing = with_journals(cohort, which, at, after=after)
        witness = play_and_kill(cohort, failing)
        assert failing._dead, "the test did not kill it"
        witness.judge()
        assert len(witness.sums[0].survivors) >= 3


@pytest.mark.parametrize("stage", REQUESTS)
@pytest.mark.parametrize("answered", range(5))
def test_an_aggregator_killed_after_any_answer_goes_on_with_the_same_sum(stage: Stage, answered: int) -> None:
    with cohort_of(5) as cohort:
        witness, journal, signed = Witness(cohort), MemoryJournal(), cohort.propose()
        aggregator = cohort.aggregator(signed, journal)
        while not aggregator.finished:
            for number, (host, request) in enumerate(aggregator.requests().items()):
                if aggregator.stage is stage and number == answered:
                    break
                answer = cohort.instance(host).handle(request)
                witness.hears(host, answer)
                aggregator.receive(host, answer)
            if aggregator.stage is stage and answered < 5 and aggregator.awaited:
                aggregator = cohort.aggregator(signed, journal)
                answered = 5
                continue
            aggregator.close()
        witness.sums.append(aggregator.result)
        witness.judge()
        assert aggregator.result.survivors == cohort.hosts


# -- everything at once --------------------------------------------------------------------------------------


@dataclass
class Attempt:
    """One attempt: its proposal and the journal that it can be built again from."""

    signed: SignedProposal
    journal: Journal


class Chaos:
    """An aggregator that does anything, between members that die and lines that break."""

    def __init__(self, cohort: WindowCohort, rng: random.Random, *, losses: float) -> None:
        self.cohort, self.rng, self.losses = cohort, rng, losses
        self.witness = Witness(cohort)
        self.attempts: list[Attempt] = []

    def step(self) -> None:
        """Begin an attempt, or go on with an old one, until it stops at some stage."""
        cohort, rng = self.cohort, self.rng
        if not self.attempts or rng.random() < 0.6:
            roster = rng.choice([cohort.hosts, cohort.hosts, cohort.hosts[1:]])
            asked = rng.choice([roster, roster, roster[:-1], roster[1:]])
            signed = cohort.propose(head=rng.choice([0, 0, 1]), roster=roster)
            attempt = Attempt(signed, MemoryJournal())
            self.attempts.append(attempt)
            cohort.aggregator(attempt.signed, attempt.journal, asked=asked, exactly=rng.random() < 0.3)
        else:
            attempt = rng.choice(self.attempts)
        last = rng.choice([*REQUESTS, *[None] * len(REQUESTS)])
        with contextlib.suppress(CohortLost):
            self.go_on(cohort.aggregator(attempt.signed, attempt.journal), last)

    def go_on(self, aggregator: Aggregator, last: Stage | None = None) -> None:
        """Drive an attempt to its end, or until a stage."""
        if aggregator.finished:
            return
        while not aggregator.finished and aggregator.stage is not last:
            for host, request in aggregator.requests().items():
                self._ask(aggregator, host, request)
            aggregator.close()
        if aggregator.finished:
            self.witness.sums.append(aggregator.result)

    def _ask(self, aggregator: Aggregator, host: str, request: bytes) -> None:
        member, fate = self.cohort.instance(host), self.rng.random() / max(self.losses, 1e-9)
        if fate < 0.4:
            return
        try:
            answer = member.handle(request)
            self.witness.hears(host, answer)
            if fate < 0.6:
                self.cohort.start(member)
                self.witness.hears(host, member.handle(request))
            if not 0.6 <= fate < 1:
                aggregator.receive(host, answer)
        except Refusal as refusal:
            aggregator.drop(host, str(refusal.code))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_order_of_attempts_losses_and_crashes_gives_two_sums(seed: int) -> None:
    rng = random.Random(seed)
    with cohort_of(rng.randint(4, 6)) as cohort:
        chaos = Chaos(cohort, rng, losses=rng.choice([0.0, 0.1, 0.3]))
        for _ in range(rng.randint(2, 6)):
            chaos.step()
        chaos.witness.judge()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_honest_aggregator_comes_to_its_sum_as_soon_as_the_losses_end(seed: int) -> None:
    """It goes on with an attempt once confirmations went out, and begins another one before that."""
    rng = random.Random(seed)
    with cohort_of(rng.randint(4, 7)) as cohort:
        chaos = Chaos(cohort, rng, losses=rng.choice([0.1, 0.3, 0.5]))
        attempt = None
        for number in range(4):
            if number == 3:
                chaos.losses = 0.0
            attempt = attempt or Attempt(cohort.propose(), MemoryJournal())
            aggregator = cohort.aggregator(attempt.signed, attempt.journal)
            try:
                chaos.go_on(aggregator)
            except CohortLost:
                attempt = attempt if aggregator.confirmed else None
            if chaos.witness.sums:
                break
        chaos.witness.judge()
        assert len(chaos.witness.sums) == 1
