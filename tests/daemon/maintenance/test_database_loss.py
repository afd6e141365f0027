"""After the database was lost nobody is approved, everybody is told, and the year's account is still there.

The files are damaged for real, and opened by the jobs that open them in a daemon.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import Config, load
from daemon.identity import fresh_mark, open_identity
from daemon.ledger import chain
from daemon.maintenance import database_loss, forget_viewer, prune
from daemon.peers import commands, repository
from daemon.peers.repository import Peer
from daemon.process.child import python_module
from daemon.process.daemon_lock import find
from daemon.process.job_context import JobContext
from daemon.rounds.data_windows import open_windows
from daemon.sentences import english
from daemon.status.notices import current
from daemon.store import loss, releases
from daemon.store.engine import open_checked, truncate_wal
from daemon.store.migrate import migrate
from daemon.store.releases import ReleaseRecord
from daemon.store.viewers import viewers_since
from federation.identity import Identity, format_key
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import daemon, instance, until
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set

PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(3)]
ADDED = Identity("added.example", b"a" * 32)
RELEASE = ReleaseRecord("w" * 32, time.time() - 86400, "p1.example", "s" * 64, 16, 16, 0.5, 200, 30, 30)
PAGE = 4096
KINDS = ["opened", "peer-paused", "peer-removed", "database-lost"]


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def a_page(path: Path) -> None:
    """Overwrite the page where the peers begin: the header and the list of tables stay readable."""
    with closing(sqlite3.connect(path)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'peers'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xa5" * PAGE)


def foreign(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


DAMAGES = [missing, empty, truncated, a_page, foreign]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return an instance that approved a peer, paused one and removed one of its file, and gave to a sum."""
    write_set(tmp_path / "one" / "dataset")
    path = instance(tmp_path / "one", extra='mode = "contribute"')
    named = (
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS
    )
    path.write_text(path.read_text() + "".join(named))
    config = load(path)
    open_identity(config.identity_file, config.instance.host)
    assert run_here("sync", path).ok
    engine = open_checked(config.database)
    added = Peer(ADDED.host, "http://127.0.0.1:9", format_key(ADDED.public.key), state="approved", since=1.0)
    repository.save(engine, added)
    commands.pause(engine, config, PEERS[1].host, now=2.0)
    commands.remove(engine, config, PEERS[2].host, now=3.0)
    releases.save(engine, RELEASE, config.windows_dir)
    assert [peer.host for peer in repository.read(engine, config).approved()] == [ADDED.host, PEERS[0].host]
    assert truncate_wal(engine)
    engine.dispose()
    return config


def file_of(config: Config) -> Path:
    return config.data_dir / "shoal.toml"


def lose(config: Config, damage: Callable[[Path], None]) -> None:
    """Damage the file, in which everything is; without a log, which jobs of this process have open still."""
    log = config.database.with_name(config.database.name + "-wal")
    assert not log.exists() or not log.stat().st_size
    for end in ("-wal", "-shm"):
        config.database.with_name(config.database.name + end).unlink(missing_ok=True)
    damage(config.database)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_peer_is_paused_everybody_is_told_and_the_account_survives(
    config: Config, damage: Callable[[Path], None]
) -> None:
    lose(config, damage)
    outcome = run_here("migrate", file_of(config))
    assert outcome.ok, outcome
    assert "Every peer is paused until you approve it again." in outcome.result["lost"]
    engine = open_checked(config.database)
    known = repository.read(engine, config)
    assert known.approved() == ()
    states = {p.host: "paused" for p in PEERS} | {PEERS[2].host: "removed"}
    assert {host: peer.state for host, peer in known.peers.items()} == states
    assert repository.find(engine, config, PEERS[0].host) == known.peers[PEERS[0].host]
    assert releases.since(engine, 0.0) == [RELEASE]
    assert [entry.kind for entry in chain.entries(engine)] == KINDS
    assert chain.verify(engine, open_identity(config.identity_file, config.instance.host).public).ok
    notices = [one for one in current(engine, config, time.time()) if one.kind == "database-lost"]
    assert outcome.result["lost"] in [english(*one.sentences) for one in notices]
    listed = shoal("peers", "list", "-c", file_of(config))
    assert "a new one was begun" in listed.said
    assert "Paused" in listed.said
    assert (
        "3 entries of the ledger were brought back." in shoal("ledger", "verify", "-c", file_of(config)).said
    )
    kept = sorted(path.name for path in config.data_dir.glob("shoal.db.*Z"))
    assert len(kept) == (damage is not missing)
    # And it stays so: another start changes nothing.
    assert run_here("migrate", file_of(config)).result["lost"] == outcome.result["lost"]
    assert repository.read(engine, config).approved() == ()
    assert len(chain.entries(engine)) == len(KINDS)


@pytest.mark.parametrize("also", ["none", "half"])
def test_where_the_second_copy_is_lost_too_the_ledger_says_what_is_missing(config: Config, also: str) -> None:
    copy = config.data_dir / "ledger.jsonl"
    lines = copy.read_bytes().strip().split(b"\n")
    copy.write_bytes(b"" if also == "none" else b"\n".join(lines[1:]) + b"\n{")
    lose(config, missing)
    assert run_here("migrate", file_of(config)).ok
    engine = open_checked(config.database)
    assert [entry.kind for entry in chain.entries(engine)] == ["opened", "database-lost"]
    assert repository.read(engine, config).approved() == ()
    told = shoal("ledger", "verify", "-c", file_of(config))
    assert told.returncode == 0
    assert "The database was lost (missing)" in told.said
    assert "anew" in told.said


def test_the_admin_decides_for_each_peer(config: Config) -> None:
    lose(config, missing)
    assert run_here("migrate", file_of(config)).ok
    engine = open_checked(config.database)
    host, now = PEERS[0].host, time.time()
    assert repository.undecided(engine, config) == tuple(p.host for p in PEERS[:2])
    commands.approve(engine, config, host, key=None, max_users=None, now=now, holds=lambda *_: None)
    assert [peer.host for peer in repository.read(engine, config).approved()] == [host]
    month = now + database_loss.RECENT_SECONDS
    assert database_loss.told(engine, config, month + 1)
    for other in PEERS[1:]:
        commands.remove(engine, config, other.host, now=now)
    assert database_loss.told(engine, config, month - 60)
    assert not database_loss.told(engine, config, month + 1)


def test_viewers_count_as_new_where_it_is_not_known_since_when_they_are_there(config: Config) -> None:
    long_ago = 1.0
    assert len(viewers_since(open_checked(config.database), before=long_ago)) > 0
    lose(config, missing)
    assert run_here("sync", file_of(config)).ok
    engine = open_checked(config.database)
    assert viewers_since(engine, before=long_ago) == frozenset()
    assert len(viewers_since(engine, before=time.time())) > 0


def test_a_damaged_page_is_told_as_what_it_is(config: Config) -> None:
    lose(config, a_page)
    told = [shoal("peers", "list", "-c", file_of(config)), shoal("ledger", "verify", "-c", file_of(config))]
    told.append(shoal("models", "list", "-c", file_of(config)))
    synced = run_here("sync", file_of(config))
    seen = [done.stderr for done in told if done.returncode]
    assert seen
    for text in seen:
        assert "Error: shoal.db is damaged" in text
        assert "SELECT" not in text
        assert "Traceback" not in text
    if not synced.ok:
        assert synced.message == "shoal.db is damaged"


def test_before_the_next_start_commands_approve_nobody_either(config: Config) -> None:
    lose(config, missing)
    listed = shoal("peers", "list", "-c", file_of(config))
    assert (listed.returncode, "every peer paused" in listed.stderr) == (6, True)
    started = shoal("rounds", "start", "-c", file_of(config))
    assert started.returncode == 3
    assert "paused" in started.stderr or "approve" in started.stderr


def test_a_new_instance_has_lost_nothing(tmp_path: Path) -> None:
    path = instance(tmp_path / "one", extra='mode = "consume"')
    config = load(path)
    open_identity(config.identity_file, config.instance.host)
    config.database.touch()  # as a first start leaves it that was cut short
    assert run_here("migrate", path).result == {"lost": ""}
    assert not fresh_mark(config.identity_file).exists()
    # From now on a missing database is a lost one.
    config.database.unlink()
    assert "shoal.db was missing" in run_here("migrate", path).result["lost"]


def test_a_key_from_a_backup_on_a_new_machine_starts_closed(config: Config, tmp_path: Path) -> None:
    new = tmp_path / "two"
    new.mkdir()
    for name in ("shoal.toml", "identity.key"):
        (new / name).write_bytes((config.data_dir / name).read_bytes())
    (new / "identity.key").chmod(0o600)
    assert "shoal.db was missing" in run_here("migrate", new / "shoal.toml").result["lost"]
    moved = load(new / "shoal.toml")
    engine = open_checked(moved.database)
    assert repository.read(engine, moved).approved() == ()
    # What was given before is not known there, so everything counts as given for a window.
    identity = open_identity(moved.identity_file, moved.instance.host)
    assert open_windows(moved, identity, engine, time.time).restored


@pytest.mark.parametrize("made", [False, True])
def test_a_crash_between_two_steps_forgets_nothing(config: Config, *, made: bool) -> None:
    lose(config, truncated)
    loss.begin_anew(config, "damaged", time.time())
    if made:
        migrate(config.database)
    # A log of the old database must not be taken for one of the new.
    assert run_here("sync", file_of(config)).ok
    engine = open_checked(config.database)
    assert repository.read(engine, config).approved() == ()
    assert [entry.kind for entry in chain.entries(engine)] == KINDS
    assert releases.since(engine, 0.0) == [RELEASE]
    assert loss.noted(config) is None


def test_under_a_running_daemon_nothing_is_begun(config: Config) -> None:
    with daemon(file_of(config)):
        config.database.unlink()
        refused = run_here("sync", file_of(config))
    assert not refused.ok
    assert "the daemon still runs" in refused.message
    assert "and a new one was begun" in run_here("migrate", file_of(config)).result["lost"]


def test_what_is_kept_of_viewers_goes_after_a_week_or_with_the_first_who_leaves(config: Config) -> None:
    lose(config, truncated)
    assert run_here("migrate", file_of(config)).ok
    assert run_here("sync", file_of(config)).ok
    (kept,) = config.data_dir.glob("shoal.db.damaged-*Z")
    engine = open_checked(config.database)

    def context(now: float) -> JobContext:
        return JobContext(config, engine, lambda _stage, _part: None, lambda: now)

    week = loss.KEEP_DAMAGED_SECONDS
    prune.run(context(time.time() + week - 3600))
    assert kept.exists()
    prune.run(context(time.time() + week + 3600))
    assert not kept.exists()
    kept.write_bytes(b"viewers")
    forget_viewer.forget(engine, config, "u0", time.time())
    assert not kept.exists()


def test_releases_that_an_old_backup_of_the_database_lacks_are_counted_again(config: Config) -> None:
    old = config.database.read_bytes()
    engine = open_checked(config.database)
    later = replace(RELEASE, window="x" * 32, at=time.time(), viewers=True, decision=0.5)
    releases.save(engine, later, config.windows_dir)
    releases.save(engine, later, config.windows_dir)
    engine.dispose()
    for path in config.data_dir.glob("shoal.db*"):
        path.unlink()
    config.database.write_bytes(old)
    # A crash while the copy was written leaves a part of a line, and somebody may write anything.
    copy = config.windows_dir / "releases.jsonl"
    negative = copy.read_text().replace("x" * 32, "n" * 32).replace('"decision": 0.5', '"decision": -0.5')
    text = copy.read_text() + negative + '\n{"window": "y", "roun' + '\n{"at": NaN}' + "\n[1]\n\x00"
    copy.write_text(text)
    assert run_here("migrate", file_of(config)).result == {"lost": ""}
    engine = open_checked(config.database)
    assert releases.since(engine, 0.0) == [RELEASE, later]
    assert releases.first(engine) == RELEASE.at
    # What the copy lost comes back from the database.
    copy.unlink()
    assert run_here("migrate", file_of(config)).ok
    for path in config.data_dir.glob("shoal.db*"):
        path.unlink()
    assert run_here("migrate", file_of(config)).ok
    assert releases.since(open_checked(config.database), 0.0) == [RELEASE, later]


def test_the_daemon_starts_with_every_peer_paused_and_says_so(config: Config) -> None:
    lose(config, a_page)
    command, environment = python_module("daemon.cli.main", "run", "-c", str(file_of(config)))
    with (config.data_dir / "out").open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        until(lambda: find(config.data_dir) is not None)
        until(lambda: "code=database-lost" in (config.data_dir / "out").read_text())
        said = (config.data_dir / "out").read_text()
        assert "shoal.db was damaged, and a new one was begun." in " ".join(said.split())
        assert said.index("paused") < said.index("Serving")
        process.send_signal(signal.SIGKILL)
        process.wait(15)
        # Killed and started again, it is as closed as before.
        assert run_here("migrate", file_of(config)).result["lost"]
        engine = open_checked(config.database)
        assert repository.read(engine, config).approved() == ()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(15)
