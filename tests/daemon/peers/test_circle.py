"""Circles: one decision each instead of one for every pair, on evidence that an introducer cannot make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from daemon.errors import PolicyRefusedError, RequestError
from daemon.ledger import chain as ledger
from daemon.peers import circle, commands, introductions, offers, repository
from daemon.peers.circle import Introduced
from daemon.peers.repository import Peer
from daemon.rounds import rotate_key
from daemon.sentences import english
from daemon.store.engine import writes
from daemon.store.tables import Video, VideoSince
from federation import introduction
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code
from federation.identity import Identity, PublicIdentity, format_key
from federation.introduction import LIFETIME
from policies.introductions import FOLLOWED_LONG
from policies.rates import INTRODUCTIONS
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.daemon.peers.strangers import refusal_of, stranger

DAY = 86400.0


async def befriend(*all_of_them: Neighbour) -> None:
    """Have the first one and each of the others approve each other, as two admins with a telephone."""
    hub, *others = all_of_them
    for other in others:
        await other.approve(hub)
        await hub.approve(other)


def offer(one: Neighbour, **more: Any) -> None:
    offers.introduce(one.engine, one.config, now=one.clock(), **more)


def seen(one: Neighbour, **more: Any) -> dict[str, Introduced]:
    return {found.host: found for found in circle.read(one.engine, one.config, one.clock(), **more).instances}


def accept(one: Neighbour, *hosts: str) -> None:
    """Approve these of the circle, or those that are ticked."""
    found = seen(one)
    wanted = {host: found[host].key for host in hosts or [h for h, i in found.items() if i.ticked]}
    circle.decide(one.engine, one.config, wanted, left=found.keys() - wanted.keys(), now=one.clock())


def later(instances: Sequence[Neighbour], seconds: float) -> None:
    for one in instances:
        one.clock.ahead += seconds


def counted(one: Neighbour) -> set[str]:
    return {peer.host for peer in repository.read(one.engine, one.config).vouched_for()}


def told(introducer: Identity, to: Neighbour, *listed: PublicIdentity, at: float = 0.0) -> bytes:
    return introduction.introduce(introducer, to.identity.public, listed, to.clock() + at)


# -- one decision each --------------------------------------------------------------------------------------


async def test_with_one_circle_six_instances_approve_one_another_by_six_decisions(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 6) as all_six:
        hub, *others = all_six
        await befriend(hub, *others)
        # They have known one another for long: their PeerTubes follow one another.
        for one in others:
            one.follow(*(other.host for other in others if other is not one), since=one.clock() - 31 * DAY)
        offer(hub)
        assert (await hub.job())["introduced"] == 5
        decisions = 0
        for one in others:
            await one.settled()
            found = seen(one)
            assert set(found) == {other.host for other in others if other is not one}
            assert all(i.ticked and i.bound and i.vouchers == (hub.host,) for i in found.values())
            accept(one)
            decisions += 1
            await one.job()
        assert decisions == 5
        for one in all_six:
            listing = one.listing()
            assert (listing["cohort"].approved, listing["cohort"].mutual) == (5, 5)
            assert counted(one) == {other.host for other in all_six if other is not one}
        kinds = [entry.kind for entry in ledger.entries(others[0].engine)]
        # Its hub by itself, the four others with the circle.
        assert kinds.count("peer-approved") == 5
        assert [e.subject for e in ledger.entries(hub.engine) if e.kind == "peers-introduced"] == [
            one.host for one in sorted(others, key=lambda one: one.host)
        ]


async def test_what_is_known_by_an_introduction_alone_is_asked_and_not_counted(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 5) as (hub, one, two, three, four):
        await befriend(hub, one, two, three, four)
        offer(hub, to=one.host)
        await hub.job()
        await one.settled()
        found = seen(one)
        assert not any(i.ticked for i in found.values())
        assert all(i.open and "counts as a stranger" in english(i.sentence) for i in found.values())
        accept(one, two.host, three.host, four.host)
        known = repository.read(one.engine, one.config)
        assert [peer.host for peer in known.approved()] == sorted(n.host for n in (hub, two, three, four))
        assert counted(one) == {hub.host}
        shown = one.shown(two)
        assert (shown["on_word_alone"], shown["introduced_by"]) == (True, [hub.host])
        assert "It was only introduced, and counts as a stranger" in english(*shown["sentences"])
        cohort = one.listing()["cohort"]
        assert (cohort.approved, cohort.on_word_alone) == (4, 3)
        assert "3 peers were only introduced" in english(*cohort.sentences)
        # A pause and its end change nothing about it; comparing its words does.
        commands.pause(one.engine, one.config, two.host, now=one.clock())
        assert commands.resume(one.engine, one.config, two.host, now=one.clock()).on_word_alone
        await one.approve(two)
        assert one.peer(two).evidence == "admin"
        # Followed for long enough in the meantime.
        one.follow(three.host, since=one.clock() - FOLLOWED_LONG + DAY)
        assert (await one.job())["vouched_for"] == []
        later([hub, one, two, three, four], DAY + 60)
        assert (await one.job())["vouched_for"] == [three.host]
        assert counted(one) == {hub.host, two.host, three.host}
        (entry,) = [e for e in ledger.entries(one.engine) if e.kind == "peer-vouched-for"]
        assert (entry.subject, entry.details["evidence"]) == (three.host, "followed")
        # Whoever is removed is a stranger like others when it comes back.
        commands.remove(one.engine, one.config, three.host, now=one.clock())
        assert one.peer(three).introduced_by == ()


async def test_two_that_did_not_bring_each_other_vouch_for_a_third(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 4) as (a, b, me, new):
        await befriend(a, me, new, b)
        await befriend(b, me, new)
        offer(a, to=me.host, leave_out=[b.host])
        await a.job()
        await me.settled()
        assert not seen(me)[new.host].ticked
        accept(me, new.host)
        assert counted(me) == {a.host, b.host}
        offer(b, to=me.host, leave_out=[a.host])
        await b.job()
        assert seen(me)[new.host].vouchers == tuple(sorted([a.host, b.host]))
        assert (await me.job())["vouched_for"] == [new.host]
        assert counted(me) == {a.host, b.host, new.host}
        assert me.peer(new).evidence == "vouched"
        # One of them had brought the other: then it is one voice.
        repository.save(me.engine, replace(me.peer(new), evidence=""))
        repository.save(me.engine, replace(me.peer(b), introduced_by=(a.host,), evidence="followed"))
        assert (await me.job())["vouched_for"] == []


async def test_evidence_is_shown_with_dates_and_numbers(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 3) as (hub, one, two):
        await befriend(hub, one, two)
        now = one.clock()
        one.follow(two.host, since=now - 40 * DAY)
        row: dict[str, Any] = {
            "title": "",
            "channel": "",
            "category": "",
            "language": "",
            "published": None,
            "nsfw": False,
            "own": False,
        }
        row |= {"views": 0, "likes": 0, "account": "", "scope": 1}
        urls = [f"http://{two.host}/videos/watch/{number}" for number in range(3)]
        with writes(one.engine) as connection:
            rows = [{**row, "url": url, "uuid": url[-8:], "host": two.host} for url in urls]
            connection.execute(insert(Video), rows)
            since = [{"url": url, "since": now - n * DAY} for n, url in enumerate(urls, 1)]
            connection.execute(insert(VideoSince), since)
        offer(hub)
        await hub.job()
        await one.settled()
        found = seen(one, introducer=hub.host)[two.host]
        assert (found.videos, found.videos_since) == (3, now - 3 * DAY)
        assert (found.followed, found.followed_since) == (True, now - 40 * DAY)
        assert (found.bound, found.evidence, found.ticked) == (True, "followed", True)
        assert found.key == format_key(two.identity.public.key)
        assert len(found.words) == 8
        assert circle.read(one.engine, one.config, now, introducer="nobody.example").instances == ()


# -- what a liar can do -------------------------------------------------------------------------------------


async def test_invented_instances_never_reach_the_minimum_by_what_is_ticked(tmp_path: Path) -> None:
    """An approved peer introduces instances of its own; all show good cards, and introduce one another."""
    async with neighbours(tmp_path, 6) as (liar, me, *sybils):
        await befriend(liar, me)
        for sybil in sybils:
            await befriend(liar, sybil)
        offer(liar, to=me.host)
        await liar.job()
        await me.settled()
        accept(me)
        assert counted(me) == {liar.host}
        assert not [
            peer for peer in repository.read(me.engine, me.config).peers.values() if peer.on_word_alone
        ]
        # Even when the admin ticks all of them, they bring nobody further: neither themselves nor others.
        accept(me, *(sybil.host for sybil in sybils))
        await me.job()
        for sybil in sybils:
            others = [other.identity.public for other in sybils if other is not sybil]
            assert await refusal_of(me, told(sybil.identity, me, *others)) == Code.UNKNOWN_PEER
        assert (await me.job())["vouched_for"] == []
        assert counted(me) == {liar.host}


async def test_the_key_is_that_of_the_domain_and_a_list_that_says_another_is_shown(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 3) as (hub, one, two):
        await befriend(hub, one, two)
        one.follow(two.host, since=one.clock() - 40 * DAY)
        await one.post(told(hub.identity, one, PublicIdentity(two.host, b"k" * 32)))
        await one.settled()
        found = seen(one)[two.host]
        assert (found.open, found.ticked, found.contradicted_by) == (False, False, (hub.host,))
        assert found.key == format_key(two.identity.public.key)
        assert "another key" in english(found.sentence)
        for key in (found.key, format_key(b"k" * 32)):
            with pytest.raises(PolicyRefusedError, match="another key"):
                circle.decide(one.engine, one.config, {two.host: key}, now=one.clock())
        assert one.peer(two).state == "candidate"


async def test_one_false_word_among_good_ones_is_enough_to_stop_the_tick(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 4) as (hub, one, two, liar):
        await befriend(hub, one, two)
        await befriend(liar, one)
        one.follow(two.host, since=one.clock() - 40 * DAY)
        await one.post(told(hub.identity, one, two.identity.public))
        await one.settled()
        assert seen(one)[two.host].ticked
        await one.post(told(liar.identity, one, PublicIdentity(two.host, b"k" * 32)))
        found = seen(one)[two.host]
        assert (found.vouchers, found.contradicted_by) == ((hub.host,), (liar.host,))
        assert (found.open, found.ticked) == (False, False)


async def test_a_card_that_does_not_hold_or_vouch_is_not_ticked(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 3) as (hub, one, two):
        await befriend(hub, one, two)
        one.follow(two.host, since=one.clock() - 40 * DAY)
        two.front.changed = {"signature": "AAAA"}
        offer(hub, to=one.host)
        await hub.job()
        await one.settled()
        found = seen(one)[two.host]
        assert (found.open, found.ticked, found.key) == (False, False, "")
        assert "cannot be approved yet" in english(found.sentence)
        # Without an actor the domain does not vouch, however long it has been followed.
        two.front.changed, two.front.actor = {}, False
        await one.job(circle="1")
        found = seen(one)[two.host]
        assert (found.open, found.ticked, found.bound) == (True, False, False)
        assert "compare its words" in english(found.sentence)
        two.front.actor = True
        await one.job(circle="1")
        assert seen(one)[two.host].ticked


async def test_only_what_the_admin_saw_is_approved_and_all_or_nothing(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 4) as (hub, one, two, three):
        await befriend(hub, one, two, three)
        offer(hub, to=one.host)
        await hub.job()
        await one.settled()
        good = {two.host: format_key(two.identity.public.key)}
        for wrong in (
            {three.host: format_key(b"x" * 32)},
            {"nobody.example": format_key(b"x" * 32)},
            {hub.host: format_key(hub.identity.public.key)},
        ):
            with pytest.raises(PolicyRefusedError):
                circle.decide(one.engine, one.config, good | wrong, now=one.clock())
            assert one.peer(two).state == "candidate"
        assert len(circle.waiting(one.engine, one.config, one.clock()).instances) == 2
        circle.decide(one.engine, one.config, good, left=[three.host], now=one.clock())
        assert one.peer(two).state == "approved"
        # What was left does not ask again, and can still be approved.
        assert circle.waiting(one.engine, one.config, one.clock()).instances == ()
        assert seen(one)[three.host].open
        # What the admin decided against is not undone with a circle.
        commands.remove(one.engine, one.config, two.host, now=one.clock())
        assert not seen(one)[two.host].open
        with pytest.raises(PolicyRefusedError, match="decided against"):
            circle.decide(one.engine, one.config, good, now=one.clock())


# -- lists --------------------------------------------------------------------------------------------------


async def test_lists_are_taken_from_approved_peers_alone(pair: list[Neighbour]) -> None:
    a, b = pair
    other = stranger(7).public
    assert await refusal_of(a, told(b.identity, a, other)) == Code.UNKNOWN_PEER
    await a.approve(b)
    # Not yet approved by the other side: what it says is heard all the same.
    await a.post(told(b.identity, a, other))
    await a.settled()
    assert set(seen(a)) == {other.host}
    assert await refusal_of(a, told(Identity(b.host, b"p" * 32), a, other, at=1)) == Code.BAD_SIGNATURE
    commands.pause(a.engine, a.config, b.host, now=a.clock())
    assert await refusal_of(a, told(b.identity, a, other, at=1)) == Code.UNKNOWN_PEER
    # What it said before counts no more either.
    assert seen(a) == {}
    known = repository.find(a.engine, a.config, b.host)
    assert known is not None
    repository.save(a.engine, replace(known, state="approved", introduced_by=("x.example",)))
    assert seen(a) == {}


async def test_the_newest_list_counts_until_it_expires(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    first, second = told(b.identity, a, stranger(1).public), told(b.identity, a, stranger(2).public, at=2)
    await a.post(second)
    assert await refusal_of(a, second) == Code.REPLAYED
    assert await refusal_of(a, first) == Code.REPLAYED
    assert set(seen(a)) == {stranger(2).host}
    await a.settled()
    late = told(b.identity, a, stranger(3).public, at=-400)
    early = told(b.identity, a, stranger(3).public, at=400)
    assert await refusal_of(a, late) == Code.EXPIRED
    assert await refusal_of(a, early) == Code.EXPIRED
    a.clock.ahead += LIFETIME + 10
    assert seen(a) == {}
    # Nothing of it is kept, and nobody asks those hosts any more.
    await a.job()
    assert introductions.find(a.engine, b.host) is None
    assert repository.find(a.engine, a.config, stranger(2).host) is None


async def test_few_lists_a_day_and_only_hosts_in_them(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    no_host = PublicIdentity("[::1]:::", b"n" * 32)
    assert await refusal_of(a, told(b.identity, a, no_host)) == Code.MALFORMED
    for number in range(INTRODUCTIONS):
        await a.post(told(b.identity, a, at=number + 1))
    with pytest.raises((PeerRefused, PeerUnreachable)):
        await a.post(told(b.identity, a, at=INTRODUCTIONS + 1))


async def test_an_introduction_is_sent_until_it_is_taken_and_again_before_it_expires(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 4) as (hub, one, two, three):
        await befriend(hub, one, two, three)
        everybody = [hub, one, two, three]
        await one.stop()
        offer(hub, to=one.host)
        assert (await hub.job())["introduced"] == 0
        await one.start()
        later(everybody, 3600)
        assert (await hub.job())["introduced"] == 1
        await one.settled()
        accept(one, two.host, three.host)
        assert (await hub.job())["introduced"] == 0
        later(everybody, 11 * DAY)
        assert (await hub.job())["introduced"] == 1
        assert circle.waiting(one.engine, one.config, one.clock()).instances == ()
        # Who is approved no more is in no list, and who is approved later is in none either.
        commands.pause(hub.engine, hub.config, two.host, now=hub.clock())
        assert (await hub.job())["introduced"] == 1
        assert set(seen(one)) == {three.host}
        offers.take_back(hub.engine, hub.config, now=hub.clock())
        assert (await hub.job())["introduced"] == 1
        assert (seen(one), offers.read(hub.engine)) == ({}, {})
        assert {one.peer(n).state for n in (two, three)} == {"approved"}


async def test_nobody_is_introduced_who_was_only_introduced(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 3) as (hub, one, two):
        await befriend(hub, one, two)
        with pytest.raises(RequestError, match="not an approved peer"):
            offer(hub, to="nobody.example")
        with pytest.raises(RequestError, match="nobody is introduced"):
            offers.take_back(hub.engine, hub.config, now=hub.clock())
        repository.save(hub.engine, replace(hub.peer(two), introduced_by=("x.example",)))
        for to in ("", one.host):
            with pytest.raises(RequestError, match="nobody to introduce"):
                offer(hub, to=to)
        # It can be told of others itself.
        assert offers.introduce(hub.engine, hub.config, to=two.host, now=hub.clock()) == {
            two.host: [one.host]
        }
        for number in range(102):
            key = format_key(number.to_bytes(32, "big"))
            repository.save(hub.engine, Peer(f"p{number}.example", "https://p", key, "approved"))
        with pytest.raises(RequestError, match="too many"):
            offer(hub)


# -- keys ---------------------------------------------------------------------------------------------------


async def rotate(one: Neighbour) -> None:
    await one.stop()
    rotate_key.rotate(one.config, one.engine, one.clock())
    await one.start()


@pytest.mark.parametrize("who", ["the introducer", "the introduced"])
async def test_a_new_key_loses_nobody(tmp_path: Path, who: str) -> None:
    async with neighbours(tmp_path, 4) as (hub, one, two, three):
        everybody = [hub, one, two, three]
        await befriend(hub, one, two, three)
        offer(hub)
        await hub.job()
        for member in (one, two, three):
            await member.settled()
            accept(member, *seen(member))
            await member.job()
        assert one.peer(two).theirs == "approved"
        assert one.peer(two).on_word_alone
        changed = hub if who == "the introducer" else two
        before = introductions.find(one.engine, hub.host)
        await rotate(changed)
        for _ in range(3):
            later(everybody, 3700)
            for member in everybody:
                await member.job()
                await member.settled()
        key = format_key(changed.identity.public.key)
        for member in everybody:
            for other in everybody:
                if other is not member:
                    peer = member.peer(other)
                    assert (peer.state, peer.theirs, peer.next_key) == ("approved", "approved", "")
            if member is not changed:
                assert member.peer(changed).key == key
        # What was known of it is known still, and the lists say the new keys, signed by them.
        assert one.peer(two).introduced_by == (hub.host,)
        assert one.peer(two).on_word_alone
        assert seen(one)[two.host].vouchers == (hub.host,)
        after = introductions.find(one.engine, hub.host)
        assert before is not None
        assert after is not None
        assert after.said > before.said
        later(everybody, DAY)
        one.follow(two.host, since=one.clock() - 40 * DAY)
        assert (await one.job())["vouched_for"] == [two.host]
