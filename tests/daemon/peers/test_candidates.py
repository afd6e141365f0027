"""Followed instances are asked for their cards, few at a time, and none is trusted for being followed."""

from __future__ import annotations

from pathlib import Path

from daemon.peers import cards
from federation.identity import format_key
from tests.daemon.peer_instances import neighbours


async def test_followed_instances_are_looked_at_once_an_hour_and_few_at_once(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 4) as (a, b, c, d):
        c.front.plugin = ""
        await d.stop()
        a.follow(b.host, c.host, d.host, a.host, "not a host", "UPPER.example")
        found = await a.job(candidates="1")
        assert found == {"followed": 3, "asked": 3, "with_shoal": 1, "silent": 1, "left": 0}
        (shown,) = a.listing()["peers"]
        assert (shown["host"], shown["state"], shown["source"]) == (b.host, "candidate", "follow")
        assert (shown["bound"], shown["followed"], shown["version"]) == (True, True, "0.1.0")
        assert len(shown["words"]) == 8
        assert a.listing()["followed"] == {"total": 6, "looked_at": 2, "with_shoal": 1}
        b.front.asked.clear()
        assert (await a.job(candidates="1"))["asked"] == 0
        assert b.front.asked == []
        a.clock.ahead = 4000
        b.front.changed = {"key": "broken"}
        assert (await a.job(candidates="1"))["asked"] == 3
        assert a.peer(d).failures == 2
        # Followed is not trusted: nothing was approved, and nobody was told of us.
        assert a.listing()["cohort"].approved == 0
        assert not any("message" in path for path in b.front.asked)


async def test_a_decision_stands_whatever_the_follow_list_shows(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 2) as (a, b):
        a.follow(b.host)
        await a.approve(b)
        a.clock.ahead = 4000
        b.front.key = format_key(bytes(32))
        assert (await a.job(candidates="1"))["asked"] == 0
        assert a.peer(b).key == format_key(b.identity.public.key)


def test_a_followed_name_of_this_machine_is_not_asked_by_an_instance_elsewhere() -> None:
    assert not cards.may_be_asked("localhost:9000", "tube.example")
    assert not cards.may_be_asked("127.0.0.1", "tube.example")
    assert not cards.may_be_asked("tube.example", "tube.example")
    assert cards.may_be_asked("localhost:9001", "localhost:9000")
    assert cards.may_be_asked("other.example", "tube.example")
