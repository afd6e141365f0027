"""`shoal evaluate --viewers`: from how many viewers on a model is useful."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic_core import to_json

from daemon.lab import evaluate_viewers as viewers
from daemon.lab import experiment
from daemon.lab.evaluate import Options
from daemon.lab.evaluate_viewers import (
    ALONE,
    BASELINES,
    EXACT_SUM,
    MODELS,
    NEWEST_FIRST,
    NOISY_SUM,
    POPULARITY,
    SizeRow,
    ViewersReport,
    useful_from,
)
from daemon.source.dataset_files import DataSet
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train
from tests.daemon.lab.four_tastes import USERS, write_set
from tests.daemon.shoal_command import shoal

OPTIONS = Options(recipe=Recipe(rank=16), limit=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_set(tmp_path_factory.mktemp("made-up"))


@pytest.fixture(scope="module")
def report(data: DataSet) -> ViewersReport:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(viewers, "SIZES", (5, USERS, USERS + 1))
        patched.setattr(viewers, "MAX_DRAWS", 2)
        return viewers.evaluate_viewers(data, OPTIONS)


def test_sizes_beyond_the_set_are_left_out_and_small_ones_are_drawn_several_times(
    report: ViewersReport,
) -> None:
    assert [(row.viewers, row.draws) for row in report.rows] == [(5, 2), (USERS, 1)]
    for row in report.rows:
        assert set(row.quality) == {*MODELS, *BASELINES}
        assert all(one.viewers <= row.viewers * row.draws for one in row.quality.values())
        # All are measured on the same viewers: their differences are pairs.
        assert len({one.viewers for one in row.quality.values()}) == 1
        for model in MODELS:
            for name in BASELINES:
                gain = row.quality[model].ndcg10 - row.quality[name].ndcg10
                assert row.gains[model][name][0] == pytest.approx(gain)


def test_many_viewers_teach_what_few_cannot(report: ViewersReport) -> None:
    few, many = report.rows
    # Four tastes: what is popular over all of them is a poor list for each.
    assert report.useful[EXACT_SUM][POPULARITY] is not None
    gain, error = many.gains[EXACT_SUM][POPULARITY]
    assert gain > 5 * error > 0
    assert many.quality[EXACT_SUM].coverage > few.quality[EXACT_SUM].coverage


def test_useful_is_from_where_it_stays_better() -> None:
    def row(size: int, gain: float, error: float) -> SizeRow:
        return SizeRow(size, 1, {}, {ALONE: {POPULARITY: (gain, error)}})

    better, within, worse = (0.1, 0.04), (0.1, 0.06), (-0.1, 0.01)
    for gains, found in (
        ((better, better), 5),
        ((worse, better), 10),
        ((within, better), 10),
        ((better, within), None),
        ((better, worse), None),
    ):
        rows = [row(size, *gain) for size, gain in zip((5, 10), gains, strict=True)]
        assert useful_from(rows, ALONE, POPULARITY) == found


def test_each_model_learns_from_what_it_says(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[TrainingData] = []

    def remembering(data: TrainingData, recipe: Recipe) -> TrainedModel:
        learnt.append(data)
        return train(data, recipe)

    monkeypatch.setattr(viewers, "SIZES", (USERS,))
    monkeypatch.setattr(experiment, "train", remembering)
    seen: list[tuple[str, float]] = []
    viewers.evaluate_viewers(data, OPTIONS, lambda phase, part: seen.append((phase, part)))
    alone, exact, noisy = learnt
    assert alone.own is not None
    assert alone.own.noise.pairs > 0
    assert alone.others is None
    for one, noise in ((exact, False), (noisy, True)):
        assert one.own is not None
        assert one.others is not None
        assert (one.own.noise.pairs > 0, one.others.noise.pairs > 0) == (noise, noise)
    assert seen[-1] == ("sizes", 1.0)


def test_equal_seeds_give_equal_numbers(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "SIZES", (20,))
    monkeypatch.setattr(viewers, "MAX_DRAWS", 1)
    first = viewers.evaluate_viewers(data, OPTIONS)
    assert viewers.evaluate_viewers(data, OPTIONS).rows == first.rows
    assert viewers.evaluate_viewers(data, replace(OPTIONS, seed=2)).rows != first.rows


def test_the_report_is_plain_data(report: ViewersReport) -> None:
    assert "array(" not in repr(asdict(report))
    assert json.loads(to_json(report, inf_nan_mode="null"))["rows"][0]["viewers"] == 5


@pytest.mark.slow
def test_the_whole_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path)
    monkeypatch.setattr(viewers, "SIZES", (5, 40))
    monkeypatch.setattr(viewers, "MAX_DRAWS", 2)
    done = shoal("evaluate", "--data", tmp_path, "--viewers", "--threads", "1")
    assert done.returncode == 0, done.stderr
    for word in ("VIEWERS", "DRAWS", ALONE, EXACT_SUM, NOISY_SUM, POPULARITY, "viewers on"):
        assert word in done.stdout
    assert "nan" not in done.stdout
    assert NEWEST_FIRST in " ".join(done.stdout.split())
    refused = shoal("evaluate", "--data", tmp_path, "--viewers", "--heads")
    assert refused.returncode == 2
