"""`shoal evaluate --together`: what an instance has alone, from others, and together."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from pydantic_core import to_json

from daemon.lab import evaluate_together as together
from daemon.lab.evaluate import Options
from daemon.lab.evaluate_together import ALONE, BLEND, OTHERS, SIZES, TOGETHER, TogetherReport
from daemon.source.dataset_files import DataSet
from models.item_scores import Sparse
from models.released import Released
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train
from tests.daemon.lab.four_tastes import USERS, VIDEOS, write_set
from tests.daemon.shoal_command import shoal

OPTIONS = Options(recipe=Recipe(rank=16), limit=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_set(tmp_path_factory.mktemp("made-up"))


@pytest.fixture(scope="module")
def report(data: DataSet) -> TogetherReport:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(together, "SIZES", (20, USERS // 2, USERS // 2 + 1))
        return together.evaluate_together(data, OPTIONS)


def test_instances_that_are_more_than_half_of_a_set_are_left_out(report: TogetherReport) -> None:
    assert [row.users for row in report.rows] == [20, USERS // 2]
    assert report.users == USERS
    assert report.videos == VIDEOS - 1
    # Not by chance: the sizes that are measured have some that this set is too small for.
    assert max(SIZES) > USERS // 2


def test_together_is_held_against_the_better_of_its_parents(report: TogetherReport) -> None:
    for row in report.rows:
        assert set(row.ndcg10) == {ALONE, OTHERS, TOGETHER, BLEND}
        assert all(0 <= value <= 1 for value in row.ndcg10.values())
        better = max(row.ndcg10[ALONE], row.ndcg10[OTHERS])
        assert row.difference == pytest.approx(row.ndcg10[TOGETHER] - better)
        assert row.error >= 0
    for name, mean in report.mean.items():
        assert mean == pytest.approx(np.mean([row.ndcg10[name] for row in report.rows]))


def test_the_report_is_plain_data(report: TogetherReport) -> None:
    assert "array(" not in repr(asdict(report))
    assert json.loads(to_json(report, inf_nan_mode="null"))["rows"][0]["users"] == 20
    assert report.notes


def test_equal_seeds_give_equal_numbers(
    data: DataSet, report: TogetherReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "SIZES", (20,))
    again = together.evaluate_together(data, OPTIONS)
    assert again.rows == report.rows[:1]
    other = together.evaluate_together(data, replace(OPTIONS, seed=2))
    assert other.rows != again.rows


def test_alone_others_and_together_learn_from_what_they_say(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[TrainingData] = []

    def remembering(data: TrainingData, recipe: Recipe) -> TrainedModel:
        learnt.append(data)
        return train(data, recipe)

    monkeypatch.setattr(together, "SIZES", (USERS // 2,))
    monkeypatch.setattr(together, "train", remembering)
    seen: list[tuple[str, float]] = []
    together.evaluate_together(data, OPTIONS, lambda phase, part: seen.append((phase, part)))
    parents: list[tuple[Released | None, Released | None]] = [(one.own, one.others) for one in learnt]
    own, others = parents[0][0], parents[1][1]
    assert own is not None
    assert others is not None
    # Alone, others, and together; and the parts of the blend.
    assert parents == [(own, None), (None, others), (own, others), (own, others), (own, None)]
    # Both are as released: with noise, and with so many viewers as there are.
    assert min(own.noise.counts, own.noise.pairs, others.noise.counts, others.noise.pairs) > 0
    assert others.most == USERS // 2
    assert seen[-1] == ("instances", 1.0)


def test_a_blend_of_a_model_with_itself_ranks_as_the_model_does(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[TrainedModel] = []

    def remembering(data: TrainingData, recipe: Recipe) -> TrainedModel:
        learnt.append(train(data, recipe))
        return learnt[-1]

    monkeypatch.setattr(together, "SIZES", (100,))
    monkeypatch.setattr(together, "train", remembering)
    together.evaluate_together(data, OPTIONS)
    alone = next(one for one in learnt if one.head_size == 0 and len(one.items))
    form = alone.closed_form
    assert form is not None
    blended = together._blend(alone, alone, alone)
    assert isinstance(blended.scoring, Sparse)
    scale = np.sqrt(np.square(form).mean())
    for row in range(len(alone.items)):
        assert blended.scoring.scores(np.array([row], np.int32)) == pytest.approx(form[row] / scale, abs=1e-5)
    # Its items are those of the frame, whichever parents know them.
    assert (blended.items == alone.items).all()


@pytest.mark.slow
def test_the_whole_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path)
    monkeypatch.setattr(together, "SIZES", (20, 40))
    done = shoal("evaluate", "--data", tmp_path, "--together", "--threads", "1")
    assert done.returncode == 0, done.stderr
    for word in ("VIEWERS", "ALONE", "OTHERS", "TOGETHER", "BLEND", "DIFFERENCE", "mean"):
        assert word in done.stdout
    assert "nan" not in done.stdout
    assert "of 2." in done.stdout
    told = shoal("evaluate", "--data", tmp_path, "--together", "--threads", "1", "-o", "json")
    assert told.returncode == 0
    found = json.loads(told.stdout)
    assert [row["users"] for row in found["rows"]] == [20, 40]
