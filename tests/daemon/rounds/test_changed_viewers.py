"""How many viewers must have changed before a new window, and what its opening tells of one of them."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.errors import Code, Refusal
from policies.window import BETWEEN_LOOKS, CHANGE_EPSILON, Window, noisy_threshold
from tests.daemon.rounds.window_store import (
    EVERYBODY,
    LENGTH,
    URLS,
    Store,
    Values,
    asked,
    same,
)


def test_only_viewers_known_for_a_week_open_a_window(store: Store) -> None:
    store.least = 30
    first = store.give(asked())
    store.clock.now += LENGTH.total_seconds()
    # As many accounts as somebody likes to make, all of them busy.
    for number in range(200):
        name = number.to_bytes(16, "big")
        store.viewers.rows[name] = frozenset({number % len(URLS)})
        store.viewers.new.add(name)
    assert same(store.give(asked()), first)
    store.viewers.new.clear()
    store.clock.now += BETWEEN_LOOKS
    assert not same(store.give(asked()), first)


def test_it_is_looked_once_a_day_who_changed(store: Store) -> None:
    store.least = 30
    first = store.give(asked())
    store.clock.now += LENGTH.total_seconds()
    assert same(store.give(asked()), first)
    # Within the day: nobody learns at which hour it was.
    store.viewers.change(EVERYBODY)
    store.clock.now += BETWEEN_LOOKS - 1
    assert same(store.give(asked()), first)
    store.clock.now += 1
    assert not same(store.give(asked()), first)


def test_a_window_that_may_open_stays_so_whatever_becomes_of_the_contribution(store: Store) -> None:
    def count() -> Values:
        raise Refusal(Code.BUDGET_SPENT, "spent")

    store.least = 30
    first = store.give(asked())
    rows = dict(store.viewers.rows)
    store.next_window()
    with pytest.raises(Refusal, match="spent"):
        store.open().contribution(asked(), store.viewers, count)
    # No second draw: it would average the noise away.
    store.viewers.rows = rows
    assert not same(store.give(asked()), first)


# -- what an opening tells -----------------------------------------------------------------------------------

LEAST_CHANGED = 5
DAYS = 28
STEP = math.exp(-CHANGE_EPSILON)


def laplace(value: int) -> float:
    """Return the probability of a draw of discrete Laplace noise."""
    return (1 - STEP) / (1 + STEP) * STEP ** abs(value)


def opening(changed: Sequence[int], *, noisy_counts: bool = True) -> NDArray[np.float64]:
    """Return on which look a window opens, with so many changed at each; last, that it never does."""
    reach = range(-80, 81)
    found = np.zeros(len(changed) + 1)
    thresholds = Counter[int]()
    for draw in reach:
        thresholds[max(1, LEAST_CHANGED + draw)] += laplace(draw)  # type: ignore[assignment]
    for threshold, closed in thresholds.items():
        left = float(closed)
        for look, number in enumerate(changed):
            short = threshold - number
            stays = sum(laplace(draw) for draw in reach if draw < short) if noisy_counts else short > 0
            found[look] += left * (1 - stays)
            left *= stays
        found[-1] += left
    return found


def test_windows_open_by_the_law_that_is_computed_here() -> None:
    draw, changed = random.Random(7), [4, 4, 4, 5, 5, 5]
    seen = np.zeros(len(changed) + 1)
    for _ in range(20_000):
        window = Window(0.0, 0.0, noisy_threshold(LEAST_CHANGED, draw))
        for look, number in enumerate(changed):
            window = window.look((look + 1) * BETWEEN_LOOKS, number, draw)
            if window.over((look + 1) * BETWEEN_LOOKS):
                break
        else:
            look = len(changed)
        seen[look] += 1
    np.testing.assert_allclose(seen / seen.sum(), opening(changed), atol=0.015)


@pytest.mark.parametrize("day", [0, 1, 5, DAYS - 1])
def test_four_accounts_that_change_daily_hardly_learn_whether_anybody_else_did(day: int) -> None:
    """An aggregator with one account less than needed asks every day for four weeks after a window's time.

    Whatever it sees shifts its odds that somebody changed from that day on by a factor of at most 1.65, and
    its guess is right in at most 57 of 100 cases.
    """
    alone = opening([LEAST_CHANGED - 1] * DAYS)
    another = opening([LEAST_CHANGED - 1 + (look >= day) for look in range(DAYS)])
    assert np.abs(np.log(another / alone)).max() <= CHANGE_EPSILON + 1e-9
    guess = 0.5 + np.abs(another - alone).sum() / 4
    assert guess < 0.57
    # Who changes back the next day, which nothing bounds to one direction: as the constant says.
    back = opening([LEAST_CHANGED - 1 + (look == day) for look in range(DAYS)])
    assert np.abs(np.log(back / alone)).max() <= 2 * CHANGE_EPSILON + 1e-9


def test_a_noisy_threshold_alone_would_betray_who_changed_on_the_second_day() -> None:
    alone = opening([LEAST_CHANGED - 1] * 3, noisy_counts=False)
    another = opening([LEAST_CHANGED - 1, LEAST_CHANGED, LEAST_CHANGED], noisy_counts=False)
    # Closed, and then open, while the aggregator's accounts do nothing.
    assert alone[1] == 0
    assert another[1] > 0.2


def test_without_any_change_windows_mostly_stay_closed() -> None:
    first = opening([0] * DAYS)
    assert first[0] < 0.1
    assert first[-1] > 0.25
