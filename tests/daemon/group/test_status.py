"""What `shoal group status` says of being counted, held against the policies that decide it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.group import repository, status
from daemon.group.repository import GroupMember, Membership
from daemon.identity import open_identity
from daemon.peers import repository as peers
from daemon.peers.repository import Peer
from daemon.rounds import round_config
from daemon.sentences import english
from daemon.status.notices import current as notices
from daemon.store import waits
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.waits import WaitRecord
from federation.errors import Refusal
from federation.group.epoch_document import EpochDocument
from federation.group.epoch_opening import Commitment, Gather, Listed, MembershipList, Reveal
from federation.identity import Identity, PublicIdentity, format_key
from federation.proposal import Proposal, least_threshold
from policies.cohort import CohortPolicy
from policies.privacy import Level, PrivacyPolicy
from tests.daemon.running_daemon import instance

NOW = 1_800_000_000.0
HOST = "host.example"
OTHERS = ("a.example", "b.example", "c.example", "d.example")


def key(host: str) -> str:
    return format_key(identity(host).key)


def identity(host: str) -> PublicIdentity:
    return Identity(host, host.encode().ljust(32, b"x")[:32]).public


@pytest.fixture
def store(tmp_path: Path) -> tuple[Engine, Config]:
    """Return a contributing member of a group of six that approved all of them."""
    config = load(instance(tmp_path, extra='mode = "contribute"'))
    migrate(config.database)
    engine = open_checked(config.database)
    me = open_identity(config.identity_file, config.instance.host).public
    joined = Membership("g", HOST, "https://host.example", "member", "member", since=NOW, next_at=NOW + 7200)
    repository.change(engine, lambda _one: joined)
    for one in (me, *map(identity, (HOST, *OTHERS))):
        listed(engine, one)
        if one != me:
            peers.save(engine, Peer(one.host, f"https://{one.host}", format_key(one.key), state="approved"))
    return engine, config


def listed(engine: Engine, who: PublicIdentity) -> None:
    member = GroupMember(who.host, format_key(who.key), state="member", since=NOW)
    repository.change_member(engine, who.host, lambda _one: member)


def state(store: tuple[Engine, Config], host: str, as_: Any) -> None:
    peers.change(*store, host, lambda peer: replace(peer, state=as_))


def said(store: tuple[Engine, Config]) -> tuple[str, status.Standing]:
    found = status.status(store[1], store[0], NOW)
    assert found["standing"] is not None
    return " ".join(found["sentences"]), found["standing"]


def refused(store: tuple[Engine, Config]) -> str:
    """Return the code with which this instance would refuse the group's next sum, empty where it gives."""
    engine, config = store
    me = open_identity(config.identity_file, config.instance.host).public
    roster = tuple(sorted((me, *map(identity, (HOST, *OTHERS)))))
    proposed = Proposal(
        aggregator=HOST,
        roster=roster,
        threshold=least_threshold(len(roster)),
        trainer="shoal-counts",
        segments=round_config.segments(config, 100, 10),
        entry_bound=100,
        ring=32,
        nonce=bytes(16),
        created=0,
        expires=1,
        colluders=round_config.READ_BY_OTHERS,
        parameters=round_config.parameters(config, 100, 10, pass_on=True),
    )
    known = peers.read(engine, config).allowlist()
    try:
        CohortPolicy(me.host, known, config.cohort.min_cohort).check(proposed)
        PrivacyPolicy(me.host, known, Level(config.privacy.level)).check(proposed)
    except Refusal as refusal:
        return refusal.code.value
    return ""


def test_among_members_who_are_all_approved_it_is_counted(store: tuple[Engine, Config]) -> None:
    text, found = said(store)
    assert refused(store) == ""
    assert found["counted"] == {"approved": 5, "of": 5, "needed": 5, "missing": 0, "strangers": []}
    assert "itself included but not the host, 5 of 5 are approved here; a sum needs all of them." in text
    assert "approve HOST" not in text
    assert "not counted and" not in text


def test_one_stranger_is_enough_for_not_being_counted(store: tuple[Engine, Config]) -> None:
    state(store, "d.example", "candidate")
    text, found = said(store)
    assert refused(store) == "noise-too-low"
    counted = {"approved": 4, "of": 5, "needed": 5, "missing": 1, "strangers": ["d.example"]}
    assert found["counted"] == counted
    assert (
        "d.example is not approved here: until it is, this instance is not counted and does not learn from "
        "sums that it is in."
    ) in text
    assert "shoal group approve d.example" in text
    [notice] = notices(*store, NOW)
    assert (notice.kind, "d.example is a member" in english(*notice.sentences)) == ("group-member", True)
    state(store, "c.example", "candidate")
    assert "c.example and d.example are not approved here: until they are" in said(store)[0]


def test_a_member_who_comes_new_is_said_and_told(store: tuple[Engine, Config]) -> None:
    assert notices(*store, NOW) == []
    listed(store[0], identity("new.example"))
    assert [notice.kind for notice in notices(*store, NOW)] == ["group-member"]
    text, found = said(store)
    assert "new.example is not approved here" in text
    assert found["counted"]["missing"] == 1


def test_who_only_learns_is_told_what_it_does_not_learn(store: tuple[Engine, Config]) -> None:
    state(store, "d.example", "candidate")
    text, _ = said((store[0], store[1].model_copy(update={"mode": "consume"})))
    assert "until it is, this instance does not learn from sums that it is in" in text
    assert "counted" not in text


@pytest.mark.parametrize(
    ("as_", "how", "learns"),
    [("removed", "was removed", False), ("reverted", "was reverted", False), ("paused", "is paused", True)],
)
def test_whom_the_admin_decided_against_is_not_suggested(
    store: tuple[Engine, Config], as_: str, how: str, *, learns: bool
) -> None:
    state(store, "d.example", as_)
    text, found = said(store)
    assert refused(store) == "noise-too-low"
    assert f"d.example {how} here and is in the group: while it is, this instance is not counted" in text
    assert ("does not learn" in text) is not learns
    assert "group approve" not in text
    assert (found["counted"]["strangers"], found["counted"]["missing"]) == ([], 1)
    assert notices(*store, NOW) == []


def test_another_key_is_not_approved(store: tuple[Engine, Config]) -> None:
    other = PublicIdentity("d.example", identity("a.example").key)
    listed(store[0], other)
    text, found = said(store)
    assert "d.example is listed with another key than the one approved here" in text
    assert "group approve" not in text
    assert found["counted"]["missing"] == 1


def waiting(store: tuple[Engine, Config]) -> None:
    """Store an epoch in which this instance waits."""
    engine, config = store
    host = Identity(HOST, HOST.encode().ljust(32, b"x")[:32])
    me = open_identity(config.identity_file, config.instance.host)
    others = [Identity(name, name.encode().ljust(32, b"x")[:32]) for name in OTHERS]
    gather = Gather("g", 1, int(NOW * 1000))
    people = (host, me, *others)
    rows = [Listed(one.host, one.public.key, Commitment.to(gather, HOST, one).commitment) for one in people]
    listed = MembershipList("g", 1, gather.opened, 1, 4, tuple(sorted(rows)))
    reveals = {one.host: Reveal.of(listed, HOST, one).seal(one, HOST) for one in people}
    document = EpochDocument(host.public, listed.seal(host), reveals, (), (), (me.host,), 2)
    repository.change(engine, lambda group: group and replace(group, epoch=document.seal(host)))


def told(store: tuple[Engine, Config], **what: Any) -> None:
    record = {"rejected_by": [], "rejects": [], "too_many": False, **what}
    waits.save(store[0], WaitRecord(HOST, NOW, NOW + 28 * 86400, **record))


def test_who_waits_is_told_until_when_why_and_what_to_do(store: tuple[Engine, Config]) -> None:
    waiting(store)
    text, found = said(store)
    assert "left out of the next sum: it and a member that is in the group for longer do not both" in text
    assert found["waits"] is not None
    assert found["waits"]["until"] is None
    told(store, rejected_by=["a.example"], rejects=["b.example", "c.example"])
    text, found = said(store)
    assert (
        "This instance is left out of the group's sums until 2027-02-12: a.example, in the group for longer, "
        "does not approve this instance. Ask its admin to."
    ) in text
    assert "does not approve b.example and c.example, in the group for longer." in text
    assert found["waits"] is not None
    assert found["waits"]["contradicted"] == []
    assert "join later" not in text
    assert [one["waits"] for one in status.members(store[1], store[0])].count(True) == 1
    told(store, too_many=True)
    assert "more than a third of the members that it would be summed with are not approved" in said(store)[0]


def test_a_host_that_lies_about_who_is_there_for_longer_is_contradicted(store: tuple[Engine, Config]) -> None:
    """The dates are the host's to say. What this instance saw itself says otherwise, and is shown."""
    waiting(store)
    later = GroupMember("d.example", key("d.example"), state="member", since=NOW + 1)
    repository.change_member(store[0], "d.example", lambda _one: later)
    told(store, rejected_by=["a.example", "d.example"])
    text, found = said(store)
    assert found["waits"] is not None
    assert found["waits"]["contradicted"] == ["d.example"]
    assert f"saw d.example join later than itself. Ask the admin of {HOST} why it waits." in text


def test_a_stranger_that_joined_later_costs_this_instance_nothing(store: tuple[Engine, Config]) -> None:
    later = GroupMember("new.example", key("new.example"), state="member", since=NOW + 1)
    repository.change_member(store[0], "new.example", lambda _one: later)
    text, found = said(store)
    assert (
        "new.example is not approved here and joined the group later: until it is, sums with this instance "
        "leave it out."
    ) in text
    assert "shoal group approve new.example" in text
    assert found["counted"] == {
        "approved": 5,
        "of": 5,
        "needed": 5,
        "missing": 0,
        "strangers": ["new.example"],
    }
    peers.save(store[0], Peer("new.example", state="paused"))
    assert "new.example" not in said(store)[0]


@pytest.mark.parametrize("as_", ["removed", "reverted", "paused"])
def test_a_host_that_is_no_peer_any_more(store: tuple[Engine, Config], as_: str) -> None:
    state(store, HOST, as_)
    sentence = f"{HOST} is not an approved peer here, so nothing is sent to it"
    repository.change(store[0], lambda group: group and replace(group, problem=sentence))
    text, found = said(store)
    assert f"Approve it again: shoal peers approve {HOST}, or leave: shoal group leave" in text
    assert "announced" not in text
    assert "group approve" not in text
    assert (found["next_at"], found["counted"]["strangers"]) == (None, [])


def test_names_of_hosts_are_written_as_they_are(store: tuple[Engine, Config]) -> None:
    for problem, written in (
        ("localhost:9000 cannot be reached", "localhost:9000 cannot be reached."),
        ("the host is not ready for sums yet", "The host is not ready for sums yet."),
    ):
        repository.change(store[0], lambda group, problem=problem: group and replace(group, problem=problem))  # type: ignore[misc]
        assert written in said(store)[0]


def test_too_few_members_are_said_though_a_sum_is_announced(store: tuple[Engine, Config]) -> None:
    for host in ("c.example", "d.example"):
        repository.change_member(store[0], host, lambda one: one and replace(one, state="left"))
    text, _ = said(store)
    assert "For this instance a sum needs 5 members, so 1 more has to join." in text
    assert "The next sum is announced: 2 hours from now." in text


def test_the_host_leaves_out_whom_it_does_not_approve(store: tuple[Engine, Config]) -> None:
    engine, config = store
    me = config.instance.host
    repository.change(engine, lambda group: group and replace(group, role="host", host=me))
    state(store, "d.example", "removed")
    text, found = said(store)
    assert "d.example is not approved here by the listed key: sums leave it out." in text
    assert "shoal group eject d.example" in text
    assert (found["counted"]["needed"], found["counted"]["missing"]) == (4, 0)
