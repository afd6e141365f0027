"""Windows grow with the age of the contributor, up to the longest one."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.accounting import epsilon
from policies.neighbour_relations import Relation, Release
from policies.window_length import SHORTEST, length, releases_in

DAY = 86400.0
WEEK = 7 * DAY
LONGEST = 4 * WEEK


def test_a_day_then_half_as_long_again_each_time_up_to_the_longest() -> None:
    age, lengths = 0.0, []
    for _ in range(12):
        lengths.append(length(age, LONGEST))
        age += lengths[-1]
    assert lengths[0] == SHORTEST == DAY
    assert lengths[:9] == pytest.approx([DAY * 1.5**n for n in range(9)])
    assert lengths[9:] == [LONGEST] * 3


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(1, 1e8))
def test_an_older_contributor_never_has_a_shorter_window(first: float, second: float, most: float) -> None:
    young, old = sorted((first, second))
    assert 0 < length(young, most) <= length(old, most) <= most


def test_a_clock_set_back_opens_no_short_window() -> None:
    assert length(-1.0, LONGEST) == LONGEST


@pytest.mark.parametrize(("age", "most"), [(math.nan, DAY), (0.0, 0.0), (0.0, -DAY), (0.0, math.inf)])
def test_what_is_no_age_or_length_is_refused(age: float, most: float) -> None:
    with pytest.raises(ValueError, match="an age is a number"):
        length(age, most)


@pytest.mark.parametrize(("days", "part"), [(-1.0, 1.0), (math.inf, 1.0), (1.0, 0.0), (1.0, math.inf)])
def test_what_is_no_time_is_refused(days: float, part: float) -> None:
    with pytest.raises(ValueError, match="days are finite"):
        releases_in(days, LONGEST, part=part)


def test_releases_of_a_year() -> None:
    assert releases_in(365, LONGEST) == 20
    assert releases_in(365, LONGEST, age_seconds=365 * DAY) == 14  # one at once, then thirteen
    assert releases_in(365, LONGEST, age_seconds=365 * DAY, part=0.85) == 16
    assert releases_in(365, LONGEST, part=0.85) == 23
    assert releases_in(365, WEEK) == 56
    assert releases_in(7, DAY) == 7
    assert releases_in(0, LONGEST) == 0


@given(st.floats(1, 400), st.floats(DAY, LONGEST), st.floats(0.5, 1))
def test_shorter_windows_and_more_days_are_never_fewer(days: float, most: float, part: float) -> None:
    counts = [releases_in(days, most, part=share) for share in (1.0, part)]
    assert counts == sorted(counts)
    per_day = [releases_in(span, most) for span in (days / 2, days)]
    assert all(fewer <= more for fewer, more in pairwise(per_day))
    assert releases_in(days, most) <= releases_in(days, most / 2)


def test_growing_windows_cost_a_pair_little_more_than_half_of_weekly_ones() -> None:
    def year(window_max: float, age: float = 0.0) -> float:
        windows = releases_in(365, window_max, age_seconds=age)
        return epsilon([Release(16, 16, 200, 4096)] * windows, Relation.PAIR)

    assert year(LONGEST) == pytest.approx(5.9, abs=0.1)
    assert year(LONGEST, age=365 * DAY) == pytest.approx(4.8, abs=0.1)
    assert year(WEEK, age=365 * DAY) == pytest.approx(10.4, abs=0.1)
