"""Peers on loopback: both must approve, strangers cost little, silence is waited out, words count once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from daemon.errors import PolicyRefusedError, RequestError
from daemon.ledger import chain as ledger
from daemon.log import TextFormatter
from daemon.peers import commands, contact_job, repository
from daemon.peers.cards import PeerAnswerError
from daemon.peers.commands import UnknownPeerError
from daemon.revert.artifacts import artifacts_of
from daemon.store import traffic
from daemon.store.engine import reads
from daemon.store.tables import PeerRow
from federation import hello as hellos
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code
from federation.http.client import Retry
from federation.identity import Identity, format_key
from federation.key_words import words
from tests.daemon.peer_instances import Neighbour, neighbours

GUARDS = "[guards]\nstrangers_per_minute = 40\nmax_requests_pending = 5\n"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 2, extra=GUARDS) as found:
        yield found


def stranger(number: int = 1, host: str = "") -> Identity:
    return Identity(host or f"stranger-{number}.example", number.to_bytes(32, "big"))


async def refusal_of(neighbour: Neighbour, raw: bytes) -> str:
    with pytest.raises(PeerRefused) as caught:
        await neighbour.post(raw)
    return caught.value.code


def kinds(neighbour: Neighbour) -> list[tuple[str, str]]:
    found = ledger.entries(neighbour.engine)
    return [(entry.kind, entry.subject) for entry in found if entry.kind.startswith("peer-")]


# -- approval -----------------------------------------------------------------------------------------------


async def test_two_instances_approve_each_other(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    assert (a.peer(b).state, a.peer(b).theirs) == ("approved", "declined")
    assert (b.peer(a).state, b.peer(a).theirs) == ("candidate", "asked")
    assert "asks to be approved" in b.shown(a)["sentence"]
    assert not repository.read(b.engine, b.config).approved()
    await b.approve(a)
    assert (b.peer(a).state, b.peer(a).theirs) == ("approved", "approved")
    # Its word reached us at once: nobody has to ask again.
    assert (a.peer(b).state, a.peer(b).theirs) == ("approved", "approved")
    assert a.shown(b)["sentence"] == "You approve each other."
    assert a.peer(b).bound
    assert a.peer(b).users == 120
    assert a.peer(b).identity == b.identity.public
    assert a.shown(b)["words"] == list(words(b.identity.public.key))
    assert kinds(a) == [("peer-added", b.host), ("peer-approved", b.host)]
    assert kinds(b) == [("peer-asked", a.host), ("peer-approved", a.host)]
    assert ledger.verify(a.engine, a.identity.public).ok
    # Of a's own hello b counted nothing: a was a stranger then.
    (of_a,), (of_b,) = traffic.months(a.engine), traffic.months(b.engine)
    assert (of_a.peer, of_b.peer) == (b.host, a.host)
    assert of_a.sent > of_b.received > 0
    assert of_a.received > of_b.sent > 0


async def test_taking_it_back_is_told_and_what_it_changes(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    commands.pause(a.engine, a.config, b.host, now=a.clock())
    await a.job(host=b.host)
    assert b.peer(a).theirs == "declined"
    assert not repository.read(a.engine, a.config).approved()
    await a.approve(b)
    assert b.peer(a).theirs == "approved"
    commands.remove(a.engine, a.config, b.host, now=a.clock())
    await a.job(host=b.host)
    assert b.peer(a).theirs == "declined"
    # Now b is a stranger like others, who may ask again, and is told no more than they are.
    answer = await a.hears(b.identity, yours=a.identity.public.key)
    assert (answer.approves, answer.version, answer.yours) == (False, "", b"")
    assert a.peer(b).state == "removed"
    assert "Removed" in a.shown(b)["sentence"]
    with pytest.raises(RequestError, match="not approved"):
        commands.pause(a.engine, a.config, b.host, now=a.clock())
    with pytest.raises(UnknownPeerError):
        commands.remove(a.engine, a.config, "nobody.example", now=a.clock())


async def test_only_the_key_that_was_compared_is_pinned(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.job(add=b.host)
    other = format_key(stranger().public.key)
    with pytest.raises(PolicyRefusedError, match="not the key"):
        commands.approve(
            a.engine, a.config, b.host, key=other, max_users=None, now=a.clock(), holds=artifacts_of
        )
    assert a.peer(b).state == "candidate"
    commands.approve(
        a.engine, a.config, b.host, key=a.peer(b).key, max_users=40, now=a.clock(), holds=artifacts_of
    )
    assert a.peer(b).cap(a.config) == 40
    commands.approve(a.engine, a.config, b.host, key=None, max_users=None, now=a.clock(), holds=artifacts_of)
    assert a.peer(b).max_users == 40


async def test_a_key_is_read_from_its_own_domain_before_it_can_be_approved(pair: list[Neighbour]) -> None:
    """Whoever says hello first in another's name gets nothing by it."""
    a, b = pair
    poser = Identity(b.host, b"p" * 32)
    await a.hears(poser)
    assert a.peer(b).theirs == "asked"
    assert a.shown(b)["words"] == []
    with pytest.raises(RequestError, match="card"):
        commands.approve(
            a.engine, a.config, b.host, key=None, max_users=None, now=a.clock(), holds=artifacts_of
        )
    await a.job(add=b.host)
    assert a.peer(b).key == format_key(b.identity.public.key)
    assert a.peer(b).theirs == "unknown"
    # Its domain spoke: in its name, only its key is heard from now on.
    raw = hellos.say(poser, a.host, a.clock(), approves=True)
    assert await refusal_of(a, raw) == Code.KEY_MISMATCH
    await a.hears(b.identity)
    assert a.peer(b).theirs == "asked"


async def test_itself_and_what_is_not_there_cannot_be_added(pair: list[Neighbour]) -> None:
    a, b = pair
    with pytest.raises(RequestError, match="itself"):
        await a.job(add=a.host)
    await b.stop()
    with pytest.raises(PeerAnswerError, match="cannot be reached") as caught:
        await a.job(add=b.host)
    assert "127.0.0.1" not in str(caught.value)
    assert a.listing()["peers"] == []


# -- hello --------------------------------------------------------------------------------------------------


async def test_a_hello_counts_once(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    now = a.clock() + 1
    yes = hellos.say(b.identity, a.host, now, approves=True)
    no = hellos.say(b.identity, a.host, now + 1, approves=False)
    await a.post(yes)
    assert a.peer(b).theirs == "approved"
    await a.post(no)
    assert a.peer(b).theirs == "declined"
    assert await refusal_of(a, yes) == Code.REPLAYED
    assert await refusal_of(a, no) == Code.REPLAYED
    assert a.peer(b).theirs == "declined"


async def test_a_stranger_s_hello_counts_once_and_for_one_receiver(pair: list[Neighbour]) -> None:
    a, b = pair
    raw = hellos.say(stranger(), a.host, a.clock(), approves=True)
    await a.post(raw)
    assert await refusal_of(a, raw) == Code.REPLAYED
    assert await refusal_of(b, raw) == Code.NOT_FOR_ME
    late = hellos.say(stranger(2), a.host, a.clock() - 400, approves=True)
    assert await refusal_of(a, late) == Code.EXPIRED


async def test_a_stranger_learns_nothing_and_causes_no_request(pair: list[Neighbour]) -> None:
    a, b = pair
    b.front.asked.clear()
    answer = await a.hears(Identity(b.host, b"p" * 32))
    assert (answer.approves, answer.version, answer.yours, answer.rotations) == (False, "", b"", ())
    await asyncio.sleep(0.1)
    assert b.front.asked == []
    # To say no without ever having asked leaves no trace at all.
    await a.hears(stranger(3), approves=False)
    assert repository.find(a.engine, a.config, "stranger-3.example") is None


async def test_a_flood_of_strangers_is_bounded_and_no_peer_notices(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    a.follow("followed.example")
    codes: list[str] = []
    for number in range(1, 61):
        raw = hellos.say(stranger(number), a.host, a.clock(), approves=True)
        try:
            await a.post(raw)
            codes.append("")
        except (PeerRefused, PeerUnreachable):
            codes.append("busy")
    with reads(a.engine) as connection:
        rows = connection.execute(
            select(func.count()).select_from(PeerRow).where(PeerRow.source == "asked")
        ).scalar()
    assert rows == 5
    assert codes.count("") == 5
    asked = [entry for entry in ledger.entries(a.engine) if entry.kind == "peer-asked"]
    assert len(asked) == 5
    # Strangers are turned away by now, whoever they are; a peer is not.
    with pytest.raises(PeerUnreachable):
        await a.hears(stranger(77, "followed.example"))
    assert (await a.hears(b.identity, yours=a.identity.public.key)).approves


async def test_followed_hosts_are_remembered_however_many_others_asked(pair: list[Neighbour]) -> None:
    a, _ = pair
    a.follow("followed.example")
    for number in range(1, 6):
        await a.hears(stranger(number))
    with pytest.raises(PeerUnreachable):
        await a.hears(stranger(6))
    await a.hears(stranger(7, "followed.example"))
    assert a.peer("followed.example").theirs == "asked"
    # After a month without another word, a wish is forgotten.
    a.clock.ahead = 31 * 86400
    await a.job()
    assert a.listing()["peers"] == []


async def test_whoever_poses_as_a_peer_uses_up_nothing_of_what_it_may_ask(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    poser = Identity(b.host, b"p" * 32)
    for _ in range(60):
        with pytest.raises((PeerRefused, PeerUnreachable)):
            await a.hears(poser)
    assert a.peer(b).next_key == ""
    assert (await a.hears(b.identity)).approves


# -- silence ------------------------------------------------------------------------------------------------


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
    assert "Tried 13 times in vain" in a.shown(b)["sentence"]
    # One word of its own, and the waiting is over.
    await a.job()
    await a.hears(b.identity)
    assert (a.peer(b).failures, a.peer(b).retry_at) == (0, None)


async def test_any_message_of_a_peer_ends_the_waiting_with_one_write_a_minute(
    pair: list[Neighbour],
) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)

    def forgotten() -> None:
        repository.save(a.engine, replace(a.peer(b), failures=7, retry_at=a.clock() + 9000))

    forgotten()
    from federation.blob_access import fetch_request

    # A request that is refused for what it asks is a sign of life all the same; with a wrong signature not.
    poser = Identity(b.host, b"p" * 32)
    assert await refusal_of(a, fetch_request(poser, b"s" * 32, a.host, "x")) == Code.UNKNOWN_SUM
    assert a.peer(b).failures == 7
    assert await refusal_of(a, fetch_request(b.identity, b"s" * 32, a.host, "x")) == Code.UNKNOWN_SUM
    assert (a.peer(b).failures, a.peer(b).retry_at) == (0, None)
    forgotten()
    assert await refusal_of(a, fetch_request(b.identity, b"s" * 32, a.host, "x")) == Code.UNKNOWN_SUM
    assert a.peer(b).failures == 7
    a.clock.ahead += 61
    assert await refusal_of(a, fetch_request(b.identity, b"s" * 32, a.host, "x")) == Code.UNKNOWN_SUM
    assert a.peer(b).failures == 0


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


# -- what is read of a peer every day -----------------------------------------------------------------------


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
    assert a.peer(b).version == "0.1.0"


# -- privacy ------------------------------------------------------------------------------------------------


async def test_no_key_and_no_address_is_logged(
    pair: list[Neighbour], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    await a.hears(stranger())
    with pytest.raises(PeerRefused):
        await a.hears(Identity(b.host, b"p" * 32))
    await b.stop()
    a.clock.ahead = 90_000
    await a.job()
    secret = [n.identity.seed.hex() for n in pair] + [format_key(n.identity.public.key) for n in pair]
    formatter = TextFormatter()
    lines = [formatter.format(record) for record in caplog.records if "sqlalchemy" not in record.name]
    assert any("asks to be approved" in line for line in lines)
    for line in lines:
        assert not any(text in line for text in secret)
        assert "127.0.0.1" not in line
        assert "ed25519:" not in line
