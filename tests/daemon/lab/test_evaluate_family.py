"""`shoal evaluate --family`: what is held out, what is measured, and that BALSE is held to its parts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.cli import demo_and_evaluate
from daemon.cli.evaluate_family_view import show
from daemon.lab import evaluate_family as family
from daemon.lab.evaluate import Options
from daemon.lab.evaluate_family import MEMBERS, FamilyReport, evaluate_family, hold_out, ratings_of
from daemon.source.dataset_files import DataSet
from models.family.als import ExplicitALS
from models.family.balse import Balse
from models.family.biases import Biases
from models.family.implicit import LikedALS
from models.family.member import Maker
from models.family.tag_regression import TagRidge
from models.trained import Recipe
from tests.daemon.lab.four_tastes import write_set
from tests.daemon.shoal_command import shoal

pytestmark = pytest.mark.slow
OPTIONS = Options(recipe=Recipe(threads=1))
FEW: dict[str, tuple[Maker, dict[str, tuple[float, ...]]]] = {
    "biases": (Biases, {"regularisation": (4, 8)}),
    "implicit ALS": (LikedALS, {"factors": (8,)}),
    family.ALS: (ExplicitALS, {"factors": (8,), "regularisation": (2,)}),
    family.RIDGE: (TagRidge, {"regularisation": (1,)}),
    family.BALSE: (Balse, {"factors": (8,), "regularisation": (2,)}),
}


@pytest.fixture(scope="module")
def data() -> DataSet:
    """120 users rate 160 videos from 1 to 10: by the video, and by taste for its tag."""
    rng = np.random.default_rng(2)
    users, items = np.nonzero(rng.random((120, 160)) < 0.3)
    tag = np.arange(160) % 4
    exact = 5.5 + rng.normal(0, 1, 160)[items] + rng.normal(0, 2, (120, 4))[users, tag[items]]
    return DataSet(
        name="made-up",
        user_ids=tuple(f"u{n}" for n in range(120)),
        item_ids=tuple(f"i{n}" for n in range(160)),
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        values=np.clip(np.rint(exact), 1, 10),
        timestamps=None,
        columns={},
        tag_items=np.arange(160, dtype=np.int32),
        tag_ids=tag.astype(np.int32),
        tag_names=("a", "b", "c", "d"),
    )


@pytest.fixture(scope="module")
def report(data: DataSet) -> FamilyReport:
    return evaluate_family(data, OPTIONS, members=FEW)


def test_every_member_gets_the_same_number_of_tries() -> None:
    assert {math.prod(map(len, settings.values())) for _, settings in MEMBERS.values()} == {family.TRIES}
    assert len(MEMBERS) == 12


def test_cold_videos_have_no_rating_in_training_and_the_least_rated_have_few(data: DataSet) -> None:
    ratings, _ = ratings_of(data, OPTIONS)
    held_out = hold_out(ratings, 0.2, 1)
    counts, parts = held_out.train.counts, held_out.parts
    assert len(held_out.train.values) + len(held_out.test.values) == len(data.values)
    assert len(parts["cold"]) == 8
    assert (counts[parts["cold"]] == 0).all()
    assert (held_out.test.counts[parts["cold"]] == ratings.counts[parts["cold"]]).all()
    assert 50 <= len(parts["least rated"]) < 80
    assert counts[parts["least rated"]].max() == held_out.most
    assert len(parts["all"]) == 160


def test_errors_and_rankings_are_measured_on_all_three_parts(report: FamilyReport) -> None:
    rows = {row.model: row for row in report.rows}
    everything = rows["biases"].quality["all"]
    for name, row in rows.items():
        assert {part: one.ratings for part, one in row.quality.items()} == {
            part: one.ratings for part, one in rows["biases"].quality.items()
        }
        for one in row.quality.values():
            assert 0 < one.ndcg10 < 1
            assert 0 < one.ndcg10_se < 0.1
            assert math.isnan(one.rmse) == (name == "implicit ALS")
            assert one.ratings < everything.ratings or one is row.quality["all"]
    assert rows[family.ALS].quality["all"].rmse < 0.9 * everything.rmse
    assert rows[family.RIDGE].quality["cold"].rmse < 0.9 * rows[family.ALS].quality["cold"].rmse


def test_balse_is_held_to_its_parts_with_the_error_of_the_difference(report: FamilyReport) -> None:
    rows = {row.model: row for row in report.rows}
    for one in report.balse:
        mine, its = (rows[name].quality[one.part].rmse for name in (family.BALSE, one.model))
        assert one.difference == pytest.approx(mine - its)
        assert 0 <= one.error < 0.2
    assert {one.model for one in report.balse} == {family.ALS, family.RIDGE}
    cold = next(one for one in report.balse if (one.model, one.part) == (family.ALS, "cold"))
    assert cold.difference < -2 * cold.error


def test_the_error_of_an_rmse_is_that_over_users() -> None:
    rng = np.random.default_rng(0)
    roots = []
    for _ in range(300):
        users = np.repeat(np.arange(50), 20)
        # Users err by different amounts, so ratings of one user are no independent draws.
        errors = (rng.normal(0, rng.gamma(2, 0.5, 50)[users])) ** 2
        roots.append(family._rmse(errors, users, 50))
    found, claimed = np.array(roots).T
    assert claimed.mean() == pytest.approx(found.std(), rel=0.15)


def test_values_that_are_no_ratings_are_refused(data: DataSet) -> None:
    for values in (np.ones(len(data.values)), np.arange(len(data.values), dtype=np.float64)):
        with pytest.raises(ValueError, match="no ratings"):
            evaluate_family(replace(data, values=values), OPTIONS)


def test_a_table_per_part_shows_every_member_and_nothing_that_was_not_measured(
    report: FamilyReport, capsys: pytest.CaptureFixture[str]
) -> None:
    show(report)
    printed = capsys.readouterr().out
    assert "nan" not in printed
    tables = printed.split("Held-out ratings, ")[1:]
    assert len(tables) == len(family.PARTS)
    for table, part in zip(tables, family.PARTS, strict=True):
        assert table.startswith(part)
        for row in report.rows:
            assert row.model in table
    assert "RMSE of BALSE less that of its parts" in printed
    assert "settings per model are tried" in printed


def test_the_command_measures_the_family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_set(tmp_path)
    monkeypatch.setattr(family, "MEMBERS", {"biases": MEMBERS["biases"]})
    done = shoal("evaluate", "--data", tmp_path, "--family")
    assert done.returncode == 0, done.stderr
    assert "Held-out ratings, cold" in done.stdout


def test_without_its_library_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_and_evaluate, "find_spec", lambda _: None)
    done = shoal("evaluate", "--data", tmp_path, "--family")
    assert done.returncode != 0
    assert "shoal[family]" in done.stderr
