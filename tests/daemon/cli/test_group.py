"""`shoal group`, as admins type it; the host and the members are real services beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from daemon.cli import terminal
from daemon.cli.group import _begin
from daemon.cli.group_view import show_hosted, show_members, show_offer, show_requests, show_status, voucher
from daemon.errors import RequestError
from daemon.group import commands, repository, status
from daemon.group.membership.key_verification import KeyEvidence
from daemon.peers import repository as peers
from daemon.peers.repository import Peer
from daemon.rounds.aggregator_window import group_windows
from daemon.store import sums
from daemon.store.activity import RoundRecord, save_round
from federation.group.node_key import new_node_key, public_node_key
from federation.identity import Identity, format_key
from federation.key_words import words
from tests.daemon.group.join_neighbours import polls
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.daemon.shoal_command import Done, shoal
from tests.daemon.stored_sums import EXACT_SUM

pytestmark = pytest.mark.slow

WIDTH = 80

GROUP = "video-cooperative"


async def typed(neighbour: Neighbour, *command: str) -> Done:
    """Type `shoal ... -c FILE` with nobody at the keyboard; the services go on meanwhile."""
    return await asyncio.to_thread(shoal, *command, "-c", neighbour.config_file)


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 3) as found:
        yield found


def spoken(neighbour: Neighbour) -> str:
    return " ".join(words(neighbour.identity.public.key))


async def test_from_an_invitation_to_members_who_approve_each_other(three: list[Neighbour]) -> None:
    host, a, b = three
    begun = await typed(host, "group", "host", GROUP)
    line = f"shoal group join {host.url} --group {GROUP}"
    assert begun.returncode == 0, begun.stderr
    assert line in begun.stdout
    assert all(word in begun.stdout for word in words(host.identity.public.key))
    assert "cannot reach the listener yet" in begun.stderr

    # Nothing is pinned while nobody compares.
    asked = await typed(a, *line.split()[1:])
    assert (asked.returncode, spoken(host) in asked.stdout) == (2, True)
    assert "--words" in asked.stderr
    assert repository.current(a.engine) is None
    wrong = await typed(a, *line.split()[1:], "--words", spoken(a), "-o", "json")
    assert (wrong.returncode, wrong.json["code"]) == (3, "refused")
    right = await typed(a, *line.split()[1:], "--words", spoken(host), "-o", "json")
    assert (right.returncode, right.json["standing"]["state"]) == (0, "asked"), right.stderr
    assert [one["host"] for one in right.json["offer"]["members"]] == [host.host]
    assert right.json["offer"]["host"]["voucher"] == "domain"
    assert (await typed(b, "group", "join", host.host, "--yes")).returncode == 0

    waiting = await typed(host, "group", "requests", "-o", "json")
    assert {one["host"]: " ".join(one["words"]) for one in waiting.json["requests"]} == {
        a.host: spoken(a),
        b.host: spoken(b),
    }
    unseen = await typed(host, "group", "admit", a.host)
    assert (unseen.returncode, spoken(a).split()[0] in unseen.stdout) == (2, True)
    let_in = await typed(host, "group", "admit", a.host, "--words", spoken(a), "-o", "json")
    assert (let_in.returncode, let_in.json["state"], let_in.json["approved"]) == (0, "member", "yes")
    assert (await typed(host, "group", "admit", b.host, "--yes")).returncode == 0
    await polls(a)

    there = await typed(a, "group", "members", "-o", "json")
    assert {one["host"]: one["approved"] for one in there.json["members"]} == {
        host.host: "yes",
        a.host: "yes",
        b.host: "no",
    }
    stands = await typed(a, "group", "status")
    assert stands.returncode == 0
    assert f"is in the group {GROUP}" in stands.stdout
    assert f"{b.host} is not approved here: until it is, this instance does not learn" in stands.stdout
    done = await typed(a, "group", "approve", "--all", "--yes", "-o", "json")
    assert (done.returncode, done.json["not_approved"]) == (0, {})
    assert [(one["host"], one["voucher"]) for one in done.json["approved"]] == [(b.host, "domain")]
    assert a.peer(b).approved
    again = await typed(a, "group", "approve", "--all", "--yes")
    assert "All members are approved here." in again.stdout

    none = await typed(a, "rounds", "list")
    assert ("shoal group status" in none.stdout, "Approve peers" in none.stdout) == (True, False)
    listing = await typed(a, "peers", "list")
    assert (f"whose host {host.host} takes the sums" in listing.stdout, "both sides" in listing.stdout) == (
        True,
        False,
    )
    kept = repository.current(a.engine)
    repository.change(a.engine, lambda group: group and replace(group, state="ejected"))
    out = await typed(a, "group", "members", "-o", "json")
    assert out.json["state"] == "ejected"
    assert {one["host"]: one["state"] for one in out.json["members"]}[a.host] == "ejected"
    assert "This instance is not in the group" in (await typed(a, "group", "members")).stdout
    repository.change(a.engine, lambda _group: kept)

    left = await typed(a, "group", "leave", "--yes", "-o", "json")
    assert left.json == {"group": GROUP, "left": True, "host_told": True}
    assert (await typed(a, "group", "status", "-o", "json")).json["standing"] is None
    out = await typed(host, "group", "eject", b.host)
    assert (out.returncode, "from the next sum on" in out.stdout) == (0, True)
    assert (await typed(host, "group", "close")).returncode == 2
    assert (await typed(host, "group", "close", "--yes")).returncode == 0
    assert repository.current(host.engine) is None


async def test_an_invited_instance_is_in_without_being_asked_about(three: list[Neighbour]) -> None:
    host, a, _ = three
    await typed(host, "group", "host", GROUP)
    invited = await typed(host, "group", "invite", a.host, "--words", spoken(a), "-o", "json")
    assert (invited.returncode, invited.json["state"]) == (0, "invited")
    line = invited.json["invitation"]["command"].split()[1:]
    joined = await typed(a, *line, "--yes")
    assert (joined.returncode, "is in the group" in joined.stdout) == (0, True)
    assert "The daemon is not running" in joined.stdout


async def test_who_cannot_be_approved_is_said(three: list[Neighbour]) -> None:
    host, a, b = three
    await typed(host, "group", "host", GROUP)
    await typed(host, "group", "invite", a.host, "--yes")
    await typed(a, "group", "join", host.url, "--yes")
    # As the host may list them: one that cannot be asked, one by another key than its domain shows.
    away, false = Identity("away.invalid", bytes([5]) * 32), Identity(b.host, bytes([6]) * 32)
    for one in (away, false):
        listed = repository.GroupMember(one.host, format_key(one.public.key), state="member", since=1.0)
        repository.change_member(a.engine, one.host, lambda _one, listed=listed: listed)  # type: ignore[misc]
    done = await typed(a, "group", "approve", "--all", "--yes", "-o", "json")
    assert [(one["host"], one["voucher"]) for one in done.json["approved"]] == [(away.host, "unread")]
    assert "another key" in done.json["not_approved"][b.host]
    assert (done.returncode, "Compare the words" in done.json["advice"][b.host]) == (3, True)
    assert peers.find(a.engine, a.config, b.host) is None
    named = await typed(a, "group", "approve", b.host, "--yes", "-o", "json")
    assert (named.returncode, named.json["code"]) == (3, "refused")
    # Whom the admin decided against is named to be approved.
    peers.change(a.engine, a.config, away.host, lambda peer: replace(peer, state="removed"))
    kept = await typed(a, "group", "approve", "--all", "--yes", "-o", "json")
    assert "decided against" in kept.json["not_approved"][away.host]
    assert kept.json["advice"][away.host].endswith(f"shoal group approve {away.host}")
    told = await typed(a, "group", "approve", "--all", "--yes")
    assert (
        told.returncode,
        f"Not approved: {b.host}" in told.stdout,
        "Compare the words" in told.stdout,
    ) == (
        3,
        True,
        True,
    )
    peers.change(a.engine, a.config, away.host, lambda peer: replace(peer, state="reverted"))
    blocked = await typed(a, "group", "approve", "--all", "--yes", "-o", "json")
    assert blocked.json["advice"][away.host].endswith(f"shoal peers approve {away.host}")


async def test_errors_say_what_to_do(three: list[Neighbour]) -> None:
    host, a, _ = three
    for command, code, part in (
        (("group", "requests"), "no-group", "host NAME"),
        (("group", "leave", "--yes"), "no-group", "shoal group status"),
        (("group", "approve", "--all"), "no-group", "join URL"),
        (("group", "host", "Not A Name"), "bad-request", "small letters"),
        (("group", "join", "ftp://elsewhere.example"), "bad-request", "whole line"),
        (("group", "start", "--in", "soon"), "bad-request", "--in 2h"),
    ):
        failed = await typed(a, *command, "-o", "json")
        assert failed.returncode == 2, command
        assert failed.json["code"] == code
        assert part in failed.json["advice"]
    await typed(host, "group", "host", GROUP)
    early = await typed(host, "group", "start", "--in", "2h", "-o", "json")
    assert (early.returncode, early.json["code"]) == (3, "refused")
    unknown = await typed(host, "group", "admit", "nobody.example", "-o", "json")
    assert (unknown.json["code"], "invite" in unknown.json["advice"]) == ("unknown-member", True)
    text = a.config_file.read_text().replace('mode = "consume"', 'mode = "simulate"')
    await asyncio.to_thread(a.config_file.write_text, text)
    for words_ in (("host", GROUP), ("join", host.url, "--yes"), ("leave", "--yes"), ("approve", "--all")):
        refused = await typed(a, "group", *words_, "-o", "json")
        assert (refused.returncode, refused.json["code"]) == (3, "refused"), words_
        assert 'mode is "simulate"' in refused.json["message"]


async def test_a_sum_is_announced_by_command(three: list[Neighbour]) -> None:
    host, *_ = three
    await typed(host, "group", "host", GROUP)
    for number in range(1, 5):
        one = Identity(f"m{number}.example", number.to_bytes(32, "big"))
        key = public_node_key(new_node_key())
        member = repository.GroupMember(
            one.host, format_key(one.public.key), "", key, state="member", since=1.0
        )
        repository.change_member(host.engine, one.host, lambda _one, member=member: member)  # type: ignore[misc]
    before = time.time()
    done = await typed(host, "group", "start", "--in", "30m", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert before + 1800 <= done.json["next_at"] <= time.time() + 1800
    told = await typed(host, "group", "start", "--in", "30m")
    assert "miss it" in told.stdout
    usual = await typed(host, "group", "start", "-o", "json")
    assert usual.json["next_at"] == pytest.approx(time.time() + 7200, abs=60)
    shown = await typed(host, "group", "status")
    assert "2 hours from now" in shown.stdout
    assert "which has 5 members" in shown.stdout
    # With one member less it is announced in vain.
    repository.change_member(host.engine, "m4.example", lambda one: one and replace(one, state="left"))
    fewer = " ".join((await typed(host, "group", "status")).stdout.split())
    assert "A sum needs 5 members, so 1 more has to join." in fewer


async def test_a_sum_that_cannot_be_learnt_from_is_said(three: list[Neighbour]) -> None:
    host, *_ = three
    await typed(host, "group", "host", GROUP)
    run = "ab" * 32
    repository.change(host.engine, lambda group: group and replace(group, run=run))
    hosts = ["m1.example", "m2.example"]
    save_round(host.engine, RoundRecord(run, "host", host.host, 1.0, 1.0, "done", "", hosts, hosts))
    sums.save(
        host.engine,
        host.config.sums_dir,
        round_id=run,
        urls=("https://v.example/1", "https://v.example/2"),
        counts=np.array([7, 8]),
        triangle=np.array([6]),
        privacy=EXACT_SUM,
        now=1.0,
        run=run,
        sub_cohort=0,
        verdict="new",
    )
    for known in ("m1.example", "m2.example"):
        told = " ".join((await typed(host, "group", "status")).stdout.split())
        assert "Nothing new is learnt from the group: the newest sum contains" in told
        peers.save(host.engine, Peer(known, "https://m", format_key(bytes(32)), state="approved"))
    assert "Nothing new is learnt" not in (await typed(host, "group", "status")).stdout
    listing = await typed(host, "rounds", "list")
    assert "the group's sum" in listing.stdout


async def test_no_sum_is_announced_for_a_window_that_has_its_sum(three: list[Neighbour]) -> None:
    host, *_ = three
    await typed(host, "group", "host", GROUP)
    record = group_windows(host.config, time.time)
    record.open("ab" * 32, [], b"", b"")
    record.note_left()
    record.answered()
    refused = await typed(host, "group", "start", "--in", "1m", "-o", "json")
    assert (refused.returncode, "for this data window" in refused.json["message"]) == (3, True)
    # What it says to type is late enough: now only members are missing.
    line = refused.json["advice"].split(": ")[1].removesuffix(". See privacy.window_max.").split()[1:]
    later = await typed(host, *line, "-o", "json")
    assert "the group has 1 members" in later.json["message"]


# -- what people see ----------------------------------------------------------------------------------------


def test_times_are_read_as_people_write_them() -> None:
    tomorrow = datetime.now().astimezone().replace(microsecond=0) + timedelta(days=1)
    assert _begin("", tomorrow.replace(tzinfo=None).isoformat(), 5.0, 7.0) == tomorrow.timestamp()
    assert _begin("", tomorrow.isoformat(), 5.0, 7.0) == tomorrow.timestamp()
    assert (_begin("90m", "", 5.0, 7.0), _begin("", "", 5.0, 7.0)) == (5405.0, 12.0)
    for within, at in (("soon", ""), ("-2h", ""), ("", "noon"), ("2h", "2030-01-01")):
        with pytest.raises(RequestError):
            _begin(within, at, 5.0, 7.0)


async def test_everything_fits_a_narrow_screen(
    three: list[Neighbour], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, a, _ = three
    monkeypatch.setattr(terminal.out, "_width", WIDTH)
    made = commands.host(host.config, host.engine, GROUP, now=host.clock())
    repository.change_member(
        host.engine, a.host, lambda _one: repository.GroupMember(a.host, format_key(bytes(32)))
    )
    repository.change(
        host.engine,
        lambda group: group and replace(group, run="ab" * 32, published="cd" * 32, next_at=host.clock() + 90),
    )
    found = status.status(host.config, host.engine, host.clock())
    assert found["standing"] is not None
    published = found["standing"]["published"]
    assert published is not None
    assert len(published["words"]) == 8
    show_requests(commands.requests(host.config, host.engine))
    show_members(status.members(host.config, host.engine))
    show_status(found)
    show_requests([])
    show_members([])
    printed = capsys.readouterr().out
    assert "sees the same words" in printed
    assert "1 instance asks to join" in " ".join(printed.split())
    show_hosted(made)
    seen = KeyEvidence(host.host, "", "unread").seen
    show_offer({"group": GROUP, "url": "", "host": seen, "state": "left", "members": []})
    lines = capsys.readouterr().out.splitlines() + printed.splitlines()
    # The invitation is one line, to be copied.
    assert [line for line in lines if len(line) > WIDTH and made["command"] not in line] == []
    for who in ("domain", "card", "book", "unread"):
        assert voucher(KeyEvidence("h.example", format_key(bytes(32)), who, why="it is away"))
