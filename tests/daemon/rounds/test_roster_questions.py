"""Peers are asked whom of a roster they approve, over HTTP and by the services as they run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from daemon.peers import repository as peers
from daemon.peers.repository import State
from daemon.rounds.roster_questions import LONGEST_WAIT, SettledRosters, settle
from daemon.store import waits
from federation import envelope
from federation.carrier import PeerRefused
from federation.http.client import HttpCarrier, PeerClient, Retry
from federation.identity import PublicIdentity
from federation.rosters import ProposedRoster, Wait
from policies.junior_waits import Waits
from tests.daemon.group.in_process_group import Islander, Islands, islands

DAY = 86400.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Islands]:
    """Return seven instances that approve one another; the first one asks."""
    async with islands(tmp_path_factory.mktemp("peers"), 7) as found:
        for one in found.people:
            one.approves(found.people)
        yield found


pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


def states(one: Islander, other: Islander, state: State) -> None:
    peers.change(one.engine, one.config, other.host, lambda peer: replace(peer, state=state))


def client(world: Islands) -> PeerClient:
    return PeerClient(world.ferry.http, retry=Retry(attempts=1))


async def settled(world: Islands, rosters: int = 1) -> SettledRosters:
    """Settle the roster of all six members, or two of three members each that are merged if one waits."""
    asker, *members = world.people
    carrier = HttpCarrier(client(world), {one.host: one.url for one in members})
    now = world.clock()

    def divide(waiting: frozenset[str]) -> tuple[tuple[PublicIdentity, ...], ...]:
        divided = [members[number::rosters] for number in range(rosters)]
        kept = [[one for one in part if one.host not in waiting] for part in divided]
        if any(len(part) < 3 for part in kept):
            kept = [[one for part in kept for one in part]]
        return tuple(tuple(sorted(one.identity.public for one in part)) for part in kept)

    joined = {one.host: float(age) for age, one in enumerate(members)}
    return await settle(asker.identity, carrier, divide, joined, now=now, until=now + DAY)


async def test_where_all_approve_each_other_the_roster_stays_and_nobody_is_told_anything(
    world: Islands,
) -> None:
    found = await settled(world)
    assert [one.host for one in found.rosters[0]] == sorted(one.host for one in world.people[1:])
    assert (found.waits, found.problems) == ({}, {})
    assert not any(waits.find(one.engine, world.host.host, world.clock()) for one in world.people)


async def test_the_junior_waits_is_told_by_whom_and_counts_again_once_approved(world: Islands) -> None:
    asker, senior, _, junior, *_ = world.people
    for state in ("candidate", "paused", "removed"):
        states(senior, junior, state)
        found = await settled(world)
        assert found.waits == {junior.host: Waits(rejected_by=(senior.host,))}
        assert junior.identity.public not in found.rosters[0]
    told = waits.find(junior.engine, asker.host, world.clock())
    assert told is not None
    assert (told.rejected_by, told.rejects, told.too_many) == ([senior.host], [], False)
    assert told.until == pytest.approx(world.clock() + DAY, abs=60)
    assert waits.find(junior.engine, asker.host, told.until) is None
    # The other one is not told anything, and nobody is told of others.
    assert waits.find(senior.engine, asker.host, world.clock()) is None
    states(senior, junior, "approved")
    assert not (await settled(world)).waits
    assert waits.find(junior.engine, asker.host, world.clock()) is None


async def test_members_of_merged_rosters_are_asked_about_each_other(world: Islands) -> None:
    _, first, second, third, *rest = world.people
    # Of these the second one is in the other roster, and meets the first only where both are merged.
    states(first, third, "candidate")
    states(second, first, "candidate")
    found = await settled(world, rosters=2)
    assert found.waits == {
        third.host: Waits(rejected_by=(first.host,)),
        second.host: Waits(rejects=(first.host,)),
    }
    assert [one.host for one in found.rosters[0]] == sorted(one.host for one in (first, *rest))
    states(first, third, "approved")
    assert len((await settled(world, rosters=2)).rosters) == 2
    states(second, first, "approved")


async def test_a_member_known_by_another_key_is_not_the_one_that_is_approved(world: Islands) -> None:
    _, senior, _, junior, *_ = world.people
    right = junior.evidence.key
    peers.change(
        senior.engine, senior.config, junior.host, lambda peer: replace(peer, key=senior.evidence.key)
    )
    assert list((await settled(world)).waits) == [junior.host]
    peers.change(senior.engine, senior.config, junior.host, lambda peer: replace(peer, key=right))


async def test_who_is_away_rejects_nobody_and_keeps_its_place(world: Islands) -> None:
    _, senior, _, junior, *_ = world.people
    states(senior, junior, "candidate")
    await senior.stop()
    try:
        found = await settled(world)
        assert found.problems == {senior.host: "unreachable"}
        assert (found.waits, len(found.rosters[0])) == ({}, 6)
    finally:
        await senior.start()
        states(senior, junior, "approved")


async def test_only_an_approved_peer_is_answered_and_only_about_a_roster_with_oneself(world: Islands) -> None:
    asker, one, two, *_ = world.people
    now = world.clock()

    async def ask(raw: bytes) -> str:
        with pytest.raises(PeerRefused) as refused:
            await client(world).send(one.host, one.url, raw, max_answer=100_000, timeout=30)
        return refused.value.code

    pair = tuple(sorted((one.identity.public, two.identity.public)))
    question = ProposedRoster(pair, int(now * 1000))
    elsewhere = ProposedRoster((two.identity.public,), int(now * 1000))
    assert await ask(elsewhere.seal(asker.identity, one.host)) == "roster-invalid"
    wait = Wait(int(now * 1000), (two.host,), (), too_many=False)
    states(one, asker, "paused")
    try:
        assert await ask(question.seal(asker.identity, one.host)) == "unknown-peer"
        assert await ask(wait.seal(asker.identity, one.host)) == "unknown-peer"
    finally:
        states(one, asker, "approved")
    assert waits.find(one.engine, asker.host, now) is None


async def test_a_wait_of_a_hundred_years_is_shown_for_two_months(world: Islands) -> None:
    asker, one, two, *_ = world.people
    now = world.clock()
    wait = Wait(int((now + 36_500 * DAY) * 1000), (two.host,), (), too_many=False)
    answer = await client(world).send(
        one.host, one.url, wait.seal(asker.identity, one.host), max_answer=100_000, timeout=30
    )
    assert envelope.parse(answer, max_size=100_000).sender == one.host
    told = waits.find(one.engine, asker.host, now)
    assert told is not None
    assert told.until <= world.clock() + LONGEST_WAIT
    waits.forget(one.engine, asker.host)


async def test_who_contributes_nothing_or_to_its_group_alone_says_so(world: Islands) -> None:
    one = world.people[1]
    text = one.config_file.read_text()
    one.config_file.write_text(text.replace('mode = "contribute"', 'mode = "consume"'))
    await one.restart()
    assert (await settled(world)).problems == {one.host: "refused: sharing-off"}
    one.config_file.write_text(text)
    await one.restart()
    await world.form()
    found = await settled(world)
    assert set(found.problems.values()) == {"refused: sharing-off"}
    assert len(found.problems) == 6
