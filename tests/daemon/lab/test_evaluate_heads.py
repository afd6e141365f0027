"""`shoal evaluate --heads`: heads that are chosen beforehand, beside those that nobody can know."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.lab import evaluate_heads as heads
from daemon.lab.evaluate import Options
from daemon.lab.evaluate_heads import COUNTERS, GOALS, GROWTH, RELEASED, HeadsReport, evaluate_heads
from daemon.lab.experiment import load
from daemon.source.dataset_files import DataSet
from models import statistics
from models.head import LEAST_VIEWS
from tests.daemon.lab.four_tastes import write_set

OPTIONS = Options(max_head=100)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_set(tmp_path_factory.mktemp("made-up"))


@pytest.fixture(scope="module")
def report(data: DataSet) -> HeadsReport:
    return evaluate_heads(data, OPTIONS, draws=3)


def test_all_ways_are_measured_in_all_windows(report: HeadsReport) -> None:
    first = [COUNTERS, f"{COUNTERS}, own 5%", f"{COUNTERS}, own 20%"]
    for noise in (True, False):
        names = {w: [r.chosen_from for r in report.rows if (r.window, r.noise) == (w, noise)] for w in GOALS}
        assert names == {1: first, 2: [RELEASED], 5: [RELEASED]}
    for row in report.rows:
        assert 0 < row.kept <= row.asked
        assert 0 < row.reference_ndcg10 < 1
        assert row.ndcg10 / row.reference_ndcg10 - 1 == pytest.approx(row.difference, abs=0.02)
        assert row.goal == GOALS[row.window]
        assert row.interval >= 0
    assert 0.1 < report.correlation < 1


def test_without_noise_the_head_of_a_settled_network_costs_nothing(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "GROWTH", ((1.0, 1.0),) * 4)
    options = replace(OPTIONS, max_head=4096)
    exact = [row for row in evaluate_heads(data, options, draws=1).rows if not row.noise]
    for row in exact:
        if row.window > 1:
            assert row.ndcg10 == pytest.approx(row.reference_ndcg10, abs=1e-9)
            assert row.kept == row.reference_kept
        assert math.isnan(row.interval)


def test_a_head_of_rare_videos_costs_a_lot(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "first_head", lambda views, *_, **__: np.sort(np.argsort(views)[:20]))
    row = evaluate_heads(data, OPTIONS, draws=2).rows[0]
    assert row.difference < -0.3


def test_members_do_not_count_what_few_have_seen(data: DataSet) -> None:
    population = load(data)
    rare = replace(population, views=np.minimum(population.views, 1))
    network = heads._Network.draw(rare, OPTIONS, 0)
    known = np.flatnonzero(network.counter >= LEAST_VIEWS)
    assert known.size < 0.2 * rare.likes.videos
    measured = network.measure(10.0, noise=False)
    assert all(one.kept <= known.size < one.reference_kept for one in measured.values())


def test_networks_grow_as_they_say(data: DataSet) -> None:
    network = heads._Network.draw(load(data), OPTIONS, 0)
    sizes = [one.matrix.nnz for one in network.windows]
    there = [len(heads._there(one)) for one in network.windows]
    for (users, interactions), before, after in zip(GROWTH, range(4), range(1, 5), strict=True):
        assert there[before] / there[after] == pytest.approx(users, abs=0.02)
        assert sizes[before] / sizes[after] == pytest.approx(users * interactions, abs=0.03)
        later = network.windows[after].matrix.toarray()
        assert (network.windows[before].matrix.toarray() <= later).all()


def test_pairs_of_a_head_have_the_noise_of_the_same_pairs_of_another() -> None:
    size = 9
    square = np.arange(size * size).reshape(size, size)
    triangle = square[np.triu_indices(size, 1)]
    positions = np.array([0, 3, 4, 8])
    found = triangle[heads._of_pairs(positions, size)]
    expected = [square[a, b] for n, a in enumerate(positions) for b in positions[n + 1 :]]
    assert found.tolist() == expected
    assert found.size == statistics.pairs(positions.size)


@pytest.mark.slow
def test_the_whole_command(tmp_path: Path) -> None:
    write_set(tmp_path)

    def shoal(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "daemon.cli.main", "evaluate", "--data", str(tmp_path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    refused = shoal("--heads", "--instances", "5", "-o", "json")
    assert refused.returncode == 2
    assert "--instances" in json.loads(refused.stdout)["message"]
    done = shoal("--heads")
    assert done.returncode == 0, done.stderr
    assert "BY COUNTS" in done.stdout
    assert f"{COUNTERS}, own 20%" in done.stdout
    assert "nan" not in done.stdout
