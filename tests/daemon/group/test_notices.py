"""What of a group waits for the admin: when it appears, and when it goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.group import repository, status
from daemon.group.repository import GroupMember, Membership
from daemon.peers import repository as peers
from daemon.peers.repository import Peer
from daemon.sentences import english
from daemon.status.notices import KINDS, Notice, current
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from federation.identity import Identity, format_key
from tests.daemon.running_daemon import instance

NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> tuple[Engine, Config]:
    config = load(instance(tmp_path, extra='mode = "consume"'))
    migrate(config.database)
    return open_checked(config.database), config


def notices(store: tuple[Engine, Config], now: float = NOW) -> list[Notice]:
    found = current(*store, now)
    assert {notice.kind for notice in found} <= set(KINDS)
    return found


def key(number: int) -> str:
    return format_key(Identity("x", number.to_bytes(32, "big")).public.key)


def put(engine: Engine, **what: Any) -> None:
    base = Membership("g", "host.example", "https://host.example", "member", "member", since=NOW)
    repository.change(engine, lambda known: replace(known or base, **what))


def listed(engine: Engine, host: str, number: int, state: Any = "member") -> None:
    repository.change_member(
        engine, host, lambda _one: GroupMember(host, key(number), state=state, since=NOW)
    )


def test_who_asks_to_join_and_who_was_let_in(store: tuple[Engine, Config]) -> None:
    engine, _ = store
    put(engine, role="host", host="one.example")
    listed(engine, "one.example", 1)
    assert notices(store) == []
    listed(engine, "asks.example", 2, "asked")
    [notice] = notices(store)
    assert (notice.id, notice.kind, notice.at) == ("group-request:asks.example", "group-request", NOW)
    assert "shoal group admit asks.example" in english(notice.command)
    listed(engine, "asks.example", 2, "refused")
    assert notices(store) == []


@pytest.mark.parametrize(
    ("state", "said"), [("refused", "did not admit"), ("ejected", "ejected this instance")]
)
def test_being_out(store: tuple[Engine, Config], state: str, said: str) -> None:
    put(store[0], state=state, polled=NOW - 5)
    [notice] = notices(store)
    assert (notice.kind, notice.at, said in english(*notice.sentences)) == ("group-out", NOW - 5, True)
    put(store[0], state="left")
    assert notices(store) == []


def test_members_that_are_not_approved_here(store: tuple[Engine, Config]) -> None:
    engine, config = store
    put(engine)
    for number, host in enumerate(("host.example", "one.example", "a.example", "b.example"), 1):
        listed(engine, host, number)
    peers.save(engine, Peer("host.example", "https://h", key(1), state="approved"))
    [notice] = notices(store)
    assert (notice.kind, notice.subject) == ("group-member", "g")
    assert (
        english(*notice.sentences)
        == "a.example and b.example are members of the group g and not approved here yet."
    )
    # The same as long as nobody else comes; another key is nobody our admin approved.
    assert notices(store) == [notice]
    peers.save(engine, Peer("a.example", "https://a", key(3), state="approved"))
    peers.save(engine, Peer("b.example", "https://b", key(9), state="approved"))
    [other] = notices(store)
    assert english(*other.sentences) == "b.example is a member of the group g and not approved here yet."
    assert other.id != notice.id
    shown = {one["host"]: one["approved"] for one in status.members(config, engine)}
    assert shown["b.example"] == "other-key"
    # Whom the admin decided against is no news.
    peers.save(engine, Peer("b.example", "https://b", key(4), state="removed"))
    assert notices(store) == []
    for number in range(20, 29):
        listed(engine, f"m{number}.example", number)
    [many] = notices(store)
    assert "m20.example, m21.example, m22.example, m23.example, m24.example and 4 more are" in english(
        *many.sentences
    )


def test_a_host_that_is_silent_for_long(store: tuple[Engine, Config]) -> None:
    engine, config = store
    put(engine, state="asked")
    later = NOW + 1.5 * DAY
    # Nobody asked it meanwhile.
    assert notices(store, later) == []
    put(engine, problem="host.example cannot be reached")
    assert [notice.kind for notice in notices(store, later)] == ["group-host"]
    assert notices(store, NOW + 0.9 * DAY) == []
    put(engine, polled=later - 60)
    assert notices(store, later) == []
    quiet = config.model_copy(update={"mode": "off"})
    assert notices((engine, quiet), later + 3 * DAY) == []
