"""`shoal evaluate`: one instance, and one data set split into several."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from daemon.lab.evaluate import (
    CLOSED_FORM,
    PEERTUBE,
    POPULARITY,
    SERVED,
    EvaluationReport,
    Options,
    evaluate,
)
from daemon.lab.evaluate_instances import (
    FEDERATED,
    LOCAL,
    MODELS,
    POOLED,
    InstancesReport,
    Partition,
    evaluate_instances,
)
from daemon.source.dataset_files import DataSet
from models.trained import Recipe
from tests.daemon.lab.four_tastes import USERS, VIDEOS, write_set

pytestmark = pytest.mark.slow

RECIPE = Recipe(rank=16, alpha=0.0)
OPTIONS = Options(recipe=RECIPE, limit=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_set(tmp_path_factory.mktemp("made-up"))


@pytest.fixture(scope="module")
def report(data: DataSet) -> EvaluationReport:
    return evaluate(data, OPTIONS)


@pytest.fixture(scope="module")
def instances(data: DataSet) -> InstancesReport:
    return evaluate_instances(data, OPTIONS, Partition(sizes=(120, 40, *[16] * 5), tastes=4, skew=0.1))


def test_models_that_learn_beat_popularity(report: EvaluationReport) -> None:
    popular = report.row(POPULARITY).summary
    for name in (CLOSED_FORM, SERVED):
        learnt = report.row(name).summary
        assert learnt.ndcg10 > popular.ndcg10 + 2 * (popular.ndcg10_se + learnt.ndcg10_se)
        assert learnt.viewers == popular.viewers > USERS * 0.8


def test_the_report_says_what_it_rests_on(report: EvaluationReport) -> None:
    assert report.users == USERS
    assert report.videos == VIDEOS - 1  # the disliked one is not among the liked
    assert "at least 4" in report.positive
    assert report.newest == "year in title"
    assert any("lambda is chosen on 10%" in note.lower() for note in report.notes)
    assert any("times in the set" in note for note in report.notes)
    assert report.row(PEERTUBE).detail == "newest by year in title"
    # What is served is tuned as its yardstick is.
    assert report.row(CLOSED_FORM).detail.startswith("lambda")
    assert report.row(SERVED).detail.startswith("factorized, lambda")


def test_without_times_the_report_says_so(tmp_path: Path) -> None:
    found = evaluate(write_set(tmp_path, times=False), OPTIONS)
    assert any(note.startswith("The set has no times") for note in found.notes)


def test_the_cost_of_the_limit_is_shown(report: EvaluationReport) -> None:
    assert [row.model for row in report.limited] == [CLOSED_FORM, SERVED]
    assert all(row.detail == "at most 8 videos per user" for row in report.limited)
    assert report.limited[0].summary.ndcg10 != report.row(CLOSED_FORM).summary.ndcg10


def test_related_videos_of_unseen_users(report: EvaluationReport) -> None:
    for rows in (report.related, report.related_latest):
        quality = {row.model: row for row in rows}
        served, popular = quality["related lists"], quality[POPULARITY]
        assert served.anything > popular.anything + 2 * (popular.anything_se + served.anything_se)
        assert served.following > popular.following
        assert {row.viewers for row in rows} == {USERS}


def test_what_is_new_is_measured_by_itself(report: EvaluationReport) -> None:
    rule, features = report.new_videos
    assert features.summary.ndcg10 > rule.summary.ndcg10
    by_name = {row.model: row.summary for row in report.new_viewers}
    assert by_name["served, 3 known"].ndcg10 > by_name["popularity, 3 known"].ndcg10
    assert {row.model for row in report.new_instances} >= {"public views, 10 viewers", "served, 100 viewers"}


def test_progress_is_reported(data: DataSet) -> None:
    seen: list[tuple[str, float]] = []
    evaluate_instances(
        data, OPTIONS, Partition(sizes=(200, 40)), lambda phase, part: seen.append((phase, part))
    )
    assert all(0 <= part <= 1 for _, part in seen)
    assert {"sums", "lambda", "local only"} <= {phase for phase, _ in seen}


def test_federated_is_pooled_and_helps_the_small(instances: InstancesReport) -> None:
    assert instances.sums_equal
    assert instances.max_relative_difference <= 1e-6
    assert instances.sizes == (120, 40, 16, 16, 16, 16, 16)
    for group in (*instances.classes, *instances.instances, instances.everybody):
        assert set(group.quality) == set(MODELS)
        assert group.quality[FEDERATED] == group.quality[POOLED]
    small = next(group for group in instances.classes if group.name == "<20")
    assert (small.instances, small.users) == (5, 80)
    assert small.quality[FEDERATED].ndcg10 > small.quality[LOCAL].ndcg10
    assert small.quality[FEDERATED].ndcg10 > small.quality[POPULARITY].ndcg10


def test_groups_are_means_over_the_same_viewers(instances: InstancesReport) -> None:
    for model in MODELS:
        viewers = sum(group.quality[model].viewers for group in instances.instances)
        weighted = sum(
            group.quality[model].ndcg10 * group.quality[model].viewers
            for group in instances.instances
            if group.quality[model].viewers
        )
        everybody = instances.everybody.quality[model]
        assert everybody.viewers == viewers
        assert everybody.ndcg10 == pytest.approx(weighted / viewers)


def test_reports_are_plain_data(report: EvaluationReport, instances: InstancesReport) -> None:
    for found in (report, instances):
        text = repr(asdict(found))
        assert "array(" not in text
    assert not math.isnan(report.row(SERVED).summary.coverage)


def test_too_few_users_for_the_sizes(data: DataSet) -> None:
    with pytest.raises(ValueError, match="240 users cannot fill"):
        evaluate_instances(data, OPTIONS, Partition(sizes=(200, 100)))
    with pytest.raises(ValueError, match="cannot fill 50 instances"):
        evaluate_instances(data, replace(OPTIONS, seed=2), Partition(instances=50))
