from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import related, tags
from models.related import Lists
from tests.models.worlds import features


def random_features(seed: int, videos: int = 40):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    rows = [rng.choice(12, rng.integers(0, 5), replace=False).tolist() for _ in range(videos)]
    return features(
        rows,
        channel=rng.integers(-1, 9, videos).tolist(),
        language=rng.integers(-1, 2, videos).tolist(),
        published=rng.choice([np.nan, 1.0, 2.0, 3.0], videos).tolist(),
    )


def lists_of(known, length: int = 10) -> tuple[Lists, np.ndarray]:  # type: ignore[no-untyped-def]
    vectors = tags.content_vectors(known, tags.tag_vectors(known))
    exact = (vectors @ vectors.T).toarray()
    return related.content_lists(vectors, known.published, length=length), exact


def check_order(lists: Lists, published: np.ndarray) -> None:
    """Scores fall; equal ones newest first, unknown dates last, then by position."""
    when = np.where(np.isnan(published), -np.inf, published)
    for seed, (row, scores) in enumerate(zip(lists.videos, lists.scores, strict=True)):
        listed = row[row >= 0]
        keys = [(-scores[k], -when[video], video) for k, video in enumerate(listed)]
        assert keys == sorted(keys)
        assert seed not in listed
        assert np.unique(listed).size == listed.size
        assert (row[listed.size :] == -1).all()
        assert (scores[listed.size :] == 0).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 50))
def test_content_lists_are_the_exact_nearest_videos(seed: int, length: int) -> None:
    known = random_features(seed)
    lists, exact = lists_of(known, length)
    check_order(lists, known.published)
    np.fill_diagonal(exact, 0.0)
    best = -np.sort(-exact, axis=1)[:, :length]
    np.testing.assert_allclose(lists.scores[:, : best.shape[1]], best, atol=1e-6)


def test_ties_beyond_the_list_keep_the_newest() -> None:
    known = features([[0]] * 400, published=[float(v % 371) for v in range(400)])
    lists, _ = lists_of(known, 5)
    assert lists.videos[0].tolist() == [370, 369, 368, 367, 366]


def test_a_very_common_tag_is_looked_up_among_the_newest_but_counts_in_full() -> None:
    count = related._POSTINGS + 50
    known = features([[0, 1], [0, 1], *[[0]] * count], published=[0.0, 0.0, *np.arange(1.0, count + 1)])
    lists, exact = lists_of(known, 3)
    assert lists.videos[0].tolist() == [1, count + 1, count]
    np.testing.assert_allclose(lists.scores[0], exact[0, lists.videos[0]], rtol=1e-6)


def test_nothing_known_gives_an_empty_list() -> None:
    lists, _ = lists_of(features([[], [0], [0]]))
    assert (lists.videos[0] == -1).all()


def mixed(gram: np.ndarray, weights: np.ndarray, *, min_users: int = 5, content_weight: float = 0.3):  # type: ignore[no-untyped-def]
    """Items 4, 5, 6, 7 of eight videos; 4 and 5 share a tag, 0 shares one with 6."""
    known = features([[0], [9], [9], [9], [1], [1], [0, 2], [3]], published=list(range(8)))
    vectors = tags.content_vectors(known, tags.tag_vectors(known))
    before = related.content_lists(vectors, known.published, length=4)
    items = np.array([4, 5, 6, 7])
    lists, together = related.mix(
        before, items, torch.from_numpy(weights), gram, vectors, known.published,
        min_users=min_users, content_weight=content_weight,
    )  # fmt: skip
    return before, lists, together, (vectors @ vectors.T).toarray()


def numbers(pair: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Item 0 pairs with 2 (`pair` users, the stronger weight) and with 3 (7 users)."""
    gram, weights = np.full((4, 4), 9.0), np.zeros((4, 4))
    gram[0, 2] = gram[2, 0] = pair
    gram[0, 3] = gram[3, 0] = 7.0
    weights[0, 2], weights[0, 3] = 0.4, 0.1
    return gram, weights


def test_scores_are_co_engagement_over_the_best_plus_content() -> None:
    _, lists, together, similarity = mixed(*numbers())
    assert lists.videos[4].tolist() == [6, 5, 7, -1]
    np.testing.assert_allclose(lists.scores[4], [1.0, 0.3 * similarity[4, 5], 0.25, 0.0], rtol=1e-6)
    np.testing.assert_allclose(together.scores[0], [1.0, 0.0, 0.25, 0.0], rtol=1e-6)
    assert together.users[0].tolist() == [6, 0, 7, 0]


@pytest.mark.parametrize("pair", [0.0, 1.0, 4.0])
def test_a_pair_of_too_few_users_gives_no_score_and_no_reason(pair: float) -> None:
    _, lists, together, _ = mixed(*numbers(pair))
    assert 6 not in lists.videos[4]
    assert together.users[0].tolist() == [7, 0, 0, 0]
    np.testing.assert_allclose(together.scores[0], [1.0, 0.0, 0.0, 0.0])


def test_the_pair_rule_is_the_same_for_own_tail_and_head() -> None:
    gram, weights = numbers(4.0)
    assert (related.co_engagement(weights, gram, np.arange(4), 5)[0] > 0).tolist() == [
        False,
        False,
        False,
        True,
    ]
    assert (related.co_engagement(weights, gram, np.arange(4), 4)[0] > 0).tolist() == [
        False,
        False,
        True,
        True,
    ]


def test_a_video_never_co_engages_with_itself_and_repulsion_is_no_reason() -> None:
    gram = np.full((3, 3), 9.0)
    part = related.co_engagement(np.array([[5.0, -1.0, 2.0], [0.0, 5.0, 0.0]]), gram[:2], np.arange(2), 5)
    assert part.tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]


def test_videos_outside_the_matrix_keep_content_lists_and_enter_those_of_items() -> None:
    before, lists, _, similarity = mixed(*numbers())
    np.testing.assert_array_equal(lists.videos[:4], before.videos[:4])
    assert lists.videos[6][0] == 0
    assert lists.scores[6][0] == pytest.approx(0.3 * similarity[6, 0], rel=1e-6)


def test_newness_ranks_unknown_dates_last() -> None:
    assert related.newness(np.array([2.0, np.nan, 9.0, 2.0, np.nan])).tolist() == [1, 3, 0, 2, 4]
