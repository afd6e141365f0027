"""Members and the host die at any stage of a group's sum: the others finish, who returns catches up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from daemon.errors import JobError, PolicyRefusedError
from daemon.group import repository
from daemon.group.published_sums import PublishedStore, not_learnt
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.rounds import round_config
from daemon.rounds.abort import Left, leave_all
from daemon.rounds.aggregator_window import AggregatorWindows
from daemon.store import activity
from federation.aggregator import REQUESTS
from federation.carrier import PeerUnreachable
from federation.envelope import Stage
from tests.daemon.group.in_process_group import Islander, Islands, assert_learnt, islands

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def five(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Islands]:
    async with islands(tmp_path_factory.mktemp("dies"), 5) as found:
        await found.form()
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def group(five: Islands) -> AsyncIterator[Islands]:
    """A new data window, in which everybody is there."""
    five.next_window()
    yield five
    five.ferry.before = five.ferry.after = lambda *_: None
    for one in five.people:
        if not one.up:
            await one.start()


def everybody(group: Islands) -> list[str]:
    return sorted(group.ferry.people)


def dies_at(group: Islands, victim: Islander, kind: str, stage: Stage, *, answers: bool) -> None:
    """Let a member end when a request arrives, before it is handled or when its answer is on the way."""

    async def die() -> None:
        await victim.stop()
        raise PeerUnreachable(f"{victim.host} died")

    def point(*step: object) -> object:
        return die() if step == (kind, victim.host, stage) else None

    if answers:
        group.ferry.after = point
    else:
        group.ferry.before = point


async def test_everybody_dies_before_every_request_and_is_started_again(group: Islands) -> None:
    async def again(one: Islander) -> None:
        await one.stop()
        await one.start()

    group.ferry.before = lambda _round, host, _stage: again(group[host])
    result = await group.ask()
    assert result["lost"] == {}
    assert result["delivered"] == everybody(group)
    for one in group.people:
        assert_learnt(group, one, result["run"], [everybody(group)])


@pytest.mark.parametrize(
    ("stage", "answers", "counted"),
    [
        (Stage.PROPOSE, False, False),
        (Stage.SHARES, False, False),
        (Stage.SHARES, True, False),
        (Stage.SURVIVORS, False, True),
        (Stage.CONFIRMATIONS, False, True),
        (Stage.CONFIRMATIONS, True, True),
    ],
)
async def test_the_others_finish_without_who_died_and_it_fetches_what_it_missed(
    group: Islands, stage: Stage, *, answers: bool, counted: bool
) -> None:
    victim = group.people[3]
    dies_at(group, victim, "round", stage, answers=answers)
    result = await group.ask()
    assert set(result["lost"]) == {victim.host}
    survivors = [host for host in everybody(group) if counted or host != victim.host]
    assert result["survivors"] == survivors
    assert result["delivered"] == [host for host in everybody(group) if host != victim.host]
    for one in group.people:
        if one is not victim:
            assert_learnt(group, one, result["run"], [survivors])
    assert not victim.stored(result["run"])
    await victim.start()
    await victim.catches_up()
    assert_learnt(group, victim, result["run"], [survivors])
    assert victim.group.published == group.host.group.published != ""


async def test_with_too_many_lost_at_the_end_the_same_round_is_resumed(group: Islands) -> None:
    """Confirmations are out: a sum over anybody else would tell of single members, and members give none."""
    victims = group.people[2:4]

    async def die(one: Islander) -> None:
        await one.stop()
        raise PeerUnreachable(f"{one.host} died")

    group.ferry.before = lambda kind, host, stage: (
        die(group[host])
        if (kind, stage) == ("round", Stage.CONFIRMATIONS) and group[host] in victims
        else None
    )
    with pytest.raises(JobError, match="abandoned"):
        await group.host_run()
    hosted = next(one for one in activity.rounds(group.host.engine) if one.role == "host")
    assert (hosted.outcome, hosted.survivors) == ("waiting", [])
    group.ferry.before = lambda *_: None
    await victims[0].start()
    result = await group.ask()
    again = next(one for one in activity.rounds(group.host.engine) if one.role == "host")
    assert (again.id, again.outcome) == (hosted.id, "done")
    await victims[1].start()
    await victims[1].catches_up()
    for one in group.people:
        assert_learnt(group, one, result["run"], [everybody(group)])


async def test_the_hosts_job_dies_after_the_first_answer_to_every_request(group: Islands) -> None:
    """Started again it sends the same proposals, and members answer what they answered before."""
    waiting = list(REQUESTS)
    deaths = []
    running: asyncio.Task[dict[str, object]] | None = None

    def point(kind: str, _host: str, stage: Stage) -> None:
        if kind == "round" and stage in waiting and running is not None:
            waiting.remove(stage)
            deaths.append(stage)
            running.cancel()

    group.ferry.after = point
    sums = set()
    while True:
        running = asyncio.create_task(group.host_run())
        await asyncio.wait({running})
        if not running.cancelled():
            break
        sums.add(frozenset(round_config.hosted_journal(group.host.config).ids()))
    assert deaths == list(REQUESTS)
    assert len(sums) == 1
    result = running.result()
    run = str(result["run"])
    assert result["lost"] == {}
    for one in group.people:
        await one.learns()
        assert_learnt(group, one, run, [everybody(group)])
    assert not round_config.hosted_journal(group.host.config).ids()


async def test_a_host_that_dies_while_it_publishes_has_published(group: Islands) -> None:
    """Who was told, learns; everybody else fetches it; there is no second sum in the window."""
    running: asyncio.Task[dict[str, object]] | None = None

    first = group.people[1]

    def only_one(kind: str, host: str, _stage: Stage) -> None:
        if kind == "published" and host != first.host:
            raise PeerUnreachable(f"{host} is not there at this moment")

    def point(kind: str, _host: str, _stage: Stage) -> None:
        if kind == "published" and running is not None:
            running.cancel()

    group.ferry.before, group.ferry.after = only_one, point
    running = asyncio.create_task(group.host_run())
    await asyncio.wait({running})
    assert running.cancelled()
    group.ferry.before = group.ferry.after = lambda *_: None
    run = group.host.group.offered
    with pytest.raises(PolicyRefusedError, match="window"):
        await group.host_run()
    # What the host publishes is in its own store before any member gets it.
    told = [one for one in group.people if not_learnt(one.config)]
    assert told == [group.host, first]
    for one in group.people:
        await (one.learns() if one in told else one.catches_up())
        assert_learnt(group, one, run, [everybody(group)])


async def test_a_host_that_dies_after_it_signed_says_the_same_again(
    group: Islands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have fetched it already: two versions of one run would look like a lie."""
    answered = AggregatorWindows.answered

    def dies(_self: AggregatorWindows) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(AggregatorWindows, "answered", dies)
    with pytest.raises(asyncio.CancelledError):
        await group.host_run()
    monkeypatch.setattr(AggregatorWindows, "answered", answered)
    run, store = bytes.fromhex(group.host.group.offered), PublishedStore(group.host.config)
    signed = store.message(run)
    assert signed
    early = group.people[1]
    await early.catches_up()
    result = await group.ask()
    assert result["run"] == run.hex()
    assert store.message(run) == signed
    assert result["delivered"] == everybody(group)
    for one in group.people:
        assert_learnt(group, one, run.hex(), [everybody(group)])


async def test_what_was_missed_is_fetched_from_a_host_that_takes_no_sums_now(group: Islands) -> None:
    """Its SuperLink may not have started yet, or not start at all."""
    victim = group.people[3]
    dies_at(group, victim, "published", Stage.PUBLISH, answers=False)
    result = await group.ask()
    await victim.start()
    repository.change(group.host.engine, lambda known: known and replace(known, proxy=""))
    await victim.catches_up()
    assert "not ready" in victim.group.problem
    assert_learnt(group, victim, result["run"], [everybody(group)])
    repository.change(group.host.engine, lambda known: known and replace(known, proxy="127.0.0.1:9"))


async def test_an_admin_who_stops_the_host_leaves_the_groups_sum_as_well(group: Islands) -> None:
    running: asyncio.Task[dict[str, object]] | None = None

    def point(kind: str, _host: str, stage: Stage) -> None:
        if (kind, stage) == ("round", Stage.KEYS) and running is not None:
            running.cancel()

    group.ferry.after = point
    running = asyncio.create_task(group.host_run())
    await asyncio.wait({running})
    journal = round_config.hosted_journal(group.host.config)
    assert len(journal.ids()) == 1
    await group.host.stop()
    as_member = sum(
        one.outcome == "running" and one.role == "member" for one in activity.rounds(group.host.engine)
    )
    # It is a member of the sum that it hosts.
    assert as_member
    assert leave_all(group.host.engine, group.host.config, now=group.clock()) == Left(as_member, 1)
    assert not journal.ids()
    assert not any(one.outcome == "running" for one in activity.rounds(group.host.engine))
    [stopped] = ledger.newest(group.host.engine, limit=1)
    assert (stopped.kind, stopped.details) == (Kind.STOPPED, {"rounds_of_others": as_member, "own_rounds": 1})
    await group.host.start()
    group.ferry.after = lambda *_: None
    # The window holds the members to what they gave, so that the same sum can be taken anew.
    result = await group.ask()
    for one in group.people:
        assert_learnt(group, one, result["run"], [everybody(group)])
