"""Reading a PeerTube over HTTP: what is stored, what faults do, what withdrawal leaves."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from daemon.process.child import python_module
from daemon.store import activity, content_arrays, engagement_arrays, source_state
from daemon.store.engagement_arrays import interactions
from daemon.store.engine import open_checked
from daemon.store.viewers import Pseudonyms, consent_lock, forget_viewers
from models.counting import counts
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import PeerTube, address, configure, made_video, peertube, small_world, viewer
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import until


@pytest.fixture
def server() -> Iterator[PeerTube]:
    with peertube(small_world()) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: PeerTube) -> Path:
    return configure(tmp_path / "one", server.url)


def stored(config: Path) -> tuple[content_arrays.Catalogue, engagement_arrays.Engagements]:
    return engagement_arrays.read(open_checked(config.parent / "shoal.db"))


def raw(config: Path) -> bytes:
    """Return every byte of the files of the database."""
    return b"".join(path.read_bytes() for path in sorted(config.parent.glob("shoal.db*")))


def traces(config: Path, world: pt.World, who: int) -> list[bytes]:
    """Return bytes that the files hold if anything of a viewer is in them: pseudonym, digest, times."""
    pseudonym = Pseudonyms.open(config.parent / "viewers.key").of(viewer(who))
    times = [
        struct.pack(">d", world.at(kind, number))
        for kind in ("rates", "history")
        for number, row in enumerate(world.rows(kind), 1)
        if row is not None and row[0] == who
    ]
    return [pseudonym, viewer(who).encode(), bytes.fromhex(viewer(who)), *times]


def test_a_sync_stores_what_the_plugin_sends(server: PeerTube, config: Path) -> None:
    server.world.videos[3] |= {"scope": 4, "nsfw": True, "channel": None, "tags": ["Jazz", "\ud800\0"]}
    server.world.videos[4] |= {"scope": 77, "account": "https://one.example/accounts/a"}
    done = run_here("sync", config)
    assert done.ok, done
    assert done.result["videos"] == 30
    assert done.result["viewers"] == 40
    catalogue, engagements = stored(config)
    place = {url: n for n, url in enumerate(catalogue.urls)}
    third, fourth = place[address(3)], place[address(4)]
    assert catalogue.scope[[third, fourth, place[address(5)]]].tolist() == [4, 4, 1]
    assert catalogue.nsfw[third]
    assert catalogue.channel[third] == -1
    assert catalogue.account[fourth] >= 0
    assert catalogue.published[third] == 1_700_000_003.5
    assert set(catalogue.language_names) == {"en", "fr"}
    assert "?" in catalogue.tag_names
    assert engagements.user_count == 40
    assert engagements.disliked.sum() == 8
    facts = source_state.read(open_checked(config.parent / "shoal.db"))
    assert facts is not None
    assert (facts.kind, facts.rates, facts.history, facts.participants) == ("peertube", 40, 200, 40)
    followed = source_state.followed_since(open_checked(config.parent / "shoal.db"))
    assert followed == {"two.example": datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC).timestamp()}


def test_the_order_of_reading_keeps_withdrawals_safe(server: PeerTube, config: Path) -> None:
    assert run_here("sync", config).ok
    order = list(dict.fromkeys(server.paths()))
    assert order == ["status", "videos", "participants", "engagements", "effects", "exclusions", "following"]
    # Once more after everything else.
    assert server.paths()[-1] == "participants"
    assert server.secrets == []


def test_who_does_not_take_part_is_not_stored_whatever_is_sent(server: PeerTube, config: Path) -> None:
    """Rows of somebody who is not on the list of participants, or joins while we read, are left out."""
    listed = server.world.participants
    server.world.participants = listed - {3}

    async def joins(_request: web.Request) -> None:
        server.world.participants = listed

    server.faults["engagements"] = joins
    done = run_here("sync", config)
    assert done.ok
    assert done.result["viewers"] == 39
    assert not any(trace in raw(config) for trace in traces(config, server.world, 3)[:3])


@pytest.mark.parametrize("how", ["withdraws", "clears"])
def test_who_withdraws_while_we_read_is_not_stored(server: PeerTube, config: Path, how: str) -> None:
    expected = [
        Pseudonyms.open(config.parent / "viewers.key").of(viewer(3)),
        *(struct.pack(">d", server.world.at("history", 16 + n)) for n in range(5)),
    ]

    async def leave(_request: web.Request) -> None:
        if how == "withdraws":
            server.world.participants.discard(3)
        else:
            server.world.forget(3)

    server.faults["following"] = leave
    assert run_here("sync", config).result["viewers"] == 39
    assert not any(trace in raw(config) for trace in expected)
    del server.faults["following"]
    server.world.participants.add(3)
    if how == "withdraws":
        # The same bytes are there when nobody withdraws: the search above looks for the right thing.
        assert run_here("sync", config).result["viewers"] == 40
        assert all(trace in raw(config) for trace in expected)


@pytest.mark.parametrize("how", ["opts out", "clears history", "deletes one row", "deletes the account"])
def test_after_the_next_check_nothing_of_a_viewer_is_left(server: PeerTube, config: Path, how: str) -> None:
    assert run_here("sync", config).ok
    world = server.world
    expected = traces(config, world, 3)
    assert all(trace in raw(config) for trace in [expected[0], *expected[3:]])
    engine = open_checked(config.parent / "shoal.db")
    catalogue, before = engagement_arrays.read(engine)
    if how == "opts out":
        world.participants.discard(3)
    elif how == "deletes one row":
        world.history[next(n for n, row in enumerate(world.history) if row and row[0] == 3)] = None
    else:
        world.forget(3)
        if how == "deletes the account":
            world.participants.discard(3)
    world.exclusions["hosts"] = ["bad.example"]
    done = run_here("consent", config)
    assert done.ok, done
    assert done.result == {"viewers": 40, "removed": 1, "windows_voided": 0, "exclusions_changed": True}
    assert not any(trace in raw(config) for trace in expected)
    assert all(trace in raw(config) for trace in [traces(config, world, 4)[0], *traces(config, world, 4)[3:]])
    catalogue, after = engagement_arrays.read(engine)
    assert after.user_count == before.user_count - 1
    # The next statistic is a sum over the others only.
    gone = interactions(before, len(catalogue), limit=None), interactions(after, len(catalogue), limit=None)
    assert counts(gone[0]).sum() - counts(gone[1]).sum() > 0
    assert source_state.exclusions(engine).hosts == {"bad.example"}
    facts = source_state.read(engine)
    assert facts is not None
    assert facts.checked is not None


def test_nothing_is_left_however_many_go_at_once(tmp_path: Path) -> None:
    """Many pages of the file are emptied and merged: copies of cells must not stay in them."""
    users = 3000
    world = pt.World(videos=[made_video(n) for n in range(300)], participants=set(range(users)))
    world.history = [(who, (who * 7 + n * 13) % 300, 0.8) for who in range(users) for n in range(12)]
    with peertube(world) as server:
        config = configure(tmp_path / "one", server.url, page=2000)
        assert run_here("sync", config).ok
        pseudonyms = Pseudonyms.open(config.parent / "viewers.key")
        for keep in (3, 9):
            leavers = [who for who in world.participants if who % keep]
            expected = [pseudonyms.of(viewer(who))[:8] for who in leavers]
            expected += [
                struct.pack(">d", world.at("history", who * 12 + n + 1)) for who in leavers for n in range(12)
            ]
            assert found(raw(config), expected) == len(expected)
            world.participants -= set(leavers)
            # Once by the check, once because a sync does not bring them.
            done = run_here("consent" if keep == 3 else "sync", config)
            assert done.result["removed" if keep == 3 else "viewers"] == (2000 if keep == 3 else 334)
            assert found(raw(config), expected) == 0


def found(content: bytes, wanted: list[bytes]) -> int:
    """Return how many of some eight-byte strings occur anywhere."""
    windows = [
        np.frombuffer(content[first : first + (len(content) - first) // 8 * 8], np.uint64)
        for first in range(8)
    ]
    return int(np.isin(np.frombuffer(b"".join(wanted), np.uint64), np.concatenate(windows)).sum())


def test_a_check_that_finds_nothing_new_changes_nothing(server: PeerTube, config: Path) -> None:
    assert run_here("sync", config).ok
    # New rows lie beyond the marks: they are no reason to forget anybody.
    server.world.history += [(who, 5, 0.9) for who in range(40)]
    before = stored(config)[1].when.tolist()
    for _ in range(2):
        assert run_here("consent", config).result == {
            "viewers": 40,
            "removed": 0,
            "windows_voided": 0,
            "exclusions_changed": False,
        }
    assert stored(config)[1].when.tolist() == before
    engine = open_checked(config.parent / "shoal.db")
    assert len(activity.jobs(engine, names=["consent"])) == 1


def test_a_check_before_the_first_sync_asks_nothing(server: PeerTube, config: Path) -> None:
    assert run_here("consent", config).ok
    assert server.asked == []


def test_a_check_that_gets_no_answer_forgets_nobody(server: PeerTube, config: Path) -> None:
    assert run_here("sync", config).ok

    async def broken(_request: web.Request) -> web.Response:
        return web.json_response({"items": [{"viewer": viewer(1), "state": 5}], "next": None})

    server.faults["participants"] = broken
    done = run_here("consent", config)
    assert (done.ok, done.code) == (False, "source")
    assert stored(config)[1].user_count == 40


async def garbage(_request: web.Request) -> web.Response:
    return web.Response(text="<html>nginx</html>")


async def half(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"items": [')
    assert request.transport is not None
    request.transport.close()
    return answer


async def huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    with contextlib.suppress(OSError):
        for _ in range(400):
            await answer.write(b" " * 2**17)
    return answer


async def unavailable(_request: web.Request) -> web.Response:
    return web.Response(status=500)


async def elsewhere(_request: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:1/")


async def circle(_request: web.Request) -> web.Response:
    return web.json_response({"items": [], "next": 7})


async def too_many(request: web.Request) -> web.Response:
    return web.json_response(
        {"items": [made_video(n) for n in range(int(request.query["limit"]) + 1)], "next": None}
    )


FAULTS = [
    ("videos", garbage, "not JSON"),
    ("videos", half, "broke off"),
    ("participants", huge, "larger than 16 MiB"),
    ("engagements", unavailable, "status 500"),
    ("status", elsewhere, "status 302"),
    ("videos", circle, "in a circle"),
    ("videos", too_many, "more than the 100 rows"),
    ("exclusions", garbage, "not JSON"),
    ("effects", garbage, "not JSON"),
    ("following", unavailable, "status 500"),
]


@pytest.mark.parametrize(("page", "fault", "told"), FAULTS)
def test_a_broken_peertube_leaves_the_old_snapshot_and_is_named(
    server: PeerTube, config: Path, page: str, fault: pt.Fault, told: str
) -> None:
    assert run_here("sync", config).ok
    before = stored(config)[0].urls
    server.world.videos.append(made_video(999))
    server.faults[page] = fault
    done = run_here("sync", config)
    assert (done.ok, done.code, done.exit_code) == (False, "source", 5)
    assert told in done.message
    assert "kept" in done.advice
    assert pt.SECRET not in done.message + done.advice
    assert stored(config)[0].urls == before


def test_an_unreachable_peertube_and_a_wrong_secret_are_told_apart(server: PeerTube, config: Path) -> None:
    text = config.read_text()
    config.write_text(text.replace(pt.SECRET, "another-secret-0123456789"))
    wrong = run_here("sync", config)
    assert wrong.message == "the plugin does not accept this daemon's secret"
    assert wrong.advice.endswith("The stored data was kept.")
    config.write_text(text.replace(server.url, "http://127.0.0.1:1"))
    nobody = run_here("sync", config)
    assert nobody.message == "nothing answers at http://127.0.0.1:1"


def test_too_many_requests_are_waited_out(server: PeerTube, config: Path) -> None:
    told: list[float] = []

    async def refuse(_request: web.Request) -> web.Response | None:
        told.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(told) == 1 else None

    server.faults["videos"] = refuse
    assert run_here("sync", config).ok
    assert told[1] - told[0] >= 1.0


def test_a_short_failure_is_tried_again(server: PeerTube, config: Path) -> None:
    times = 0

    async def fails_once(_request: web.Request) -> web.Response | None:
        nonlocal times
        times += 1
        return web.Response(status=503) if times == 1 else None

    server.faults["videos"] = fails_once
    assert run_here("sync", config).ok


def test_requests_stay_below_the_limit(tmp_path: Path) -> None:
    with peertube(small_world(users=400, videos=600)) as server:
        assert run_here("sync", configure(tmp_path / "one", server.url)).ok
        assert len(server.asked) > 45
        assert server.most_in_a_second() <= 40


@pytest.mark.daemon
def test_a_sync_waits_for_a_viewer_who_is_being_forgotten(server: PeerTube, config: Path) -> None:
    """Whoever holds the lock is done before a snapshot is put in place; nothing comes back afterwards."""
    assert run_here("sync", config).ok
    engine = open_checked(config.parent / "shoal.db")
    pseudonym = Pseudonyms.open(config.parent / "viewers.key").of(viewer(3))
    command, environment = python_module("daemon.jobs", "sync", "--config", str(config))
    with consent_lock(config.parent):
        last = len(server.asked)
        sync = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        until(lambda: "following" in server.paths()[last:])
        time.sleep(0.3)
        assert server.paths()[-1] == "following"
        server.world.participants.discard(3)
        assert forget_viewers(engine, [pseudonym]) == 1
    assert sync.wait(60) == 0
    assert pseudonym not in raw(config)
