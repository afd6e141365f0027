"""What is wrong with the database or the source is told in the same true words on every surface."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.config import Config, load
from daemon.errors import DatabaseDamagedError
from daemon.identity import open_identity
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.store import engagement_arrays, videos
from daemon.store.engine import open_checked, truncate_wal
from federation.identity import Identity, format_key
from tests.daemon.fake_peertube import configure, peertube, small_world
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import daemon, instance
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set

PEER = Identity("peer.example", b"p" * 32)
PAGE = 4096
PROTECTS = ("approvals", "ledger", "releases.jsonl", "windows", "shoal.db", "database")


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def a_page(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // PAGE):
            file.seek(page * PAGE)
            file.write(b"\xa5" * PAGE)


def replaced(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


SAID: dict[Callable[[Path], None], tuple[str, str]] = {
    missing: ("database-missing", "shoal.db is missing"),
    empty: ("database-missing", "shoal.db is empty"),
    a_page: ("database-damaged", "shoal.db is damaged"),
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_set(tmp_path / "one" / "dataset")
    config = load(instance(tmp_path / "one", extra='mode = "contribute"'))
    open_identity(config.identity_file, config.instance.host)
    assert run_here("sync", config.data_dir / "shoal.toml").ok
    engine = open_checked(config.database)
    peer = Peer(PEER.host, "http://127.0.0.1:9", format_key(PEER.public.key), state="approved", since=1.0)
    repository.save(engine, peer)
    assert truncate_wal(engine)
    engine.dispose()
    return config


@pytest.mark.parametrize("damage", SAID)
def test_commands_status_and_doctor(config: Config, damage: Callable[[Path], None]) -> None:
    code, said = SAID[damage]
    damage(config.database)
    where = ("-c", config.data_dir)
    listed = shoal("peers", "list", *where, "-o", "json")
    assert (listed.returncode, listed.json["code"], listed.json["message"]) == (6, code, said)
    _advises_well(listed.json["advice"])
    for name in ("status", "doctor"):
        checks = shoal(name, *where, "-o", "json").json
        found = {one["check"]: one for one in checks.get("checks", checks.get("problems"))}["database"]
        assert (found["outcome"], found["sentence"]) == ("failure", f"{said}.")
        assert found["next_step"] == listed.json["advice"]


@pytest.mark.parametrize("table", ["videos", "engagements", "video_since"])
def test_a_table_that_is_read_past_sqlalchemy(config: Config, table: str) -> None:
    """Its first page stays, so that the damage is met in the middle of the rows."""
    with closing(sqlite3.connect(config.database)) as database:
        rows = database.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", (table,)
        ).fetchall()
    *_, (last,) = rows
    assert len(rows) > 1 or table != "engagements"
    with config.database.open("r+b") as file:
        file.seek((last - 1) * PAGE)
        file.write(b"\xa5" * PAGE)
    engine = open_checked(config.database)
    read = videos.public_dates if table == "video_since" else engagement_arrays.read
    with pytest.raises(DatabaseDamagedError):
        read(engine)


@pytest.mark.parametrize("damage", SAID)
def test_the_admin_s_page_and_the_log(config: Config, damage: Callable[[Path], None]) -> None:
    code, said = SAID[damage]
    if damage is empty:
        # A running daemon has the file open; that its name leads to an empty one is noticed alike.
        damage = _emptied
    with daemon(config.data_dir / "shoal.toml") as running:
        damage(config.database)
        for suffix in ("-wal", "-shm"):
            config.database.with_name(f"shoal.db{suffix}").unlink(missing_ok=True)
        status, answer = running.call(f"/v1/admin/peers/{PEER.host}/pause", body={}, admin=True)
        assert (status, answer["code"], answer["message"]) == (503, code, said)
        _advises_well(answer["advice"])
        assert running.call("/health/live")[0] == 200
        assert "Traceback" not in running.logged()
        assert "SELECT" not in running.logged()
        synced = run_here("sync", config.data_dir / "shoal.toml")
        assert (synced.ok, synced.code) == (False, code)


def test_a_file_that_was_replaced_under_a_daemon_takes_no_order(config: Config) -> None:
    with daemon(config.data_dir / "shoal.toml") as running:
        replaced(config.database)
        status, answer = running.call(f"/v1/admin/peers/{PEER.host}/pause", body={}, admin=True)
        assert (status, answer["message"]) == (503, "shoal.db was replaced by another file")


def test_a_peertube_that_does_not_answer(tmp_path: Path) -> None:
    with peertube(small_world()) as gone:
        url = gone.url
    path = configure(tmp_path / "one", url)
    settings = load(path)
    open_identity(settings.identity_file, settings.instance.host)
    assert run_here("migrate", path).ok
    said = f"Nothing answers at {url}."
    done = shoal("sync", "-c", path, "-o", "json")
    assert (done.returncode, done.json["code"]) == (5, "source")
    assert url in done.json["message"]
    for name in ("status", "doctor"):
        checks = shoal(name, "-c", path, "-o", "json").json
        found = {one["check"]: one for one in checks.get("checks", checks.get("problems"))}
        assert found["peertube"]["sentence"] == said
    told = shoal("status", "-c", path, "-o", "json").json["status"]["failed"]
    assert [(one["job"], one["code"], one["message"]) for one in told] == [
        ("sync", "source", done.json["message"])
    ]
    _advises_well(done.json["advice"])


def _emptied(path: Path) -> None:
    path.unlink()
    path.touch()


def _advises_well(advice: str) -> None:
    assert advice
    for verb in ("delete", "remove", "rm "):
        assert not any(f"{verb} {what}" in advice.lower() for what in PROTECTS), advice
