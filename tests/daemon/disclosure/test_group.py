"""While this instance is in a group, the next sum is the group's: who asks, with whom, what the rules say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.group import repository
from daemon.group.membership import blob_cache
from daemon.group.membership.blob_cache import BlobCache
from daemon.group.membership.host_messages import HostMessages
from daemon.group.published_sums import PublishedStore
from daemon.group.repository import GroupMember, Membership
from daemon.peers import repository as peers
from daemon.peers.repository import Peer
from daemon.rounds import round_config
from daemon.rounds.aggregator_window import asked_before, group_windows
from daemon.sentences import english
from daemon.store import traffic
from federation.errors import Refusal
from federation.group.epoch_opening import Gather
from federation.identity import format_key
from policies.window import Window
from tests.daemon.disclosure.sharing_instance import (
    NOW,
    PEERS,
    Place,
    fill,
    place_of,
    reference,
    run,
    url_of,
    write_config,
)
from tests.federation.group.sums import proposed, publish, signed
from tests.federation.group.table import GROUP, HOST, LIMITS, Group, Member, parsed

HOSTS = [HOST.host, *(peer.host for peer in PEERS)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return an instance in a group of six, whose host and four other members its admin approved."""
    found = place_of(write_config(tmp_path / "one"))
    host = Peer(HOST.host, "http://127.0.0.1:9", format_key(HOST.public.key), "approved")
    peers.save(found.engine, host)
    join(found, "member")
    yield found
    found.engine.dispose()


def join(place: Place, role: repository.Role, *, epoch: bytes = b"") -> None:
    host = HOST.host if role == "member" else place.identity.host
    repository.change(
        place.engine, lambda _: Membership(GROUP, host, "https://x.example", role, "member", epoch=epoch)
    )
    for one in (place.identity, HOST, *PEERS):
        member = GroupMember(one.host, format_key(one.public.key), state="member")
        repository.change_member(place.engine, one.host, lambda _, member=member: member)  # type: ignore[misc]


def draw(place: Place, *, least: int = 4, parts: int = 1) -> tuple[str, ...]:
    """Have the group agree on an epoch; returns the sub-cohort that this instance is in."""
    me = place.identity
    everybody = [Member(one) for one in (HOST, me, *PEERS)]
    document = Group(everybody, now=NOW - 60, least=least, parts=parts).draw()
    repository.change(place.engine, lambda one: replace(one, epoch=document.seal(HOST)) if one else None)
    return tuple(one.host for one in document.roster_of(me.host) or ())


def verdicts(place: Place) -> dict[str, tuple[bool, str]]:
    found = place.report()["next"]["verdicts"]
    return {one["policy"]: (one["allowed"], english(*one["sentences"])) for one in found}


def test_only_the_host_asks_and_with_the_sub_cohort_of_the_epoch(place: Place) -> None:
    everybody = sorted([place.identity.host, *HOSTS])
    before = place.report()["next"]
    assert (before["aggregators"], before["group"], before["drawn"]) == ([HOST.host], GROUP, "listed")
    assert before["members"] == everybody
    assert "drawn before the round" in verdicts(place)["group"][1]

    ours = draw(place, least=3, parts=2)
    after = place.report()["next"]
    assert (after["aggregators"], after["drawn"], after["members"]) == ([HOST.host], "epoch", list(ours))
    assert len(ours) == 3
    rules = verdicts(place)
    assert list(rules) == ["members", "group", "sharing", "cohort", "privacy", "window", "budget"]
    assert rules["group"][0]
    assert "one of 3 members, a sub-cohort of" in rules["group"][1]
    assert "Rounds of peers are refused" in rules["group"][1]
    assert not rules["cohort"][0]

    assert draw(place) == tuple(everybody)
    rules = verdicts(place)
    assert all(allowed for allowed, _ in rules.values()), rules
    assert rules["cohort"][1].startswith("6 members. Without the host, 5 are approved here; 4 are needed")
    assert "which adds up, is approved here" in rules["members"][1]


def test_strangers_in_the_sub_cohort_are_too_many_for_the_noise(place: Place) -> None:
    draw(place)
    for one in PEERS[:2]:
        peers.save(place.engine, Peer(one.host, "", "", "removed"))
    rules = verdicts(place)
    assert not rules["cohort"][0]
    assert not rules["privacy"][0]
    assert f"{round_config.READ_BY_OTHERS} members that work together" in rules["privacy"][1]


def test_a_host_that_is_not_approved_any_more_gets_nothing(place: Place) -> None:
    draw(place)
    peers.save(place.engine, Peer(HOST.host, "http://127.0.0.1:9", format_key(HOST.public.key), "removed"))
    assert verdicts(place)["members"] == (False, f"{HOST.host}, which adds up, is not approved here.")
    assert place.report()["next"]["drawn"] == "listed"


def test_what_the_window_of_the_host_says_counts_and_not_that_of_a_peer(place: Place) -> None:
    place.give(place.proposal(), b"s" * 32)
    assert "same again" not in verdicts(place)[Window.name][1].split(",")[0]
    proposal = replace(place.proposal(aggregator=HOST.host), colluders=round_config.READ_BY_OTHERS)
    place.give(proposal, b"u" * 32)
    told = verdicts(place)[Window.name]
    assert told[0]
    assert told[1].startswith(f"{HOST.host} gets the same again until")
    assert told[1].count("gets") == 1
    assert {one["aggregator"] for one in place.report()["windows"]} == {HOST.host, PEERS[0].host}


def test_the_host_is_told_what_its_group_is_asked_about_and_no_bytes_to_itself(place: Place) -> None:
    join(place, "host")
    me = place.identity.host
    assert place.report()["next"]["aggregators"] == [me]
    assert verdicts(place)["members"][0]
    assert not asked_before(place.config, hosted=True)
    record = group_windows(place.config, lambda: NOW)
    asked = round_config.encode_vocabulary((url_of(0), url_of(1)))
    record.open("00" * 32, [place.proposal(aggregator=me)], asked, round_config.encode_head(np.arange(2)))
    assert place.report()["next"]["vocabulary"] == 2
    traffic.add(place.engine, traffic.month_of(NOW), me, 70, 80)
    traffic.add(place.engine, traffic.month_of(NOW), PEERS[0].host, 5, 6)
    assert [(one["peer"], one["sent"]) for one in place.report()["traffic"]] == [(PEERS[0].host, 5)]


def test_whoever_left_is_asked_by_peers_again(place: Place) -> None:
    repository.change(place.engine, lambda one: replace(one, state="left") if one else None)
    found = place.report()["next"]
    assert (found["group"], found["drawn"]) == ("", "peers")
    assert found["aggregators"] == sorted([*HOSTS])
    assert "group" not in verdicts(place)


def test_the_command_says_it_in_words(place: Place) -> None:
    fill(place.engine)
    draw(place)
    told = " ".join(run("share", "show", place=place).split())
    assert f"Who may ask for a sum: {HOST.host}, the host of the group {GROUP}." in told
    assert "It would be summed with" in told
    assert "For a sum over 30 public videos of this instance, it would get one vector" in told


# -- bandwidth ----------------------------------------------------------------------------------------------


def test_what_comes_over_flower_beside_the_sums_is_counted_for_the_host(place: Place) -> None:
    everybody = [Member(one) for one in (HOST, place.identity, *PEERS)]
    document = Group(everybody, now=NOW - 60).draw()
    published = publish(document, signed(proposed(document.rosters[0])))
    vocabulary = b"v" * 70
    BlobCache(place.config.group_dir / blob_cache.FOLDER).put({"vocabulary": vocabulary})
    counted: list[tuple[str, int, int]] = []

    def exchanged(host: str, sent: int, received: int) -> None:
        counted.append((host, sent, received))

    with PublishedStore(place.config).filling(published.run, published.seal(HOST), document.seal(HOST)):
        pass
    messages = HostMessages(place.identity, place.engine, place.config, LIMITS, lambda: NOW, exchanged)
    assert messages.blob(reference(vocabulary)) == vocabulary
    assert messages.blob(reference(b"not here")) is None
    answers = [messages.take(parsed(raw)) for raw in (document.seal(HOST), published.seal(HOST))]
    with pytest.raises(Refusal):
        messages.take(parsed(Gather(GROUP, 1, int(NOW * 1000)).seal(HOST, place.identity.host)))
    blobs = sum(one.size for one in published.blobs.values())
    assert blobs > 500
    assert counted == [
        (HOST.host, 0, 70),
        (HOST.host, len(answers[0]), len(document.seal(HOST))),
        (HOST.host, len(answers[1]), len(published.seal(HOST)) + blobs),
    ]
