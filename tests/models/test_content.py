from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.content import (
    NEWEST_PER_TERM,
    RIDGE,
    Content,
    Profiler,
    ProfileWeights,
    newest_by_term,
)
from tests.models.made import made_model

VIDEOS = 60
MODEL = made_model(VIDEOS)
CONTENT = MODEL.content
ROW = np.full(VIDEOS, -1, np.int32)
ROW[MODEL.items] = np.arange(len(MODEL.items))
HISTORIES = st.lists(st.integers(0, VIDEOS - 1), unique=True, max_size=15)


def dense(content: Content) -> NDArray[np.float64]:
    """(videos, features)"""
    rows = np.zeros((len(content.offsets) - 1, content.features))
    for video in range(len(rows)):
        ids, weights = content.row(video)
        rows[video, ids] = weights
    return rows


def dense_weights(weights: ProfileWeights) -> NDArray[np.float64]:
    """(items, features)"""
    starts = np.full(6, CONTENT.features)
    return dense(Content(weights.offsets, weights.ids, weights.weights, starts))


def plain(offsets: list[int], ids: list[int], weights: list[float], starts: list[int]) -> Content:
    return Content(
        np.array(offsets, np.int32),
        np.array(ids, np.int32),
        np.array(weights, np.float32),
        np.array(starts, np.int64),
    )


def test_similarity_is_the_dot_product_of_features() -> None:
    features = dense(CONTENT)
    others = np.array([3, 50, 7, 7])
    for video in (0, 3, 59):
        expected = features[others] @ features[video]
        assert CONTENT.similarity(video, others) == pytest.approx(expected, abs=1e-6)


def test_the_kind_of_a_feature_is_told_by_its_number_also_where_kinds_are_empty() -> None:
    content = plain([0], [], [], [0, 2, 2, 5, 5, 6])
    kinds = [content.kind(feature) for feature in range(6)]
    assert kinds == ["tag", "tag", "channel", "channel", "channel", "language"]
    assert (content.features, content.terms) == (6, 2)


@given(HISTORIES)
def test_a_profile_is_the_sum_of_what_its_videos_say(history: list[int]) -> None:
    features, solved = dense(CONTENT), dense_weights(MODEL.profiles)
    scale = 1 / ((features[MODEL.items] ** 2).sum(axis=0) + RIDGE)
    expected = np.zeros(CONTENT.features)
    for video in history:
        expected += features[video] * scale if ROW[video] < 0 else solved[ROW[video]]
    profile = Profiler(CONTENT, ROW, MODEL.profiles).profile(history)
    assert profile.weights == pytest.approx(expected, abs=1e-6)
    videos = np.arange(VIDEOS)
    assert profile.scores(videos) == pytest.approx(features @ expected, abs=1e-6)
    assert profile.empty == (not expected.any())


def test_an_item_without_weights_of_its_own_is_taken_by_its_features() -> None:
    """As on an instance with more items than are solved for."""
    none = ProfileWeights(
        np.zeros(len(MODEL.items) + 1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
    )
    features = dense(CONTENT)
    item = int(MODEL.items[3])
    expected = features[item] / ((features[MODEL.items] ** 2).sum(axis=0) + RIDGE)
    assert Profiler(CONTENT, ROW, none).profile([item]).weights == pytest.approx(expected, abs=1e-6)


@given(HISTORIES, st.integers(0, VIDEOS - 1))
def test_parts_add_up(history: list[int], video: int) -> None:
    profile = Profiler(CONTENT, ROW, MODEL.profiles).profile(history)
    total = sum(part for _, part in profile.parts(video))
    assert total == pytest.approx(float(profile.scores(np.array([video]))[0]), abs=1e-9)


def test_shared_features_come_weightiest_first() -> None:
    content = plain([0, 3, 6], [0, 1, 2, 1, 2, 3], [0.9, 0.1, 0.4, 0.5, 0.5, 0.7], [0, 2, 4, 4, 4, 4])
    assert content.shared(0, 1) == content.shared(1, 0) == [2, 1]


def test_index_of_new_videos_is_newest_first_and_holds_nothing_known() -> None:
    offsets, videos = newest_by_term(CONTENT, MODEL.published, MODEL.items)
    assert len(offsets) == CONTENT.terms + 1
    known = set(MODEL.items.tolist())
    for term in range(CONTENT.terms):
        listed = videos[offsets[term] : offsets[term + 1]].tolist()
        expected = {video for video in range(VIDEOS) if term in CONTENT.row(video)[0] and video not in known}
        assert set(listed) == expected
        dates = np.nan_to_num(MODEL.published[listed], nan=-np.inf)
        assert (dates[1:] <= dates[:-1]).all()
    assert any(offsets[term] < offsets[term + 1] for term in range(len(MODEL.tag_names), CONTENT.terms))


def test_index_of_new_videos_is_bounded() -> None:
    videos = 3 * NEWEST_PER_TERM
    content = plain(list(range(videos + 1)), [0] * videos, [1.0] * videos, [0, 0, 1, 1, 1, 1])
    published = np.arange(videos, dtype=np.float64)
    offsets, listed = newest_by_term(content, published, np.zeros(0, np.int32))
    assert offsets.tolist() == [0, NEWEST_PER_TERM]
    assert listed[0] == videos - 1
