"""Lists as they are served, for measuring: the vectors' order, then content where these know too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daemon.lab.experiment import Population, exactly, load
from daemon.lab.served_lists import ServedLists
from models.evaluation import NDCG_AT, RECALL_AT, top, without
from models.recommender import ServedItems
from models.trained import Recipe, TrainingData
from models.training import train
from tests.daemon.lab.four_tastes import write_set

pytestmark = pytest.mark.slow

RECIPE = Recipe(rank=16)


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Population:
    return load(write_set(tmp_path_factory.mktemp("made-up")))


def test_lists_of_a_model_that_knows_enough_are_those_of_its_vectors(population: Population) -> None:
    history, features = population.likes.matrix, population.features
    model = train(TrainingData(features, exactly(population.likes), None), RECIPE)
    scores = ServedLists.of(model, features).scores(history)
    assert (np.isfinite(scores).sum(axis=1) == RECALL_AT).all()
    expected = top(without(ServedItems(model).scores(history), history), NDCG_AT)
    np.testing.assert_array_equal(top(scores, NDCG_AT), expected)


def test_content_follows_on_what_a_model_knows(population: Population) -> None:
    own, features = exactly(population.likes), population.features
    few = replace(own, statistic=own.statistic.of(np.arange(3)))
    served = ServedLists.of(train(TrainingData(features, few, None), RECIPE), features)
    tags = features.tags.toarray()
    # A video that the model knows and one that it does not.
    for seed in (0, 50):
        scores = served.related_scores(np.array([seed]))[0]
        order = np.argsort(-scores, kind="stable")[:NDCG_AT]
        assert seed not in order
        assert (tags[order] == tags[seed]).all(axis=1).mean() > 0.5
    history = population.likes.matrix[:20]
    lists = top(served.scores(history), NDCG_AT)
    known = set(few.statistic.head.tolist())
    for row, listed in enumerate(lists):
        past = set(history[[row]].indices.tolist())
        if past & known:
            # The model places all that it knows; the rest is filled up.
            assert set(listed[: len(known - past)].tolist()) == known - past
        else:
            # Without it, what fits a history by content.
            assert (tags[listed] @ tags[sorted(past)].sum(axis=0) > 0).mean() > 0.5
