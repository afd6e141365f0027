from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.content import NEWEST_PER_TAG, RIDGE, Content, Profiler, newest_by_tag
from models.recommender import content_of
from tests.models.made import made_model

MODEL = made_model()
CONTENT = content_of(MODEL)
TAGS = len(MODEL.tag_names)


def dense(content: Content, tags: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(videos, features) with channel, category and language as further columns."""
    rows = np.zeros((len(content.offsets) - 1, tags))
    for video in range(len(rows)):
        ids, weights = content.tags(video)
        rows[video, ids] = weights
    blocks = [rows]
    for column, constant in zip(content.columns, content.same, strict=True):
        hot = np.zeros((len(rows), int(column.max()) + 1))
        hot[np.flatnonzero(column >= 0), column[column >= 0]] = np.sqrt(constant)
        blocks.append(hot)
    return np.hstack(blocks)


def test_similarity_is_the_dot_product_of_features() -> None:
    features = dense(CONTENT, TAGS)
    others = np.array([3, 50, 7, 7])
    for video in (0, 3, 59):
        expected = features[others] @ features[video]
        assert CONTENT.similarity(video, others, TAGS) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.integers(0, 59), unique=True, max_size=15))
def test_profile_is_ridge_regression_with_a_diagonal_gram_matrix(history: list[int]) -> None:
    features = dense(CONTENT, TAGS)
    known = features[MODEL.items]
    weights = features[history].sum(axis=0) / ((known**2).sum(axis=0) + RIDGE)
    profile = Profiler(CONTENT, TAGS, MODEL.items).profile(history)
    videos = np.arange(60)
    assert profile.scores(videos) == pytest.approx(features @ weights, abs=1e-6)
    assert profile.empty == (not weights.any())


@given(st.lists(st.integers(0, 59), unique=True, max_size=15), st.integers(0, 59))
def test_parts_add_up(history: list[int], video: int) -> None:
    profile = Profiler(CONTENT, TAGS, MODEL.items).profile(history)
    tags, others = profile.parts(video)
    total = sum(part for _, part in tags) + sum(part for *_, part in others)
    assert total == pytest.approx(float(profile.scores(np.array([video]))[0]), abs=1e-9)


def test_shared_tags_come_weightiest_first() -> None:
    content = Content(
        offsets=np.array([0, 3, 6], np.int32),
        ids=np.array([0, 1, 2, 1, 2, 3], np.int32),
        weights=np.array([0.9, 0.1, 0.4, 0.5, 0.5, 0.7], np.float32),
        columns=(np.full(2, -1, np.int32),) * 3,
        same=(0.0, 0.0, 0.0),
    )
    assert content.shared_tags(0, 1) == [2, 1]


def test_index_of_new_videos_is_newest_first_and_holds_nothing_known() -> None:
    offsets, videos = newest_by_tag(CONTENT, TAGS, MODEL.published, MODEL.items)
    known = set(MODEL.items.tolist())
    for tag in range(TAGS):
        listed = videos[offsets[tag] : offsets[tag + 1]].tolist()
        expected = {video for video in range(60) if tag in CONTENT.tags(video)[0] and video not in known}
        assert set(listed) == expected
        dates = np.nan_to_num(MODEL.published[listed], nan=-np.inf)
        assert (dates[1:] <= dates[:-1]).all()


def test_index_of_new_videos_is_bounded() -> None:
    videos = 3 * NEWEST_PER_TAG
    content = Content(
        offsets=np.arange(videos + 1, dtype=np.int32),
        ids=np.zeros(videos, np.int32),
        weights=np.ones(videos, np.float32),
        columns=(np.full(videos, -1, np.int32),) * 3,
        same=(0.0, 0.0, 0.0),
    )
    published = np.arange(videos, dtype=np.float64)
    offsets, listed = newest_by_tag(content, 1, published, np.zeros(0, np.int32))
    assert offsets.tolist() == [0, NEWEST_PER_TAG]
    assert listed[0] == videos - 1
