"""The job that contacts peers: it waits longer for a silent one each time, and reads cards once a day."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path

import pytest

from daemon.peers import contact_job
from daemon.sentences import english
from federation.http.client import Retry
from tests.daemon.peer_instances import Neighbour, neighbours


async def test_a_silent_peer_is_left_alone_for_longer_each_time_until_it_speaks(
    pair: list[Neighbour], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    await b.stop()
    monkeypatch.setattr(contact_job, "_ONCE_MORE", Retry(attempts=1))
    waited = []
    for failures in range(1, 14):
        found = await a.job()
        assert found["unreachable"] == [b.host]
        known = a.peer(b)
        assert known.failures == failures
        assert known.retry_at is not None
        waited.append(known.retry_at - a.clock())
        # Before its time it is not tried, also not by another process.
        assert (await a.job())["greeted"] == 0
        a.clock.ahead += waited[-1] + 1
    assert waited[0] == pytest.approx(60, rel=0.25)
    assert waited[3] == pytest.approx(480, rel=0.25)
    assert waited[-1] <= 86400
    assert max(waited) > 0.75 * 86400
    assert "The last 13 attempts to reach it failed" in english(*a.shown(b)["sentences"])
    # Any hello of its own ends the waiting.
    await a.job()
    await a.hears(b.identity)
    assert (a.peer(b).failures, a.peer(b).retry_at) == (0, None)


async def test_a_proxy_without_its_daemon_is_silence(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    b.front.down = True
    assert (await a.job())["unreachable"] == [b.host]
    assert a.peer(b).failures == 1


async def test_nothing_is_sent_while_the_mode_does_not_speak(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 2) as (a, b):
        await a.approve(b)
        b.front.asked.clear()
        quiet = a.config.model_copy(update={"mode": "simulate"})
        a.config = quiet
        a.clock.ahead = 2 * 86400
        assert (await a.job())["greeted"] == 0
        assert (await a.job(host=b.host))["greeted"] == 0
        assert b.front.asked == []


async def test_users_and_version_are_read_again_once_a_day(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    b.front.users = 7
    await a.job()
    assert a.peer(b).users == 120
    a.clock.ahead = b.clock.ahead = 86400
    await a.job()
    assert (a.peer(b).users, a.peer(b).cap(a.config)) == (7, 7)
    b.front.users = "many"
    a.clock.ahead = b.clock.ahead = 2 * 86400
    await a.job()
    assert a.peer(b).users == 7
    assert a.peer(b).version == installed_version("shoal")
