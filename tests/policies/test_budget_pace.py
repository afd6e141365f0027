"""A year's budget lasts: longer windows first, then nothing for the newest, and never more than it has."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.budget_pace import LONGEST, YearlyBudget
from policies.window_length import length, releases_in

DAY = 86400.0
MAX = 28 * DAY
PARTS = (0.85, 0.99)


def budget(room: float, *, spent: tuple[tuple[float, float], ...] = (), age: float = 0.0) -> YearlyBudget:
    return YearlyBudget(room, spent, age, MAX, PARTS[0])


def first_year(streams: int) -> int:
    return releases_in(365, MAX, part=PARTS[0]) * streams


def test_a_budget_that_is_enough_changes_nothing() -> None:
    assert budget(first_year(6)).admitted([1.0] * 6) == (6, 1.0)
    assert budget(0.0).admitted([]) == (0, 3.0)


def test_windows_lengthen_before_anybody_is_refused() -> None:
    room = first_year(6)
    stretches = [budget(room).admitted([1.0] * number) for number in range(6, 30)]
    admitted, factors = zip(*stretches, strict=True)
    assert factors[0] == 1 < factors[1]
    assert max(factors) <= LONGEST / MAX == 3
    # All go on as long as some length is enough; then as many as before, however many ask.
    most = max(admitted)
    assert list(admitted) == [min(number, most) for number in range(6, 30)]
    assert 12 < most < 20
    growing = [factor for number, factor in stretches if number < most]
    assert growing == sorted(growing)


def test_a_window_is_no_longer_than_is_needed() -> None:
    for streams in (7, 9, 12):
        factor = budget(first_year(6)).stretch([1.0] * streams)
        assert factor is not None
        assert first_year(6) >= releases_in(365, MAX, part=PARTS[0] * factor) * streams
        assert first_year(6) < releases_in(365, MAX, part=PARTS[0] * factor * 0.97) * streams


def test_the_oldest_goes_on_where_nothing_is_enough() -> None:
    assert budget(0.5).admitted([1.0]) == (1, 3.0)
    assert budget(0.5).admitted([1.0, 1.0]) == (1, 3.0)
    assert budget(0.5).stretch([1.0]) is None


def test_what_was_spent_counts_until_it_is_a_year_old() -> None:
    room = first_year(6)
    # Half of it is spent, and stays for 364 days, or is over tomorrow.
    spent = tuple((364.0, 1.0) for _ in range(room // 2))
    for_long = budget(room, spent=spent, age=30 * DAY).stretch([1.0] * 6)
    assert for_long is not None
    assert for_long > 1
    soon = tuple((1.0, 1.0) for _ in range(room // 2))
    assert budget(room, spent=soon, age=364 * DAY).stretch([1.0] * 6) == 1
    # Louder releases take more of it.
    loud = tuple((364.0, 1.5) for _ in range(room // 2))
    louder = budget(room, spent=loud, age=30 * DAY).stretch([1.0] * 6)
    assert louder is None or louder > for_long


def test_a_longest_window_of_more_than_twelve_weeks_is_not_stretched() -> None:
    long = YearlyBudget(3.0, (), 365 * DAY, 100 * DAY, PARTS[0])
    assert long.most_stretch == 1
    assert long.stretch([1.0]) is None


@given(st.integers(1, 12), st.integers(1, 200), st.floats(0, 700))
def test_more_streams_never_have_shorter_windows(streams: int, room: int, age_days: float) -> None:
    fewer, more = (budget(room, age=age_days * DAY).stretch([1.0] * n) for n in (streams, streams + 1))
    assert more is None or (fewer is not None and fewer <= more * 1.011)


@dataclass
class Years:
    """Streams that each open a window as soon as the last one is over, with releases of load 1."""

    room: int
    window_max: float = MAX
    releases: list[tuple[float, int]] = field(default_factory=list)
    refused: list[tuple[float, int]] = field(default_factory=list)
    stretches: list[float] = field(default_factory=list)

    def run(self, starts: list[float], *, years: int, parts: tuple[float, float] = PARTS) -> Years:
        draw = random.Random(7)
        opens = dict(enumerate(starts))
        while (now := min(opens.values())) < 365 * years:
            stream = min(opens, key=lambda one: opens[one])
            order = [*dict.fromkeys(one for _, one in self.releases)]
            order = order if stream in order else [*order, stream]
            spent = tuple((at + 365 - now, 1.0) for at, _ in self.releases if at >= now - 365)
            plan = YearlyBudget(self.room, spent, now * DAY, self.window_max, PARTS[0])
            number, stretch = plan.admitted([1.0] * len(order))
            usual = length(now * DAY, self.window_max) / DAY
            if order.index(stream) >= number or len(spent) >= self.room:
                self.refused.append((now, stream))
                opens[stream] = now + self.window_max / DAY
                continue
            self.releases.append((now, stream))
            self.stretches.append(stretch)
            opens[stream] = now + usual * stretch * draw.uniform(*parts)
        return self

    def worst(self) -> int:
        return max(sum(now - 365 <= at <= now for at, _ in self.releases) for now, _ in self.releases)


def test_five_peers_and_its_own_release_have_a_year_without_much_longer_windows() -> None:
    for parts in (PARTS, (PARTS[0], PARTS[0])):
        years = Years(first_year(6)).run([0.0] * 6, years=2, parts=parts)
        assert years.refused == []
        # That all open a window at once is a little more than they do.
        assert max(years.stretches) < 1.05
        assert years.worst() <= first_year(6)


def test_more_peers_share_the_budget_with_longer_windows() -> None:
    years = Years(first_year(6)).run([0.0] * 11, years=2)
    assert years.refused == []
    assert years.worst() <= first_year(6)
    assert 1.3 < max(years.stretches) <= 3
    given_ = [sum(one == stream for _, one in years.releases) for stream in range(11)]
    assert max(given_) - min(given_) <= 2


def test_the_newest_are_refused_and_the_oldest_keep_their_windows() -> None:
    years = Years(first_year(6)).run([0.0] * 6 + [200.0 + day for day in range(14)], years=2)
    assert years.worst() <= first_year(6)
    assert years.refused
    assert min(stream for _, stream in years.refused) > 6
    before = min(now for now, _ in years.refused)
    assert max(s for (at, _), s in zip(years.releases, years.stretches, strict=True) if at < before) > 1


@pytest.mark.parametrize("window_max", [DAY, 7 * DAY])
def test_a_short_longest_window_becomes_as_long_as_the_budget_needs(window_max: float) -> None:
    years = Years(first_year(6), window_max).run([0.0] * 6, years=2)
    assert years.refused == []
    assert years.worst() <= first_year(6)
