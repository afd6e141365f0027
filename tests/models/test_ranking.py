from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.ranking import (
    OWN_POPULARITY,
    RESERVED,
    ListRules,
    arrange,
    best,
    fill,
    history_weight,
    interleave,
    mix,
    prefer_language,
    reserved_places,
    vary,
)
from models.related_order import DISCOVERY

RULES = ListRules()


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
    merged, reserved = interleave(familiar, new, per_ten)
    assert sorted(merged) == sorted({*familiar, *new})
    assert reserved <= set(new)
    assert {merged.index(video) for video in reserved} <= set(reserved_places(len(merged), per_ten or 1))
    assert per_ten or not reserved


def test_new_videos_take_their_places_and_no_more() -> None:
    merged = [0, 1, 90, 2, 3, 4, 5, 91, 6, 7, 92]
    assert interleave(list(range(8)), [90, 91, 92], 2) == (merged, {90, 91})
    assert interleave([1, 2], [90], 0) == ([1, 2, 90], set())
    # What has a place by its score already, and comes before, needs none that is reserved.
    assert interleave([90, 1, 2], [90, 91], 2) == ([90, 1, 91, 2], {91})


def numbers(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


UNKNOWN = np.full(60, -1, np.int32)


def test_no_more_than_two_of_a_channel_in_the_first_five() -> None:
    channel = numbers(1, 1, 1, 1, 2, 2, 3, -1, -1, -1)
    assert vary([0, 1, 2, 3, 4, 5, 6], RULES, channel, UNKNOWN) == [0, 1, 4, 5, 6, 2, 3]
    assert vary([7, 8, 9], RULES, channel, UNKNOWN) == [7, 8, 9]  # unknown channels are no channel


def test_a_single_channel_still_fills_the_list() -> None:
    assert vary([0, 1, 2], RULES, numbers(1, 1, 1), UNKNOWN) == [0, 1, 2]


def test_no_more_than_two_of_an_instance_where_something_nearly_as_good_is_elsewhere() -> None:
    host = np.zeros(60, np.int32)
    host[14] = 1
    videos = list(range(20))
    assert vary(videos, RULES, UNKNOWN, host)[:6] == [0, 1, 14, 2, 3, 4]
    # What comes sixteenth is not nearly as good.
    host[14], host[15] = 0, 1
    assert vary(videos, RULES, UNKNOWN, host) == videos
    assert vary(videos, RULES, UNKNOWN, UNKNOWN) == videos


def test_another_channel_is_looked_for_in_the_whole_list() -> None:
    channel = numbers(*[0] * 40, 1)
    assert vary(list(range(41)), RULES, channel, UNKNOWN)[:6] == [0, 1, 40, 2, 3, 4]


def test_a_channel_yields_before_an_instance_does() -> None:
    """Two channels on one instance: variety of channels is kept though there is no other instance."""
    channel, host = numbers(0, 0, 0, 1, 1, 1, 2), np.zeros(7, np.int32)
    assert vary(list(range(7)), RULES, channel, host) == [0, 1, 3, 4, 6, 2, 5]


@given(
    st.lists(st.integers(0, 59), unique=True),
    st.integers(0, 7),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_variety_loses_nothing_and_caps_hold_while_there_is_a_choice(
    videos: list[int], window: int, channel_cap: int, host_cap: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    channel, host = (rng.integers(-1, most, 60).astype(np.int32) for most in rng.integers(1, 9, 2))
    rules = ListRules(window=window, channel_cap=channel_cap, host_cap=host_cap)
    found = vary(videos, rules, channel, host)
    first, rest = found[:window], found[window:]
    assert sorted(found) == sorted(videos)
    assert rest == [video for video in videos if video in set(rest)]

    def full(column: NDArray[np.int32], cap: int, video: int) -> bool:
        return bool(column[video] >= 0 and (column[first] == column[video]).sum() >= cap)

    def over(column: NDArray[np.int32], cap: int) -> bool:
        known = column[first][column[first] >= 0]
        return bool(np.bincount(known).max(initial=0) > cap)

    if over(channel, channel_cap):
        assert all(full(channel, channel_cap, video) for video in rest)
    if over(host, host_cap):
        near = [video for video in videos[: 3 * window] if video in set(rest)]
        assert all(full(channel, channel_cap, v) or full(host, host_cap, v) for v in near)


def test_who_explores_has_more_places_for_new_videos_and_less_of_what_is_popular() -> None:
    for kind in (0, 1):
        places = [RESERVED[discovery][kind] for discovery in DISCOVERY]
        assert places == sorted(places)
    assert all(RESERVED[discovery][0] <= RESERVED[discovery][1] for discovery in DISCOVERY)
    weights = [OWN_POPULARITY[discovery] for discovery in DISCOVERY]
    assert weights == sorted(weights, reverse=True)
    assert ListRules().discovery == "balanced"


def test_the_less_is_known_of_a_viewer_the_more_popularity_says() -> None:
    weights = history_weight(np.array([0, 1, 2, 3, 10, 100]))
    assert (np.diff(weights) <= 0).all()
    assert weights[0] == weights[1] == 1.5
    assert weights[-1] < 0.05


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
    channel, host = rng.integers(-1, 4, (2, 40)).astype(np.int32)
    chosen, reserved = arrange(
        familiar,
        new,
        limit=limit,
        per_ten=per_ten,
        rules=RULES,
        channel=channel,
        host=host,
        language=rng.integers(-1, 3, 40).astype(np.int32),
        wanted_language=wanted,
        forbidden=forbidden,
    )
    allowed = {*familiar, *new} - forbidden
    assert len(chosen) == len(set(chosen)) == min(limit, len(allowed))
    assert set(chosen) <= allowed
    assert reserved <= set(new)


@pytest.mark.parametrize(
    "wrong", [{"channel_cap": 0}, {"host_cap": 0}, {"window": -1}, {"language_penalty": -1}]
)
def test_rules_that_make_no_list_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        ListRules(**wrong)  # type: ignore[arg-type]


LISTS = st.lists(st.integers(0, 29), unique=True, max_size=20)


@given(
    LISTS, LISTS, st.integers(0, 30), st.sets(st.integers(0, 29)), st.lists(st.integers(-1, 3), min_size=30)
)
def test_two_lists_take_turns_and_nothing_forbidden_comes_of_it(
    near: list[int], own: list[int], limit: int, out: set[int], channels: list[int]
) -> None:
    allowed = np.ones(30, np.bool_)
    allowed[list(out)] = False
    channel, host = np.array(channels[:30], np.int32), np.array(channels[::-1][:30], np.int32)
    chosen, suited = mix(near, own, limit=limit, rules=RULES, channel=channel, host=host, allowed=allowed)
    assert len(set(chosen)) == len(chosen) == min(limit, len({*near, *own} - out))
    assert set(chosen) <= {*near, *own} - out
    assert suited <= set(own)
    free, everything = ListRules(window=0), np.ones(30, np.bool_)
    plain, _ = mix(near, own, limit=30, rules=free, channel=channel, host=host, allowed=everything)
    if near:
        assert plain[0] == near[0]
    if near and (rest := [video for video in own if video != near[0]]):
        assert plain[1] == rest[0]


def test_of_one_channel_at_most_two_are_among_the_first_five_of_a_mix() -> None:
    channel = np.array([0] * 6 + list(range(1, 25)), np.int32)
    everything = np.ones(30, np.bool_)
    chosen, suited = mix(
        [0, 1, 2, 10, 11],
        [3, 4, 5, 12, 13],
        limit=10,
        rules=RULES,
        channel=channel,
        host=UNKNOWN,
        allowed=everything,
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
