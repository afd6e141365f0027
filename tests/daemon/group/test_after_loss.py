"""A database older than the second copy of the ledger brings nobody back into a group, or out of one."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.group import repository
from daemon.group.after_loss import follow
from daemon.group.repository import GroupMember, Membership, note_in_ledger
from daemon.identity import open_identity
from daemon.ledger.chain import Kind
from daemon.maintenance import database_loss
from daemon.peers import cards
from daemon.store.engine import connect, open_checked, truncate_wal, writes
from daemon.store.ledger_rows import Row
from daemon.store.migrate import migrate
from federation.identity import Identity, format_key
from tests.daemon.running_daemon import instance

ME, HOST = "one.example", "host.example"
URL = f"https://host.example{cards.ROUTER}"
OTHERS = [Identity(f"m{n}.example", bytes([n + 1]) * 32) for n in range(4)]
HOSTED = Membership("coop", ME, "https://one.example", "host", "member", since=1.0)
MEMBER = Membership("coop", HOST, URL, "member", "member", epoch=b"e", run="ab", since=1.0)


def member(one: Identity, _before: GroupMember | None) -> GroupMember:
    return GroupMember(one.host, format_key(one.public.key), node_id=7, state="member", since=1.0)


def entry(seq: int, event: str, subject: str, group: str = "coop", **details: Any) -> Row:
    told = {"event": event, "group": group, **details}
    return Row(seq, float(seq), Kind.GROUP.value, subject, told, b"", b"", b"")


def test_the_last_decision_against_a_member_holds_and_nobody_is_admitted() -> None:
    ejected, admitted, refused, left = (one.host for one in OTHERS)
    found = follow(
        HOSTED,
        # In the order of their numbers, however they are given.
        [
            entry(9, "approved", admitted),
            entry(2, "ejected", ejected),
            entry(3, "ejected", admitted),
            entry(4, "refused", refused),
            entry(5, "left", left),
            entry(6, "ejected", "m9.example", group="another"),
        ],
        ME,
    )
    assert found.group == HOSTED
    assert found.against == {
        ejected: ("ejected", 2.0),
        refused: ("refused", 4.0),
        left: ("left", 5.0),
    }


@pytest.mark.parametrize("last", ["closed", "hosted"])
def test_a_group_that_was_closed_or_begun_anew_is_gone(last: str) -> None:
    found = follow(HOSTED, [entry(2, "ejected", OTHERS[0].host), entry(3, last, ME)], ME)
    assert (found.group, found.against) == (None, {})


def test_what_this_instance_joined_and_left_is_known() -> None:
    joined = entry(2, "joined", HOST)
    new = follow(None, [joined], ME).group
    assert new == Membership("coop", HOST, "", "member", "member", since=2.0)
    # What is known of the group stays: an old division must not come again.
    asked = Membership("coop", HOST, URL, "member", "asked", epoch=b"e")
    again = follow(asked, [joined], ME).group
    assert again is not None
    assert (again.state, again.epoch) == ("member", b"e")
    left = follow(MEMBER, [entry(3, "left", HOST, own=True)], ME).group
    assert left is not None
    assert (left.state, left.epoch) == ("left", b"e")
    ejected = follow(None, [joined, entry(3, "ejected", ME)], ME).group
    assert ejected is not None
    assert ejected.state == "ejected"
    moved = follow(MEMBER, [entry(3, "joined", "other.example", group="other")], ME).group
    assert moved is not None
    assert (moved.group, moved.host, moved.epoch) == ("other", "other.example", b"")


def test_others_cannot_put_this_instance_out_of_its_group() -> None:
    entries = [entry(2, "left", HOST), entry(3, "ejected", OTHERS[0].host), entry(4, "closed", HOST)]
    assert follow(MEMBER, entries, ME).group == MEMBER


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = load(instance(tmp_path / "one", host=ME, extra='mode = "contribute"'))
    open_identity(config.identity_file, ME)
    migrate(config.database)
    return config


def put_back_older(config: Config, older: bytes) -> Engine:
    """Put an older database in place, as an admin does by hand, and start with it."""
    for path in config.data_dir.glob("shoal.db*"):
        path.unlink()
    config.database.write_bytes(older)
    with closing(sqlite3.connect(config.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    engine = connect(config.database)
    database_loss.take_over(config, engine, time.time())
    return engine


def copy_of(config: Config, engine: Engine) -> bytes:
    assert truncate_wal(engine)
    return config.database.read_bytes()


def test_a_host_with_an_older_database_keeps_out_whom_it_ejected_since(config: Config) -> None:
    identity, engine = open_identity(config.identity_file, ME), open_checked(config.database)
    with writes(engine) as connection:
        repository.change_in(connection, lambda _one: HOSTED)
        for one in OTHERS[:2]:
            repository.change_member_in(connection, one.host, partial(member, one))
        note_in_ledger(connection, identity, "hosted", ME, "coop", 1.0)
    older = copy_of(config, engine)
    with writes(engine) as connection:
        note_in_ledger(connection, identity, "ejected", OTHERS[0].host, "coop", 2.0)
        note_in_ledger(connection, identity, "refused", OTHERS[3].host, "coop", 3.0)
    engine.dispose()
    engine = put_back_older(config, older)
    assert repository.current(engine) == HOSTED
    members = {one.host: (one.state, one.since) for one in repository.members(engine)}
    assert members == {
        OTHERS[0].host: ("ejected", 2.0),
        OTHERS[1].host: ("member", 1.0),
        OTHERS[3].host: ("refused", 3.0),
    }
    # Its node is taken out of Flower with the next look.
    assert repository.nodes_outdated(engine)


def test_a_member_with_an_older_or_no_database_is_in_its_group(config: Config) -> None:
    identity, engine = open_identity(config.identity_file, ME), open_checked(config.database)
    with writes(engine) as connection:
        note_in_ledger(connection, identity, "asked", ME, "before", 1.0)
    older = copy_of(config, engine)
    with writes(engine) as connection:
        repository.change_in(connection, lambda _one: MEMBER)
        note_in_ledger(connection, identity, "joined", HOST, "coop", 2.0)
    engine.dispose()
    joined = Membership("coop", HOST, URL, "member", "member", since=2.0)
    engine = put_back_older(config, older)
    assert repository.current(engine) == joined
    # And it stays so.
    database_loss.take_over(config, engine, time.time())
    assert repository.current(engine) == joined
    engine.dispose()
    config.database.unlink()
    database_loss.look(config, time.time(), thorough=True)
    migrate(config.database)
    engine = open_checked(config.database)
    database_loss.take_over(config, engine, time.time())
    assert repository.current(engine) == joined
