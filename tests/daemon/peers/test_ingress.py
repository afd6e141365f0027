"""What a message of a peer or a stranger changes here: each counts once, and strangers cost little."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from daemon.ledger import chain as ledger
from daemon.log import TextFormatter
from daemon.peers import repository
from daemon.peers.ingress import ContactTrigger
from daemon.peers.repository import Peer
from daemon.sentences import english
from daemon.store.engine import reads
from daemon.store.tables import PeerRow
from federation import hello as hellos
from federation.blob_access import fetch_request
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code
from federation.identity import Identity, format_key
from federation.key_words import words
from policies.rates import CARDS_FOR_STRANGERS
from tests.daemon.peer_instances import Neighbour, neighbours
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


CARD = "/plugins/shoal/router/federation/v1/card"


async def test_a_stranger_learns_nothing(pair: list[Neighbour]) -> None:
    a, b = pair
    answer = await a.hears(Identity(b.host, b"p" * 32))
    assert (answer.approves, answer.version, answer.yours, answer.rotations) == (False, "", b"", ())
    # To say no without ever having asked leaves no trace at all.
    await a.hears(stranger(3), approves=False)
    assert repository.find(a.engine, a.config, "stranger-3.example") is None


async def test_the_card_of_who_asks_is_read_at_once(pair: list[Neighbour]) -> None:
    """When the admin looks, the words are there, and whether the domain vouches for the key."""
    a, b = pair
    await a.hears(b.identity)
    await a.settled()
    shown = a.shown(b)
    assert shown["words"] == list(words(b.identity.public.key))
    assert (shown["theirs"], shown["bound"], shown["users"]) == ("asked", True, 120)
    assert "Compare its words" in english(*shown["sentences"])
    # Once is enough, however often it asks.
    b.front.asked.clear()
    a.clock.ahead += 5
    await a.hears(b.identity)
    await a.settled()
    assert b.front.asked == []


async def test_a_request_in_another_s_name_has_its_card_read_once_and_is_not_shown(
    pair: list[Neighbour],
) -> None:
    a, b = pair
    b.front.asked.clear()
    for number in range(5):
        a.clock.ahead += number
        raw = hellos.say(Identity(b.host, b"p" * 32), a.host, a.clock(), approves=True)
        with contextlib.suppress(PeerRefused):
            await a.post(raw)
        await a.settled()
    await a.job()
    assert b.front.asked.count(CARD) == 1
    assert (a.peer(b).theirs, a.peer(b).key) == ("unknown", format_key(b.identity.public.key))
    assert a.listing()["peers"] == []


async def test_a_card_that_is_not_there_is_tried_ever_more_rarely(pair: list[Neighbour]) -> None:
    a, b = pair
    b.front.down = True
    await a.hears(b.identity)
    await a.settled()
    assert a.shown(b)["words"] == []
    assert "does not show its card" in english(*a.shown(b)["sentences"])
    b.front.asked.clear()
    hours = 48
    for _ in range(hours):
        a.clock.ahead += 3600
        await a.job()
    # After a minute, two, four: from the seventh failure on less than once in an hour, later once a day.
    assert 6 <= b.front.asked.count(CARD) <= 14
    b.front.down = False
    a.clock.ahead += 2 * 86400
    await a.job()
    assert len(a.shown(b)["words"]) == 8


async def test_made_up_names_cause_few_requests_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(ContactTrigger, "start", lambda _self, host: looked.append(host))
    guards = "[guards]\nstrangers_per_minute = 100\n"
    async with neighbours(tmp_path, 1, extra=guards) as (a,):
        for number in range(1, 60):
            await a.hears(stranger(number))
        assert len(looked) == len(set(looked)) == CARDS_FOR_STRANGERS


async def test_a_name_of_this_machine_is_not_asked_by_an_instance_elsewhere(pair: list[Neighbour]) -> None:
    a, b = pair
    await b.hears(a.identity)
    await b.settled()
    b.front.asked.clear()
    a.front.asked.clear()
    repository.save(b.engine, Peer(a.host, theirs="asked", source="asked"))
    elsewhere = b.config.instance.model_copy(update={"host": "tube.example"})
    b.config = b.config.model_copy(update={"instance": elsewhere})
    await b.job(host=a.host)
    assert CARD not in a.front.asked


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
    assert await refusal_of(a, fetch_request(poser, b"s" * 32, a.host, "x")) == Code.UNKNOWN_ROUND
    assert a.peer(b).failures == 7
    assert await refusal_of(a, fetch_request(b.identity, b"s" * 32, a.host, "x")) == Code.UNKNOWN_ROUND
    assert (a.peer(b).failures, a.peer(b).retry_at) == (0, None)
    forgotten()
    assert await refusal_of(a, fetch_request(b.identity, b"s" * 32, a.host, "x")) == Code.UNKNOWN_ROUND
    assert a.peer(b).failures == 7
    a.clock.ahead += 61
    assert await refusal_of(a, fetch_request(b.identity, b"s" * 32, a.host, "x")) == Code.UNKNOWN_ROUND
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
