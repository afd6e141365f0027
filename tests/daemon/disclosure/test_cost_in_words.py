"""Costs in words: no shortcut says less than the accounting."""

from __future__ import annotations

import math

import pytest

from daemon.disclosure import formatting
from daemon.disclosure.cost import Cost, cost, level_of
from policies.accounting import Relation, Release, guess
from policies.privacy import PROTECTION, Level
from tests.daemon.cli.spending_instance import (
    DAY,
)


def test_every_level_and_relation_is_described() -> None:
    assert set(formatting.LEVELS) == set(Level)
    assert set(formatting.NAMES) == set(formatting.QUESTIONS) == set(Relation)


@pytest.mark.parametrize("level", list(Level))
def test_a_level_is_known_by_its_noise(level: Level) -> None:
    asked = PROTECTION[level]
    assert level_of(asked.counts_noise, asked.pairs_noise, asked.max_videos_per_user) is level
    if asked.pairs_noise:
        below = level_of(asked.counts_noise, asked.pairs_noise - 1, asked.max_videos_per_user)
        assert PROTECTION[below].pairs_noise < asked.pairs_noise


@pytest.mark.parametrize("relation", list(Relation))
def test_shortcuts_never_say_less_than_the_accounting(relation: Relation) -> None:
    # From a few releases to so many that figures are certain; where the shortcut begins nothing jumps.
    one, before = Release(16, 16, 20, 4096), 0.0
    for times in (1, 4, 16, 64, 256):
        found = cost([one] * times, relation)
        assert found.guess >= guess([one] * times, relation) - 1e-9
        assert found.guess >= before
        before = found.guess
    assert cost([], relation) == Cost(0.0, 0.5, 0.05)
    assert cost([Release(0, 0, 20, 4096)], relation) == Cost(math.inf, 1.0, 1.0)


def test_numbers_in_words() -> None:
    assert formatting.guesses(Cost(1.7, 0.6035, 0.1)) == "60 of 100"
    assert formatting.guesses(Cost(0.0, 0.5, 0.05)) == "a coin"
    assert formatting.guesses(Cost(9.0, 0.997, 1.0)) == "99.7 of 100"
    assert formatting.guesses(Cost(99.0, 1.0, 1.0)) == "always"
    assert formatting.found(Cost(1.0, 0.6, 0.1216)) == "12 of 100"
    assert [formatting.epsilon(value) for value in (1.716, 23.79, 1569.3, math.inf)] == [
        "1.72",
        "23.8",
        "1,569",
        "∞",
    ]
    assert (formatting.span(7 * DAY), formatting.span(3600), formatting.span(0)) == (
        "7 days",
        "1 hour",
        "no time",
    )
    assert (formatting.off(4), formatting.off(0)) == ("±2.0", "exact")
