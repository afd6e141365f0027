"""What a message of a peer or a stranger changes here: each counts once, and strangers cost little."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from daemon.ledger import chain as ledger
from daemon.log import TextFormatter
from daemon.peers import repository
from daemon.store.engine import reads
from daemon.store.tables import PeerRow
from federation import hello as hellos
from federation.blob_access import fetch_request
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code
from federation.identity import Identity, format_key
from tests.daemon.peer_instances import Neighbour
from tests.daemon.peers.strangers import refusal_of, stranger


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
    # A request is forgotten after a month without another.
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


async def test_any_message_of_a_peer_ends_the_waiting_with_one_write_a_minute(
    pair: list[Neighbour],
) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)

    def forgotten() -> None:
        repository.save(a.engine, replace(a.peer(b), failures=7, retry_at=a.clock() + 9000))

    forgotten()
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
