from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from models.baselines import ItemKNN, Newest, PeerTubeRule, Popularity, newest
from models.evaluation import next_videos
from models.recommender import Recommender


def two_worlds() -> csr_array:
    """Ten users who watch videos 0-3, ten who watch 4-7, one of each world missing per user."""
    rows = np.zeros((20, 8), np.uint8)
    for user in range(20):
        world = 0 if user < 10 else 4
        rows[user, world : world + 4] = 1
        rows[user, world + user % 4] = 0
    return csr_array(rows)


def test_item_knn_completes_the_world_of_each_user() -> None:
    matrix = two_worlds()
    missing = np.zeros((20, 8), np.uint8)
    missing[np.arange(20), np.where(np.arange(20) < 10, 0, 4) + np.arange(20) % 4] = 1
    measured = next_videos(ItemKNN(matrix, shrinkage=0), matrix, csr_array(missing))
    assert measured.ndcg.tolist() == [1.0] * 20


def test_item_knn_knows_no_relation_across_worlds() -> None:
    scores = ItemKNN(two_worlds()).related_scores(np.array([0]))
    assert (scores[0, 1:4] > 0).all()
    assert np.isneginf(scores[0, 4:]).all()


def test_item_knn_keeps_only_the_nearest() -> None:
    matrix = csr_array(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], np.uint8))
    scores = ItemKNN(matrix, neighbours=1, shrinkage=0).related_scores(np.array([0]))
    assert np.isfinite(scores[0]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "model",
    [
        Popularity(np.array([3, 1, 0])),
        ItemKNN(csr_array(np.array([[1, 1, 0]], np.uint8))),
        PeerTubeRule(csr_array(np.eye(3)), Newest(np.arange(3.0), "test")),
    ],
)
def test_shapes(model: Recommender) -> None:
    assert model.scores(csr_array(np.array([[1, 0, 0], [0, 0, 0]], np.uint8))).shape == (2, 3)
    assert model.related_scores(np.array([0, 1, 2, 0])).shape == (4, 3)


def test_popularity_never_recommends_what_nobody_saw() -> None:
    assert Popularity(np.array([3, 1, 0])).related_scores(np.array([0]))[0].tolist() == [3, 1, -np.inf]


def test_peertube_rule_shares_a_tag_newest_first() -> None:
    tags = csr_array(np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32))
    rule = PeerTubeRule(tags, Newest(np.array([10.0, 30.0, 40.0, 20.0]), "publication date"))
    scores = rule.related_scores(np.array([0]))[0]
    assert scores[1] > scores[3] > -np.inf
    assert scores[2] == -np.inf


def test_peertube_rule_lists_everything_when_at_most_one_video_shares_a_tag() -> None:
    tags = csr_array(np.array([[1, 0], [1, 0], [0, 0], [0, 0]], np.float32))
    rule = PeerTubeRule(tags, Newest(np.array([1.0, 2.0, 3.0, 4.0]), "publication date"))
    assert np.argsort(-rule.related_scores(np.array([0]))[0]).tolist() == [3, 2, 1, 0]
    assert np.argsort(-rule.related_scores(np.array([2]))[0]).tolist() == [3, 2, 1, 0]


def test_order_of_the_rule_falls_back_and_says_so() -> None:
    dates = np.array([np.nan, 5.0])
    counts = np.array([7, 3])
    assert newest(dates, "year in title", None, counts).rule == "year in title"
    assert newest(dates, "year in title", None, counts).order.tolist() == [-np.inf, 5.0]
    seen = newest(dates, None, np.array([1.0, np.nan]), counts)
    assert seen.rule == "first interaction in training"
    assert seen.order.tolist() == [1.0, -np.inf]
    assert newest(dates, None, None, counts).order.tolist() == [7.0, 3.0]
