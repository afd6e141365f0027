"""Every attack is real: it succeeds without noise. And noise is worth something: it weakens each of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from daemon.lab.experiment import Population, exactly
from models.head import LEAST_VIEWS
from models.interactions import Interactions
from models.released import Released
from models.trained import Recipe, TrainingData
from models.training import train
from policies.privacy import Protection
from tests.adversaries.privacy import (
    clique,
    completion,
    crafted_head,
    honeypot,
    membership,
    related_lists,
    sock_puppets,
    windows,
)
from tests.adversaries.privacy.cohorts import cohort, load
from tests.adversaries.privacy.lists import catalogue
from tests.adversaries.privacy.release import noise_of, release
from tests.adversaries.privacy.runner import ATTACKS, Outcome, Scene
from tests.adversaries.privacy.settings import LEVELS, QUICK

pytestmark = pytest.mark.slow

USERS = 150
WEAKER = {2: 0.05, 4: 0.15, 5: 0.5, 6: 0.15, 7: 0.15, 8: 0.15}
"""Least difference between the gain without noise and at the default level, by attack, where both gain."""
NONE, DEFAULT = (setting for setting in LEVELS if setting.name in ("none", "default"))


@pytest.fixture(scope="module")
def population() -> Population:
    return load(None)


@pytest.fixture(scope="module")
def gains(population: Population) -> dict[str, dict[int, list[Outcome]]]:
    people = cohort(population, USERS, 1)
    scenes = [Scene(population, people, setting, QUICK, 1) for setting in (NONE, DEFAULT)]
    return {scene.setting.name: {n: list(run(scene)) for n, run in ATTACKS.items()} for scene in scenes}


@pytest.mark.parametrize("number", sorted(ATTACKS))
def test_it_succeeds_without_noise(gains: dict[str, dict[int, list[Outcome]]], number: int) -> None:
    for outcome in gains["none"][number]:
        if "under 20 views" in outcome.name:
            continue  # There is nothing to find: see below.
        assert outcome.gain.above_zero or outcome.targets < 10, outcome
        # Weights alone make sets of rare videos hard to tell apart.
        assert outcome.gain.value > (0.1 if number == 1 else 0.2), outcome


@pytest.mark.parametrize("number", sorted(WEAKER))
def test_it_is_weaker_at_default(gains: dict[str, dict[int, list[Outcome]]], number: int) -> None:
    for before, after in zip(gains["none"][number], gains["default"][number], strict=True):
        if after.targets:
            assert after.gain.value < before.gain.value - WEAKER[number], (before, after)


def test_cliques_are_weaker_at_default(gains: dict[str, dict[int, list[Outcome]]]) -> None:
    before, after = gains["none"][1][0], gains["default"][1][0]
    assert after.gain.value < before.gain.value / 2


def test_a_head_of_rare_videos_shows_everything_without_noise_and_views(
    gains: dict[str, dict[int, list[Outcome]]],
) -> None:
    hidden, counted = gains["none"][9]
    assert counted.gain.value > 0.7
    assert counted.targets > 5
    # Nothing is in the sum, so nothing changes without the target.
    assert hidden.targets > 5
    assert hidden.gain.value == 0
    drowned = gains["default"][9]
    assert drowned[0].gain.value == 0
    assert drowned[1].gain.value < 0.2


def test_zero_filled_pairs_are_the_same_without_the_target(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    head = crafted_head.craft(matrix, 300, (1,))
    target = int(np.diff(matrix[:, head].tocsr().indptr).argmax())
    row = np.zeros(matrix.shape[0], np.uint8)
    row[target] = 1
    without = csr_array(matrix.multiply((1 - row)[:, None]))
    without.eliminate_zeros()
    few, many = np.full(matrix.shape[1], LEAST_VIEWS - 1), np.full(matrix.shape[1], LEAST_VIEWS)
    same, other = (
        [crafted_head.ask(one, head, views, DEFAULT.protection, (1,)).release for one in (matrix, without)]
        for views in (few, many)
    )
    assert np.array_equal(same[0].pairs, same[1].pairs)
    assert np.array_equal(same[0].counts, same[1].counts)
    assert (other[0].pairs - other[1].pairs).sum() > 50


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
    seen = release(matrix, NONE.protection, (1,))
    assert 1 / 32 <= seen.weights.min() < 0.5
    assert seen.weights.max() == 1
    small = seen.of(np.arange(50))
    nobody = small.without_rows(np.zeros((1, 50), np.float32), np.ones(1, np.float32))
    assert np.array_equal(nobody.pairs, small.pairs)
    everybody = small.without_rows(matrix[:, small.head].toarray().astype(np.float32), small.weights)
    assert not everybody.pairs.any()
    assert not everybody.counts.any()


def test_taking_a_target_out_of_the_model_is_exact(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    seen = release(matrix, NONE.protection, (1,)).of(np.arange(80))
    row, weight = matrix[:, seen.head].toarray().astype(np.float32)[5], seen.weights[5]
    given = np.zeros_like(row)
    given[np.flatnonzero(row)[:4]] = 1
    ridge = 50.0
    full = np.linalg.inv(seen.pairs + np.diag(seen.head_counts + ridge))
    left = seen.without_rows(row[None], weight[None])
    refitted = np.linalg.inv(left.pairs + np.diag(left.counts + ridge))
    heavy = np.sqrt(weight) * row
    updated = completion._model(full.astype(np.float32), given[None], heavy[None])[:, 0]
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
    seen = release(cohort(population, USERS, 1).limited(200), NONE.protection, (1,)).of(np.arange(200))
    found = clique.reconstruct(replace(seen, pairs=pairs), 4, 12, 1)
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
    seen = release(matrix, NONE.protection, (1,))
    found, popular = windows.one_viewer(matrix, seen, np.arange(20), (1,))
    assert found.min() == 1
    assert popular.mean() < 0.6


def test_without_noise_a_change_of_weight_shows_old_videos_and_new_ones(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    seen = release(matrix, NONE.protection, (1,))
    found, popular = windows.changed_weight(matrix, seen, np.arange(USERS), 20, (1,))
    assert found.size == 20
    assert found.mean() > 0.95
    assert popular.mean() < 0.7


def test_the_same_sum_gives_the_same_lists(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    twice = [
        related_lists.attack(matrix, population.features, NONE.protection, own=True, targets=1, seed=(3,))
        for _ in range(2)
    ]
    assert np.array_equal(twice[0][0], twice[1][0])


def test_the_lists_that_are_attacked_are_those_that_training_makes(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    videos = np.sort(np.argsort(-counts)[:120])
    small, known = csr_array(matrix[:, videos]), catalogue(population.features, videos)
    noise = noise_of(Protection(4, 4, 200))
    drawn = known.entries(csr_array(small[:100])) + known.noise(noise, (1,))
    others = known.released(drawn, noise, min_users=10)
    own = known.released(known.entries(csr_array(small[100:])) + known.noise(noise, (2,)), noise)
    assert 0 < others.statistic.head.size < 120
    for theirs in (None, others):
        shown = known.shown(own, theirs)
        model = train(TrainingData(known.features, own, theirs), Recipe(rank=1))
        lists = model.related
        assert np.array_equal(shown.videos[model.items], lists.videos)
        listed = np.take_along_axis(shown.together[model.items], np.maximum(lists.videos, 0), axis=1)
        there = lists.videos >= 0
        assert np.array_equal(listed[there], (lists.near + lists.broad)[there])
        assert (lists.near > 0).any()


def test_a_release_of_a_catalogue_is_what_an_instance_releases(population: Population) -> None:
    matrix = cohort(population, USERS, 1).limited(200)
    videos = np.sort(np.argsort(-np.bincount(matrix.indices, minlength=matrix.shape[1]))[:50])
    small, known = csr_array(matrix[:, videos]), catalogue(population.features, videos)
    found: Released = known.released(known.entries(small), noise_of(NONE.protection), min_users=2)
    expected = exactly(Interactions(small))
    assert np.array_equal(found.statistic.head, expected.statistic.head)
    assert np.array_equal(found.statistic.triangle, expected.statistic.triangle)


@pytest.mark.parametrize("mix", range(len(sock_puppets.MIXES)))
def test_puppets_like_what_they_are_told(mix: int) -> None:
    likes = sock_puppets._puppets(np.arange(100)[::-1], 7, 4, mix)
    assert likes[:, 7].all()
    assert likes.sum(axis=1).tolist() == [[1, 30, 60, 30, 100][mix]] * 4
    if mix == 3:
        assert (likes[:, np.arange(100) != 7].sum(axis=0) >= 1).all()


def test_more_lists_say_more_and_a_twin_says_nothing(population: Population) -> None:
    matrix = cohort(population, 300, 1).limited(200)
    found = list(
        sock_puppets.attack(
            matrix,
            population.features,
            Protection(1, 1, 200),
            accounts=10,
            federated=False,
            effort=sock_puppets.Effort(choice=16, measured=64, windows=24),
            seed=(1,),
        )
    )
    assert [one.windows for one in found] == list(sock_puppets.WINDOWS)
    one, many = found[0], found[-1]
    assert 0.03 < (one.reached - one.twin).mean() < (many.reached - many.twin).mean()
    assert abs((one.twin - one.popular).mean()) < 0.08


def _area(inside: np.ndarray, outside: np.ndarray) -> float:
    return float((inside[:, None] > outside).mean())
