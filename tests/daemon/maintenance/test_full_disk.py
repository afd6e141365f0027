"""A disk that is full: every surface says so in the same words, nothing is lost, and all goes on afterwards.

The disk is a small one, filled for real; jobs and daemon are the ones that run on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.config import Config, load
from daemon.errors import DiskFullError, StoreError
from daemon.identity import open_identity
from daemon.ledger import chain
from daemon.peers import commands, repository
from daemon.peers.repository import Peer
from daemon.process.full_disk import disk_full
from daemon.store import activity, current_model, releases
from daemon.store.engine import open_checked, reads
from daemon.store.releases import ReleaseRecord
from daemon.store.tables import Base
from federation.identity import Identity, format_key
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import daemon, instance
from tests.daemon.shoal_command import process, shoal
from tests.daemon.small_dataset import write_set
from tests.daemon.small_disk import SmallDisk, inside, run_inside, small_disk

PEER = Identity("peer.example", b"p" * 32)
RELEASE = ReleaseRecord("w" * 32, time.time() - 86400, PEER.host, "s" * 64, 16, 16, 0.5, 200, 30, 30)
FULL = disk_full()
KEPT = ("peers", "releases", "ledger", "models", "video_since", "viewers", "engagements", "videos")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 12) as disk:
        yield disk


@pytest.fixture
def config(disk: SmallDisk, tmp_path: Path) -> Config:
    """Return an instance on the small disk that has all: a model, a peer, a release, a ledger."""
    write_set(tmp_path / "dataset")
    path = instance(disk.path / "one", extra='mode = "contribute"', source=tmp_path / "dataset")
    config = load(path)
    open_identity(config.identity_file, config.instance.host)
    assert run_here("sync", path).ok
    assert run_here("train", path).ok
    engine = open_checked(config.database)
    key = format_key(PEER.public.key)
    repository.save(engine, Peer(PEER.host, "http://127.0.0.1:9", key, state="approved", since=1.0))
    commands.pause(engine, config, PEER.host, now=2.0)
    releases.save(engine, RELEASE, config.windows_dir)
    engine.dispose()
    return config


def file_of(config: Config) -> Path:
    return config.data_dir / "shoal.toml"


def stored(config: Config) -> dict[str, list[Any]]:
    engine = open_checked(config.database)
    with reads(engine) as connection:
        found = {
            table.name: sorted(map(repr, connection.execute(table.select())))
            for table in Base.metadata.sorted_tables
            if table.name in KEPT
        }
    assert chain.verify(engine, open_identity(config.identity_file, config.instance.host).public).ok
    engine.dispose()
    return found


def test_a_full_disk() -> None:
    run_inside(__file__)


@inside
@pytest.mark.parametrize("leave", [0, 40_000, 200_000])
def test_jobs_say_so_and_lose_nothing(config: Config, disk: SmallDisk, leave: int) -> None:
    before, serving = stored(config), current_model.read(config.models_dir)
    disk.fill(leave=leave)
    fitted = set()
    for name in ("sync", "train", "migrate"):
        outcome = run_here(name, file_of(config))
        if outcome.ok:
            # What is small enough fits into what was left.
            fitted.add(name)
            continue
        assert (outcome.code, outcome.message, outcome.advice) == (FULL.code, FULL.message, FULL.advice)
        assert outcome.exit_code == DiskFullError.exit_code
    if not leave:
        assert not run_here("sync", file_of(config)).ok
        assert not run_here("train", file_of(config)).ok
    disk.free()
    if "train" not in fitted:
        assert stored(config)["models"] == before["models"]
    after = stored(config)
    assert {name: after[name] for name in ("peers", "releases", "viewers", "videos")} == {
        name: before[name] for name in ("peers", "releases", "viewers", "videos")
    }
    assert set(before["ledger"]) <= set(after["ledger"])
    assert current_model.read(config.models_dir) is not None
    assert leave or current_model.read(config.models_dir) == serving
    assert run_here("sync", file_of(config)).ok
    assert run_here("train", file_of(config)).ok
    # No part of what did not fit stays.
    names = {path.name for path in config.models_dir.iterdir()}
    engine = open_checked(config.database)
    with reads(engine) as connection:
        known = set(connection.execute(Base.metadata.tables["models"].select()).scalars())
    assert names == known | {current_model.POINTER_NAME}


@inside
def test_commands_say_so(config: Config, disk: SmallDisk) -> None:
    disk.fill()
    for words in (["peers", "approve", PEER.host, "--yes"], ["sync"], ["train"]):
        done = shoal(*words, "-c", file_of(config))
        assert f"Error: {FULL.message}" in done.stderr, words
        assert " ".join(FULL.advice.split()) in " ".join(done.stderr.split())
        assert done.returncode == DiskFullError.exit_code
    told = process("sync", "-c", file_of(config))
    assert (told.returncode, "Traceback" in told.stderr) == (DiskFullError.exit_code, False)
    for name in ("status", "doctor"):
        done = shoal(name, "-c", file_of(config))
        assert done.returncode == 7
        assert "The disk is full: " in done.said


@inside
def test_a_release_that_cannot_be_noted_is_not_given(config: Config, disk: SmallDisk) -> None:
    engine = open_checked(config.database)
    disk.fill()
    more = replace(RELEASE, window="x" * 32)

    def many() -> None:
        for number in range(200):
            one = replace(RELEASE, window=f"{number:032}")
            releases.save(engine, one, config.windows_dir)

    with pytest.raises((OSError, StoreError)):
        many()
    disk.free()
    releases.save(engine, more, config.windows_dir)
    noted = {one.window for one in releases.since(engine, 0.0)}
    assert {RELEASE.window, more.window} <= noted


@inside
def test_a_running_daemon_answers_and_says_so(config: Config, disk: SmallDisk) -> None:
    with daemon(file_of(config)) as running:
        status, answer = running.call("/v1/recommendations", body={"limit": 3})
        assert status == 200, answer
        disk.fill()
        refused, said = running.call(f"/v1/admin/peers/{PEER.host}/remove", body={}, admin=True)
        assert (refused, said) == (507, FULL.as_json())
        assert "request failed" not in running.logged()
        assert running.call("/v1/recommendations", body={"limit": 3}) == (status, answer)
        assert running.call("/v1/status")[0] == 200
        assert running.call("/v1/admin/peers", admin=True)[0] == 200
        assert "Traceback" not in running.logged()
        disk.free()
        assert running.call(f"/v1/admin/peers/{PEER.host}/remove", body={}, admin=True)[0] == 200
    engine = open_checked(config.database)
    assert repository.find(engine, config, PEER.host) is not None
    assert activity.jobs(engine)
