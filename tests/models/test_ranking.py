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
    fill,
    interleave,
    mix,
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


LISTS = st.lists(st.integers(0, 29), unique=True, max_size=20)


@given(
    LISTS, LISTS, st.integers(0, 30), st.sets(st.integers(0, 29)), st.lists(st.integers(-1, 3), min_size=30)
)
def test_two_lists_take_turns_and_nothing_forbidden_comes_of_it(
    near: list[int], own: list[int], limit: int, out: set[int], channels: list[int]
) -> None:
    allowed = np.ones(30, np.bool_)
    allowed[list(out)] = False
    channel = np.array(channels[:30], np.int32)
    rules = ListRules()
    chosen, suited = mix(near, own, limit=limit, rules=rules, channel=channel, allowed=allowed)
    assert len(set(chosen)) == len(chosen) == min(limit, len({*near, *own} - out))
    assert set(chosen) <= {*near, *own} - out
    assert suited <= set(own)
    free = ListRules(channel_window=0)
    plain, _ = mix(near, own, limit=30, rules=free, channel=channel, allowed=np.ones(30, np.bool_))
    if near:
        assert plain[0] == near[0]
    if near and (rest := [video for video in own if video != near[0]]):
        assert plain[1] == rest[0]


def test_of_one_channel_at_most_two_are_among_the_first_five_of_a_mix() -> None:
    channel = np.array([0] * 6 + list(range(1, 25)), np.int32)
    everything = np.ones(30, np.bool_)
    chosen, suited = mix(
        [0, 1, 2, 10, 11], [3, 4, 5, 12, 13], limit=10, rules=ListRules(), channel=channel, allowed=everything
    )
    assert sum(channel[video] == 0 for video in chosen[:5]) == 2
    assert chosen[:2] == [0, 3]
    assert 3 in suited
    assert 0 not in suited


@given(LISTS, LISTS, st.integers(0, 30), st.sets(st.integers(0, 29)))
def test_a_narrow_choice_is_filled_with_all_there_is(
    familiar: list[int], new: list[int], limit: int, out: set[int]
) -> None:
    allowed = np.ones(30, np.bool_)
    allowed[list(out)] = False
    familiar = [video for video in familiar if video not in out]
    new = [video for video in new if video not in out]
    filled = list(familiar)
    published = np.where(np.arange(30) % 4 == 0, np.nan, 1e9 + np.arange(30))
    fill(filled, new, np.array([7, 8, 9]), published, allowed, limit)
    assert filled[: len(familiar)] == familiar
    assert len(set(filled)) == len(filled)
    assert not set(filled) & out
    assert len({*filled, *new}) >= min(limit, 30 - len(out))
