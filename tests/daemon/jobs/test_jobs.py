"""Jobs as real child processes: what they leave behind when they end well, fail, or are killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.jobs.run import run_job
from daemon.process.child import python_module
from daemon.process.job_context import JobOutcome
from daemon.store import activity, content_arrays, current_model, model_records
from daemon.store.engine import open_checked
from models.artefact import load, read_manifest
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import instance, put_model, until
from tests.daemon.small_dataset import write_set

pytestmark = pytest.mark.daemon

LIMIT = 120.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_set(tmp_path / "one" / "dataset")
    return instance(tmp_path / "one", extra="")


def run(name: str, config: Path, **more: object) -> JobOutcome:
    return asyncio.run(run_job(name, config, **{"time_limit": LIMIT, **more}))  # type: ignore[arg-type]


def urls(config: Path) -> tuple[str, ...]:
    return content_arrays.read_urls(open_checked(config.parent / "shoal.db"))


def start(name: str, config: Path) -> subprocess.Popen[bytes]:
    command, environment = python_module("daemon.jobs", name, "--config", str(config))
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def kill_when(process: subprocess.Popen[bytes], stage: bytes) -> None:
    """Kill a job, so that nothing can be tidied up, when it reports that stage."""
    assert process.stdout is not None
    for line in process.stdout:
        if stage in line:
            process.kill()
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL


def test_sync_then_train_puts_a_model_into_service(config: Path) -> None:
    seen: list[tuple[str, float]] = []
    synced = run("sync", config, on_progress=lambda stage, part: seen.append((stage, part)))
    assert synced.ok
    assert synced.result == {"videos": 40, "tags": 2, "viewers": 60, "engagements": 600, "skipped": 0}
    assert [part for _, part in seen] == sorted(part for _, part in seen)
    assert seen[-1] == ("storing", 1.0)
    trained = run("train", config)
    assert trained.ok, trained
    models = config.parent / "models"
    current = trained.result["model"]
    assert current_model.read(models) == current
    assert read_manifest(models / current)["provenance"] == {
        "host": "one.example",
        "kind": "local",
        "exact": False,
    }
    model = load(models / current)
    seed = model.index(urls(config)[0])
    assert seed is not None
    assert model.related(seed)
    engine = open_checked(config.parent / "shoal.db")
    assert [(m.id, m.state) for m in model_records.models(engine)] == [(current, "current")]
    assert [(j.name, j.outcome) for j in activity.jobs(engine)] == [("train", "done"), ("sync", "done")]


def test_training_without_videos_says_what_to_do(config: Path) -> None:
    outcome = run_here("train", config)
    assert (outcome.ok, outcome.code, outcome.exit_code) == (False, "job-failed", 5)
    assert "shoal sync" in outcome.advice
    assert current_model.read(config.parent / "models") is None


def test_a_source_that_breaks_leaves_the_old_content(config: Path) -> None:
    run_here("sync", config)
    before = urls(config)
    (config.parent / "dataset" / "interactions.csv.gz").write_bytes(b"\x1f\x8b broken")
    outcome = run("sync", config)
    assert outcome.code == "source"
    assert "interactions.csv.gz" in outcome.message
    assert urls(config) == before
    last = activity.jobs(open_checked(config.parent / "shoal.db"), limit=1)[0]
    assert (last.outcome, last.code) == ("failed", "source")


@pytest.mark.parametrize("stage", [b"reading engagements", b"storing"])
def test_a_sync_killed_at_any_stage_leaves_the_old_content(config: Path, stage: bytes) -> None:
    run_here("sync", config)
    before = urls(config)
    write_set(config.parent / "dataset", videos=60, users=300)
    kill_when(start("sync", config), stage)
    assert urls(config) == before
    assert run_here("sync", config).ok
    assert len(urls(config)) == 60


def test_training_that_is_killed_leaves_the_old_model(config: Path) -> None:
    run_here("sync", config)
    assert run_here("train", config).ok
    models = config.parent / "models"
    before = current_model.read(models)
    assert before is not None
    kill_when(start("train", config), b'"fraction": 0.')
    assert current_model.read(models) == before
    load(models / before)
    # What the killed run may have left is swept, what is served stays.
    (models / ".20260101-half").mkdir()
    pruned = run_here("prune", config)
    assert pruned.result["folders"] >= 1
    assert [path.name for path in models.iterdir() if path.is_dir()] == [before]


def test_pruning_keeps_what_is_served_and_a_local_model(config: Path) -> None:
    run_here("migrate", config)
    engine = open_checked(config.parent / "shoal.db")
    activity.save_round(engine, activity.RoundRecord("s", "aggregator", "one.example", 1.0))
    for age, (name, kind) in enumerate(
        [("newest", "federated"), ("served", "federated"), ("local", "local"), ("older", "local")]
    ):
        put_model(config.parent, name)
        record = model_records.ModelRecord(name, 9.0 - age, kind, "s", name, "", {})  # type: ignore[arg-type]
        model_records.save(engine, record)
    current_model.write(config.parent / "models", "served")
    config.write_text(config.read_text() + "[model]\nkeep = 1\n")
    assert run_here("prune", config).result["models"] == 1
    left = {path.name for path in (config.parent / "models").iterdir() if path.is_dir()}
    assert left == {"newest", "served", "local"} == {model.id for model in model_records.models(engine)}


def test_a_job_that_takes_too_long_is_ended(config: Path) -> None:
    began = time.monotonic()
    outcome = run("sync", config, time_limit=0.2)
    assert outcome.code == "job-timeout"
    assert "limits.job_time" in outcome.advice
    assert time.monotonic() - began < 5.0


def test_a_job_gets_no_more_memory_than_it_may_use() -> None:
    _, environment = python_module("x")
    script = "from daemon.process.limits import be_modest; be_modest(64); bytearray(10**9)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr


def test_a_wrong_configuration_fails_before_anything_else(config: Path) -> None:
    config.write_text("[instance]\n")
    outcome = run("sync", config)
    assert (outcome.code, outcome.exit_code) == ("bad-configuration", 2)
    assert not (config.parent / "shoal.db").exists()


def test_a_job_dies_with_whoever_started_it(config: Path, tmp_path: Path) -> None:
    # A queue instead of a file: the job waits there, in the middle of its work, until it is ended.
    (config.parent / "dataset" / "items.csv.gz").unlink()
    os.mkfifo(config.parent / "dataset" / "items.csv")
    script = f"""
import asyncio, os
from pathlib import Path
from daemon.jobs.run import run_job
Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
asyncio.run(run_job("sync", Path({str(config)!r}), time_limit=60))
"""
    environment = python_module("x")[1]
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    until(lambda: any("daemon.jobs" in _command(child) for child in _children(parent.pid)))
    (child,) = _children(parent.pid)
    parent.kill()
    parent.wait()
    # Of a process that has ended, at most an entry without a command is left.
    until(lambda: _command(child) == "", 5.0)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""
