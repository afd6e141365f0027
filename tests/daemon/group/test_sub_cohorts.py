"""A group of ten in sub-cohorts: who is in which, who learns what, who comes, goes or is taken out.

The tests follow one another, as the windows of a group do.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from daemon.errors import JobError, PolicyRefusedError
from daemon.group import commands, repository, status
from daemon.group.membership import rules
from daemon.group.published_sums import MESSAGE, PublishedStore, not_learnt
from daemon.jobs.registry import JOBS
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.ledger.messages import in_english as sentence
from daemon.peers import repository as peers
from daemon.revert import job, proof
from daemon.rounds import rotate_key, round_config
from daemon.rounds.aggregate_job import _PeerRun
from daemon.rounds.attempts import Attempt, Attempts
from daemon.store import sums
from daemon.training import sum_selection
from federation.blob_access import fetch_request
from federation.carrier import PeerRefused
from federation.envelope import Stage
from federation.group.epoch_document import EpochDocument
from federation.http.client import PeerClient
from tests.daemon.group.in_process_group import (
    SETTINGS,
    Islander,
    Islands,
    assert_learnt,
    assert_plain,
    islands,
)

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

MEMBERS = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_of_them(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Islands]:
    """Ten members, and an eleventh instance that is none yet."""
    folder = tmp_path_factory.mktemp("parts")
    async with islands(folder, MEMBERS + 1, extra=SETTINGS, users=130) as found:
        await found.form(found.people[:MEMBERS])
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def group(all_of_them: Islands) -> Islands:
    all_of_them.next_window()
    return all_of_them


def document_of(one: Islander, host: Islander) -> EpochDocument:
    found = rules.epoch_of(one.group, host.identity.public)
    assert found is not None
    return found


def parts_of(one: Islander, host: Islander) -> list[list[str]]:
    return [[member.host for member in roster] for roster in document_of(one, host).rosters]


def told(result: dict[str, Any], what: str) -> list[list[str]]:
    return [part[what] for part in result["sub_cohorts"]]


def states(one: Islander, other: Islander, state: Any) -> None:
    peers.change(one.engine, one.config, other.host, lambda peer: replace(peer, state=state))


def learnt_from(one: Islander, run: str) -> list[list[str]]:
    """Return the survivors of the parts of a run that training takes."""
    stored = [part for part in sums.records(one.engine) if part.run == run]
    found = sum_selection.choose(stored, peers.read(one.engine, one.config))
    return [list(part.survivors) for part in found.fresh]


def inside(group: Islands) -> list[Islander]:
    return [one for one in group.people if repository.current(one.engine) is not None and one.group.active]


async def test_all_are_summed_in_the_sub_cohorts_of_the_epoch_and_everybody_learns_both(
    group: Islands,
) -> None:
    result = await group.ask()
    members = group.people[:MEMBERS]
    rosters = parts_of(group.host, group.host)
    assert [len(roster) for roster in rosters] == [5, 5]
    assert sorted(itertools.chain(*rosters)) == sorted(one.host for one in members)
    assert told(result, "roster") == told(result, "survivors") == rosters
    for one in members:
        assert parts_of(one, group.host) == rosters
        assert_learnt(group, one, result["run"], rosters)
        assert one.group.epoch == group.host.group.epoch
        assert one.group.published == group.host.group.published != ""
        entry = ledger.newest(one.engine, limit=1, kind=Kind.GROUP)[0]
        assert entry.details["hash"] == one.group.published
        # Each part without oneself.
        assert entry.details["survivors"] == [[h for h in roster if h != one.host] for roster in rosters]
        assert "learnt from" in sentence(entry)
        assert "[" not in sentence(entry)
    stored = [part for part in sums.records(group.people[1].engine) if part.run == result["run"]]
    assert [part.sub_cohort for part in stored] == [0, 1]


async def test_a_host_that_dies_while_it_tidies_up_has_no_second_sum_of_one_part(
    group: Islands, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = Attempts.forget
    left: list[int] = []

    def dies(self: Attempts, attempt: Attempt) -> None:
        if left:
            raise asyncio.CancelledError
        left.append(attempt.number)
        forget(self, attempt)

    monkeypatch.setattr(Attempts, "forget", dies)
    with pytest.raises(asyncio.CancelledError):
        await group.host_run()
    monkeypatch.setattr(Attempts, "forget", forget)
    run, store = bytes.fromhex(group.host.group.offered), PublishedStore(group.host.config)
    signed = store.message(run)
    journal = round_config.hosted_journal(group.host.config)
    assert journal.ids()
    with pytest.raises(PolicyRefusedError, match="window"):
        await group.host_run()
    assert not journal.ids()
    assert store.message(run) == signed
    one = group.people[1]
    await one.catches_up()
    assert_learnt(group, one, run.hex(), parts_of(group.host, group.host))


async def test_the_parts_stay_and_nobody_learns_from_whom_they_do_not_approve(group: Islands) -> None:
    """A stranger in another part costs a member that part, and nobody waits."""
    rosters = parts_of(group.host, group.host)
    mine, others = rosters if group.host.host in rosters[0] else rosters[::-1]
    careful = next(group[host] for host in mine if host != group.host.host)
    stranger = group[others[0]]
    states(careful, stranger, "candidate")
    result = await group.ask()
    assert parts_of(group.host, group.host) == told(result, "survivors") == rosters
    assert (result["lost"], result["waiting"]) == ({}, [])
    run = result["run"]
    for one in inside(group):
        assert_learnt(group, one, run, rosters)
    assert learnt_from(careful, run) == [[host for host in mine if host != careful.host]]
    states(careful, stranger, "approved")
    # Approved later, the stored sub-cohort counts.
    assert len(learnt_from(careful, run)) == 2


def standing(group: Islands, one: Islander) -> status.Standing:
    found = status.status(one.config, one.engine, group.clock())["standing"]
    assert found is not None
    return found


def by_age(group: Islands, hosts: list[str]) -> list[Islander]:
    """Return members, those that are in the group for longest first."""
    since = {one.host: one.since for one in repository.members(group.host.engine)}
    return [group[host] for host in sorted(hosts, key=lambda host: since[host])]


async def test_of_two_in_a_part_the_junior_waits_and_is_told_until_they_approve_each_other(
    group: Islands,
) -> None:
    """Four are too few for a part: the rest of it is merged with the other, and asked about that as well."""
    rosters = parts_of(group.host, group.host)
    serial = document_of(group.host, group.host).serial
    mine, others = rosters if group.host.host in rosters[0] else rosters[::-1]
    _, senior, junior, third, _ = by_age(group, mine)
    states(senior, junior, "candidate")
    # These two meet only where the parts are merged.
    elder, younger = by_age(group, [third.host, others[0]])
    states(elder, younger, "candidate")
    result = await group.ask()
    out = [junior.host, younger.host]
    assert result["waiting"] == sorted(out)
    assert result["lost"] == {}
    expected = [sorted({*mine, *others} - {*out})]
    assert told(result, "survivors") == parts_of(junior, group.host) == expected
    for one in inside(group):
        assert_learnt(group, one, result["run"], expected)
        assert not one.refusals
    found = status.status(junior.config, junior.engine, group.clock())
    [left_out] = [said for said in found["sentences"] if "left out" in said]
    assert f"{senior.host}, in the group for longer, does not approve this instance" in left_out
    waits = standing(group, junior)["waits"]
    assert waits is not None
    assert waits["rejected_by"] == [senior.host]
    assert standing(group, senior)["waits"] is None
    # The same again takes no more editions than the first window did.
    group.next_window()
    assert (await group.ask())["waiting"] == sorted(out)
    assert document_of(group.host, group.host).serial == serial + len(out)
    group.next_window()
    states(senior, junior, "approved")
    states(elder, younger, "approved")
    result = await group.ask()
    assert (result["waiting"], told(result, "survivors")) == ([], rosters)
    assert standing(group, junior)["waits"] is None


async def test_a_member_that_rejects_everybody_is_left_out_alone(group: Islands) -> None:
    rosters = parts_of(group.host, group.host)
    mine = rosters[0] if group.host.host in rosters[0] else rosters[1]
    _, oldest = by_age(group, mine)[:2]
    rest = [group[host] for host in mine if group[host] not in (oldest, group.host)]
    for other in rest:
        states(oldest, other, "paused")
    result = await group.ask()
    assert result["waiting"] == [oldest.host]
    assert result["survivors"] == sorted(one.host for one in inside(group) if one is not oldest)
    said = " ".join(status.status(oldest.config, oldest.engine, group.clock())["sentences"])
    assert "more than a third of the members that it would be summed with are not approved here" in said
    for other in rest:
        states(oldest, other, "approved")
    group.next_window()
    assert told(await group.ask(), "survivors") == rosters


async def test_who_comes_later_is_in_the_part_that_its_name_gives_and_nobody_moves(group: Islands) -> None:
    before = parts_of(group.host, group.host)
    late = group.people[MEMBERS]
    await late.joins(group.host)
    late.approves(group.people)
    for one in group.people[:MEMBERS]:
        one.approves([late])
    result = await group.ask()
    after = parts_of(group.host, group.host)
    assert sorted(map(len, after)) == [5, 6]
    assert sorted([host for host in roster if host != late.host] for roster in after) == sorted(before)
    assert told(result, "survivors") == after
    for one in group.people:
        assert document_of(one, group.host).late == (late.identity.public,)
        assert_learnt(group, one, result["run"], after)


async def test_who_left_is_in_no_sum_and_gives_to_its_peers_again(group: Islands) -> None:
    before = parts_of(group.host, group.host)
    large = max(before, key=len)
    gone = next(group[host] for host in large if host not in (group.host.host, group.people[MEMBERS].host))
    await gone.leaves()
    assert repository.current(gone.engine) is None
    result = await group.ask()
    after = [[host for host in roster if host != gone.host] for roster in before]
    assert sorted(told(result, "survivors")) == sorted(after)
    assert document_of(group.host, group.host).gone == (gone.host,)
    assert not gone.stored(result["run"])
    assert gone.host not in result["delivered"]
    for one in inside(group):
        assert_learnt(group, one, result["run"], after)
    # All its peers are in the group still: they give to the group alone, and their admins see it.
    with pytest.raises(JobError, match="abandoned"):
        await _PeerRun(gone.context()).run()
    for one in inside(group):
        assert "sharing-off" in one.refusals
        refused = ledger.newest(one.engine, limit=1, kind=Kind.REFUSED)[0]
        assert f"Refused a sum that {gone.host} proposed" in sentence(refused)
        assert "group" in sentence(refused)


async def test_a_revert_drops_the_parts_with_the_host_at_once_and_for_good(group: Islands) -> None:
    rosters = parts_of(group.host, group.host)
    one = next(group[host] for host in rosters[0] if host != group.host.host)
    bad = next(group[host] for host in rosters[1] if host != group.host.host)
    # Something is waiting to be learnt in the moment of the decision.
    result = await group.host_run()
    assert not_learnt(one.config)
    older = {part.round_id for part in sums.records(one.engine)}
    report = job.run(one.context(host=bad.host))
    assert report["basis"] == "sub-cohorts"
    left = sums.records(one.engine)
    assert {part.round_id for part in left} < older
    assert all(bad.host not in part.survivors for part in left)
    assert proof.prove(one.engine, one.config, bad.host).holds
    # The store holds the sums of all sub-cohorts; what is still to be learnt is fetched from the host again.
    assert not not_learnt(one.config)
    await one.catches_up()
    [part] = one.stored(result["run"])
    assert part.survivors == tuple(host for host in rosters[0] if host != one.host)
    assert_plain(group, one, part)
    entry = ledger.newest(one.engine, limit=1, kind=Kind.GROUP)[0]
    assert bad.host in entry.details["left_out"][0]
    assert "left out" in sentence(entry)
    group.next_window()
    result = await group.ask()
    assert bad.host in result["survivors"]
    assert learnt_from(one, result["run"]) == [[host for host in rosters[0] if host != one.host]]
    assert all(bad.host not in part.survivors for part in sums.records(one.engine))
    assert proof.prove(one.engine, one.config, bad.host).holds
    for other in inside(group):
        if other is not one:
            assert_learnt(group, other, result["run"], rosters)


async def test_who_is_ejected_is_in_no_sum_from_the_next_on_and_gets_nothing(group: Islands) -> None:
    before = parts_of(group.host, group.host)
    out = next(group[host] for host in before[1] if host != group.host.host)
    host = group.host
    commands.eject(host.config, host.engine, out.host, now=group.clock())
    result = await group.host_run()
    run = bytes.fromhex(result["run"])
    # Four are too few for a part of their own.
    [roster] = told(result, "survivors")
    assert roster == sorted({one for part in before for one in part} - {out.host})
    assert out.host not in result["delivered"]
    assert not not_learnt(out.config)
    assert ("published", out.host) not in {step[:2] for step in group.ferry.sent[-2 * MEMBERS :]}
    for one in inside(group):
        if one is not out:
            assert out.host in document_of(one, host).gone
    client = PeerClient(group.ferry.http)
    asks = fetch_request(out.identity, run, host.host, MESSAGE)
    with pytest.raises(PeerRefused) as refused:
        await client.send(host.host, host.url, asks, max_answer=300_000, timeout=30)
    assert refused.value.code == "unknown-peer"
    await out.polls()
    assert (out.group.state, out.group.next_at) == ("ejected", 0.0)
    assert out.group.offered != result["run"]
    assert "ejected it" in status.status(out.config, out.engine, group.clock())["sentences"][0]


async def test_whom_the_hosts_admin_does_not_approve_any_more_gets_nothing_either(group: Islands) -> None:
    host = group.host
    shunned = next(one for one in inside(group) if one is not host)
    states(host, shunned, "paused")
    run = bytes.fromhex(host.group.offered)
    asks = fetch_request(shunned.identity, run, host.host, MESSAGE)
    client = PeerClient(group.ferry.http)
    with pytest.raises(PeerRefused) as refused:
        await client.send(host.host, host.url, asks, max_answer=300_000, timeout=30)
    assert refused.value.code == "unknown-peer"
    states(host, shunned, "approved")
    assert await client.send(host.host, host.url, asks, max_answer=300_000, timeout=30)


async def test_when_the_group_is_closed_its_instances_add_up_with_their_peers_again(group: Islands) -> None:
    host = group.host
    with pytest.raises(PolicyRefusedError, match="learns through the group"):
        JOBS["round"](host.context())
    others = [one for one in inside(group) if one is not host]
    for one in others:
        await one.leaves()
    commands.close(host.config, host.engine, now=group.clock())
    result = await _PeerRun(host.context()).run()
    assert len(result["survivors"]) >= len(others) - 2
    for part in host.stored(result["run"]):
        assert_plain(group, host, part)


async def test_a_second_group_of_the_same_host_draws_its_own_parts(group: Islands) -> None:
    members = group.people[:6]
    await group.form(members, name="second-group")
    result = await group.ask()
    assert document_of(group.host, group.host).listed.group == "second-group"
    assert told(result, "survivors") == [sorted(one.host for one in members)]
    for one in members:
        assert_learnt(group, one, result["run"], told(result, "survivors"))


async def test_a_host_whose_key_was_replaced_says_what_to_do(group: Islands) -> None:
    """Were the parts drawn anew for a new key, a host could have them drawn anew whenever it liked."""
    host, interrupted = group.host, asyncio.Event()

    def point(kind: str, _host: str, stage: Stage) -> None:
        if (kind, stage) == ("round", Stage.KEYS):
            interrupted.set()
            running.cancel()

    group.ferry.after = point
    running = asyncio.create_task(group.host_run())
    await asyncio.wait({running})
    group.ferry.after = lambda *_: None
    assert interrupted.is_set()
    assert round_config.hosted_journal(host.config).ids()
    await host.stop()
    rotate_key.rotate(host.config, host.engine, group.clock())
    await host.restart()
    others = group.people[1:6]
    for one in others:
        peers.change(one.engine, one.config, host.host, lambda peer: replace(peer, key=host.evidence.key))
    with pytest.raises(PolicyRefusedError, match="this instance's present key") as told_so:
        await group.host_run()
    assert "shoal group close" in told_so.value.advice
    group.next_window()
    for one in others:
        await one.leaves()
    commands.close(host.config, host.engine, now=group.clock())
    await group.form(group.people[:6], name="third-group")
    result = await group.ask()
    for one in group.people[:6]:
        assert_learnt(group, one, result["run"], told(result, "survivors"))
