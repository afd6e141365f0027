"""The demo on a small set: what it prints is what it measured."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from daemon.errors import RequestError, SourceError
from daemon.lab.demo.instances import SIZES, build
from daemon.lab.demo.main import main, parse_kill
from daemon.lab.made_up import SHIPPED
from daemon.source.dataset import DatasetFiles, addresses
from daemon.source.dataset_files import read
from policies.privacy import PROTECTION, Level
from tests.daemon.small_dataset import write_overlapping_tastes

pytestmark = pytest.mark.daemon


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_overlapping_tastes(tmp_path_factory.mktemp("demo") / "set")


def test_five_instances_learn_what_pooling_and_the_noise_they_drew_would(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(data=small, instances=5, kill="2@mask", level="default", as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    models = {"popularity", "local", "local_exact", "federated", "pooled"}
    assert set(found["ndcg10"]) == models
    assert abs(found["cost_of_released_only"]["share"]) < 1
    assert found["cost_of_released_only"]["standard_error"] > 0
    assert found["max_relative_difference_from_plain"] <= 1e-6
    assert found["integers_identical"]
    assert found["top10_identical"]
    assert found["bytes_sent_max"] > 0
    assert {"rounds", "training", "evaluation"} <= set(found["seconds"])
    assert found["cohort"] == {"members": 4, "threshold": 3, "aggregators": 5}
    assert found["killed"] == "lagoon.example at stage shares"
    assert len(found["instances"]) == 5
    for one in found["instances"]:
        assert one["round"] == "done"
        # Only the one that was started again had its round with everybody alive.
        assert len(one["survivors"]) == (4 if one["host"] == "lagoon.example" else 3)
        # Half of what is declared from each survivor. It is real noise: the models differ.
        declared = PROTECTION[Level.DEFAULT].pairs_noise
        assert one["noise_declared"] == pytest.approx(declared**0.5)
        assert one["noise_realised"] == pytest.approx((len(one["survivors"]) * declared / 2) ** 0.5)
        assert one["ndcg10"]["federated"] != one["ndcg10"]["pooled"]


@pytest.mark.parametrize("text", ["", "3", "0@mask", "6@mask", "3@lunch", "x@mask", "3@"])
def test_a_wrong_kill_names_the_choices(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_kill(text, 5)
    assert "mask" in caught.value.advice


def test_the_shipped_set_gives_the_promised_sizes(tmp_path: Path) -> None:
    world = build(tmp_path, None, 5)
    assert tuple(c.history.users for c in world.instances) == SIZES
    assert (SHIPPED / "README.txt").read_text().count("Usage License") == 1
    total = sum(c.history.matrix.nnz + c.relevant.nnz for c in world.instances)
    held_out = sum(c.relevant.nnz for c in world.instances)
    assert 0.19 < held_out / total < 0.21


def test_every_instance_knows_the_views_of_all_users_together(tmp_path: Path) -> None:
    world = build(tmp_path, None, 5, without="reef.example")
    rows = Counter(item for item in read(SHIPPED).items.tolist())
    expected = dict(zip(addresses(read(SHIPPED)), (rows[n] for n in range(9742)), strict=True))
    assert sum(expected.values()) == 100_836
    for instance in world.instances:
        source = DatasetFiles(instance.folder / "dataset", name="ml-latest-small")
        assert {video.url: video.views for _, page in source.videos() for video in page} == expected


def test_too_few_users_are_said_with_the_way_out(small: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        build(tmp_path, small, 40)
    assert "--instances" in caught.value.advice
