"""The made-up set: the same each time, readable, and one on which learning together pays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab import experiment, made_up
from daemon.source.dataset_files import DataSet, read
from models.baselines import ItemKNN
from models.evaluation import next_videos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return read(made_up.write(tmp_path_factory.mktemp("set")))


def test_it_is_the_same_each_time(data: DataSet, tmp_path: Path) -> None:
    again = read(made_up.write(tmp_path))
    for field in dataclasses.fields(DataSet):
        one, other = getattr(data, field.name), getattr(again, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def test_everybody_takes_part_and_every_video_has_a_title_of_its_own(data: DataSet) -> None:
    found = experiment.load(data)
    assert found.likes.users == made_up.VIEWERS
    titles = data.columns["title"]
    assert len(set(titles)) == len(titles) == len(data.item_ids)
    assert all(title[0].isupper() or not title[0].isalpha() for title in titles)
    assert len({tag for tag in data.tag_names if tag in made_up.SUBJECTS}) == len(made_up.SUBJECTS)


def test_few_viewers_tell_less_than_many(data: DataSet) -> None:
    found = experiment.load(data)
    parts = experiment.split(found, seed=1)
    some, all_others = experiment.draw_users(found.likes.users, 40, np.random.default_rng(0))

    def quality(rows: NDArray[np.int64]) -> float:
        knn = ItemKNN(parts.train.rows(rows).matrix)
        history, relevant = parts.train.rows(some).matrix, csr_array(parts.test[some])
        return float(next_videos(knn, history, relevant).ndcg.mean())

    alone, together = quality(some), quality(np.concatenate([some, all_others]))
    assert together > 1.3 * alone
