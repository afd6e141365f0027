"""The steps that every experiment is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from daemon.lab import experiment
from daemon.lab.evaluate_instances import Partition, assign
from daemon.lab.experiment import by_address, likes_of, load, relative_difference, split, summed, without
from daemon.source.dataset import addresses
from daemon.source.dataset_columns import positive_from
from daemon.source.dataset_files import DataSet
from models import statistics
from models.features import Features, unknown
from models.interactions import Interactions, stack
from models.noise import SumNoise
from models.trained import Recipe
from tests.daemon.lab.four_tastes import TASTES, USERS, VIDEOS, write_set

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_set(tmp_path_factory.mktemp("made-up"))


def drawn(seed: int, users: int = 20, videos: int = 12) -> Interactions:
    return Interactions(
        csr_array((np.random.default_rng(seed).random((users, videos)) < 0.5).astype(np.uint8))
    )


def test_the_threshold_can_be_chosen(data: DataSet) -> None:
    assert load(data, from_value=1).likes.videos == VIDEOS
    with pytest.raises(ValueError, match="no user of"):
        load(data, from_value=99)


def test_by_address_the_same_users_like_the_same_videos(data: DataSet) -> None:
    found = by_address(data)
    assert addresses(found) == sorted(addresses(data))
    named = dict(zip(data.item_ids, data.columns["title"], strict=True))
    assert dict(zip(found.item_ids, found.columns["title"], strict=True)) == named

    def liked(one: DataSet) -> list[set[str]]:
        matrix = likes_of(one, positive_from(data)).matrix
        return [{one.item_ids[video] for video in matrix[[user]].indices} for user in range(USERS)]

    assert liked(found) == liked(data)


def test_split_is_repeatable_and_loses_nothing(data: DataSet) -> None:
    population = load(data)
    likes = population.likes
    first, second = split(population, seed=3), split(population, seed=3)
    assert first.test.indices.tolist() == second.test.indices.tolist()
    assert first.train.matrix.nnz + first.test.nnz == likes.matrix.nnz
    assert first.train.matrix.multiply(first.test).nnz == 0
    assert likes.recency is not None
    # Times stay with their interactions.
    dense = np.zeros(likes.matrix.shape)
    dense[np.repeat(np.arange(USERS), np.diff(likes.matrix.indptr)), likes.matrix.indices] = likes.recency
    train = first.train
    rows = np.repeat(np.arange(USERS), np.diff(train.matrix.indptr))
    assert train.recency is not None
    assert (dense[rows, train.matrix.indices] == train.recency).all()
    for user in range(10):
        mine = dense[user] * train.matrix[[user]].toarray()[0]
        assert first.last[[user]].indices.tolist() == [int(mine.argmax())]


def test_without_times_the_video_watched_last_is_drawn(tmp_path: Path) -> None:
    population = load(write_set(tmp_path, times=False))
    assert population.likes.recency is None
    parts, other = split(population, seed=3), split(population, seed=4)
    assert (np.diff(parts.last.indptr) == 1).all()
    assert parts.last.indices.tolist() != other.last.indices.tolist()


def test_instances_have_their_own_tastes(data: DataSet) -> None:
    population = load(data)
    parts = split(population, seed=1)

    def purity(skew: float) -> float:
        members = assign(population, parts, Partition(sizes=(20,) * 12, tastes=4, skew=skew), seed=1)
        shares = [np.bincount(rows % TASTES, minlength=TASTES).max() / len(rows) for rows in members]
        return float(np.mean(shares))

    assert purity(0) < 0.5
    assert purity(20) > 0.7


def test_an_instance_without_users_stays_in_its_place(data: DataSet) -> None:
    population = load(data)
    members = experiment.by_taste(
        population.likes.matrix, population.features.tags, (30, 0, 10), np.random.default_rng(1)
    )
    assert [len(rows) for rows in members] == [30, 0, 10]


def test_the_sum_over_instances_is_that_of_the_whole(data: DataSet) -> None:
    population = load(data)
    parts = split(population, seed=1)
    members = assign(population, parts, Partition(instances=12, at_least=5), seed=1)
    assert len(members) == 12
    own = [parts.train.rows(rows) for rows in members]
    together = summed(own, min_users=5, max_head=50)
    head = statistics.head(statistics.counts(parts.train), min_users=5, max_head=50)
    assert together.head.tolist() == head.tolist()
    assert (
        together.triangle.tolist() == statistics.pair_counts(Interactions(parts.train.matrix), head).tolist()
    )


def test_own_counts_choose_the_head_and_are_not_in_the_sum() -> None:
    others, own = drawn(1), np.arange(12) * 100
    found = summed([others], min_users=1, max_head=4, own=own)
    assert found.head.tolist() == [8, 9, 10, 11]
    np.testing.assert_array_equal(found.counts, statistics.counts(others, found.head))


def test_a_sum_less_one_instance_is_that_of_the_others() -> None:
    instances = [drawn(seed, users) for seed, users in enumerate((9, 0, 30))]
    total = summed(instances, min_users=1, max_head=6)
    left = without(total, instances[0])
    np.testing.assert_array_equal(left.triangle, statistics.pair_counts(stack(instances[1:]), total.head))


def test_noise_has_the_variances_asked_for() -> None:
    noise = experiment.poisson_noise(SumNoise(30.0, 7.0), np.random.default_rng(1))
    for round_, variance in enumerate((30.0, 7.0)):
        found = noise(round_, 40_000)
        # Standard error of a variance of so many draws: 0.7 per cent.
        assert found.var() == pytest.approx(variance, rel=0.04)
        assert found.mean() == pytest.approx(0, abs=0.1)


def test_one_of_one_instance_trains_from_its_users_alone() -> None:
    users, none = drawn(3, 60), unknown(12)
    features = Features(csr_array(np.zeros((12, 0), np.float32)), (), none, none, none, np.full(12, np.nan))
    recipe = Recipe(rank=4, lambdas=(1.0,), alphas=(0.0,), min_users=2, min_pair_users=1)

    def trained(noise: float) -> np.ndarray:
        rng = np.random.default_rng(1)
        model = experiment.train_as_one_of(
            1, features, users, SumNoise(noise, noise), min_users=2, recipe=recipe, rng=rng
        )
        return model.U @ model.V.T

    np.testing.assert_array_equal(trained(0), trained(50))


def test_scores_are_compared_by_the_largest() -> None:
    one, other = np.array([[1.0, -np.inf, 4.0]]), np.array([[1.5, -np.inf, 5.0]])
    assert relative_difference(one, other) == 0.2
    assert relative_difference(other, other) == 0
    assert relative_difference(np.zeros((1, 3)), other) == float("inf")
