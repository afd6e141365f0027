"""Rounds of five instances, of which members and aggregators die at every kind of stage.

Real processes are killed in `test_noisy_rounds`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from daemon.errors import JobError
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.rounds import round_config
from daemon.rounds.abort import Left, leave_all
from daemon.rounds.aggregator_window import peer_windows
from daemon.store import activity
from tests.daemon.in_process_federation import DAY, SAME_VIEWERS, Federation, Member, prepare, running
from tests.daemon.plain_sums import assert_plain

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def five(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    folders = prepare(tmp_path_factory.mktemp("rounds"), 5, privacy=SAME_VIEWERS)
    with pytest.MonkeyPatch.context() as patch:
        async with running(folders, patch) as found:
            found.sync()
            yield found


@pytest_asyncio.fixture(loop_scope="module")
async def federation(five: Federation) -> Federation:
    """In a new data window, with everybody alive."""
    five.clock.ahead += 8 * DAY
    for member in five.members:
        if member.dead:
            await member.restart()
    return five


def assert_sum_of(aggregator: Member, members: list[Member]) -> None:
    assert_plain(aggregator.config_file, [one.config_file for one in members])


async def test_a_round_gives_the_plain_sum_and_both_sides_remember_it(federation: Federation) -> None:
    aggregator, *others = federation.members
    result = await aggregator.ask()
    assert_sum_of(aggregator, others)
    for member in federation.members:
        found = activity.round_(member.engine, result["sub_cohorts"][0]["round"])
        assert found is not None
        assert (found.role, found.outcome) == ("aggregator" if member is aggregator else "member", "done")
        assert found.bytes_out > 0
        # What was secret or large is gone from the journal; only answers that may be asked for again stay.
        journal = round_config.member_journal(member.config)
        for round_id in journal.ids():
            assert not {"root", "input", "shares"} & set(journal.names(round_id))
    assert round_config.aggregator_journal(aggregator.config).ids() == []
    # Who took part approves us: nobody has to say so first.
    known = repository.read(aggregator.engine, aggregator.config)
    assert {peer.host for peer in known.approved() if peer.theirs == "approved"} == {m.host for m in others}


@pytest.mark.parametrize("stage", ["propose", "keys", "shares", "survivors", "confirmations"])
async def test_a_member_that_dies_costs_nothing_but_itself(federation: Federation, stage: str) -> None:
    aggregator, victim = federation.members[1], federation.members[3]
    victim.dies_at = stage
    await aggregator.ask()
    assert victim.dead
    others = [one for one in federation.members if one is not aggregator]
    gave = stage in ("survivors", "confirmations")
    assert_sum_of(aggregator, others if gave else [one for one in others if one is not victim])


async def test_with_too_many_lost_it_is_tried_again_with_the_same_question(federation: Federation) -> None:
    aggregator, *others = federation.members
    for one in others[:2]:
        one.dies_at = "survivors"
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    first = peer_windows(aggregator.config, federation.clock).current()
    for one in others[:2]:
        await one.restart()
    await aggregator.ask()
    again = peer_windows(aggregator.config, federation.clock).current()
    assert first is not None
    assert again is not None
    assert (again.run, again.proposals, again.done) == (first.run, first.proposals, True)
    assert_sum_of(aggregator, others)
    # Of the first attempt nothing was opened: it is over, and its members know.
    for one in others[2:]:
        outcomes = [r.outcome for r in activity.rounds(one.engine) if r.aggregator == aggregator.host][:2]
        assert outcomes[0] == "done"


async def test_after_confirmations_it_is_resumed_and_the_reveals_add_up(federation: Federation) -> None:
    aggregator, *others = federation.members
    for one in others[:2]:
        one.dies_at = "confirmations"
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    begun = activity.rounds(aggregator.engine, limit=1)[0]
    assert begun.outcome == "waiting"
    # One is enough: the threshold is three of four, and two have revealed their shares already.
    await others[0].restart()
    result = await aggregator.ask()
    assert result["sub_cohorts"][0]["round"] == begun.id
    assert_sum_of(aggregator, others)
    assert activity.rounds(aggregator.engine, limit=1)[0].outcome == "done"


async def test_nothing_is_frozen_before_something_left(federation: Federation) -> None:
    aggregator, *others = federation.members
    for one in others[:2]:
        one.dies_at = "keys"
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.ask()
    assert peer_windows(aggregator.config, federation.clock).current() is None
    for one in others[:2]:
        await one.restart()
    await aggregator.ask()
    assert_sum_of(aggregator, others)


async def test_a_member_that_its_admin_stopped_leaves_for_good(federation: Federation) -> None:
    aggregator, leaver = federation.members[1], federation.members[3]
    leaver.dies_at = "keys"
    await aggregator.ask()
    await leaver.stop()
    # This one, and those in which it died before.
    running = [s for s in activity.rounds(leaver.engine) if (s.role, s.outcome) == ("member", "running")]
    assert running
    assert leave_all(leaver.engine, leaver.config) == Left(as_member=len(running), own=0)
    entry = ledger.newest(leaver.engine, 1, kind=Kind.STOPPED)[0]
    assert entry.details == {"rounds_of_others": len(running), "own_rounds": 0}
    journal = round_config.member_journal(leaver.config)
    assert {name for round_id in journal.ids() for name in journal.names(round_id)} == {"closed"}
    assert activity.rounds(leaver.engine, limit=1)[0].outcome == "abandoned"
    assert leave_all(leaver.engine, leaver.config) == Left(0, 0)


@pytest.mark.parametrize("point", ["propose", "keys", "shares", "survivors", "confirmations"])
async def test_an_aggregator_that_died_at_any_stage_goes_on_where_it_was(
    federation: Federation, point: str
) -> None:
    aggregator = federation.members[2]

    def die(stage: str, _part: float) -> None:
        if stage == point:
            dying.cancel()

    dying = asyncio.create_task(aggregator.ask(die))
    await asyncio.wait({dying})
    assert dying.cancelled()
    begun = activity.rounds(aggregator.engine, limit=1)[0]
    assert begun.outcome == "running"
    result = await aggregator.ask()
    assert result["sub_cohorts"][0]["round"] == begun.id
    assert_sum_of(aggregator, [one for one in federation.members if one is not aggregator])
