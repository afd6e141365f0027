from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from models import statistics, tags
from models.problem import choose_items
from models.trained import Recipe, TrainingData
from models.validation import choose, default_ridge, ndcg
from tests.models.worlds import interactions, plain, population, summed


def settle(data: TrainingData, recipe: Recipe):  # type: ignore[no-untyped-def]
    items = choose_items(data, recipe)
    vectors = tags.content_vectors(data.features, tags.tag_vectors(data.features))
    return choose(data, items, tags.similarity(vectors, items.positions), recipe)


def test_ndcg_of_a_ranking_worked_out_by_hand() -> None:
    # History is video 0; its row ranks 1 > 2 > 3. Held out: 1 and 3, at ranks 1 and 3.
    weights = torch.tensor([[9.0, 3.0, 2.0, 1.0]] + [[0.0] * 4] * 3)
    history, truth = csr_array(np.array([[1, 0, 0, 0]])), csr_array(np.array([[0, 1, 0, 1]]))
    expected = (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert ndcg(history, truth, weights) == pytest.approx(expected)


def test_the_history_takes_no_place() -> None:
    """Video 10 is tenth of those outside the history, though video 0 scores higher than all."""
    weights = torch.zeros(12, 12)
    weights[0] = torch.arange(12, 0, -1)
    history, truth = csr_array(np.eye(1, 12)), csr_array(np.eye(1, 12, 10))
    assert ndcg(history, truth, weights) == pytest.approx(1 / np.log2(11))


def test_the_candidate_that_ranks_held_out_videos_best_wins() -> None:
    data = TrainingData(plain(60), population(400, 60), None)
    choice = settle(
        data, Recipe(lambdas=(3.0, 100_000.0), alphas=(0.0,), min_pair_users=1, default_alpha=0.0)
    )
    assert choice.ridge == 3.0
    assert choice.tried["lambda=3 alpha=0"] > choice.tried["lambda=100000 alpha=0"]


def test_differences_that_mean_nothing_go_to_the_larger_lambda() -> None:
    data = TrainingData(plain(60), population(400, 60), None)
    choice = settle(data, Recipe(lambdas=(3.0, 3.0001), alphas=(0.0,), min_pair_users=1))
    assert choice.ridge == 3.0001


def test_too_few_users_to_choose_by_fall_back_to_defaults() -> None:
    data = TrainingData(plain(60), population(40, 60), None)
    choice = settle(data, Recipe(min_validation_users=50))
    assert (choice.ridge, choice.alpha, choice.tried) == (10.0, 0.3, {})
    assert settle(data, Recipe(min_validation_users=10)).tried


def test_defaults_depend_on_the_size_of_the_cohort() -> None:
    own = population(40, 60)
    big = interactions([[0, 1]] * 980, 60)
    assert default_ridge(TrainingData(plain(60), own, None)) == 10.0
    assert default_ridge(TrainingData(plain(60), own, summed(big, np.array([0, 1])))) == 3.0


def test_a_single_candidate_is_taken_without_trying() -> None:
    data = TrainingData(plain(60), population(400, 60), None)
    choice = settle(data, Recipe(lambdas=(7.0,), alphas=(0.5,)))
    assert (choice.ridge, choice.alpha, choice.tried) == (7.0, 0.5, {})


def test_held_out_interactions_are_out_of_the_sum_they_are_judged_by() -> None:
    """Every user's pair is unique noise: nothing can be learnt, so an honest score is that of chance."""
    rng = np.random.default_rng(3)
    own = interactions([rng.choice(300, 6, replace=False).tolist() for _ in range(600)], 300)
    recipe = Recipe(lambdas=(0.1,), alphas=(0.0, 0.1), default_alpha=0.0, min_pair_users=1)
    tried = settle(TrainingData(plain(300), own, None), recipe).tried
    assert max(tried.values()) < 0.06


def test_the_others_sum_stays_whole_while_judging() -> None:
    whole = population(500, 60)
    own, rest = whole.rows(np.arange(100)), whole.rows(np.arange(100, 500))
    head = statistics.head(statistics.counts(whole), min_users=5, max_head=60)
    recipe = Recipe(lambdas=(3.0, 10.0), alphas=(0.0,))
    alone = settle(TrainingData(plain(60), own, None), recipe).tried
    together = settle(TrainingData(plain(60), own, summed(rest, head)), recipe).tried
    assert together["lambda=3 alpha=0"] > alone["lambda=3 alpha=0"]
