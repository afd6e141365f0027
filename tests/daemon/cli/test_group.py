"""`shoal group`, as admins type it; the host and the members are real services next door."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from daemon.cli import terminal
from daemon.cli.group import _moment, _show_hosted
from daemon.cli.group_view import show_members, show_offer, show_requests, show_status, voucher
from daemon.cli.main import app
from daemon.errors import RequestError, ShoalError
from daemon.group import commands, repository, status
from daemon.group.membership.key_verification import Seen
from daemon.peers import repository as peers
from daemon.peers.repository import Peer
from daemon.rounds.aggregator_window import group_windows
from daemon.store import sums
from daemon.store.activity import SessionRecord, save_session
from federation.group.node_key import new_node_key, public_node_key
from federation.identity import Identity, format_key
from federation.key_words import words
from tests.daemon.group.test_join_and_leave import polls
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.daemon.stored_sums import EXACT_SUM

WIDTH = 80

GROUP = "video-cooperative"


@dataclass
class Typed:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def typed(neighbour: Neighbour, *command: str) -> Typed:
    """Type `shoal ... -c FILE` with nobody at the keyboard; the services go on meanwhile."""

    def run() -> Typed:
        line = [*command, "-c", str(neighbour.config_file)]
        done = CliRunner(env={"COLUMNS": "200"}).invoke(app, line)
        if not isinstance(done.exception, ShoalError):
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
            return Typed(done.exit_code, done.stdout, done.stderr)
        # As `main` does.
        error = done.exception
        return Typed(error.exit_code, done.stdout or json.dumps(error.as_json()), error.advice)

    return await asyncio.to_thread(run)


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 3) as found:
        yield found


def spoken(neighbour: Neighbour) -> str:
    return " ".join(words(neighbour.identity.public.key))


async def test_from_an_invitation_to_members_who_recognise_each_other(three: list[Neighbour]) -> None:
    host, a, b = three
    begun = await typed(host, "group", "host", GROUP)
    line = f"shoal group join {host.url} --group {GROUP}"
    assert begun.code == 0, begun.err
    assert line in begun.out
    assert all(word in begun.out for word in words(host.identity.public.key))
    assert "cannot reach the listener yet" in begun.err

    # Nothing is pinned while nobody compares.
    asked = await typed(a, *line.split()[1:])
    assert (asked.code, spoken(host) in asked.out) == (2, True)
    assert "--words" in asked.err
    assert repository.current(a.engine) is None
    wrong = await typed(a, *line.split()[1:], "--words", spoken(a), "-o", "json")
    assert (wrong.code, wrong.json["code"]) == (3, "refused")
    right = await typed(a, *line.split()[1:], "--words", spoken(host), "-o", "json")
    assert (right.code, right.json["state"]) == (0, "asked"), right.err
    assert [one["host"] for one in right.json["offer"]["members"]] == [host.host]
    assert right.json["offer"]["host"]["voucher"] == "domain"
    assert (await typed(b, "group", "join", host.host, "--yes")).code == 0

    waiting = await typed(host, "group", "requests", "-o", "json")
    assert {one["host"]: " ".join(one["words"]) for one in waiting.json["requests"]} == {
        a.host: spoken(a),
        b.host: spoken(b),
    }
    unseen = await typed(host, "group", "approve", a.host)
    assert (unseen.code, spoken(a).split()[0] in unseen.out) == (2, True)
    let_in = await typed(host, "group", "approve", a.host, "--words", spoken(a), "-o", "json")
    assert (let_in.code, let_in.json["state"], let_in.json["recognised"]) == (0, "member", "yes")
    assert (await typed(host, "group", "approve", b.host, "--yes")).code == 0
    await polls(a)

    there = await typed(a, "group", "members", "-o", "json")
    assert {one["host"]: one["recognised"] for one in there.json["members"]} == {
        host.host: "yes",
        a.host: "yes",
        b.host: "no",
    }
    stands = await typed(a, "group", "status")
    assert stands.code == 0
    assert f"is in the group {GROUP}" in stands.out
    assert f"{b.host} is not recognised here: until it is, this instance does not learn" in stands.out
    done = await typed(a, "group", "recognise", "--all", "--yes", "-o", "json")
    assert (done.code, done.json["not_recognised"]) == (0, {})
    assert [(one["host"], one["voucher"]) for one in done.json["recognised"]] == [(b.host, "domain")]
    assert a.peer(b).approved
    again = await typed(a, "group", "recognise", "--all", "--yes")
    assert "All members are recognised here." in again.out

    none = await typed(a, "sessions", "list")
    assert ("shoal group status" in none.out, "Approve peers" in none.out) == (True, False)
    listing = await typed(a, "peers", "list")
    assert (f"whose host {host.host} takes the sums" in listing.out, "both sides" in listing.out) == (
        True,
        False,
    )
    kept = repository.current(a.engine)
    repository.change(a.engine, lambda group: group and replace(group, state="ejected"))
    out = await typed(a, "group", "members", "-o", "json")
    assert out.json["state"] == "ejected"
    assert {one["host"]: one["state"] for one in out.json["members"]}[a.host] == "ejected"
    assert "This instance is not in the group" in (await typed(a, "group", "members")).out
    repository.change(a.engine, lambda _group: kept)

    left = await typed(a, "group", "leave", "--yes", "-o", "json")
    assert left.json == {"group": GROUP, "left": True, "host_told": True}
    assert (await typed(a, "group", "status", "-o", "json")).json["group"] is None
    out = await typed(host, "group", "eject", b.host)
    assert (out.code, "from the next sum on" in out.out) == (0, True)
    assert (await typed(host, "group", "close")).code == 2
    assert (await typed(host, "group", "close", "--yes")).code == 0
    assert repository.current(host.engine) is None


async def test_an_invited_instance_is_in_without_being_asked_about(three: list[Neighbour]) -> None:
    host, a, _ = three
    await typed(host, "group", "host", GROUP)
    invited = await typed(host, "group", "invite", a.host, "--words", spoken(a), "-o", "json")
    assert (invited.code, invited.json["state"]) == (0, "invited")
    line = invited.json["invitation"]["command"].split()[1:]
    joined = await typed(a, *line, "--yes")
    assert (joined.code, "is in the group" in joined.out) == (0, True)
    assert "The daemon does not run" in joined.out


async def test_what_cannot_be_recognised_is_said(three: list[Neighbour]) -> None:
    host, a, b = three
    await typed(host, "group", "host", GROUP)
    await typed(host, "group", "invite", a.host, "--yes")
    await typed(a, "group", "join", host.url, "--yes")
    # As the host may list them: one that cannot be asked, one by another key than its domain shows.
    away, false = Identity("away.invalid", bytes([5]) * 32), Identity(b.host, bytes([6]) * 32)
    for one in (away, false):
        listed = repository.GroupMember(one.host, format_key(one.public.key), state="member", since=1.0)
        repository.change_member(a.engine, one.host, lambda _one, listed=listed: listed)  # type: ignore[misc]
    done = await typed(a, "group", "recognise", "--all", "--yes", "-o", "json")
    assert [(one["host"], one["voucher"]) for one in done.json["recognised"]] == [(away.host, "unread")]
    assert "another key" in done.json["not_recognised"][b.host]
    assert (done.code, "Compare the words" in done.json["advice"][b.host]) == (3, True)
    assert peers.find(a.engine, a.config, b.host) is None
    named = await typed(a, "group", "recognise", b.host, "--yes", "-o", "json")
    assert (named.code, named.json["code"]) == (3, "refused")
    # Whom the admin decided against is named to be recognised.
    peers.change(a.engine, a.config, away.host, lambda peer: replace(peer, state="removed"))
    kept = await typed(a, "group", "recognise", "--all", "--yes", "-o", "json")
    assert "decided against" in kept.json["not_recognised"][away.host]
    assert kept.json["advice"][away.host].endswith(f"shoal group recognise {away.host}")
    told = await typed(a, "group", "recognise", "--all", "--yes")
    assert (told.code, f"Not recognised: {b.host}" in told.out, "Compare the words" in told.out) == (
        3,
        True,
        True,
    )
    peers.change(a.engine, a.config, away.host, lambda peer: replace(peer, state="reverted"))
    blocked = await typed(a, "group", "recognise", "--all", "--yes", "-o", "json")
    assert blocked.json["advice"][away.host].endswith(f"shoal peers approve {away.host}")


async def test_errors_say_what_to_do(three: list[Neighbour]) -> None:
    host, a, _ = three
    for command, code, part in (
        (("group", "requests"), "no-group", "host NAME"),
        (("group", "leave", "--yes"), "no-group", "nothing to leave"),
        (("group", "recognise", "--all"), "no-group", "join URL"),
        (("group", "host", "Not A Name"), "bad-request", "small letters"),
        (("group", "join", "http://elsewhere.example"), "bad-request", "whole line"),
        (("group", "start", "--in", "soon"), "bad-request", "--in 2h"),
    ):
        failed = await typed(a, *command, "-o", "json")
        assert failed.code == 2, command
        assert failed.json["code"] == code
        assert part in failed.json["advice"]
    await typed(host, "group", "host", GROUP)
    early = await typed(host, "group", "start", "--in", "2h", "-o", "json")
    assert (early.code, early.json["code"]) == (3, "refused")
    unknown = await typed(host, "group", "approve", "nobody.example", "-o", "json")
    assert (unknown.json["code"], "invite" in unknown.json["advice"]) == ("unknown-member", True)
    text = a.config_file.read_text().replace('mode = "consume"', 'mode = "simulate"')
    await asyncio.to_thread(a.config_file.write_text, text)
    for words_ in (("host", GROUP), ("join", host.url, "--yes"), ("leave", "--yes"), ("recognise", "--all")):
        refused = await typed(a, "group", *words_, "-o", "json")
        assert (refused.code, refused.json["code"]) == (3, "refused"), words_
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
    assert done.code == 0, done.err
    assert before + 1800 <= done.json["next_at"] <= time.time() + 1800
    told = await typed(host, "group", "start", "--in", "30m")
    assert "miss it" in told.out
    usual = await typed(host, "group", "start", "-o", "json")
    assert usual.json["next_at"] == pytest.approx(time.time() + 7200, abs=60)
    shown = await typed(host, "group", "status")
    assert "2 hours from now" in shown.out
    assert "which has 5 members" in shown.out
    # With one member less it is announced in vain.
    repository.change_member(host.engine, "m4.example", lambda one: one and replace(one, state="left"))
    fewer = " ".join((await typed(host, "group", "status")).out.split())
    assert "A sum needs 5 members, so 1 more has to join." in fewer


async def test_a_sum_that_cannot_be_learnt_from_is_said(three: list[Neighbour]) -> None:
    host, *_ = three
    await typed(host, "group", "host", GROUP)
    batch = "ab" * 32
    repository.change(host.engine, lambda group: group and replace(group, batch=batch))
    hosts = ["m1.example", "m2.example"]
    save_session(host.engine, SessionRecord(batch, "host", host.host, 1.0, 1.0, "done", "", hosts, hosts))
    sums.save(
        host.engine,
        host.config.sums_dir,
        session_id=batch,
        urls=("https://v.example/1", "https://v.example/2"),
        counts=np.array([7, 8]),
        triangle=np.array([6]),
        privacy=EXACT_SUM,
        now=1.0,
        run=batch,
        sub_cohort=0,
        verdict="new",
    )
    for known in ("m1.example", "m2.example"):
        told = " ".join((await typed(host, "group", "status")).out.split())
        assert "Nothing new is learnt from the group: the newest sum contains" in told
        peers.save(host.engine, Peer(known, "https://m", format_key(bytes(32)), state="approved"))
    assert "Nothing new is learnt" not in (await typed(host, "group", "status")).out
    listing = await typed(host, "sessions", "list")
    assert "the group's sum" in listing.out


async def test_no_sum_is_announced_for_a_window_that_has_its_sum(three: list[Neighbour]) -> None:
    host, *_ = three
    await typed(host, "group", "host", GROUP)
    record = group_windows(host.config, time.time)
    record.open(b"")
    record.answered("ab" * 32)
    refused = await typed(host, "group", "start", "--in", "1m", "-o", "json")
    assert (refused.code, "for this data window" in refused.json["message"]) == (3, True)
    # What it says to type is late enough: now only members are missing.
    line = refused.json["advice"].split(": ")[1].removesuffix(". See privacy.window.").split()[1:]
    later = await typed(host, *line, "-o", "json")
    assert "the group has 1 members" in later.json["message"]


# -- what people see ----------------------------------------------------------------------------------------


def test_times_are_read_as_people_write_them() -> None:
    tomorrow = datetime.now().astimezone().replace(microsecond=0) + timedelta(days=1)
    assert _moment("", tomorrow.replace(tzinfo=None).isoformat(), 5.0, 7.0) == tomorrow.timestamp()
    assert _moment("", tomorrow.isoformat(), 5.0, 7.0) == tomorrow.timestamp()
    assert (_moment("90m", "", 5.0, 7.0), _moment("", "", 5.0, 7.0)) == (5405.0, 12.0)
    for within, at in (("soon", ""), ("-2h", ""), ("", "noon"), ("2h", "2030-01-01")):
        with pytest.raises(RequestError):
            _moment(within, at, 5.0, 7.0)


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
        lambda group: (
            group and replace(group, batch="ab" * 32, published="cd" * 32, next_at=host.clock() + 90)
        ),
    )
    found = status.status(host.config, host.engine, host.clock())
    assert len(found["published"]["words"]) == 8
    show_requests(commands.requests(host.config, host.engine))
    show_members(status.members(host.config, host.engine))
    show_status(found)
    show_requests([])
    show_members([])
    printed = capsys.readouterr().out
    assert "sees the same words" in printed
    assert "1 instance asks to join" in " ".join(printed.split())
    _show_hosted(made)
    shown = {"group": GROUP, "host": {"host": host.host}, "members": []}
    show_offer(shown)
    lines = capsys.readouterr().out.splitlines() + printed.splitlines()
    # The invitation is one line, to be copied.
    assert [line for line in lines if len(line) > WIDTH and made["command"] not in line] == []
    for who in ("domain", "card", "book", "unread"):
        assert voucher(Seen("h.example", format_key(bytes(32)), who, why="it is away"))
