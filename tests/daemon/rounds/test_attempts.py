"""Attempts between five instances: bound survivors, early windows after a revert, clocks a day apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from daemon.errors import JobError, PolicyRefusedError
from daemon.peers import repository
from daemon.revert.out_of_service import take_out_of_service
from daemon.rounds import head_history, round_config
from daemon.rounds.aggregator_window import AggregatorWindow, peer_windows
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.contribution_log import question_of
from daemon.store import activity, releases, sums
from models import head as heads
from policies.window import BETWEEN_EARLY
from tests.daemon.in_process_federation import (
    DAY,
    SAME_VIEWERS,
    Clock,
    Federation,
    Member,
    prepare,
    running,
)
from tests.daemon.plain_sums import assert_plain

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

EXPIRED = 6.5 * 3600
"""Seconds after which no proposal of before is valid; a window lasts longer."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def six(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    folders = prepare(tmp_path_factory.mktemp("attempts"), 6, privacy=SAME_VIEWERS)
    with pytest.MonkeyPatch.context() as patch:
        async with running(folders, patch) as found:
            found.sync()
            yield found


@pytest_asyncio.fixture(loop_scope="module")
async def federation(six: Federation) -> Federation:
    """In a new data window, with everybody alive and approved, and clocks that agree."""
    six.clock.ahead += 8 * DAY
    for member in six.members:
        wrong, member.clock = member.clock is not six.clock, six.clock
        if wrong or member.dead or not member.up:
            await member.restart()
        for peer in repository.read(member.engine, member.config).peers.values():
            repository.save(member.engine, replace(peer, state="approved", theirs="approved"))
    return six


def window_of(member: Member) -> AggregatorWindow:
    window = peer_windows(member.config, member.clock).current()
    assert window is not None
    return window


def assert_sum_of(aggregator: Member, members: list[Member]) -> None:
    assert_plain(aggregator.config_file, [one.config_file for one in members])


def given_to(member: Member, aggregator: Member) -> list[releases.ReleaseRecord]:
    return [one for one in releases.since(member.engine, 0.0) if one.aggregator == aggregator.host]


# -- survivors that are bound ------------------------------------------------------------------------------


async def die_at_confirmations(aggregator: Member, victims: list[Member]) -> None:
    for one in victims:
        one.dies_at = "confirmations"
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    for one in victims:
        await one.restart()


async def test_an_attempt_that_expired_unrevealed_is_retried_with_exactly_its_survivors(
    federation: Federation,
) -> None:
    aggregator, *others = federation.members
    away, survivors = others[0], others[1:]
    away.dies_at = "keys"
    await die_at_confirmations(aggregator, survivors)
    await away.restart()
    bound = window_of(aggregator).bound[0]
    assert (bound.survivors, bound.revealed) == (tuple(sorted(one.host for one in survivors)), False)
    vectors = [given_to(one, aggregator)[-1].vector_sha256 for one in survivors]
    federation.clock.ahead += EXPIRED
    # Without one of them it is none: the others would open another set.
    await survivors[0].stop()
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    await survivors[0].restart()
    await aggregator.ask()
    assert_sum_of(aggregator, survivors)
    assert [given_to(one, aggregator)[-1].vector_sha256 for one in survivors] == vectors
    assert not [one for one in given_to(away, aggregator) if one.at > federation.clock() - DAY]


async def test_an_attempt_that_somebody_revealed_in_and_that_expired_waits_for_the_next_window(
    federation: Federation,
) -> None:
    aggregator, *others = federation.members
    # The second time nobody new reveals: what was revealed before stays so.
    for _ in range(2):
        await die_at_confirmations(aggregator, others[:2])
        assert window_of(aggregator).bound[0].revealed
    federation.clock.ahead += EXPIRED
    with pytest.raises(JobError, match="next window"):
        await aggregator.ask()
    # Its end is on record, and nothing stays open.
    assert {one.outcome for one in activity.rounds(aggregator.engine, limit=1)} == {"abandoned"}
    assert round_config.aggregator_journal(aggregator.config).ids() == []
    federation.clock.ahead += 8 * DAY
    await aggregator.ask()
    assert_sum_of(aggregator, others)


async def test_a_failed_run_waits_longer_each_time_and_a_sum_ends_it(federation: Federation) -> None:
    aggregator, *others = federation.members
    for one in others[:3]:
        one.dies_at = "propose"
    for pause in (60, 120):
        with pytest.raises(JobError, match="abandoned"):
            await aggregator.ask()
        wait = peer_windows(aggregator.config, federation.clock).next_at() - federation.clock()
        assert wait == pytest.approx(pause, abs=10)
    for one in others[:3]:
        await one.restart()
    await aggregator.ask()
    with pytest.raises(PolicyRefusedError):
        await aggregator.ask()


async def test_a_peer_that_was_approved_since_is_asked_only_where_nothing_left(
    federation: Federation,
) -> None:
    aggregator, *others = federation.members
    late = others[-1]
    book = repository.read(aggregator.engine, aggregator.config)
    known = book.find(late.host)
    assert known is not None
    repository.save(aggregator.engine, replace(known, state="paused"))
    for one in others[:2]:
        one.dies_at = "shares"
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    for one in others[:2]:
        await one.restart()
    repository.save(aggregator.engine, known)
    assert window_of(aggregator).left
    await aggregator.ask()
    assert_sum_of(aggregator, others[:-1])


# -- an early window ---------------------------------------------------------------------------------------


async def test_after_a_revert_the_others_give_at_once_and_once_a_quarter(federation: Federation) -> None:
    aggregator, *others = federation.members
    federation.clock.ahead += BETWEEN_EARLY
    await aggregator.ask()
    before = {one.host: given_to(one, aggregator) for one in others}
    aggregator.train()
    bad, good = others[0], others[1:]
    take_out_of_service(aggregator.engine, aggregator.config, bad.host, federation.clock())
    # Nothing of what the head is chosen from has it.
    assert all(bad.host not in one.survivors for one in head_history.of_peers(aggregator.config).newest())
    # Its first attempt fails before anything left; the next one is early all the same.
    for one in good[:2]:
        one.dies_at = "propose"
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    for one in good[:2]:
        await one.restart()
    await aggregator.ask()
    assert_sum_of(aggregator, good)
    assert window_of(aggregator).proposals[0].parameters["early"] == 1
    for one in good:
        now = given_to(one, aggregator)
        # One more release, with noise of its own, in a window of its own.
        assert len(now) == len(before[one.host]) + 1
        assert len({each.window for each in now}) == len(now)
    assert given_to(bad, aggregator) == before[bad.host]
    # Whatever an aggregator says, there is no second one within the quarter.
    peer_windows(aggregator.config, federation.clock).may_be_early()
    with pytest.raises(JobError, match="window-open"):
        await aggregator.ask()
    assert len(given_to(good[1], aggregator)) == len(before[good[1].host]) + 1


# -- clocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_member_whose_clock_is_a_day_off_loses_only_itself_and_says_why(
    federation: Federation, days: int
) -> None:
    aggregator, *others = federation.members
    wrong = others[0]
    wrong.clock = Clock(federation.clock.ahead + days * DAY)
    await wrong.restart()
    result = await aggregator.ask()
    assert result["lost"] == {wrong.host: "refused: expired"}
    assert_sum_of(aggregator, others[1:])
    # Nothing was given, and nothing is frozen for it.
    assert not [one for one in given_to(wrong, aggregator) if one.at > federation.clock() - 2 * DAY]


@pytest.mark.parametrize("days", [-1, 1])
async def test_an_aggregator_whose_clock_is_a_day_off_is_refused_by_everybody(
    federation: Federation, days: int
) -> None:
    aggregator, *others = federation.members
    count = [len(given_to(one, aggregator)) for one in others]
    aggregator.clock = Clock(federation.clock.ahead + days * DAY)
    with pytest.raises(JobError, match="expired"):
        await aggregator.ask()
    assert [len(given_to(one, aggregator)) for one in others] == count


# -- what is asked -----------------------------------------------------------------------------------------


async def test_the_next_head_is_chosen_from_what_was_summed_before(federation: Federation) -> None:
    aggregator, *others = federation.members
    await aggregator.ask()
    newest = head_history.of_peers(aggregator.config).newest()[0]
    stored = sums.newest(aggregator.engine, aggregator.config.sums_dir)
    assert stored is not None
    assert newest.survivors == tuple(sorted(one.host for one in others))
    place = {url: at for at, url in enumerate(newest.videos)}
    assert newest.counts[[place[url] for url in stored.urls]].tolist() == stored.counts.tolist()
    federation.clock.ahead += 8 * DAY
    released = head_history.of_peers(aggregator.config).aligned(newest.videos)
    await aggregator.ask()
    window = window_of(aggregator)
    least = window.proposals[0].parameters["min_users"]
    asked = round_config.decode_head(window.head)
    expected = heads.next_head(released, min_users=least, max_head=aggregator.config.model.max_head)
    np.testing.assert_array_equal(asked, expected)
    # What a member wrote down is what it was asked.
    member = others[0]
    kept = windows_of(member.context()).read(aggregator.host)
    assert kept is not None
    question = question_of(member.config, aggregator.host, kept.id)
    assert question is not None
    assert question.head.tolist() == asked.tolist()
