"""The rows of the group: what is written comes back, a change is whole or not made, rows do not pile up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from daemon.config import load
from daemon.errors import StoreError
from daemon.group import repository
from daemon.group.membership.host_client import node_key_file, open_node_key
from daemon.group.repository import EVENTS, GroupMember, Membership, note_in_ledger
from daemon.ledger import chain as ledger
from daemon.ledger.messages import in_english as sentence
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from federation.identity import Identity
from tests.daemon.running_daemon import instance

ME = Identity("one.example", bytes(32))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("book") / "shoal.db"
    migrate(path)
    engine = open_checked(path)
    yield engine
    engine.dispose()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    group=st.builds(
        Membership,
        group=st.text("abc", min_size=1),
        host=st.just("h.example"),
        url=st.text(),
        role=st.sampled_from(["host", "member"]),
        state=st.sampled_from(["asked", "member", "refused", "ejected", "left"]),
        next_at=st.floats(0, 1e12),
        polled=st.none() | st.floats(0, 1e12),
        epoch=st.binary(),
        published=st.text("0123456789abcdef"),
    ),
    member=st.builds(
        GroupMember,
        host=st.just("m.example"),
        key=st.text(),
        node_key=st.binary(),
        node_id=st.none() | st.integers(0, 2**64 - 1),
        state=st.sampled_from(["invited", "asked", "member", "refused", "ejected", "left"]),
    ),
)
def test_what_is_written_comes_back(engine: Engine, group: Membership, member: GroupMember) -> None:
    assert repository.change(engine, lambda _known: group) == group == repository.current(engine)
    assert repository.change_member(engine, "m.example", lambda _known: member) == member
    assert repository.members(engine) == (member,)
    # Without a group there is nothing to know of its members.
    repository.change(engine, lambda _known: None)
    assert (repository.current(engine), repository.members(engine)) == (None, ())


def test_a_change_that_fails_changes_nothing(engine: Engine) -> None:
    group = Membership("g", "h.example", "", "host", "member")
    repository.change(engine, lambda _known: group)

    def edit(_known: object) -> None:
        raise StoreError("no")

    with pytest.raises(StoreError):
        repository.change(engine, edit)
    with pytest.raises(StoreError):
        repository.change_member(engine, "m.example", edit)
    assert repository.current(engine) == group


def test_who_is_registered_is_not_forgotten(engine: Engine) -> None:
    repository.change(engine, lambda _known: Membership("g", "h.example", "", "host", "member"))
    for host, state, number in (
        ("a.example", "asked", None),
        ("b.example", "left", 7),
        ("c.example", "left", None),
        ("d.example", "ejected", None),
    ):
        one = GroupMember(host, "k", node_id=number, state=state, since=5.0)  # type: ignore[arg-type]
        repository.change_member(engine, host, lambda _one, one=one: one)  # type: ignore[misc]
    with writes(engine) as connection:
        repository.forget_requests(connection, 5.0)
        assert len(repository.members_in(connection)) == 4
        repository.forget_requests(connection, 6.0)
    assert [one.host for one in repository.members(engine)] == ["b.example", "d.example"]


def test_a_member_keeps_no_more_than_its_host_lists(engine: Engine) -> None:
    repository.change(engine, lambda _known: Membership("g", "h.example", "", "member", "member"))
    first = [GroupMember(host, host, "https://x") for host in ("a.example", "b.example")]
    with writes(engine) as connection:
        repository.replace_members(connection, first, 1.0)
        repository.replace_members(
            connection, [replace(first[0], url="https://y"), GroupMember("c", "c")], 2.0
        )
    assert [(one.host, one.since, one.state) for one in repository.members(engine)] == [
        ("a.example", 1.0, "member"),
        ("c", 2.0, "member"),
    ]


def test_every_event_has_a_sentence(engine: Engine) -> None:
    with writes(engine) as connection:
        for number, event in enumerate(EVENTS):
            note_in_ledger(connection, ME, event, "h.example", "g", float(number))
        note_in_ledger(
            connection, ME, "epoch", "h.example", "g", 20.0, sub_cohorts=2, members=[["a", "b"], ["c", "d"]]
        )
        note_in_ledger(connection, ME, "published", "h.example", "g", 21.0, survivors=[["a", "b"]])
        note_in_ledger(connection, ME, "approved", "a.example", "g", 22.0, invited=True)
        note_in_ledger(connection, ME, "ejected", "a.example", "g", 23.0, reason="by its host")
    said = [sentence(entry) for entry in ledger.entries(engine) if entry.kind == "group"]
    assert len(set(said)) == len(EVENTS) + 4
    assert all(one.endswith(".") and "None" not in one for one in said)
    assert "The group g of h.example has a new member list: 4 members, divided into 2 sub-cohorts." in said
    assert "h.example published a sum of the group g, learnt from a and b." in said
    assert "a.example was removed from the group g. Reason: by its host." in said
    assert ledger.verify(engine, ME.public).ok


def test_the_node_key_is_made_once_and_its_owners(tmp_path: Path) -> None:
    config = load(instance(tmp_path))
    pem = open_node_key(config)
    assert open_node_key(config) == pem
    file = node_key_file(config)
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o640)
    with pytest.raises(StoreError, match="other users"):
        open_node_key(config)
    file.chmod(0o600)
    file.write_bytes(pem[:60])
    with pytest.raises(StoreError, match="damaged"):
        open_node_key(config)
