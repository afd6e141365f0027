"""A folder that was put back whole from an older copy lets nobody back in: PeerTube's database knows."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from aiohttp import web

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.ledger import chain
from daemon.ledger.chain import Kind
from daemon.maintenance import older_folder
from daemon.peers import commands, repository
from daemon.peers.repository import Peer
from daemon.rounds.data_windows import DataWindows, open_windows
from daemon.status.notices import current
from daemon.store.engine import open_checked, truncate_wal
from federation.identity import Identity, format_key
from tests.daemon.fake_peertube import PeerTube, configure, peertube, small_world
from tests.daemon.jobs_in_process import run_here

KEPT, REMOVED = (Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(2))


@pytest.fixture
def server() -> Iterator[PeerTube]:
    with peertube(small_world(users=4, videos=4)) as found:
        yield found


@pytest.fixture
def config(server: PeerTube, tmp_path: Path) -> Config:
    """Return an instance with two approved peers, of which the plugin knows the ledger, and a copy of it."""
    path = configure(tmp_path / "one", server.url)
    config = load(path)
    open_identity(config.identity_file, config.instance.host)
    assert run_here("sync", path).ok
    engine = open_checked(config.database)
    for one in (KEPT, REMOVED):
        peer = Peer(one.host, "http://127.0.0.1:9", format_key(one.public.key), state="approved", since=1.0)
        repository.save(engine, peer)
    windows(config)
    noted(config, Kind.PEER_ADDED)
    checked(config)
    assert truncate_wal(engine)
    engine.dispose()
    shutil.copytree(config.data_dir, tmp_path / "copy")
    return config


def checked(config: Config) -> None:
    done = run_here("consent", config.data_dir / "shoal.toml")
    assert done.ok, done


def noted(config: Config, kind: Kind) -> None:
    engine = open_checked(config.database)
    identity = open_identity(config.identity_file, config.instance.host)
    chain.append(engine, identity, kind, KEPT.host, {}, time.time())
    engine.dispose()


def removed(config: Config) -> None:
    engine = open_checked(config.database)
    commands.remove(engine, config, REMOVED.host, now=time.time())
    engine.dispose()


def put_back(config: Config) -> None:
    shutil.rmtree(config.data_dir)
    shutil.copytree(config.data_dir.with_name("copy"), config.data_dir)


def states(config: Config) -> dict[str, str]:
    engine = open_checked(config.database)
    found = {host: str(peer.state) for host, peer in repository.read(engine, config).peers.items()}
    engine.dispose()
    return found


def windows(config: Config) -> DataWindows:
    identity = open_identity(config.identity_file, config.instance.host)
    return open_windows(config, identity, open_checked(config.database), time.time)


def told(config: Config) -> list[str]:
    engine = open_checked(config.database)
    notices = [one for one in current(engine, config, time.time()) if one.kind == "database-lost"]
    engine.dispose()
    return [sentence["code"] for one in notices for sentence in one.sentences]


def test_every_peer_is_paused_where_a_decision_is_missing(config: Config, server: PeerTube) -> None:
    removed(config)
    checked(config)
    assert states(config) == {KEPT.host: "approved", REMOVED.host: "removed"}
    put_back(config)
    assert states(config)[REMOVED.host] == "approved"
    checked(config)
    assert states(config) == {KEPT.host: "paused", REMOVED.host: "paused"}
    assert told(config) == ["lostOlderFolder", "lostPaused", "lostServed"]
    engine = open_checked(config.database)
    [newest] = chain.newest(engine, 1)
    assert (newest.kind, newest.details["cause"]) == (Kind.DATABASE_LOST, "older-folder")
    known = older_folder.of_ledger(engine)
    assert known is not None
    assert server.world.ledger == asdict(known)
    # What the admin decides now stands.
    commands.approve(
        engine, config, KEPT.host, key=None, max_users=None, now=time.time(), holds=lambda *_: None
    )
    checked(config)
    assert states(config) == {KEPT.host: "approved", REMOVED.host: "paused"}
    # Also where that copy is put back once more.
    put_back(config)
    assert run_here("sync", config.data_dir / "shoal.toml").ok
    assert set(states(config).values()) == {"paused"}


def test_where_no_decision_is_missing_everything_counts_as_given_and_nobody_is_paused(
    config: Config, server: PeerTube
) -> None:
    noted(config, Kind.PEER_ADDED)
    checked(config)
    put_back(config)
    began = time.time()
    # What a snapshot of the whole file system looks like: nothing in the folder tells of it.
    assert windows(config).restored
    assert not windows(config).restored
    checked(config)
    assert set(states(config).values()) == {"approved"}
    until = windows(config).served_until()
    assert until is not None
    assert until >= began + config.privacy.window_max.total_seconds()
    assert told(config) == []


def test_a_folder_that_only_went_on_is_none(config: Config, server: PeerTube) -> None:
    before = server.world.ledger
    removed(config)
    checked(config)
    assert told(config) == []
    assert server.world.ledger is not None
    assert server.world.ledger["decisions"] == server.world.ledger["entries"]
    assert server.world.ledger != before


def test_the_ledger_of_another_folder_tells_nothing(config: Config, server: PeerTube) -> None:
    server.world.ledger = {
        **dict.fromkeys(("begun", "head", "decision"), "f" * 64),
        "entries": 90,
        "decisions": 80,
    }
    checked(config)
    assert set(states(config).values()) == {"approved"}
    assert server.world.ledger["entries"] < 90


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ledger": {}},
        {"ledger": {"begun": "f", "entries": 1, "head": "f", "decisions": 0, "decision": ""}},
        {"ledger": {"begun": "f" * 64, "entries": True, "head": "f" * 64, "decisions": 0, "decision": ""}},
        None,
    ],
)
def test_a_plugin_that_tells_nothing_of_use_changes_nothing(
    config: Config, server: PeerTube, answer: object
) -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.json_response(answer, status=404 if answer is None else 200)

    removed(config)
    checked(config)
    put_back(config)
    server.faults["ledger"] = page
    checked(config)
    assert set(states(config).values()) == {"approved"}
    server.faults.clear()
    checked(config)
    assert set(states(config).values()) == {"paused"}


def test_a_number_of_entries_that_no_ledger_has_is_no_answer(config: Config, server: PeerTube) -> None:
    engine = open_checked(config.database)
    here = older_folder.of_ledger(engine)
    engine.dispose()
    assert here is not None

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"ledger": asdict(replace(here, entries=10**30))})

    server.faults["ledger"] = page
    checked(config)
    assert set(states(config).values()) == {"approved"}
