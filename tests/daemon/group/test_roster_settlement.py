"""Who of a group waits, in a division that is drawn: pure, over the documents that a host signs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.group.hosting.roster_settlement import waiting_in
from federation.group.epoch_document import EpochDocument
from tests.federation.group.table import Group

DOCUMENT = Group.of(24, parts=4, least=4).begin()
HOSTS = sorted(DOCUMENT.members)
JOINED = {host: float(at) for at, host in enumerate(HOSTS)}
GRAPHS = st.dictionaries(st.sampled_from(HOSTS), st.sets(st.sampled_from(HOSTS), max_size=6))


def conflicts(document: EpochDocument, rejects: dict[str, set[str]]) -> list[tuple[str, str]]:
    return [
        (one.host, other.host)
        for roster in document.rosters
        for one, other in product(roster, roster)
        if one != other and other.host in rejects.get(one.host, ())
    ]


@given(GRAPHS)
def test_where_every_answer_is_known_nobody_is_summed_with_whom_it_rejects(
    rejects: dict[str, set[str]],
) -> None:
    answers = {host: tuple(sorted(others)) for host, others in rejects.items()}
    waits = waiting_in(DOCUMENT, JOINED, answers)
    settled = replace(DOCUMENT, waiting=tuple(sorted(waits)), serial=2)
    settled.check()
    assert not conflicts(settled, rejects)


def settled(document: EpochDocument, rejects: dict[str, set[str]]) -> EpochDocument:
    """Return the edition at which the host stops, when members answer about their own part alone."""
    answers: dict[str, tuple[str, ...]] = {}
    while True:
        for host in HOSTS:
            judged = {one.host for one in document.judged_by(host)}
            said = judged & rejects.get(host, set()) - {host}
            answers[host] = tuple(sorted({*answers.get(host, ()), *said}))
        waits = tuple(sorted(waiting_in(document, JOINED, answers)))
        if document.waiting == waits:
            return document
        document = replace(document, waiting=waits, serial=document.serial + 1)


@given(GRAPHS)
def test_members_that_are_asked_about_their_own_part_alone_come_to_an_end(
    rejects: dict[str, set[str]],
) -> None:
    """Each merge may need another edition; the next window starts from the last one."""
    first = settled(DOCUMENT, rejects)
    assert not conflicts(first, rejects)
    assert not conflicts(settled(first, rejects), rejects)
    assert settled(first, {}).rosters == DOCUMENT.rosters


def test_nobody_waits_for_a_stranger_in_another_part() -> None:
    first, second = DOCUMENT.rosters[:2]
    assert waiting_in(DOCUMENT, JOINED, {first[0].host: (second[0].host,)}) == {}


@pytest.mark.parametrize("known", [True, False])
def test_a_member_without_a_date_is_the_junior(*, known: bool) -> None:
    one, two = (member.host for member in DOCUMENT.rosters[0][:2])
    joined = {host: at for host, at in JOINED.items() if known or host != one}
    assert list(waiting_in(DOCUMENT, joined, {one: (two,)})) == [two if known else one]
