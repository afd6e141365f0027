"""Sessions of five instances, of which members and aggregators die at every kind of stage.

Real processes are killed in `test_noisy_sessions`.
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
from daemon.store import activity
from tests.daemon.in_process_federation import DAY, SAME_VIEWERS, Federation, Member, prepare, running
from tests.daemon.plain_sums import assert_plain

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def five(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    folders = prepare(tmp_path_factory.mktemp("sessions"), 5, privacy=SAME_VIEWERS)
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


async def test_a_session_gives_the_plain_sum_and_both_sides_remember_it(federation: Federation) -> None:
    aggregator, *others = federation.members
    result = await aggregator.session()
    assert_sum_of(aggregator, others)
    for member in federation.members:
        found = activity.session(member.engine, result["session"])
        assert found is not None
        assert (found.role, found.outcome) == ("aggregator" if member is aggregator else "member", "done")
        assert found.bytes_out > 0
        # What was secret or large is gone from the journal; only answers that may be asked for again stay.
        journal = round_config.member_journal(member.config)
        for sum_id in journal.sums():
            assert not {"root", "input", "shares"} & set(journal.names(sum_id))
    assert round_config.aggregator_journal(aggregator.config).sums() == []
    # Who took part approves us: nobody has to say so first.
    known = repository.read(aggregator.engine, aggregator.config)
    assert {peer.host for peer in known.approved() if peer.theirs == "approved"} == {m.host for m in others}


# Before it gave anything, and between its keys and its vector: more is for the state machines.
@pytest.mark.parametrize("stage", ["propose", "shares"])
async def test_the_others_finish_without_a_member_that_died(federation: Federation, stage: str) -> None:
    aggregator, victim = federation.members[1], federation.members[3]
    victim.dies_at = stage
    await aggregator.session()
    assert victim.dead
    assert_sum_of(aggregator, [one for one in federation.members if one not in (aggregator, victim)])


async def test_a_member_that_died_after_it_gave_its_vector_is_waited_for(federation: Federation) -> None:
    """Its vector is in the counts, so the pair counts need it too."""
    aggregator, *others = federation.members
    others[1].dies_at = "confirmations"
    with pytest.raises(JobError, match="abandoned"):
        await aggregator.session()
    assert others[1].dead
    await others[1].restart()
    await aggregator.session()
    assert_sum_of(aggregator, others)


async def test_a_member_that_its_admin_stopped_leaves_for_good(federation: Federation) -> None:
    aggregator, leaver = federation.members[1], federation.members[3]
    leaver.dies_at = "keys"
    await aggregator.session()
    await leaver.stop()
    # This one, and those in which it died before.
    running = [s for s in activity.sessions(leaver.engine) if (s.role, s.outcome) == ("member", "running")]
    assert running
    assert leave_all(leaver.engine, leaver.config) == Left(as_member=len(running), own=0)
    entry = ledger.newest(leaver.engine, 1, kind=Kind.STOPPED)[0]
    assert entry.details == {"sums_of_others": len(running), "own_sessions": 0}
    journal = round_config.member_journal(leaver.config)
    assert {name for sum_id in journal.sums() for name in journal.names(sum_id)} == {"closed"}
    assert activity.sessions(leaver.engine, limit=1)[0].outcome == "abandoned"
    assert leave_all(leaver.engine, leaver.config) == Left(0, 0)


@pytest.mark.parametrize("point", ["counts: survivors", "pairs: confirmations"])
async def test_an_aggregator_that_died_at_any_stage_goes_on_where_it_was(
    federation: Federation, point: str
) -> None:
    aggregator = federation.members[2]

    def die(stage: str, _part: float) -> None:
        if stage == point:
            dying.cancel()

    dying = asyncio.create_task(aggregator.session(die))
    await asyncio.wait({dying})
    assert dying.cancelled()
    begun = activity.sessions(aggregator.engine, limit=1)[0]
    assert begun.outcome == "running"
    result = await aggregator.session()
    assert result["session"] == begun.id
    assert_sum_of(aggregator, [one for one in federation.members if one is not aggregator])
