"""An aggregator that wants two sums out of one data window, over other members or about other videos."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federation.aggregator import Aggregator
from federation.envelope import Stage
from federation.errors import Code, CohortLost, Refusal
from federation.journal import MemoryJournal
from federation.proposal import Segment, SignedProposal
from models.weights import UNIT
from policies.allowlist import Allowlist
from policies.base import AllOf
from policies.privacy import PROTECTION, Level, PrivacyPolicy, head_minimum
from policies.sharing import TRAINER, SharingPolicy
from tests.simulator.table import read
from tests.simulator.windows import VIDEOS, WindowCohort, head_blob

VICTIM = "m000.example"


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def cohort(tmp_path: Path) -> WindowCohort:
    return WindowCohort.of(5, tmp_path)


def play(
    cohort: WindowCohort,
    signed: SignedProposal,
    until: Stage | None = None,
    hosts: Collection[str] | None = None,
) -> Aggregator:
    """Play a sum with those of `hosts` who answer, to its end or until a stage; nothing of it is resumed."""
    aggregator = cohort.aggregator(signed, MemoryJournal())
    while not aggregator.finished and aggregator.stage is not until:
        for host, request in aggregator.requests().items():
            if hosts is not None and host not in hosts:
                continue
            try:
                aggregator.receive(host, cohort.instance(host).handle(request))
            except Refusal as refusal:
                aggregator.drop(host, f"refused: {refusal.code}")
        aggregator.close()
    return aggregator


def refused(cohort: WindowCohort, signed: SignedProposal, host: str = VICTIM) -> Refusal:
    with pytest.raises(Refusal) as found:
        cohort.instance(host).handle(signed.raw)
    return found.value


OTHER_TERMS: dict[str, dict[str, Any]] = {
    "roster": {"roster": [f"m{n:03}.example" for n in (0, 1, 2, 3)]},
    "threshold": {"threshold": 5},
    "head": {"head": 1},
    "larger head": {"head": 3},
    "noise": {"noise": 15},
    "more noise": {"noise": 17},
    "unit": {"segments": (Segment(VIDEOS, 32, 16), Segment(6, 32, 16))},
    "cut elsewhere": {"segments": (Segment(VIDEOS + 1, 1, 16), Segment(5, 1, 16))},
    "colluders": {"colluders": 2},
    "ring": {"ring": 64},
    "bound": {"entry_bound": 999},
    "parameters": {"parameters": {"head": 4, "vocabulary": VIDEOS, "max_videos_per_user": 1}},
    "vocabulary": {"blobs": {"head": head_blob(0), "vocabulary": head_blob(2)}},
    "trainer": {"trainer": "another"},
}


@pytest.mark.parametrize("what", OTHER_TERMS)
def test_after_the_vector_left_there_are_no_other_terms(cohort: WindowCohort, what: str) -> None:
    first = play(cohort, cohort.propose(), Stage.SURVIVORS)
    counted = cohort.people[VICTIM].counted
    given = cohort.left(VICTIM)
    assert refused(cohort, cohort.propose(**OTHER_TERMS[what])).code is Code.WINDOW_OPEN
    # Nobody was counted for it, what is frozen stays, and the sum under way is not disturbed.
    assert (cohort.people[VICTIM].counted, cohort.left(VICTIM)) == (counted, given)
    for host, request in first.requests().items():
        first.receive(host, cohort.instance(host).handle(request))


@pytest.mark.parametrize("what", ["roster", "threshold", "head", "noise", "bound"])
def test_before_anything_left_other_terms_get_other_noise(cohort: WindowCohort, what: str) -> None:
    """An attempt that failed early gave nothing away: it binds nobody."""
    early = play(cohort, cohort.propose(), Stage.SHARES)
    before = cohort.left(VICTIM)
    later = play(cohort, cohort.propose(**OTHER_TERMS[what]))
    survivors = later.result.survivors
    assert VICTIM in survivors
    np.testing.assert_array_equal(later.result.total, cohort.sum_of(survivors))
    assert cohort.left(VICTIM) != before
    # The early attempt cannot be taken up again by the side of it.
    for host, request in early.requests().items():
        if host in survivors:
            with pytest.raises(Refusal) as found:
                cohort.instance(host).handle(request)
            assert found.value.code is Code.BUSY


def test_the_same_terms_get_the_same_vector_until_it_was_opened(cohort: WindowCohort) -> None:
    first = cohort.propose()
    play(cohort, first, Stage.SURVIVORS)
    given = {host: cohort.left(host) for host in cohort.hosts}
    second = play(cohort, cohort.propose(), Stage.SURVIVORS)
    assert {host: cohort.left(host) for host in cohort.hosts} == given
    while not second.finished:
        for host, request in second.requests().items():
            second.receive(host, cohort.instance(host).handle(request))
        second.close()
    np.testing.assert_array_equal(second.result.total, cohort.sum_of(cohort.hosts))
    # After its reveal a member answers no new proposal in that window, not even the same.
    assert {refused(cohort, cohort.propose(), host).code for host in cohort.hosts} == {Code.WINDOW_OPEN}


def test_a_victim_in_two_nearly_disjoint_rosters(tmp_path: Path) -> None:
    """It is added up with one half of the others, once something left; the other half is told nothing."""
    cohort = WindowCohort.of(9, tmp_path)
    one, two = cohort.hosts[:5], (VICTIM, *cohort.hosts[5:])
    first = play(cohort, cohort.propose(roster=one))
    assert first.result.survivors == one
    np.testing.assert_array_equal(first.result.total, cohort.sum_of(one))
    signed = cohort.propose(roster=two)
    assert refused(cohort, signed).code is Code.WINDOW_OPEN
    second = play(cohort, signed)
    # The others were in no sum yet, and come into one without the victim.
    assert second.result.survivors == two[1:]
    assert second.result.lost[VICTIM] == "refused: window-open"
    np.testing.assert_array_equal(second.result.total, cohort.sum_of(two[1:]))


def test_a_victim_in_two_nearly_disjoint_rosters_before_anything_left(tmp_path: Path) -> None:
    """Harmless: one masked vector leaves, and the attempt before it is over for good."""
    cohort = WindowCohort.of(9, tmp_path)
    one, two = cohort.hosts[:5], (VICTIM, *cohort.hosts[5:])
    first = play(cohort, cohort.propose(roster=one), Stage.SHARES)
    second = play(cohort, cohort.propose(roster=two))
    assert second.result.survivors == two
    for host, request in first.requests().items():
        if host == VICTIM:
            with pytest.raises(Refusal):
                cohort.instance(host).handle(request)
        else:
            first.receive(host, cohort.instance(host).handle(request))
    first.close()
    assert VICTIM not in first._survivors


@pytest.mark.parametrize("revealed", range(6))
def test_two_survivor_sets_in_one_window_are_never_both_opened(tmp_path: Path, revealed: int) -> None:
    """Some revealed for one set of survivors; the others are asked about a smaller one."""
    cohort = WindowCohort.of(5, tmp_path)
    first = play(cohort, cohort.propose(), Stage.CONFIRMATIONS)
    for host, request in list(first.requests().items())[:revealed]:
        first.receive(host, cohort.instance(host).handle(request))
    # m004 did not survive in this one.
    opened = [first] if first.enough else []
    try:
        opened.append(play(cohort, cohort.propose(), hosts=cohort.hosts[:4]))
    except CohortLost:
        again = False
    else:
        again = True
    assert len(opened) <= 1
    assert again == (revealed == 0)
    # The members' own word: each holds to one set.
    sets = {kept.window.survivors for host in cohort.hosts for kept in cohort.windows(host).all()} - {()}
    assert len(sets) == (1 if opened or revealed else 0)


@pytest.mark.parametrize("reveals_first", [False, True])
@pytest.mark.parametrize("taken_over", range(7))
def test_no_split_of_the_members_between_two_attempts_opens_both(
    tmp_path: Path, taken_over: int, reveals_first: bool
) -> None:
    """All confirmed in the first attempt; some get a second one, over fewer survivors, and all are asked."""
    cohort = WindowCohort.of(6, tmp_path)
    first = play(cohort, cohort.propose(), Stage.CONFIRMATIONS)

    def reveal(hosts: Collection[str]) -> None:
        for host, request in first.requests().items():
            if host in hosts:
                with contextlib.suppress(Refusal):
                    first.receive(host, cohort.instance(host).handle(request))

    if reveals_first:
        reveal(cohort.hosts[taken_over:])
    opened = 0
    with contextlib.suppress(CohortLost):
        play(cohort, cohort.propose(), hosts=cohort.hosts[:taken_over][-5:])
        opened = 1
    reveal([host for host in cohort.hosts if host in first.awaited])
    assert opened + first.enough <= 1
    assert opened == (taken_over >= 5)
    assert first.enough == (taken_over <= 1)


def honest_policies(cohort: WindowCohort) -> None:
    """Let the victim check what a daemon checks of the terms."""
    victim = cohort.instance(VICTIM)
    known = Allowlist(victim.peers.values())
    victim.check_policies = AllOf(
        (SharingPolicy("contribute"), PrivacyPolicy(VICTIM, known, Level.DEFAULT))
    ).check
    victim.start()


LEVEL = PROTECTION[Level.DEFAULT]
COUNTS, PAIRS = LEVEL.counts_noise * UNIT**2, LEVEL.pairs_noise * UNIT**2
"""Declared noise, in entries squared."""
GRAM: dict[str, Any] = {
    "trainer": TRAINER,
    "segments": (Segment(VIDEOS, UNIT, COUNTS), Segment(6, UNIT, PAIRS)),
    "blobs": {"head": head_blob(0), "vocabulary": head_blob(2)},
    "parameters": {
        "early": 0,
        "head": 4,
        "max_videos_per_user": 200,
        "min_users": head_minimum(5, LEVEL.counts_noise),
        "pass_on": 0,
        "publish": 0,
        "sub_cohorts": 1,
        "vocabulary": VIDEOS,
    },
}


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        ((Segment(VIDEOS + 1, UNIT, COUNTS), Segment(6, UNIT, PAIRS)), Code.PARAMETERS_REFUSED),
        ((Segment(VIDEOS, UNIT, COUNTS), Segment(7, UNIT, PAIRS)), Code.PARAMETERS_REFUSED),
        ((Segment(VIDEOS, UNIT, COUNTS), Segment(1, UNIT, PAIRS)), Code.PARAMETERS_REFUSED),
        ((Segment(VIDEOS + 6, UNIT, COUNTS),), Code.PARAMETERS_REFUSED),
        (
            (Segment(VIDEOS, UNIT, COUNTS), Segment(3, UNIT, PAIRS), Segment(3, UNIT, 0)),
            Code.PARAMETERS_REFUSED,
        ),
        ((Segment(VIDEOS, UNIT, COUNTS), Segment(6, 1000, PAIRS)), Code.PARAMETERS_REFUSED),
        ((Segment(VIDEOS, 1, COUNTS), Segment(6, UNIT, PAIRS)), Code.PARAMETERS_REFUSED),
        ((Segment(VIDEOS, UNIT, COUNTS - 1), Segment(6, UNIT, PAIRS)), Code.NOISE_TOO_LOW),
        ((Segment(VIDEOS, UNIT, COUNTS), Segment(6, UNIT, PAIRS - 1)), Code.NOISE_TOO_LOW),
        # As if it was in viewers.
        ((Segment(VIDEOS, UNIT, COUNTS // UNIT**2), Segment(6, UNIT, PAIRS)), Code.NOISE_TOO_LOW),
    ],
    ids=str,
)
def test_segments_of_false_length_unit_or_noise(
    cohort: WindowCohort, segments: tuple[Segment, ...], code: Code
) -> None:
    honest_policies(cohort)
    found = refused(cohort, cohort.propose(**{**GRAM, "segments": segments}))
    assert found.code is code
    assert cohort.people[VICTIM].counted == 0
    # With the true ones it is counted.
    cohort.instance(VICTIM).handle(cohort.propose(**GRAM).raw)
    assert cohort.people[VICTIM].counted == 1


# -- a withdrawal that is watched --


STAGES = (Stage.KEYS, Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS)


def overloaded(cohort: WindowCohort) -> Refusal:
    """Return what a member says that has no room for another sum."""
    other = WindowCohort.of(5, cohort.folder / "overloaded")
    member = other.instance(VICTIM)
    member.limits = type(member.limits)(max_open_rounds=0)
    other.start(member)
    return refused(other, other.propose())


@pytest.mark.parametrize("pruned", [False, True], ids=["at once", "after housekeeping"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_withdrawal_looks_like_a_member_that_is_away(
    cohort: WindowCohort, stage: Stage, pruned: bool
) -> None:
    signed = cohort.propose()
    aggregator = play(cohort, signed, stage)
    cohort.withdraw(VICTIM)
    node = cohort.instance(VICTIM).node
    if pruned:
        node.prune()
        assert cohort.instance(VICTIM).journal.read(signed.round_id, "input") is None
    said = set()
    for host, request in aggregator.requests().items():
        try:
            aggregator.receive(host, cohort.instance(host).handle(request))
        except Refusal as refusal:
            assert host == VICTIM
            said.add((refusal.code, refusal.sentence))
    if pruned:
        found = refused(cohort, signed)
        said.add((found.code, found.sentence))
    away = overloaded(cohort)
    assert said == {(away.code, away.sentence)}
    # What it would have been is not there any more, in no file of the window.
    assert cohort.left(VICTIM) == b""
    # The others go on without it, as without anybody who is away; or with its masked vector, which they
    # cannot tell from any other, and which its own shares are not needed to open.
    aggregator.drop(VICTIM, "unreachable")
    while not aggregator.finished:
        aggregator.close()
        for host, request in aggregator.requests().items():
            if host != VICTIM:
                aggregator.receive(host, cohort.instance(host).handle(request))
    assert (VICTIM in aggregator.result.survivors) == (stage in (Stage.SURVIVORS, Stage.CONFIRMATIONS))


def test_a_new_proposal_after_a_withdrawal_is_met_with_the_same_silence(cohort: WindowCohort) -> None:
    play(cohort, cohort.propose(), Stage.SURVIVORS)
    cohort.withdraw(VICTIM)
    away = overloaded(cohort)
    for changes in ({}, {"head": 1}, {"roster": cohort.hosts[:4]}):
        found = refused(cohort, cohort.propose(**changes))
        assert (found.code, found.sentence) == (away.code, away.sentence)


def test_after_the_reveal_a_withdrawal_changes_no_answer(cohort: WindowCohort) -> None:
    last = play(cohort, cohort.propose(), Stage.CONFIRMATIONS)
    raws = last.requests()
    answers = {host: cohort.instance(host).handle(raw) for host, raw in raws.items()}
    before = refused(cohort, cohort.propose())
    cohort.withdraw(VICTIM)
    cohort.instance(VICTIM).node.prune()
    after = refused(cohort, cohort.propose())
    assert (before.code, before.sentence) == (after.code, after.sentence)
    assert before.code is Code.WINDOW_OPEN
    # The same request still gets the same bytes.
    assert {host: cohort.instance(host).handle(raw) for host, raw in raws.items()} == answers
    assert read(answers[VICTIM]).stage is Stage.UNMASK


def test_a_withdrawal_before_anything_left_is_recounted_without_a_trace(cohort: WindowCohort) -> None:
    play(cohort, cohort.propose(), Stage.SHARES)
    cohort.withdraw(VICTIM, 2)
    again = play(cohort, cohort.propose())
    assert again.result.survivors == cohort.hosts
    np.testing.assert_array_equal(again.result.total, cohort.sum_of(cohort.hosts))
