from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ranking import (
    ListRules,
    arrange,
    best,
    cap_channels,
    interleave,
    prefer_language,
    reserved_places,
)


@given(st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.5]), max_size=30), st.integers(0, 40))
def test_best_is_a_stable_sort_cut_off(scores: list[float], k: int) -> None:
    array = np.array(scores, np.float32)
    order = [place for place in np.argsort(-array, kind="stable") if array[place] > -np.inf]
    assert best(array, k).tolist() == order[:k]


def test_reserved_places_are_spread_evenly() -> None:
    assert reserved_places(20, 1) == [4, 14]
    assert reserved_places(20, 2) == [2, 7, 12, 17]
    assert reserved_places(3, 1) == []
    assert reserved_places(10, 10) == list(range(10))


@given(
    st.lists(st.integers(0, 50), unique=True),
    st.lists(st.integers(40, 90), unique=True),
    st.integers(0, 10),
)
def test_interleaving_loses_and_doubles_nothing(familiar: list[int], new: list[int], per_ten: int) -> None:
    merged = interleave(familiar, new, per_ten)
    assert sorted(merged) == sorted({*familiar, *new})


def test_new_videos_take_their_places_and_no_more() -> None:
    assert interleave(list(range(8)), [90, 91, 92], 2) == [0, 1, 90, 2, 3, 4, 5, 91, 6, 7, 92]
    assert interleave([1, 2], [90], 0) == [1, 2, 90]


def test_no_more_than_two_of_a_channel_in_the_first_five() -> None:
    channel = np.array([1, 1, 1, 1, 2, 2, 3, -1, -1, -1], np.int32)
    assert cap_channels([0, 1, 2, 3, 4, 5, 6], channel, 5, 2) == [0, 1, 4, 5, 6, 2, 3]
    assert cap_channels([7, 8, 9], channel, 5, 2) == [7, 8, 9]  # unknown channels are no channel


def test_a_single_channel_still_fills_the_list() -> None:
    assert cap_channels([0, 1, 2], np.array([1, 1, 1], np.int32), 5, 2) == [0, 1, 2]


def test_language_is_a_soft_preference() -> None:
    language = np.array([0, 1, 0, -1], np.int32)
    assert prefer_language([1, 0, 2, 3], language, 0, 10) == [0, 2, 3, 1]
    assert prefer_language([1, 0, 2, 3], language, 0, 1) == [1, 0, 2, 3]
    assert prefer_language([1, 0, 2, 3], language, -1, 10) == [1, 0, 2, 3]


@given(
    st.lists(st.integers(0, 39), unique=True),
    st.lists(st.integers(0, 39), unique=True),
    st.integers(0, 30),
    st.integers(0, 10),
    st.sets(st.integers(0, 39)),
    st.integers(-1, 2),
    st.integers(0, 2**32 - 1),
)
def test_whatever_the_rules_the_list_is_full_and_holds_nothing_forbidden(
    familiar: list[int],
    new: list[int],
    limit: int,
    per_ten: int,
    forbidden: set[int],
    wanted: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    channel = rng.integers(-1, 4, 40).astype(np.int32)
    chosen = arrange(
        familiar,
        new,
        limit=limit,
        per_ten=per_ten,
        rules=ListRules(),
        channel=channel,
        language=rng.integers(-1, 3, 40).astype(np.int32),
        wanted_language=wanted,
        forbidden=forbidden,
    )
    allowed = {*familiar, *new} - forbidden
    assert len(chosen) == len(set(chosen)) == min(limit, len(allowed))
    assert set(chosen) <= allowed


@pytest.mark.parametrize(
    "wrong", [{"channel_cap": 0}, {"channel_window": -1}, {"language_penalty": -1}, {"new_per_ten": 11}]
)
def test_rules_that_make_no_list_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        ListRules(**wrong)
