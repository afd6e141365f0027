from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import statistics
from models.errors import SumError
from models.interactions import Interactions, stack
from models.noise import SumNoise, slack
from models.trainer import Counting, GramTrainer, PairCounting, Summed
from tests.models.worlds import interactions, population, small_worlds


def run(trainer: GramTrainer, instances: list[Interactions]) -> Summed:
    state = trainer.start(instances[0].videos)
    while not trainer.done(state):
        parts = [trainer.contribution(state, users) for users in instances]
        state = trainer.advance(state, np.sum(parts, axis=0))
    assert isinstance(state, Summed)
    return state


@given(small_worlds(), st.data())
def test_any_split_of_the_users_sums_to_the_union(world: Interactions, data: st.DataObject) -> None:
    place = np.array(data.draw(st.lists(st.integers(0, 3), min_size=world.users, max_size=world.users)))
    instances = [world.rows(np.flatnonzero(place == part)) for part in range(4)]
    trainer = GramTrainer(min_users=data.draw(st.integers(1, 3)), max_head=data.draw(st.integers(0, 5)))
    split, whole = run(trainer, instances), run(trainer, [stack(instances)])
    np.testing.assert_array_equal(split.counts, whole.counts)
    for field in ("head", "counts", "triangle"):
        np.testing.assert_array_equal(getattr(split.statistic, field), getattr(whole.statistic, field))


def test_the_sum_is_what_the_users_did() -> None:
    world = interactions([[0, 1, 3], [0, 1], [1, 3], [2]], 4)
    found = run(GramTrainer(min_users=2, max_head=10), [world]).statistic
    assert found.head.tolist() == [0, 1, 3]
    assert found.counts.tolist() == [2, 3, 2]
    assert found.triangle.tolist() == [2, 1, 2]


@pytest.mark.parametrize("max_head", [0, 1])
def test_a_head_without_pairs_ends_after_the_counts(max_head: int) -> None:
    found = run(GramTrainer(min_users=1, max_head=max_head), [interactions([[0, 1]], 2)])
    assert found.statistic.head.size == max_head
    assert found.statistic.triangle.size == 0


def test_sums_of_the_wrong_shape_or_sign_are_refused() -> None:
    trainer, world = GramTrainer(min_users=1, max_head=10), interactions([[0, 1], [1, 2]], 3)
    start = trainer.start(3)
    with pytest.raises(SumError, match="entries"):
        trainer.advance(start, np.zeros(4, np.int64))
    with pytest.raises(SumError, match="negative"):
        trainer.advance(start, np.array([1, -1, 0]))
    counted = trainer.advance(start, statistics.counts(world))
    assert isinstance(counted, PairCounting)
    with pytest.raises(SumError, match="more users for a pair"):
        trainer.advance(counted, np.array([2, 0, 1]))


def test_calls_out_of_order_are_bugs() -> None:
    trainer, world = GramTrainer(min_users=1, max_head=10), interactions([[0, 1]], 2)
    with pytest.raises(ValueError, match="vocabulary"):
        trainer.contribution(Counting(3), world)
    done = run(trainer, [world])
    with pytest.raises(ValueError, match="done"):
        trainer.contribution(done, world)
    with pytest.raises(ValueError, match="done"):
        trainer.advance(done, np.zeros(1, np.int64))


def test_contributions_are_integers() -> None:
    trainer, world = GramTrainer(min_users=1, max_head=10), population(20, 15)
    state = trainer.start(15)
    first = trainer.contribution(state, world)
    second = trainer.contribution(trainer.advance(state, first), world)
    assert first.dtype == second.dtype == np.int64


def test_noise_that_was_agreed_on_passes_and_more_does_not() -> None:
    noise = SumNoise(counts=4.0, pairs=9.0)
    trainer = GramTrainer(min_users=1, max_head=10, noise=noise)
    start = trainer.start(3)
    below = np.array([20, -slack(4.0), 20])
    state = trainer.advance(start, below)
    assert isinstance(state, PairCounting)
    assert state.head.tolist() == [0, 2]
    with pytest.raises(SumError, match="negative"):
        trainer.advance(start, below - 1)
    most = 20 + slack(13.0)
    assert isinstance(trainer.advance(state, np.array([-slack(9.0)])), Summed)
    assert isinstance(trainer.advance(state, np.array([most])), Summed)
    with pytest.raises(SumError, match="negative"):
        trainer.advance(state, np.array([-slack(9.0) - 1]))
    with pytest.raises(SumError, match="more users for a pair"):
        trainer.advance(state, np.array([most + 1]))
