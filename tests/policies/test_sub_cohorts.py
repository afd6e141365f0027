"""Into how many sub-cohorts a cohort is divided: three where the members suffice, more only for size."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.limits import Limits
from policies.cohort import sub_cohorts_for

MOST = Limits().max_sub_cohorts


@pytest.mark.parametrize(
    ("members", "number"),
    [(1, 1), (7, 1), (8, 2), (11, 2), (12, 3), (192, 3), (193, 4), (300, 5), (1000, 16)],
)
def test_peers_as_configured_by_default(members: int, number: int) -> None:
    assert sub_cohorts_for(members, divided_from=8, least=4, size=64) == number


@pytest.mark.parametrize(
    ("members", "number"), [(8, 1), (9, 1), (10, 2), (14, 2), (15, 3), (64, 3), (1000, 16)]
)
def test_a_group_by_default_whose_host_protects_nobody_from_itself(members: int, number: int) -> None:
    assert sub_cohorts_for(members, divided_from=9, least=5, size=64) == number


def test_with_the_smallest_sub_cohorts_that_hide_anything_nine_members_are_in_three() -> None:
    assert [sub_cohorts_for(n, divided_from=8, least=3, size=64) for n in (8, 9)] == [2, 3]


@given(
    members=st.integers(1, 1000),
    divided_from=st.integers(6, 128),
    least=st.integers(3, 61),
    size=st.integers(4, 96),
)
def test_none_is_too_small_and_none_too_large_for_one_proposal(
    members: int, divided_from: int, least: int, size: int
) -> None:
    number = sub_cohorts_for(members, divided_from=divided_from, least=least, size=size)
    assert 1 <= number <= MOST
    assert number == 1 or members // number >= least
    assert members >= divided_from or number == 1
    assert math.ceil(members / number) <= Limits().max_members
    if members >= max(divided_from, 3 * least):
        assert number >= 3
