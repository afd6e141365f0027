"""Approving a peer and taking it back, between two instances on loopback."""

from __future__ import annotations

import pytest

from daemon.errors import PolicyRefusedError, RequestError
from daemon.ledger import chain as ledger
from daemon.peers import commands, repository
from daemon.peers.cards import PeerAnswerError
from daemon.peers.commands import UnknownPeerError
from daemon.revert.artifacts import artifacts_of
from daemon.sentences import english
from daemon.store import traffic
from daemon.store.activity import RoundRecord, save_round
from federation import hello as hellos
from federation.errors import Code
from federation.identity import Identity, format_key
from federation.key_words import words
from tests.daemon.peer_instances import Neighbour
from tests.daemon.peers.strangers import refusal_of, stranger


def kinds(neighbour: Neighbour) -> list[tuple[str, str]]:
    found = ledger.entries(neighbour.engine)
    return [(entry.kind, entry.subject) for entry in found if entry.kind.startswith("peer-")]


async def test_two_instances_approve_each_other(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    assert (a.peer(b).state, a.peer(b).theirs) == ("approved", "declined")
    assert (b.peer(a).state, b.peer(a).theirs) == ("candidate", "asked")
    assert "asks to be approved" in english(*b.shown(a)["sentences"])
    assert not repository.read(b.engine, b.config).approved()
    await b.approve(a)
    assert (b.peer(a).state, b.peer(a).theirs) == ("approved", "approved")
    # Its hello reached us at once: nobody has to ask again.
    assert (a.peer(b).state, a.peer(b).theirs) == ("approved", "approved")
    assert english(*a.shown(b)["sentences"]) == "You approve each other."
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


async def test_what_was_summed_is_known_from_the_newest_sum_of_ours(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    a.config = a.config.model_copy(update={"cohort": a.config.cohort.model_copy(update={"min_cohort": 1})})
    assert "must also approve one another" in english(*a.listing()["cohort"].sentences)
    now = a.clock()
    for number, (role, outcome) in enumerate(
        [("aggregator", "done"), ("aggregator", "failed"), ("member", "done")]
    ):
        name, survivors = str(number) * 64, [b.host] if number == 0 else []
        record = RoundRecord(name, role, a.host, now + number, now, outcome, survivors=survivors)  # type: ignore[arg-type]
        save_round(a.engine, record)
    assert "The newest sum had 1 of them in it." in english(*a.listing()["cohort"].sentences)


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
    assert "Removed" in english(*a.shown(b)["sentences"])
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
    """Who says hello first in the name of another instance gains nothing by it."""
    a, b = pair
    poser = Identity(b.host, b"p" * 32)
    b.front.down = True
    await a.hears(poser)
    await a.settled()
    b.front.down = False
    assert a.peer(b).theirs == "asked"
    assert a.shown(b)["words"] == []
    with pytest.raises(RequestError, match="card"):
        commands.approve(
            a.engine, a.config, b.host, key=None, max_users=None, now=a.clock(), holds=artifacts_of
        )
    await a.job(add=b.host)
    assert a.peer(b).key == format_key(b.identity.public.key)
    assert a.peer(b).theirs == "unknown"
    # Its domain has shown a key: from now on a hello in its name counts only with that one.
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
