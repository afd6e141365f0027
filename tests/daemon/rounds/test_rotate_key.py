"""A new key: handed over with the old one's word and the domain's, never without; and what it leaves."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.errors import RequestError
from daemon.ledger import chain as ledger
from daemon.peers import rotation
from daemon.rounds import rotate_key
from daemon.rounds.data_windows import DataWindows, open_windows
from daemon.sentences import english
from federation import hello as hellos
from federation.carrier import PeerRefused
from federation.errors import Code, Refusal
from federation.hello import Rotation
from federation.identity import Identity, format_key
from federation.proposal import Proposal, Segment, least_threshold
from policies.sharing import TRAINER
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.daemon.rounds.window_store import EVERYBODY, Viewers


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 2) as found:
        a, b = found
        await a.approve(b)
        await b.approve(a)
        yield found


async def new_key(neighbour: Neighbour, *, proof: bool = True) -> Identity:
    """Replace an instance's key as the command does; without a proof, as somebody who lost the old one."""
    await neighbour.stop()
    if proof:
        rotate_key.rotate(neighbour.config, neighbour.engine, neighbour.clock())
    else:
        neighbour.config.identity_file.write_bytes(secrets.token_bytes(32))
    await neighbour.start()
    return neighbour.identity


# -- with a proof -------------------------------------------------------------------------------------------


async def test_the_next_hello_takes_over_a_key_that_was_handed_over(pair: list[Neighbour]) -> None:
    a, b = pair
    old = format_key(b.identity.public.key)
    new = await new_key(b)
    assert len(rotation.pending(b.config, new.public)) == 1
    await a.job()
    assert a.peer(b).key == format_key(new.public.key) != old
    assert a.peer(b).next_key == ""
    assert (a.peer(b).state, a.peer(b).theirs, a.peer(b).bound) == ("approved", "approved", True)
    changed = [e.details for e in ledger.entries(a.engine) if e.kind == "key-changed"]
    assert changed == [{"old": old, "new": format_key(new.public.key), "proven": True}]
    # b hears that a has its new key pinned, and shows the old one's word no longer.
    assert (await b.job())["not_told_of_new_key"] == []
    assert rotation.pending(b.config, new.public) == ()
    assert ledger.verify(b.engine, new.public).ok


async def test_the_word_of_the_new_key_makes_the_peer_look_at_once(pair: list[Neighbour]) -> None:
    """The real job, in a process of its own, started by the service."""
    a, b = pair
    new = await new_key(b)
    assert (await b.job())["not_told_of_new_key"] == [a.host]
    for _ in range(200):
        if a.peer(b).key == format_key(new.public.key):
            break
        await asyncio.sleep(0.05)
    assert (await b.job())["not_told_of_new_key"] == []


async def test_a_peer_that_missed_two_keys_takes_the_third(pair: list[Neighbour]) -> None:
    a, b = pair
    for _ in range(2):
        await new_key(b)
    new = await new_key(b)
    assert len(rotation.pending(b.config, new.public)) == 3
    await a.job()
    assert a.peer(b).key == format_key(new.public.key)


async def test_too_many_keys_that_nobody_took_are_refused(pair: list[Neighbour]) -> None:
    _, b = pair
    await b.stop()
    for _ in range(hellos.MAX_ROTATIONS):
        rotate_key.rotate(b.config, b.engine, b.clock())
    with pytest.raises(RequestError, match="not heard of any"):
        rotate_key.rotate(b.config, b.engine, b.clock())


async def test_whoever_stole_the_old_key_cannot_hand_it_over_without_the_domain(
    pair: list[Neighbour],
) -> None:
    a, b = pair
    thief = Identity(b.host, b"t" * 32)
    stolen = Rotation.sign(b.identity, thief.public, a.clock())
    answer = await a.hears(thief, rotations=(stolen,))
    assert answer.yours == b.identity.public.key
    await a.job(host=b.host)
    assert a.peer(b).key == format_key(b.identity.public.key)
    with pytest.raises(PeerRefused) as caught:
        await a.hears(thief)
    assert caught.value.code == Code.KEY_MISMATCH


async def test_whoever_took_the_domain_cannot_take_it_over_without_the_old_key(
    pair: list[Neighbour],
) -> None:
    a, b = pair
    old = format_key(b.identity.public.key)
    other = Rotation.sign(Identity(b.host, b"x" * 32), Identity(b.host, b"y" * 32).public, b.clock())
    new = await new_key(b, proof=False)
    rotation.hand_over(b.config, [replace(other, new=new.public.key)])
    await a.job()
    assert a.peer(b).key == old
    assert a.peer(b).next_key == format_key(new.public.key)


async def test_a_bound_key_is_not_followed_by_one_that_no_actor_signed(pair: list[Neighbour]) -> None:
    a, b = pair
    old = format_key(b.identity.public.key)
    b.front.actor = False
    await new_key(b)
    await a.job()
    assert a.peer(b).key == old
    b.front.actor = True
    await a.job()
    assert a.peer(b).key == format_key(b.identity.public.key)


# -- without a proof ----------------------------------------------------------------------------------------


async def test_without_a_proof_the_admins_approve_again(pair: list[Neighbour]) -> None:
    a, b = pair
    old = format_key(b.identity.public.key)
    new = await new_key(b, proof=False)
    with pytest.raises(PeerRefused) as caught:
        await a.hears(new)
    assert caught.value.code == Code.KEY_MISMATCH
    assert "approve again" in caught.value.sentence
    # Anybody can say such a hello, so it changes nothing; what its domain shows does.
    assert a.peer(b).next_key == ""
    await a.job()
    assert (a.peer(b).key, a.peer(b).next_key) == (old, format_key(new.public.key))
    shown = a.shown(b)
    assert "new key" in english(*shown["sentences"])
    assert shown["next_key_words"] != shown["words"]
    assert a.listing()["peers"][0]["host"] == b.host
    # b's side: its peers know another key of it. It is told so, and asks nobody for a sum.
    await b.job()
    assert b.peer(a).theirs == "declined"
    await a.approve(b)
    assert (a.peer(b).key, a.peer(b).next_key) == (format_key(new.public.key), "")
    await b.job()
    assert b.peer(a).theirs == "approved"
    kinds = [entry.kind for entry in ledger.entries(a.engine)]
    assert kinds.count("key-changed") == 1


async def test_a_domain_that_shows_the_pinned_key_again_clears_the_alarm(pair: list[Neighbour]) -> None:
    a, b = pair
    good = b.config.identity_file.read_bytes()
    await new_key(b, proof=False)
    await a.job()
    assert a.peer(b).next_key
    await b.stop()
    b.config.identity_file.write_bytes(good)
    await b.start()
    await a.job()
    assert a.peer(b).next_key == ""
    assert english(*a.shown(b)["sentences"]) == "You approve each other."


async def test_which_of_two_keys_is_meant_must_be_said(pair: list[Neighbour]) -> None:
    a, b = pair
    await new_key(b, proof=False)
    await a.job()
    with pytest.raises(RequestError, match="two keys"):
        await a.approve(b, key=None)


# -- what a rotation leaves ---------------------------------------------------------------------------------


def proposal(aggregator: Identity, member: Identity) -> Proposal:
    others = [Identity(f"m{n}.example", bytes([n + 1]) * 32).public for n in range(3)]
    roster = tuple(sorted([member.public, *others]))
    return Proposal(
        aggregator=aggregator.host,
        roster=roster,
        threshold=least_threshold(4),
        trainer=TRAINER,
        segments=(Segment(4), Segment(1)),
        entry_bound=10,
        ring=32,
        nonce=b"n" * 16,
        created=0,
        expires=1000,
        colluders=1,
        parameters={"max_videos_per_user": 5},
        blobs={},
    )


async def test_what_was_given_under_the_old_key_counts_as_given(pair: list[Neighbour]) -> None:
    """The frozen vector cannot be opened any more; so nothing is given in its place, for one window."""
    a, b = pair
    await b.stop()

    def windows() -> DataWindows:
        return open_windows(b.config, b.identity, b.engine, b.clock)

    asked, there = proposal(a.identity, b.identity), Viewers.some()
    given = windows().contribution(asked, there, lambda: np.arange(5))
    assert given.tolist() == [0, 1, 2, 3, 4]
    windows().leave(asked)
    rotate_key.rotate(b.config, b.engine, b.clock())
    asked = proposal(a.identity, b.identity)
    window = b.config.privacy.window_max.total_seconds()
    for ahead in (0.0, window - 60):
        b.clock.ahead = ahead
        there.change(EVERYBODY)
        with pytest.raises(Refusal) as caught:
            windows().contribution(asked, there, lambda: np.arange(5))
        assert caught.value.code is Code.WINDOW_OPEN
    b.clock.ahead = window + 60
    there.change(EVERYBODY)
    assert windows().contribution(asked, there, lambda: np.arange(5)).shape == (5,)


async def test_nothing_given_costs_no_window(pair: list[Neighbour]) -> None:
    _, b = pair
    await b.stop()
    rotate_key.rotate(b.config, b.engine, b.clock())
    windows = open_windows(b.config, b.identity, b.engine, b.clock)
    assert windows.served_until() is None


@pytest.mark.parametrize("at", ["rounds", "proof", "ledger", "key"])
async def test_a_crash_anywhere_leaves_one_key_or_the_other(
    pair: list[Neighbour], at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    await b.stop()
    old = b.identity.public

    class Crash(Exception):
        pass

    def crash(*_args: object, **_kwargs: object) -> None:
        raise Crash

    places = {
        "ledger": (ledger, "rotate"),
        "rounds": (rotate_key, "_leave_rounds"),
        "proof": (rotation, "hand_over"),
        "key": (rotate_key, "_put_in_place"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[at], crash)
        with pytest.raises(Crash):
            rotate_key.rotate(b.config, b.engine, b.clock())
    assert b.identity.public == old
    assert rotate_key.finish(b.config, b.engine) is (at == "key")
    assert not b.config.next_identity_file.exists()
    assert (b.identity.public == old) is (at != "key")
    assert rotation.pending(b.config, b.identity.public) == () or at == "key"
    assert ledger.verify(b.engine, b.identity.public).ok
    await b.start()
    await a.job()
    assert a.peer(b).key == format_key(b.identity.public.key)
    assert a.peer(b).next_key == ""


async def test_a_second_rotation_after_a_crash_is_complete(
    pair: list[Neighbour], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    await b.stop()
    rotate_key.rotate(b.config, b.engine, b.clock())

    def full(*_args: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "rotate", full)
        with pytest.raises(OSError, match="no space"):
            rotate_key.rotate(b.config, b.engine, b.clock())
    rotate_key.rotate(b.config, b.engine, b.clock())
    assert len(rotation.pending(b.config, b.identity.public)) == 2
    await b.start()
    await a.job()
    assert a.peer(b).key == format_key(b.identity.public.key)
