"""Every attack is real: it succeeds without noise. And noise is worth something: it weakens each of them."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.lab.experiment import Population
from policies.privacy import Level, Protection
from tests.adversaries.privacy import clique, completion, honeypot, membership, related_lists, windows
from tests.adversaries.privacy.cohorts import cohort, load
from tests.adversaries.privacy.release import release
from tests.adversaries.privacy.runner import ATTACKS, Outcome, Scene
from tests.adversaries.privacy.settings import LEVELS, QUICK

pytestmark = pytest.mark.slow

USERS = 150
WEAKER = {2: 0.15, 4: 0.15, 5: 0.5, 6: 0.15}
"""Least difference between the gain without noise and at the default level, by attack, where both gain."""


@pytest.fixture(scope="module")
def population() -> Population:
    return load(None)


@pytest.fixture(scope="module")
def gains(population: Population) -> dict[Level, dict[int, list[Outcome]]]:
    people = cohort(population, USERS, 1)
    levels = (Level.NONE, Level.DEFAULT)
    scenes = {level: Scene(population, people, level, QUICK, 1) for level in levels}
    return {level: {n: list(run(scenes[level])) for n, run in ATTACKS.items()} for level in levels}


@pytest.mark.parametrize("number", sorted(ATTACKS))
def test_it_succeeds_without_noise(gains: dict[Level, dict[int, list[Outcome]]], number: int) -> None:
    for outcome in gains[Level.NONE][number]:
        if number == 7 and "member" in outcome.name:
            continue  # Own tail and three targets: too few to promise it.
        assert outcome.gain.above_zero, outcome
        assert outcome.gain.value > 0.2, outcome


@pytest.mark.parametrize("number", sorted(WEAKER))
def test_it_is_weaker_at_default(gains: dict[Level, dict[int, list[Outcome]]], number: int) -> None:
    for before, after in zip(gains[Level.NONE][number], gains[Level.DEFAULT][number], strict=True):
        if after.targets:
            assert after.gain.value < before.gain.value - WEAKER[number], (before, after)


def test_cliques_are_weaker_at_default(gains: dict[Level, dict[int, list[Outcome]]]) -> None:
    before, after = gains[Level.NONE][1][0], gains[Level.DEFAULT][1][0]
    assert after.gain.high < before.gain.low


def test_a_known_history_is_found_until_noise_is_as_strong_as_for_a_user(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(20)
    targets = np.arange(60)
    figures = []
    for variance in (0, 400):
        seen = release(matrix, Protection(0, variance, 20), (1,))
        inside, outside = membership.attack(matrix, seen, targets, everybody_known=False)
        figures.append((inside > outside).mean() if not variance else _area(inside, outside))
    assert figures[0] == 1
    assert figures[1] < 0.75


def test_a_twin_without_anybody_is_the_same_sum(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    seen = release(matrix, LEVELS[Level.NONE], (1,))
    small = seen.of(np.arange(50))
    nobody = small.without_rows(np.zeros((1, 50), np.float32))
    assert np.array_equal(nobody.pairs, small.pairs)
    everybody = small.without_rows(matrix[:, small.head].toarray().astype(np.float32))
    assert not everybody.pairs.any()
    assert not everybody.counts[small.head].any()


def test_taking_a_target_out_of_the_model_is_exact(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    seen = release(matrix, LEVELS[Level.NONE], (1,)).of(np.arange(80))
    row = matrix[:, seen.head].toarray().astype(np.float32)[5]
    given = np.zeros_like(row)
    given[np.flatnonzero(row)[:4]] = 1
    ridge = 50.0
    full = np.linalg.inv(seen.pairs + np.diag(seen.head_counts + ridge))
    left = seen.without_rows(row[None])
    counts = left.counts[left.head].astype(np.float32)
    refitted = np.linalg.inv(left.pairs + np.diag(counts + ridge))
    updated = completion._model(full.astype(np.float32), given[None], row[None])[:, 0]
    np.testing.assert_allclose(
        updated, given - refitted @ given / np.diagonal(refitted), rtol=1e-3, atol=1e-4
    )


def test_a_planted_clique_is_found(population: Population) -> None:
    rng = np.random.default_rng(4)
    pairs = rng.poisson(0.05, size=(200, 200)).astype(np.float32)
    pairs = np.triu(pairs, 1) + np.triu(pairs, 1).T
    planted = rng.permutation(200)[:12]
    pairs[np.ix_(planted, planted)] += 1
    np.fill_diagonal(pairs, 0)
    seen = release(cohort(population, USERS, 1).limited(200), LEVELS[Level.NONE], (1,)).of(np.arange(200))
    found = clique.reconstruct(type(seen)(seen.counts, seen.head, pairs, 0.0, 0.0, USERS), 4, 12, 1)
    assert np.isin(found[0], planted).mean() > 0.9


def test_more_honeypots_say_more(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    seen = release(matrix, Protection(4, 4, 200), (1,))
    one, popular = honeypot.attack(matrix, seen, np.arange(USERS), 1, (1,))
    many, _ = honeypot.attack(matrix, seen, np.arange(USERS), 50, (2,))
    assert popular.mean() < one.mean() < many.mean()
    assert many.mean() > 0.95


def test_without_noise_a_difference_of_windows_is_a_history(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    seen = release(matrix, LEVELS[Level.NONE], (1,))
    found, popular = windows.one_viewer(matrix, seen, np.arange(20), (1,))
    assert found.min() == 1
    assert popular.mean() < 0.6


def test_the_same_sum_gives_the_same_lists(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    twice = [
        related_lists.attack(matrix, population.features, LEVELS[Level.NONE], own=True, targets=1, seed=(3,))
        for _ in range(2)
    ]
    assert np.array_equal(twice[0][0], twice[1][0])


def _area(inside: np.ndarray, outside: np.ndarray) -> float:
    return float((inside[:, None] > outside).mean())
