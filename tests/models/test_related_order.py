"""The order of related videos: turns, and the knob that each viewer may turn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.related_order import (
    DISCOVERY,
    POPULARITY_WEIGHTS,
    ContentLists,
    ItemLists,
    Related,
    in_turns,
    related_to,
)
from tests.models.made import made_model

VIDEOS = 60
MODEL = made_model(VIDEOS)
ROW = np.full(VIDEOS, -1)
ROW[MODEL.items] = np.arange(len(MODEL.items))
POPULARITY = MODEL.popularity
SCORES = st.lists(
    st.tuples(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32))
    | st.tuples(st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.5])),
    max_size=20,
)


def related(video: int, weight: float = 0.05) -> Related:
    return related_to(
        MODEL.related,
        MODEL.content_lists,
        int(ROW[video]),
        video,
        POPULARITY,
        content_weight=MODEL.content_weight,
        near_content=MODEL.near_content,
        popularity_weight=weight,
    )


@given(SCORES)
def test_turns_begin_with_the_best_by_near_then_the_best_left_by_broad(
    scores: list[tuple[float, float]],
) -> None:
    near, broad = np.array(scores).reshape(-1, 2).T
    left = [place for place in range(near.size) if near[place] > 0 or broad[place] > 0]
    order = in_turns(near, broad).tolist()
    assert sorted(order) == left
    for turn, chosen in enumerate(order):
        wanted = broad if turn % 2 else near
        assert chosen == min(left, key=lambda place: (-wanted[place], place))
        left.remove(chosen)


def test_what_is_good_in_one_way_alone_is_not_lost() -> None:
    near, broad = np.array([0.9, 0.8, 0.0, 0.0, -1.0]), np.array([0.0, 0.1, 0.9, 0.8, 0.0])
    assert in_turns(near, broad).tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("discovery", DISCOVERY)
def test_a_list_of_an_item_takes_turns_and_its_parts_are_those_of_the_turn(discovery: str) -> None:
    weight = POPULARITY_WEIGHTS[discovery]  # type: ignore[index]
    for row, item in enumerate(MODEL.items.tolist()):
        found = related(item, weight)
        place = {int(video): at for at, video in enumerate(MODEL.related.videos[row]) if video >= 0}
        assert len(set(found.videos.tolist())) == found.videos.size
        assert set(found.videos.tolist()) <= place.keys()
        at = np.array([place[video] for video in found.videos.tolist()])
        turn = np.arange(at.size) % 2
        together = np.where(turn == 0, MODEL.related.near[row, at], MODEL.related.broad[row, at])
        np.testing.assert_allclose(found.together, together)
        more = np.where(turn == 0, MODEL.near_content, 1.0) * MODEL.content_weight
        np.testing.assert_allclose(found.content, more * MODEL.related.content[row, at])
        np.testing.assert_allclose(found.popularity, weight * POPULARITY[found.videos])
        np.testing.assert_array_equal(found.users, MODEL.related.users[row, at])
        whole = found.together + found.content + found.popularity
        # Of each turn, what is chosen later scores no more.
        for each in (0, 1):
            assert (np.diff(whole[turn == each]) <= 1e-9).all()


def test_a_list_of_any_other_video_is_by_content_and_popularity() -> None:
    for video in np.flatnonzero(ROW < 0).tolist():
        found = related(video)
        listed = MODEL.content_lists.videos[video]
        assert sorted(found.videos.tolist()) == sorted(listed[listed >= 0].tolist())
        assert not found.together.any()
        assert not found.users.any()
        assert (np.diff(found.content + found.popularity) <= 1e-9).all()
        similar = MODEL.content.similarity(video, found.videos)
        np.testing.assert_allclose(found.content, MODEL.content_weight * similar, atol=1e-6)
        np.testing.assert_allclose(found.popularity, 0.05 * POPULARITY[found.videos])


def test_padding_is_not_listed() -> None:
    none = ItemLists(
        np.full((1, 3), -1, np.int32), *(np.zeros((1, 3), np.float32),) * 3, np.zeros((1, 3), np.int32)
    )
    content = ContentLists(np.array([[-1, -1], [0, -1]], np.int32), np.array([[0, 0], [0.5, 0]], np.float32))
    for row, video, expected in ((0, 0, []), (-1, 1, [0]), (-1, 0, [])):
        found = related_to(
            none,
            content,
            row,
            video,
            np.zeros(2, np.float32),
            content_weight=0.3,
            near_content=3.0,
            popularity_weight=0.3,
        )
        assert found.videos.tolist() == expected


def mean_popularity(weight: float, top: int) -> float:
    return float(np.mean([POPULARITY[related(item, weight).videos[:top]].mean() for item in MODEL.items]))


def test_familiar_lists_are_of_more_popular_videos_than_those_that_explore() -> None:
    by_discovery = [
        mean_popularity(POPULARITY_WEIGHTS[one], 5) for one in ("familiar", "balanced", "explore")
    ]
    assert by_discovery == sorted(by_discovery, reverse=True)
    assert by_discovery[0] > by_discovery[2] + 0.02


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_first_places_of_a_list_by_content_grow_more_popular_with_the_weight(seed: int, top: int) -> None:
    """Exact for one score: of two lists of equal length, each is the better one by its own weight."""
    rng = np.random.default_rng(seed)
    popularity = np.round(rng.random(13), 1).astype(np.float32)
    lists = ContentLists(
        np.arange(1, 13, dtype=np.int32)[None], np.sort(rng.random((1, 12)).astype(np.float32))[:, ::-1]
    )

    def watched(weight: float) -> float:
        found = related_to(
            MODEL.related,
            lists,
            -1,
            0,
            popularity,
            content_weight=0.3,
            near_content=3.0,
            popularity_weight=weight,
        )
        return float(popularity[found.videos[:top]].sum())

    by_weight = [watched(weight) for weight in sorted(POPULARITY_WEIGHTS.values())]
    assert (np.diff(by_weight) >= -1e-5).all()
