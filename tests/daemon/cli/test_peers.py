"""`shoal peers` and `shoal identity`, as an admin types them; the peer is a real service beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.cli import terminal
from daemon.cli.instance import host_name, one_id, peer_url
from daemon.cli.key_words import matching_key
from daemon.cli.peers import _show_candidates, _show_key, _show_list
from daemon.errors import PolicyRefusedError, RequestError
from daemon.peers.messages import cohort, of
from daemon.peers.repository import KnownPeers, Peer
from daemon.process.daemon_lock import only_daemon
from daemon.sentences import english
from federation.identity import Identity, format_key
from federation.key_words import words
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.daemon.shoal_command import Done, shoal

pytestmark = pytest.mark.daemon

WIDTH = 80


async def typed(neighbour: Neighbour, *command: str) -> Done:
    """Type `shoal ... -c FILE` with nobody at the keyboard; the services go on meanwhile."""
    return await asyncio.to_thread(shoal, *command, "-c", neighbour.config_file)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 2) as found:
        yield found


async def test_who_was_taken_out_hears_of_it(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.approve(b)
    await b.approve(a)
    assert b.peer(a).theirs == "approved"
    reverted = await typed(a, "peers", "revert", b.host, "--yes")
    assert (reverted.returncode, a.peer(b).state, b.peer(a).theirs) == (0, "reverted", "declined"), (
        reverted.stderr
    )


async def test_from_the_follow_list_to_a_peer_and_back(pair: list[Neighbour]) -> None:
    a, b = pair
    a.follow(b.host)
    spoken = " ".join(words(b.identity.public.key))
    found = await typed(a, "peers", "candidates")
    assert (found.returncode, b.host in found.stdout, "domain" in found.stdout) == (0, True, True)
    right = await typed(a, "peers", "approve", b.host, "--words", spoken, "--max-users", "9", "-o", "json")
    assert right.returncode == 0, right.stderr
    assert (right.json["state"], right.json["max_users"], right.json["theirs"]) == ("approved", 9, "declined")
    assert right.json["cohort"]["missing"] == [b.host]
    # The peer was told at once, and sees who asks.
    assert "asks to be approved" in english(*b.shown(a)["sentences"])
    removed = await typed(a, "peers", "remove", b.host, "-o", "json")
    assert removed.json["state"] == "removed"
    assert b.peer(a).theirs == "unknown"


async def test_nothing_is_approved_while_nobody_compares(pair: list[Neighbour]) -> None:
    a, b = pair
    asked = await typed(a, "peers", "approve", b.host)
    assert asked.returncode == 2
    assert all(word in asked.stdout for word in words(b.identity.public.key))
    assert "--words" in asked.stderr
    shown = a.shown(b)
    known = {shown["key"]: shown["words"], "": []}
    assert matching_key(b.host, known, key=shown["key"]) == shown["key"]
    assert matching_key(b.host, known, words=" ".join(shown["words"]).upper()) == shown["key"]
    for key, spoken in ((format_key(bytes(32)), ""), ("", "one two three"), (shown["key"], "one two three")):
        with pytest.raises(PolicyRefusedError, match="not the key"):
            matching_key(b.host, known, key=key, words=spoken)
    assert a.peer(b).state == "candidate"


async def test_a_peer_that_is_away_is_approved_by_the_key_it_showed_before(pair: list[Neighbour]) -> None:
    a, b = pair
    await a.job(add=b.host)
    await b.stop()
    done = await typed(a, "peers", "approve", b.host, "--key", a.peer(b).key)
    assert done.returncode == 0, done.stderr
    assert "as it was read before" in done.stderr
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
    assert host_name(" https://Tube.example/") == "tube.example"
    assert host_name("@somebody@tube.example") == "tube.example"
    with pytest.raises(RequestError, match="not the address of an instance") as caught:
        host_name("x y")
    assert "from the browser" in caught.value.advice
    assert peer_url("https://tube.example/x/") == "https://tube.example/x"
    assert peer_url("") == ""
    with pytest.raises(RequestError, match="plain http"):
        peer_url("http://elsewhere.example")


def test_an_id_is_known_by_how_it_begins_unless_several_begin_so() -> None:
    known = ("abc1", "abc2", "abc", "b")
    assert [one_id(known, beginning, "sum", "shoal x") for beginning in ("abc1", "abc", "b")] == [
        "abc1",
        "abc",
        "b",
    ]
    for beginning, problem in (
        ("ab", '3 sums begin with "ab"'),
        ("c", 'no sum begins with "c"'),
        ("", "no sum"),
    ):
        with pytest.raises(RequestError, match=problem) as raised:
            one_id(known, beginning, "sum", "shoal x")
        assert "shoal x" in raised.value.advice


async def test_one_introduces_and_the_other_approves_in_one_decision(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 4) as (hub, one, two, three):
        for other in (one, two, three):
            await other.approve(hub)
            await hub.approve(other)
        nothing = await typed(one, "peers", "circle", "--yes")
        assert (nothing.returncode, "No peer introduces" in nothing.stdout) == (0, True)
        asked = await typed(hub, "peers", "introduce")
        assert (asked.returncode, two.host in asked.stdout) == (2, True)
        done = await typed(hub, "peers", "introduce", one.host, "--yes", "-o", "json")
        assert (done.returncode, done.json["waiting"]) == (0, [])
        assert set(done.json["introduced"][one.host]) == {two.host, three.host}
        await one.settled()
        one.follow(two.host, since=one.clock() - 40 * 86400)
        # Looking decides nothing, and nor does asking nobody.
        seen = (await typed(one, "peers", "circle", hub.host, "-o", "json")).json
        assert {i["host"]: i["ticked"] for i in seen["instances"]} == {two.host: True, three.host: False}
        asked = await typed(one, "peers", "circle")
        assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
        assert f"[x]  {two.host}" in asked.stdout
        assert f"[ ]  {three.host}" in asked.stdout
        assert "counts as a stranger" in " ".join(asked.stdout.split())
        assert one.peer(two).state == "candidate"
        wrong = await typed(one, "peers", "circle", "--tick", "nobody.example", "--yes")
        assert wrong.returncode == 2
        done = await typed(one, "peers", "circle", "--yes")
        assert "Approved 1 instance." in done.stdout
        assert (one.peer(two).state, one.peer(three).state) == ("approved", "candidate")
        ticked = await typed(one, "peers", "circle", "--tick", three.host, "--yes", "-o", "json")
        assert (ticked.json["approved"], ticked.json["cohort"]["on_word_alone"]) == ([three.host], 1)
        assert "asks to be approved" in english(*three.shown(one)["sentences"])
        stopped = await typed(hub, "peers", "introduce", "--stop", "-o", "json")
        assert stopped.json == {"told": [one.host]}
        assert (await typed(one, "peers", "circle", "-o", "json")).json["instances"] == []


async def test_a_key_is_replaced_only_while_the_daemon_is_stopped(pair: list[Neighbour]) -> None:
    _, b = pair
    before = b.identity.public
    with only_daemon(b.config.data_dir):
        refused = await typed(b, "identity", "rotate", "--yes")
    assert (refused.returncode, b.identity.public) == (4, before)
    done = (await typed(b, "identity", "rotate", "--yes", "-o", "json")).json
    assert (done["old"], done["new"]) == (format_key(before.key), format_key(b.identity.public.key))
    again = await typed(b, "identity", "show")
    assert all(word in again.stdout for word in words(b.identity.public.key))
    assert "have not taken this key yet" in " ".join(again.stdout.split())


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
        assert part in english(*found.sentences)


def test_a_finished_sum_shows_that_they_approve_one_another() -> None:
    book = book_of(*("approved",) * 5)
    hosts = sorted(book.peers)
    assert "The newest sum had 4 of them in it." in english(*cohort(book, 4, summed=hosts[:4]).sentences)
    for summed in (hosts[:3], [], ["elsewhere.example"] * 9):
        assert "must also approve one another" in english(*cohort(book, 4, summed=summed).sentences)


def test_whoever_was_only_introduced_is_missing_from_the_minimum() -> None:
    book = book_of(*("approved",) * 5)
    alone = {h: replace(peer, introduced_by=("x.example",)) for h, peer in list(book.peers.items())[:2]}
    found = cohort(KnownPeers({**book.peers, **alone}), 4, summed=sorted(book.peers))
    assert (found.approved, found.mutual, found.on_word_alone) == (5, 5, 2)
    assert "2 peers were only introduced and count as strangers" in english(*found.sentences)
    assert "A sum needs 4, so 1 more must be approved by both sides." in english(*found.sentences)


@pytest.mark.parametrize(
    ("peer", "part"),
    [
        (Peer("x"), "does not run Shoal"),
        (Peer("x", failures=1), "could not be reached"),
        (Peer("x", version="1"), "daemon does not answer"),
        (Peer("x", key="k", url="u"), "It runs Shoal"),
        (Peer("x", key="k", theirs="asked"), "Its card is being read"),
        (Peer("x", key="k", theirs="asked", failures=1), "its domain does not show its card"),
        (
            Peer("x", state="approved", theirs="approved", introduced_by=("a.example", "b.example")),
            "It was only introduced, and counts as a stranger",
        ),
        (
            Peer("x", state="approved", theirs="approved", introduced_by=("a.example",), evidence="followed"),
            "You approve each other.",
        ),
        (Peer("x", key="k", url="u", theirs="asked"), "Compare its words"),
        (Peer("x", state="approved", theirs="unknown"), "not known whether it approves you"),
        (
            Peer("x", state="approved", failures=1, retry_at=1060),
            "The last attempt to reach it failed; the next one is on 1 January 1970 at 00:17 UTC.",
        ),
        (Peer("x", state="approved", failures=9, retry_at=1000 + 7200), "The last 9 attempts"),
        (
            Peer("x", state="approved", failures=9, retry_at=1000 + 7200),
            "the next one is on 1 January 1970 at 02:16 UTC.",
        ),
        (Peer("x", state="approved", failures=9, retry_at=900), "the next one is soon."),
        (Peer("x", state="paused"), "Paused"),
        (Peer("x", state="removed", theirs="asked"), "asks to be approved"),
        (Peer("x", state="reverted"), "blocked until you approve it again"),
        (Peer("x", state="approved", next_key="k"), "new key"),
    ],
)
def test_each_peer_has_a_sentence(peer: Peer, part: str) -> None:
    assert part in english(*of(peer, 1000.0))
