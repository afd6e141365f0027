"""`shoal peers` and `shoal identity`, as an admin types them; the peer is a real service."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import terminal
from daemon.cli.peers import _address, _compared, _name, _show_candidates, _show_key, _show_list
from daemon.errors import PolicyRefusedError, RequestError
from daemon.peers.messages import cohort, of
from daemon.peers.repository import KnownPeers, Peer
from daemon.process.child import python_module
from daemon.process.daemon_lock import only_daemon
from federation.identity import Identity, format_key
from federation.key_words import words
from tests.daemon.peer_instances import Neighbour, neighbours

WIDTH = 80


@dataclass
class Typed:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def typed(neighbour: Neighbour, *command: str) -> Typed:
    """Run `shoal ... -c FILE` in a process of its own, with nobody at the keyboard."""
    line, environment = python_module("daemon.cli.main", *command, "-c", str(neighbour.config_file))
    process = await asyncio.create_subprocess_exec(
        *line,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Typed(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 2) as found:
        yield found


async def test_who_was_taken_out_hears_of_it(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    assert b.peer(a).theirs == "approved"
    reverted = await typed(a, "peers", "revert", b.host)
    assert (reverted.code, a.peer(b).state, b.peer(a).theirs) == (0, "reverted", "declined"), reverted.err


async def test_from_the_follow_list_to_a_peer_and_back(pair: list[Neighbour]) -> None:
    a, b = pair
    a.follow(b.host)
    spoken = " ".join(words(b.identity.public.key))
    found = await typed(a, "peers", "candidates")
    assert (found.code, b.host in found.out, "domain" in found.out) == (0, True, True)
    right = await typed(a, "peers", "approve", b.host, "--words", spoken, "--max-users", "9", "-o", "json")
    assert right.code == 0, right.err
    assert (right.json["state"], right.json["max_users"], right.json["theirs"]) == ("approved", 9, "declined")
    assert right.json["cohort"]["missing"] == [b.host]
    # The peer was told at once, and sees who asks.
    assert "asks to be approved" in b.shown(a)["sentence"]
    removed = await typed(a, "peers", "remove", b.host, "-o", "json")
    assert removed.json["state"] == "removed"
    assert b.peer(a).theirs == "unknown"


async def test_nothing_is_approved_while_nobody_compares(pair: list[Neighbour]) -> None:
    a, b = pair
    asked = await typed(a, "peers", "approve", b.host)
    assert asked.code == 2
    assert all(word in asked.out for word in words(b.identity.public.key))
    assert "--words" in asked.err
    shown = a.shown(b)
    assert _compared(shown, shown["key"], "") == shown["key"]
    for key, spoken in ((format_key(bytes(32)), ""), ("", "one two three"), (shown["key"], "one two three")):
        with pytest.raises(PolicyRefusedError, match="not the key"):
            _compared(shown, key, spoken)
    assert a.peer(b).state == "candidate"


async def test_a_peer_that_is_away_is_approved_by_the_key_it_showed_before(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.job(add=b.host)
    await b.stop()
    done = await typed(a, "peers", "approve", b.host, "--key", a.peer(b).key)
    assert done.code == 0, done.err
    assert "as it was read before" in done.err
    assert a.peer(b).failures == 1


async def test_what_people_see_fits_a_terminal_and_says_what_is_missing(
    pair: list[Neighbour], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    monkeypatch.setattr(terminal.out, "_width", WIDTH)
    _show_list(a.listing(), words=False)
    assert "shoal peers candidates" in capsys.readouterr().out
    await a.approve(b)
    await a.hears(Identity("a-name-of-quite-some-length.video.example", b"x" * 32))
    shown = a.listing()
    _show_list(shown, words=True)
    _show_key(a.shown(b))
    asked = {"asked": 2, "silent": 1, "left": 0}
    _show_candidates({**shown, "asked": asked, "followed": {"total": 2, "with_shoal": 1}})
    printed = capsys.readouterr().out
    assert all(len(line) <= WIDTH for line in printed.splitlines())
    joined = " ".join(printed.split())
    assert "A sum needs 4" in joined
    assert f"Not known to approve this instance: {b.host}" in joined
    assert " ".join(words(b.identity.public.key)) in joined
    assert f"The domain {b.host} vouches for this key" in joined


def test_names_and_addresses_that_are_none_are_refused() -> None:
    assert _name("https://Tube.example/") == "tube.example"
    with pytest.raises(RequestError, match="host name"):
        _name("x/y")
    assert _address("https://tube.example/x/") == "https://tube.example/x"
    with pytest.raises(RequestError, match="plain http"):
        _address("http://elsewhere.example")


async def test_a_key_is_replaced_only_while_the_daemon_is_stopped(pair: list[Neighbour]) -> None:
    _, b = pair
    before = b.identity.public
    with only_daemon(b.config.data_dir):
        refused = await typed(b, "identity", "rotate", "--yes")
    assert (refused.code, b.identity.public) == (4, before)
    done = (await typed(b, "identity", "rotate", "--yes", "-o", "json")).json
    assert (done["old"], done["new"]) == (format_key(before.key), format_key(b.identity.public.key))
    again = await typed(b, "identity", "show")
    assert all(word in again.out for word in words(b.identity.public.key))
    assert "have not heard of this key yet" in " ".join(again.out.split())


def test_help_needs_nothing_heavy() -> None:
    script = "import daemon.cli.peers, daemon.cli.identity, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"aiohttp", "sqlalchemy", "cryptography", "mnemonic", "nacl", "torch"}


# -- the sentence about the cohort --------------------------------------------------------------------------


def book_of(*theirs: str) -> KnownPeers:
    key = format_key(bytes(32))
    return KnownPeers(
        {
            f"p{n}.example": Peer(f"p{n}.example", key=key, state="approved", theirs=said)  # type: ignore[arg-type]
            for n, said in enumerate(theirs)
        }
    )


@pytest.mark.parametrize(
    ("theirs", "mutual", "parts"),
    [
        ((), 0, ["No peer is approved", "tags", "needs 4"]),
        (("approved",), 1, ["1 peer is approved, and approves", "3 more", "each other's numbers"]),
        (("declined",), 0, ["4 more", "Not known to approve this instance: p0.example"]),
        (("approved", "unknown"), 1, ["1 of them", "each other's numbers", "p1.example"]),
        (("approved",) * 3, 3, ["all of them approve", "1 more"]),
        (("approved",) * 4, 4, ["needs 4 of them, which must also approve one another"]),
        (("approved",) * 4 + ("declined",), 4, ["needs 4 of them", "this instance: p4.example"]),
        (("unknown",) * 9, 0, ["none of them", "and 4 more"]),
    ],
)
def test_what_works_with_so_many(theirs: tuple[str, ...], mutual: int, parts: list[str]) -> None:
    found = cohort(book_of(*theirs), 4)
    assert (found.approved, found.mutual, found.needed) == (len(theirs), mutual, 4)
    assert len(found.missing) == len(theirs) - mutual
    for part in parts:
        assert part in found.sentence


@pytest.mark.parametrize(
    ("peer", "part"),
    [
        (Peer("x"), "does not run Shoal"),
        (Peer("x", failures=1), "could not be reached"),
        (Peer("x", version="1"), "daemon does not answer"),
        (Peer("x", key="k", url="u"), "It runs Shoal"),
        (Peer("x", key="k", theirs="asked"), "Add it to read its card"),
        (Peer("x", key="k", url="u", theirs="asked"), "Compare its words"),
        (Peer("x", state="approved", theirs="unknown"), "not known whether it approves you"),
        (
            Peer("x", state="approved", failures=1, retry_at=1060),
            "The last attempt to reach it failed; the next one is in a minute.",
        ),
        (Peer("x", state="approved", failures=9, retry_at=1000 + 7200), "The last 9 attempts"),
        (Peer("x", state="approved", failures=9, retry_at=1000 + 7200), "the next one is in 2 hours."),
        (Peer("x", state="approved", failures=9, retry_at=900), "the next one is soon."),
        (Peer("x", state="paused"), "Paused"),
        (Peer("x", state="removed", theirs="asked"), "asks to be approved"),
        (Peer("x", state="reverted"), "blocked until you approve it again"),
        (Peer("x", state="approved", next_key="k"), "new key"),
    ],
)
def test_each_peer_has_a_sentence(peer: Peer, part: str) -> None:
    assert part in of(peer, 1000.0)
