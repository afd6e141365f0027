from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from models.splits import clusters, heavy_tailed_sizes, profiles, taste_skewed


@given(st.integers(1, 60), st.integers(0, 400), st.integers(0, 2**32 - 1))
def test_sizes_add_up_and_respect_the_minimum(instances: int, spare: int, seed: int) -> None:
    users = instances * 5 + spare
    sizes = heavy_tailed_sizes(users, instances, np.random.default_rng(seed))
    assert sizes.sum() == users
    assert sizes.min() >= 5
    assert (np.diff(sizes) <= 0).all()


def test_most_instances_are_small() -> None:
    sizes = heavy_tailed_sizes(4104, 50, np.random.default_rng(1))
    assert (sizes < 20).sum() > 25
    assert sizes[:5].sum() > 4104 / 2


def test_too_few_users_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot fill 10 instances"):
        heavy_tailed_sizes(49, 10, np.random.default_rng(0))


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=80),
    st.data(),
    st.floats(0, 100),
    st.integers(0, 2**32 - 1),
)
def test_every_seat_is_taken_once(tastes: list[int], data: st.DataObject, strength: float, seed: int) -> None:
    sizes: list[int] = []
    while sum(sizes) < len(tastes):
        sizes.append(data.draw(st.integers(1, len(tastes) - sum(sizes))))
    members = taste_skewed(np.array(tastes), sizes, np.random.default_rng(seed), strength=strength)
    assert [len(group) for group in members] == sizes
    assert sorted(np.concatenate(members).tolist()) == list(range(len(tastes)))


def test_exact_sizes_and_the_same_result_for_the_same_seed() -> None:
    taste = np.arange(610) % 6
    sizes = (330, 150, 70, 36, 18)
    first = taste_skewed(taste, sizes, np.random.default_rng(3), strength=2.0)
    second = taste_skewed(taste, sizes, np.random.default_rng(3), strength=2.0)
    assert [len(group) for group in first] == list(sizes)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_strength_skews_tastes() -> None:
    taste = np.arange(1000) % 5

    def skew(strength: float) -> float:
        members = taste_skewed(taste, [20] * 20, np.random.default_rng(0), strength=strength)
        return float(np.mean([np.bincount(taste[group], minlength=5).max() / 20 for group in members]))

    assert skew(0) < 0.45
    assert skew(20) > 0.8


def test_too_many_seats_are_refused() -> None:
    with pytest.raises(ValueError, match="3 users cannot fill"):
        taste_skewed(np.zeros(3, np.int64), [2, 2], np.random.default_rng(0), strength=1.0)


def test_clusters_find_tastes() -> None:
    tags = csr_array(np.repeat(np.eye(2, dtype=np.float32), 10, axis=0))
    matrix = np.zeros((40, 20), np.uint8)
    matrix[:20, :8] = 1
    matrix[20:, 12:] = 1
    found = clusters(profiles(csr_array(matrix), tags), 2, np.random.default_rng(0))
    assert len(set(found[:20])) == len(set(found[20:])) == 1
    assert found[0] != found[-1]


def test_users_without_tagged_videos_have_a_profile_of_zeros() -> None:
    tags = csr_array(np.array([[1.0], [0.0]], np.float32))
    assert profiles(csr_array(np.array([[0, 1], [0, 0]], np.uint8)), tags).tolist() == [[0.0], [0.0]]
