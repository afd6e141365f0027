"""A daemon left to itself: it reads, trains and serves; stopped in between, it leaves nothing half done."""

from pathlib import Path

from daemon.store import activity, current_model
from daemon.store.engine import open_checked
from tests.daemon.running_daemon import daemon, instance, until
from tests.daemon.small_dataset import write_set


def scheduled(folder: Path, more: str = "") -> Path:
    write_set(folder / "dataset")
    config = instance(folder)
    text = config.read_text().replace("[schedule]\nenabled = false\n", f"[schedule]\n{more}")
    config.write_text(text)
    return config


def test_a_new_daemon_becomes_ready_by_itself(tmp_path: Path) -> None:
    with daemon(scheduled(tmp_path)) as running:
        until(lambda: running.call("/health/ready")[0] == 200, 90)
        _, status = running.call("/v1/status")
        assert status["model"]["videos"] == 40
        assert {"sync", "prune"} <= set(status["next"])
        assert min(status["next"].values()) > 0
        until(lambda: 'shoal_jobs_total{code="ok",job="train"} 1.0' in running.call("/metrics")[1])
        assert running.forbidden() == []
    names = {job.name for job in activity.jobs(open_checked(tmp_path / "shoal.db"))}
    assert names == {"sync", "train", "prune"}


def test_a_restart_neither_repeats_nor_skips_work(tmp_path: Path) -> None:
    config = scheduled(tmp_path, "train_after_sync = false\n")
    for _ in range(2):
        with daemon(config) as running:
            until(
                lambda: (
                    running.call("/metrics")[1].count('shoal_job_seconds{job="prune"}') or _pruned(tmp_path)
                )
            )
            until(lambda: _done(tmp_path, "sync") == 1)
    assert _done(tmp_path, "sync") == 1


def test_stopping_ends_the_job_that_runs(tmp_path: Path) -> None:
    with daemon(scheduled(tmp_path)) as running:
        until(lambda: _done(tmp_path, "sync") == 1)
        running.process.terminate()
        assert running.process.wait(15) == 0
    assert current_model.read(tmp_path / "models") is None
    assert _done(tmp_path, "train") == 0


def test_a_job_that_fails_is_told_and_serving_goes_on(tmp_path: Path) -> None:
    config = scheduled(tmp_path)
    (tmp_path / "dataset" / "interactions.csv.gz").unlink()
    with daemon(config) as running:
        until(lambda: 'message="job failed" job=sync code=source' in running.logged())
        assert "interactions.csv.gz" in running.logged()
        assert running.call("/health/live")[0] == 200
        assert 'shoal_jobs_total{code="source",job="sync"} 1.0' in running.call("/metrics")[1]


def _done(folder: Path, name: str) -> int:
    found = activity.jobs(open_checked(folder / "shoal.db"), names=[name])
    return sum(job.outcome == "done" for job in found)


def _pruned(folder: Path) -> bool:
    return _done(folder, "prune") == 1
