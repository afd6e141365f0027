"""A backup is whole or refused, is made while a daemon runs, and brings back nobody who was removed since."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import tarfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.ledger import chain
from daemon.maintenance import backup
from daemon.peers import commands, repository
from daemon.peers.repository import Peer
from daemon.rounds.data_windows import open_windows
from daemon.store import current_model, loss, releases
from daemon.store.engine import connect, open_checked, truncate_wal
from daemon.store.releases import ReleaseRecord
from federation.identity import Identity, format_key
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import daemon, instance
from tests.daemon.shoal_command import at_terminal, shoal
from tests.daemon.small_dataset import write_set

PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(4)]
KEPT, PAUSED, REMOVED, FILED = (peer.host for peer in PEERS)
RELEASE = ReleaseRecord("w" * 32, time.time() - 86400, KEPT, "s" * 64, 16, 16, 0.5, 200, 30, 30)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return an instance with a model and four approved peers, one of them named in its file."""
    path = instance(
        tmp_path / "one", extra='mode = "contribute"', source=write_set(tmp_path / "set" / "dataset")
    )
    filed = format_key(PEERS[3].public.key)
    path.write_text(
        f'{path.read_text()}\n[[peers]]\nhost = "{FILED}"\nurl = "http://127.0.0.1:9"\nkey = "{filed}"\n'
    )
    config = load(path)
    open_identity(config.identity_file, config.instance.host)
    assert run_here("sync", path).ok
    assert run_here("train", path).ok
    engine = open_checked(config.database)
    for peer in PEERS[:3]:
        key = format_key(peer.public.key)
        repository.save(engine, Peer(peer.host, "http://127.0.0.1:9", key, state="approved", since=1.0))
    releases.save(engine, RELEASE, config.windows_dir)
    engine.dispose()
    return config


def at(config: Config) -> Path:
    return config.data_dir / "shoal.toml"


def saved(config: Config, to: Path) -> Path:
    done = shoal("backup", to, "-c", at(config))
    assert done.returncode == 0, done
    return to


def approved(config: Config) -> list[str]:
    engine = open_checked(config.database)
    found = [peer.host for peer in repository.read(engine, config).approved()]
    engine.dispose()
    return found


def decide_against(config: Config) -> None:
    engine = open_checked(config.database)
    commands.pause(engine, config, PAUSED, now=2.0)
    commands.remove(engine, config, REMOVED, now=3.0)
    commands.remove(engine, config, FILED, now=3.0)
    later = replace(RELEASE, window="x" * 32, at=time.time())
    releases.save(engine, later, config.windows_dir)
    assert truncate_wal(engine)
    engine.dispose()


def test_a_backup_holds_all_but_what_viewers_did(config: Config, tmp_path: Path) -> None:
    file = saved(config, tmp_path / "backup")
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".backup*"))
    with tarfile.open(file) as archive:
        names = set(archive.getnames())
        archive.extractall(tmp_path / "out", filter="data")
    assert {"shoal.toml", "identity.key", "viewers.key", "ledger.jsonl", "shoal.db"} <= names
    assert {"windows/releases.jsonl", "models/current"} <= names
    model = current_model.read(config.models_dir)
    assert any(name.startswith(f"models/{model}/") for name in names)
    # Whoever has no Shoal can check it.
    summed = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=False)
    assert summed.returncode == 0
    with closing(sqlite3.connect(tmp_path / "out" / "shoal.db")) as database:
        assert database.execute("SELECT count(*) FROM engagements").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM peers").fetchone()[0] >= 3
        assert database.execute("SELECT count(*) FROM viewers").fetchone()[0] > 0
    refused = shoal("backup", file, "-c", at(config))
    assert (refused.returncode, "exists already" in refused.stderr) == (2, True)


def test_it_is_consistent_while_the_daemon_runs_and_others_write(config: Config, tmp_path: Path) -> None:
    with daemon(at(config)) as running:
        engine = open_checked(config.database)
        for number in range(5):
            commands.pause(engine, config, PAUSED, now=2.0)
            file = saved(config, tmp_path / f"backup{number}")
            commands.resume(engine, config, PAUSED, now=2.0)
            into = tmp_path / f"out{number}"
            into.mkdir()
            header = backup.unpack(file, into)
            assert header.host == config.instance.host
            copied = connect(into / "shoal.db")
            public = open_identity(config.identity_file, config.instance.host).public
            assert chain.verify(copied, public).ok
            copied.dispose()
        refused = shoal("restore", file, "-c", at(config), "--yes")
        assert (refused.returncode, "is running" in refused.stderr) == (4, True)
        assert running.call("/health/ready")[0] == 200


def test_a_dead_disk_with_nobody_to_ask_pauses_every_peer(config: Config, tmp_path: Path) -> None:
    file = saved(config, tmp_path / "backup")
    decide_against(config)
    new = tmp_path / "new"
    done = shoal("restore", file, "-c", new, "--yes", "-o", "json")
    assert done.returncode == 0, done
    assert (done.json["cause"], done.json["approved"]) == ("copied", [])
    moved = load(new / "shoal.toml")
    assert approved(moved) == []
    assert (new / "shoal.toml").stat().st_mode & 0o777 == 0o600
    assert current_model.read(moved.models_dir) == current_model.read(config.models_dir)
    engine = open_checked(moved.database)
    found = loss.recorded(engine)
    assert found is not None
    assert found.cause == "copied"
    identity = open_identity(moved.identity_file, moved.instance.host, create=False)
    assert identity.public == open_identity(config.identity_file, config.instance.host).public
    windows = open_windows(moved, identity, engine, time.time)
    assert windows.served_until() == pytest.approx(time.time() + 28 * 86400, abs=300)
    for name in ("status", "doctor"):
        shoal(name, "-c", new)
    assert "every peer paused" in shoal("ledger", "verify", "-c", new).said
    assert "restored from a backup" in shoal("status", "-c", new).said
    privacy = shoal("privacy", "show", "-c", new)
    assert "A backup was restored" in privacy.said
    # The daemon starts, reads what viewers did again, and serves the model meanwhile.
    with daemon(new / "shoal.toml") as running:
        assert running.call("/health/ready")[0] == 200
    assert run_here("sync", new / "shoal.toml").ok


@pytest.mark.parametrize(("answer", "left"), [("y\ny", PEERS), ("y\nn", [])])
def test_an_admin_who_knows_that_nothing_was_decided_may_say_so(
    config: Config, tmp_path: Path, answer: str, left: list[Identity]
) -> None:
    file = saved(config, tmp_path / "backup")
    done = at_terminal("restore", file, "-c", tmp_path / "new", answer=answer)
    assert done.returncode == 0, done
    assert approved(load(tmp_path / "new" / "shoal.toml")) == [peer.host for peer in left]


def gone(config: Config) -> None:
    config.database.unlink()


def truncated(config: Config) -> None:
    with config.database.open("r+b") as file:
        file.truncate(config.database.stat().st_size // 2)


def emptied(config: Config) -> None:
    config.database.write_bytes(b"")


def whole(_config: Config) -> None:
    pass


@pytest.mark.parametrize("what", [gone, truncated, emptied, whole])
def test_what_was_decided_since_wins_over_an_older_copy(
    config: Config, tmp_path: Path, what: Callable[[Config], None]
) -> None:
    file = saved(config, tmp_path / "backup")
    decide_against(config)
    before = chain.head(open_checked(config.database))
    for suffix in ("-wal", "-shm"):
        config.database.with_name(f"shoal.db{suffix}").unlink(missing_ok=True)
    what(config)
    done = shoal("restore", file, "-c", at(config), "--yes", "-o", "json")
    assert done.returncode == 0, done
    assert (done.json["cause"], done.json["approved"]) == ("restored", [KEPT])
    assert approved(config) == [KEPT]
    engine = open_checked(config.database)
    states = {host: peer.state for host, peer in repository.read(engine, config).peers.items()}
    assert states == {KEPT: "approved", PAUSED: "paused", REMOVED: "removed", FILED: "removed"}
    assert chain.holds(engine, before)
    assert {"w" * 32, "x" * 32} <= {one.window for one in releases.since(engine, 0.0)}
    verified = shoal("ledger", "verify", "-c", at(config))
    assert verified.returncode == 0, verified
    assert "were brought back" in verified.said
    aside = list(config.data_dir.glob("shoal.db.replaced-*"))
    assert len([path for path in aside if not path.name.endswith(("-wal", "-shm"))]) == (what is not gone)


def test_an_older_database_that_somebody_copied_back_brings_nobody_back(config: Config) -> None:
    assert truncate_wal(open_checked(config.database))
    old = config.database.read_bytes()
    decide_against(config)
    before = chain.head(open_checked(config.database))
    for path in config.data_dir.glob("shoal.db*"):
        path.unlink()
    config.database.write_bytes(old)
    missing = shoal("ledger", "verify", "-c", at(config))
    assert missing.returncode == 6
    assert "are missing from the database" in missing.said
    assert "the second copy of the ledger" in run_here("migrate", at(config)).result["lost"]
    assert approved(config) == [KEPT]
    engine = open_checked(config.database)
    assert chain.holds(engine, before)
    assert "3 entries of the ledger were brought back" in shoal("ledger", "verify", "-c", at(config)).said


def test_one_that_went_on_before_anybody_noticed_says_what_is_missing(config: Config) -> None:
    assert truncate_wal(open_checked(config.database))
    old = config.database.read_bytes()
    decide_against(config)
    for path in config.data_dir.glob("shoal.db*"):
        path.unlink()
    config.database.write_bytes(old)
    engine = open_checked(config.database)
    commands.pause(engine, config, KEPT, now=4.0)
    engine.dispose()
    assert run_here("migrate", at(config)).ok
    assert approved(config) == []
    told = shoal("ledger", "verify", "-c", at(config))
    assert "3 entries of the ledger are missing before this one" in told.said
    assert list(config.data_dir.glob("ledger.jsonl.apart-*"))
    assert run_here("migrate", at(config)).ok
    assert len(chain.newest(open_checked(config.database), 9, kind="database-lost")) == 1


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


def flipped(raw: bytes) -> bytes:
    plain = bytearray(gzip.decompress(raw))
    plain[len(plain) // 2] ^= 1
    return gzip.compress(bytes(plain))


def foreign(_raw: bytes) -> bytes:
    return b"no backup" * 1000


def end_cut(raw: bytes) -> bytes:
    return gzip.compress(gzip.decompress(raw)[:-20_480])


def climbing(raw: bytes) -> bytes:
    return gzip.compress(gzip.decompress(raw).replace(b"identity.key", b"../ntity.key"))


@pytest.mark.parametrize("damage", [cut, flipped, foreign, end_cut, climbing])
def test_a_damaged_file_changes_nothing(
    config: Config, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = saved(config, tmp_path / "backup")
    file.write_bytes(damage(file.read_bytes()))
    database = config.database.read_bytes()
    done = shoal("restore", file, "-c", at(config), "--yes")
    assert (done.returncode, "is damaged, or no backup of Shoal" in " ".join(done.stderr.split())) == (
        6,
        True,
    )
    assert config.database.read_bytes() == database
    assert approved(config) == sorted(peer.host for peer in PEERS)
    assert not list(config.data_dir.glob(".restore*"))


@pytest.mark.parametrize("newer", [{"format": 99}, {"schema": "9999"}])
def test_a_newer_one_is_refused(config: Config, tmp_path: Path, newer: dict[str, object]) -> None:
    file = saved(config, tmp_path / "backup")
    with tarfile.open(file) as archive:
        content = archive.extractfile(backup.HEADER)
        assert content is not None
        header = json.loads(content.read())
    with tarfile.open(tmp_path / "newer", "w:gz") as archive:
        text = tmp_path / "header"
        text.write_text(json.dumps({**header, **newer, "shoal": "9.0.0"}))
        archive.add(text, backup.HEADER)
    done = shoal("restore", tmp_path / "newer", "-c", at(config), "--yes")
    assert done.returncode == 6
    assert "newer Shoal (9.0.0" in done.stderr


def test_another_instance_s_is_refused(config: Config, tmp_path: Path) -> None:
    file = saved(config, tmp_path / "backup")
    other = load(instance(tmp_path / "two", host="two.example"))
    open_identity(other.identity_file, other.instance.host)
    refused = shoal("restore", file, "-c", at(other), "--yes")
    assert (refused.returncode, "the backup is of one.example" in refused.stderr) == (2, True)
    same = load(instance(tmp_path / "three"))
    open_identity(same.identity_file, same.instance.host)
    refused = shoal("restore", file, "-c", at(same), "--yes")
    assert (refused.returncode, "another key" in refused.stderr) == (6, True)


def test_a_key_that_was_rotated_since_stays(config: Config, tmp_path: Path) -> None:
    file = saved(config, tmp_path / "backup")
    assert shoal("identity", "rotate", "-c", at(config), "--yes").returncode == 0
    public = open_identity(config.identity_file, config.instance.host).public
    gone(config)
    done = shoal("restore", file, "-c", at(config), "--yes")
    assert done.returncode == 0, done
    assert open_identity(config.identity_file, config.instance.host).public == public
    assert shoal("ledger", "verify", "-c", at(config)).returncode == 0


def test_without_a_yes_nothing_is_replaced(config: Config, tmp_path: Path) -> None:
    file = saved(config, tmp_path / "backup")
    database = config.database.read_bytes()
    refused = shoal("restore", file, "-c", at(config))
    assert (refused.returncode, "this needs an answer" in refused.stderr) == (2, True)
    assert at_terminal("restore", file, "-c", at(config), answer="n").returncode == 3
    assert config.database.read_bytes() == database
