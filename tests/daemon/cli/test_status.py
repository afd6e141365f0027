"""`shoal status` on one screen, and `shoal doctor`, of a real daemon that runs and one that is stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import terminal
from daemon.config import load
from daemon.identity import open_identity
from daemon.sentences import english
from daemon.store.engine import open_checked
from federation import masks
from tests.daemon.daemon_with_history import ASKS, AWAY, HOST, furnish
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import Daemon, daemon, instance, until
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set

SCREEN = (80, 24)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An instance with peers, rounds, sums, models and notices."""
    path = instance(tmp_path / "one", host=HOST, source=write_set(tmp_path / "set"), extra='mode = "consume"')
    assert run_here("sync", path).ok
    engine = open_checked(load(path).database)
    furnish(path.parent, engine)
    engine.dispose()
    return path


def fits(text: str) -> None:
    width, height = SCREEN
    lines = text.splitlines()
    assert len(lines) <= height, text
    assert max(map(len, lines)) <= width, text


def test_a_stopped_instance_fits_on_one_screen(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.out, "width", SCREEN[0])
    done = shoal("status", "-c", config)
    assert done.returncode == 7, done
    said = done.said
    assert said.startswith(f"{HOST}: mode consume, peer to peer; the daemon does not run")
    assert "40 videos" in said
    assert "It serves while the daemon runs." in said
    assert "Serves since" not in said
    assert "NDCG@10 0.500" in said
    assert "3 approved, 1 waiting for your approval" in said
    assert "Start the daemon: shoal run" in said
    fits(done.stdout)


def test_json_has_the_same(config: Path) -> None:
    answer = shoal("status", "-c", config, "-o", "json").json
    status = answer["status"]
    assert (answer["running"], status["running"]) == (False, None)
    assert (status["model"]["id"], status["model"]["quality"]) == ("0-federated", 0.5)
    assert status["peers"] == {"approved": 3, "paused": 0, "asking": 1}
    assert ASKS.host in {one["subject"] for one in status["notices"]}
    assert [one["check"] for one in answer["problems"] if one["outcome"] == "failure"] == ["daemon"]


@pytest.mark.daemon
def test_a_running_daemon_says_what_it_alone_knows(config: Path) -> None:
    config.write_text(config.read_text().replace("enabled = false", 'sync = "6h"\nprune = "1d"'))
    with daemon(config) as running:
        until(lambda: "sync" in told(running)["next"])
        answer = shoal("status", "-c", config, "-o", "json").json
        status = answer["status"]
        assert answer["running"]
        assert status["running"] is not None
        page = running.call("/v1/admin/overview", admin=True)[1]
        assert {**page, "running": {}, "next": []} == {
            **status,
            "running": {},
            "next": [],
            "quality": page["quality"],
            "measured": page["measured"],
        }
        dates = {one["what"]: one for one in status["next"]}
        assert english(*dates["sync"]["why"]) == "Every 6h."
        assert dates["training"]["at"] == dates["sync"]["at"] > 0
        assert dates["round"]["at"] is None
        assert "approval" in english(*dates["round"]["why"])

        assert told(running)["list_filled"] is None
        video = _any_video(config)
        assert running.call(f"/v1/related?video={video}")[0] == 200
        filled = told(running)["list_filled"]
        assert filled > 0
        report = shoal("doctor", "-c", config, "-o", "json").json
        found = {one["check"]: one for one in report["checks"]}
        assert {
            name: found[name]["outcome"] for name in ("daemon", "model", "lists", "listener", "database")
        } == {
            "daemon": "ok",
            "model": "warning",
            "lists": "ok",
            "listener": "ok",
            "database": "ok",
        }
        # Nobody answers for the peers, and each is named.
        assert AWAY.host in json.dumps(report["checks"])
        assert shoal("status", "-c", config).stdout.startswith(
            f"{HOST}: mode consume, peer to peer; the daemon"
        )


def told(running: Daemon) -> dict[str, Any]:
    answer = running.call("/v1/status", admin=True)[1]
    assert isinstance(answer, dict)
    return answer


def _any_video(config: Path) -> str:
    engine = open_checked(load(config).database)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT uuid FROM videos LIMIT 1").scalar()
    engine.dispose()
    return str(found)


def test_a_daemon_does_not_start_where_the_cryptography_is_wrong(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "apply", lambda _vector, _masks: None)
    done = shoal("run", "-c", config, "-o", "json")
    assert done.returncode == 1
    assert done.json["code"] == "self-test"
    assert "masks" in done.json["message"]
    assert done.json["advice"]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    config = instance(tmp_path / "new", source=write_set(tmp_path / "set"))
    before = sorted(path.name for path in config.parent.iterdir())
    for name in ("status", "doctor"):
        assert shoal(name, "-c", config).returncode == 7
    # The lock says whether a daemon runs.
    assert sorted(path.name for path in config.parent.iterdir()) == sorted([*before, "lock"])


def test_a_failed_job_says_why(config: Path, tmp_path: Path) -> None:
    (tmp_path / "set").rename(tmp_path / "gone")
    assert not run_here("sync", config).ok
    status = shoal("status", "-c", config, "-o", "json").json["status"]
    [failed] = status["failed"]
    assert (failed["job"], failed["code"]) == ("sync", "source")
    assert failed["message"]
    assert failed["message"] in shoal("status", "-c", config).said
    (tmp_path / "gone").rename(tmp_path / "set")
    assert run_here("sync", config).ok
    assert shoal("status", "-c", config, "-o", "json").json["status"]["failed"] == []


def test_the_command_line_loads_no_numpy_before_it_needs_it() -> None:
    script = "import sys, daemon.cli.status; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_key_is_that_of_the_instance(config: Path) -> None:
    settings = load(config)
    public = open_identity(settings.identity_file, settings.instance.host, create=False).public
    status = shoal("status", "-c", config, "-o", "json").json["status"]
    assert status["key"].startswith("ed25519:")
    assert status["host"] == public.host
