from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import related
from models.feature_vectors import feature_vectors
from models.features import Features, unknown
from models.related_order import NEAR_CONTENT, POPULARITY_WEIGHTS, ContentLists, ItemLists
from tests.models.worlds import features

Matrix = NDArray[np.float64]


def random_features(seed: int, videos: int = 40) -> Features:
    rng = np.random.default_rng(seed)
    rows = [rng.choice(12, rng.integers(0, 5), replace=False).tolist() for _ in range(videos)]
    titles = [" ".join(f"word{n}" for n in rng.integers(0, 20, rng.integers(0, 4))) for _ in range(videos)]
    return features(
        rows,
        titles=titles,
        channel=rng.integers(-1, 9, videos).tolist(),
        language=rng.integers(-1, 2, videos).tolist(),
        published=rng.choice([np.nan, 1.0, 2.0, 3.0], videos).tolist(),
    )


def lists_of(known: Features, length: int = 10) -> tuple[ContentLists, Matrix]:
    rows = feature_vectors(known).rows
    exact = (rows @ rows.T).toarray()
    return related.content_lists(rows, known.published, unknown(known.videos), length=length), exact


def check_order(lists: ContentLists, published: Matrix) -> None:
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


def solved(seed: int, size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Two matrices of weights with a zero diagonal, and viewers per pair that leave some out."""
    rng = np.random.default_rng(seed)
    near, broad = (rng.normal(0.2, 1.0, (size, size)) * (rng.random((size, size)) < 0.5) for _ in range(2))
    for weights in (near, broad):
        np.fill_diagonal(weights, 0.0)
    pairs = rng.integers(0, 9, (size, size)).astype(np.float64)
    gram = np.minimum(pairs, pairs.T)
    np.fill_diagonal(gram, rng.integers(9, 90, size))
    return near, broad, gram


def popularity_of(gram: Matrix) -> NDArray[np.float32]:
    """Shares of the most watched."""
    viewers = np.diagonal(gram)
    return (viewers / max(float(viewers.max(initial=0.0)), 1.0)).astype(np.float32)


def candidates(
    known: Features,
    items: NDArray[np.int64],
    near: Matrix,
    broad: Matrix,
    gram: Matrix,
    deviation: Matrix | None = None,
    *,
    min_users: float = 5.0,
    content_weight: float = 0.3,
    length: int = 4,
) -> tuple[ContentLists, ItemLists]:
    rows = feature_vectors(known).rows
    lists = related.content_lists(rows, known.published, unknown(known.videos), length=length)
    found = related.item_lists(
        lists,
        items,
        torch.from_numpy(near),
        torch.from_numpy(broad),
        gram,
        np.zeros(items.size) if deviation is None else deviation,
        popularity_of(gram),
        rows,
        known.published,
        min_users=min_users,
        content_weight=content_weight,
        near_content=NEAR_CONTENT,
        length=length,
    )
    return lists, found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 30), st.integers(1, 45))
def test_parts_of_candidates_are_exact(seed: int, size: int, length: int) -> None:
    known = random_features(seed)
    items = np.random.default_rng(seed).choice(40, size, replace=False)
    near, broad, gram = solved(seed, size)
    lists, found = candidates(known, items, near, broad, gram, length=length)
    similarity = lists_of(known)[1]
    rows = np.arange(size)
    by_near, by_broad = (related.co_engagement(one, gram, rows, 5.0) for one in (near, broad))
    place = {int(item): row for row, item in enumerate(items)}
    for row, item in enumerate(items.tolist()):
        listed = found.videos[row][found.videos[row] >= 0].tolist()
        assert item not in listed
        assert len(set(listed)) == len(listed)
        assert (found.videos[row, len(listed) :] == -1).all()
        outside = {video for video in listed if video not in place}
        assert outside <= set(lists.videos[item].tolist())
        for column, video in enumerate(listed):
            other = place.get(video)
            expected = (0.0, 0.0, 0) if other is None else _pair(by_near, by_broad, gram, row, other)
            assert found.near[row, column] == pytest.approx(expected[0], abs=1e-6)
            assert found.broad[row, column] == pytest.approx(expected[1], abs=1e-6)
            assert found.users[row, column] == expected[2]
            assert found.content[row, column] == pytest.approx(similarity[item, video], abs=1e-6)
        for part in (found.near, found.broad, found.content, found.users):
            assert not part[row, len(listed) :].any()


def _pair(near: Matrix, broad: Matrix, gram: Matrix, row: int, other: int) -> tuple[float, float, int]:
    users = int(gram[row, other]) if near[row, other] + broad[row, other] > 0 else 0
    return float(near[row, other]), float(broad[row, other]), users


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_lists_begin_as_if_all_items_were_candidates_whatever_popularity_weighs(seed: int) -> None:
    """Of six rankings, and the nearest videos that are no items, each has a seventh of the room."""
    known, first, size = random_features(seed), 3, 30
    items = np.random.default_rng(seed).choice(40, size, replace=False)
    near, broad, gram = solved(seed, size)
    lists, found = candidates(known, items, near, broad, gram, length=7 * first)
    popularity = popularity_of(gram)
    alike = lists_of(known)[1][np.ix_(items, items)]
    by_solve = [
        (related.co_engagement(weights, gram, np.arange(size), 5.0), more)
        for weights, more in ((near, NEAR_CONTENT), (broad, 1.0))
    ]
    for row in range(size):
        listed = np.flatnonzero(np.isin(items, found.videos[row]))
        for weight, (together, more) in product(POPULARITY_WEIGHTS.values(), by_solve):
            total = together[row] + more * 0.3 * alike[row] + weight * popularity
            total[row] = 0.0
            best, held = (np.sort(scores)[::-1][:first] for scores in (total, total[listed]))
            np.testing.assert_allclose(held[: (best > 0).sum()], best[best > 0], atol=1e-6)
        nearest = lists.videos[items[row]]
        outside = nearest[(nearest >= 0) & ~np.isin(nearest, items)]
        closest = set(outside.tolist()) & set(nearest[:first].tolist())
        assert closest <= set(found.videos[row].tolist())


FOUR = features([[0], [9], [9], [9], [1], [1], [0, 2], [3]], published=list(range(8)))
"""Items are 4, 5, 6, 7 of eight videos; 4 and 5 share a tag, 0 shares one with 6."""
ITEMS = np.array([4, 5, 6, 7])


def numbers(pair: float) -> tuple[Matrix, Matrix]:
    """Item 0 pairs with 2 (`pair` viewers, the stronger weight) and with 3 (7 viewers)."""
    gram, weights = np.full((4, 4), 9.0), np.zeros((4, 4))
    gram[0, 2] = gram[2, 0] = pair
    gram[0, 3] = gram[3, 0] = 7.0
    weights[0, 2], weights[0, 3] = 0.4, 0.1
    return gram, weights


def of_four(pair: float = 6.0, deviation: tuple[float, ...] = (0.0,) * 4) -> ItemLists:
    gram, weights = numbers(pair)
    return candidates(FOUR, ITEMS, weights, weights / 2, gram, np.array(deviation))[1]


def said(found: ItemLists, row: int = 0) -> dict[int, tuple[float, float, int]]:
    """Near, broad and viewers by candidate."""
    return {
        int(video): (float(found.near[row, k]), float(found.broad[row, k]), int(found.users[row, k]))
        for k, video in enumerate(found.videos[row])
        if video >= 0
    }


def test_co_engagement_is_over_the_best_of_each_solve() -> None:
    assert said(of_four()) == {6: (1.0, 1.0, 6), 7: (0.25, 0.25, 7), 5: (0.0, 0.0, 0)}


def test_the_noise_of_a_pair_is_the_lower_one_of_its_two_items_and_steps_are_as_large() -> None:
    """Item 0 is in two releases, 2 and 3 in one of them each."""
    found = said(of_four(40.0, (6.0, 6.0, 4.0, 1.0)))
    # 40 - 2 * 4 in steps of 5, and 7 - 2 * 1 in steps of 1.
    assert (found[6][2], found[7][2], found[5][2]) == (30, 5, 0)


def test_a_pair_that_the_noise_leaves_open_is_listed_without_a_number() -> None:
    plain, noisy = of_four(6.0), of_four(6.0, (4.0, 4.0, 4.0, 4.0))
    assert plain.users.any()
    assert not noisy.users.any()
    for part in ("videos", "near", "broad", "content"):
        np.testing.assert_array_equal(getattr(plain, part), getattr(noisy, part))


@pytest.mark.parametrize("pair", [0.0, 1.0, 4.99])
def test_a_pair_of_too_few_viewers_gives_no_co_engagement_and_no_number(pair: float) -> None:
    found = said(of_four(pair))
    # Only its popularity is left, and the other pair is the best one now.
    assert found[6] == (0.0, 0.0, 0)
    assert found[7] == (1.0, 1.0, 7)


@pytest.mark.parametrize(("least", "expected"), [(5, [7.0]), (4, [4.0, 7.0])])
def test_the_minimum_is_as_many_viewers_as_the_recipe_says(least: int, expected: list[float]) -> None:
    gram, weights = numbers(4.0)
    engaged = related.co_engagement(weights, gram, np.arange(4), least)[0] > 0
    assert gram[0, engaged].tolist() == expected


def test_a_video_never_co_engages_with_itself_and_repulsion_is_no_reason() -> None:
    gram = np.full((3, 3), 9.0)
    part = related.co_engagement(np.array([[5.0, -1.0, 2.0], [0.0, 5.0, 0.0]]), gram[:2], np.arange(2), 5)
    assert part.tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]


def test_a_video_that_is_no_item_enters_the_lists_of_items_by_content_alone() -> None:
    found = of_four()
    assert said(found, 2)[0] == (0.0, 0.0, 0)
    at = found.videos[2].tolist().index(0)
    assert found.content[2, at] == pytest.approx(lists_of(FOUR)[1][6, 0], rel=1e-6)
    assert not {1, 2, 3} & set(found.videos.ravel().tolist())


def test_newness_ranks_unknown_dates_last() -> None:
    assert related.newness(np.array([2.0, np.nan, 9.0, 2.0, np.nan])).tolist() == [1, 3, 0, 2, 4]


def test_without_items_there_are_no_lists_of_items() -> None:
    none = np.zeros((0, 0))
    _, found = candidates(FOUR, np.zeros(0, np.int64), none, none, none)
    for part in (found.videos, found.near, found.broad, found.content, found.users):
        assert part.shape == (0, 4)


def test_of_a_channel_a_content_list_holds_a_few() -> None:
    known = features([[0]] * 30, channel=[1] * 20 + [2] * 10, published=[float(v) for v in range(30)])
    rows = feature_vectors(known).rows
    listed = related.content_lists(rows, known.published, known.channel, length=20).videos[29]
    channels = known.channel[listed[listed >= 0]]
    assert np.bincount(channels).tolist() == [0, related.OF_A_CHANNEL, related.OF_A_CHANNEL]
