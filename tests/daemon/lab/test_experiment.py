"""The steps that every experiment is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from daemon.lab import experiment
from daemon.lab.evaluate_instances import Partition, assign
from daemon.lab.experiment import (
    by_address,
    exactly,
    likes_of,
    load,
    relative_difference,
    relative_loss,
    released,
    split,
    summed,
    summed_over,
    without,
)
from daemon.source.dataset import addresses
from daemon.source.dataset_columns import positive_from
from daemon.source.dataset_files import DataSet, read
from models import counting, statistics
from models.features import Features, unknown
from models.interactions import Interactions, stack
from models.noise import SumNoise
from models.trained import Recipe
from models.weights import UNIT
from models.words import hashed
from tests.daemon.lab.four_tastes import TASTES, USERS, VIDEOS, write_set

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return write_set(tmp_path_factory.mktemp("made-up"))


def test_titles_of_the_set_become_words_of_its_videos(data: DataSet, tmp_path: Path) -> None:
    population = load(data)
    # The last video of the set is disliked by all.
    assert population.titles == tuple(data.columns["title"][: VIDEOS - 1])
    words = population.features.words
    assert words is not None
    assert words.rows.shape[0] == population.likes.videos == VIDEOS - 1
    frequency = dict(zip(words.hashes.tolist(), words.rows.sum(axis=0).tolist(), strict=True))
    assert frequency[hashed("film")] == VIDEOS - 1
    assert frequency[hashed("1951")] == 2
    write_set(tmp_path)
    (tmp_path / "items.csv").unlink()
    untitled = load(read(tmp_path))
    assert set(untitled.titles) == {""}
    assert untitled.features.words is not None
    assert untitled.features.words.rows.nnz == 0


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
    head = statistics.head(counting.counts(parts.train), min_users=5, max_head=50)
    assert together.head.tolist() == head.tolist()
    assert together.triangle.tolist() == counting.pair_counts(Interactions(parts.train.matrix), head).tolist()


def test_a_sum_less_one_instance_is_that_of_the_others() -> None:
    # Some viewers have so many videos of the head that they count for less.
    instances = [drawn(seed, users, 160) for seed, users in enumerate((9, 0, 30))]
    head = np.arange(0, 160, 2)
    total = summed_over(head, [stack(instances)])
    assert (counting.weighted_counts(instances[0], head) % UNIT).any()
    left = without(total, instances[0])
    alone = summed_over(head, instances[1:])
    np.testing.assert_array_equal(left.counts, alone.counts)
    np.testing.assert_array_equal(left.triangle, alone.triangle)


def test_noise_has_the_variances_asked_for() -> None:
    noise = experiment.poisson_noise(SumNoise(30.0, 7.0), np.random.default_rng(1))
    for segment, variance in enumerate((30.0, 7.0)):
        found = noise(segment, 40_000) / UNIT
        # Standard error of a variance of so many draws: 0.7 per cent.
        assert found.var() == pytest.approx(variance, rel=0.04)
        assert found.mean() == pytest.approx(0, abs=0.1)


def test_an_own_release_carries_a_full_draw_of_noise_over_its_whole_head() -> None:
    users = drawn(5, 60, 30)
    exact = exactly(users, min_users=20)
    # Nobody has more than thirty videos, so that everybody counts in full.
    np.testing.assert_array_equal(exact.statistic.counts, UNIT * counting.counts(users, exact.statistic.head))
    assert exact.viewers == 60
    assert not exact.noise
    noise = SumNoise(16.0, 4.0)
    found = [
        released(users, noise, np.random.default_rng(seed), views=np.full(30, 500)) for seed in range(200)
    ]
    # What is seen by many is in it, whoever watched it here.
    assert all(one.statistic.head.tolist() == list(range(30)) for one in found)
    assert np.std([one.viewers for one in found]) == pytest.approx(4, rel=0.2)
    pairs = counting.pair_counts(users, np.arange(30))
    assert np.std([one.statistic.triangle - pairs for one in found]) == pytest.approx(2 * UNIT, rel=0.05)


def test_noise_in_its_own_release_and_in_the_sum_reach_the_model() -> None:
    users, none = drawn(3, 60), unknown(12)
    features = Features(
        csr_array(np.zeros((12, 0), np.float32)),
        (),
        none,
        none,
        none,
        np.full(12, np.nan),
        np.full(12, 500),
    )

    def trained(instances: int, of_sum: float, own: float) -> np.ndarray:
        model = experiment.train_as_one_of(
            instances,
            features,
            users,
            SumNoise(of_sum, of_sum),
            SumNoise(own, own),
            min_users=2,
            recipe=Recipe(rank=4, alpha=0.0),
            rng=np.random.default_rng(1),
        )
        every = np.arange(len(model.items))
        return model.scoring.parts(every, every)

    # Alone there is no sum whose noise could matter.
    np.testing.assert_array_equal(trained(1, 0, 0), trained(1, 50, 0))
    for other in (trained(2, 9, 0), trained(2, 0, 9)):
        plain = trained(2, 0, 0)
        assert plain.shape != other.shape or np.abs(plain - other).max() > 1e-3


def test_a_loss_is_relative_and_paired() -> None:
    reference = np.array([0.2, 0.4, 0.9, 0.5])
    assert relative_loss(0.9 * reference, reference) == pytest.approx((0.1, 0.0))
    share, error = relative_loss(reference - [0.1, -0.1, 0.1, 0.1], reference)
    assert share == pytest.approx(0.1)
    # By hand: residuals are the differences less a tenth of the reference.
    residual = np.array([0.1, -0.1, 0.1, 0.1]) - 0.1 * reference
    assert error == pytest.approx(residual.std(ddof=1) / 2 / 0.5)
    assert all(np.isnan(relative_loss(np.zeros(0), np.zeros(0))))


def test_scores_are_compared_by_the_largest() -> None:
    one, other = np.array([[1.0, -np.inf, 4.0]]), np.array([[1.5, -np.inf, 5.0]])
    assert relative_difference(one, other) == 0.2
    assert relative_difference(other, other) == 0
    assert relative_difference(np.zeros((1, 3)), other) == float("inf")
