"""What a training of few viewers, or with little memory, says of itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.process import limits
from daemon.training import job
from models import artefact
from models.problem import LEAST_ALONE
from models.serving import ServedModel
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import instance
from tests.daemon.small_dataset import write_set


def trained(folder: Path, users: int) -> tuple[dict[str, object], ServedModel]:
    config = instance(folder, source=write_set(folder / "dataset", users=users, videos=40))
    assert run_here("sync", config).ok
    outcome = run_here("train", config)
    assert outcome.ok, outcome.message
    return outcome.result, artefact.load(folder / "models" / str(outcome.result["model"]))


def test_few_viewers_are_told_that_lists_rest_on_public_counters(tmp_path: Path) -> None:
    result, model = trained(tmp_path, users=12)
    assert f"Fewer than about {LEAST_ALONE:.0f} viewers" in str(result["own_viewers"])
    assert model.items.size == 0
    assert len(model.recommend([0])) > 0


def test_a_model_has_as_many_videos_as_memory_allows_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "items_within", lambda _memory_mb: 10)
    result, model = trained(tmp_path, users=200)
    assert model.items.size == 10
    assert "the 10 most watched fit" in str(result["memory"])
    assert "limits.job_memory_mb" in str(result["memory"])


def test_where_all_fits_nothing_is_said_of_memory(tmp_path: Path) -> None:
    result, model = trained(tmp_path, users=200)
    assert model.items.size == 40
    assert "memory" not in result
    assert "own_viewers" not in result


def test_items_grow_with_the_root_of_memory() -> None:
    assert job.items_within(1400) == pytest.approx(4096, rel=0.05)
    assert 1_000 < job.items_within(limits.LEAST_MB) < job.items_within(1024) < job.items_within(4096)


def test_a_job_gets_what_is_set_or_half_of_the_machine() -> None:
    assert limits.job_memory(1500) == 1500
    assert limits.job_memory(1) == limits.LEAST_MB
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    assert limits.LEAST_MB <= limits.job_memory(0) <= max(limits.LEAST_MB, min(limits.MOST_MB, there // 2))
