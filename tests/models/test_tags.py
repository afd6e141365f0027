from __future__ import annotations

import numpy as np
import pytest

from models import tags
from models.features import Features
from tests.models.worlds import features


def content(known: Features) -> np.ndarray:
    vectors = tags.content_vectors(known, tags.tag_vectors(known))
    return tags.similarity(vectors, np.arange(known.videos))


def test_tag_vectors_have_length_one_and_prefer_rare_tags() -> None:
    vectors = tags.tag_vectors(features([[0, 1], [0], [0], []]))
    dense = vectors.toarray()
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), [1, 1, 1, 0], rtol=1e-6)
    assert dense[0, 1] > dense[0, 0] > 0
    assert dense[0, 1] / dense[0, 0] == pytest.approx(np.log1p(4 / 1) / np.log1p(4 / 3), rel=1e-6)
    assert vectors.dtype == np.float32
    assert vectors.has_sorted_indices


def test_equal_videos_are_most_similar_and_strangers_not_at_all() -> None:
    similarity = content(features([[0, 1], [0, 1], [1, 2], [3]]))
    np.testing.assert_allclose(np.diagonal(similarity), 1.0, rtol=1e-6)
    assert similarity[0, 1] == pytest.approx(1.0, rel=1e-6)
    assert 0 < similarity[0, 2] < 1
    assert similarity[0, 3] == 0


def test_channel_and_language_count_a_little_and_unknown_ones_nothing() -> None:
    known = features([[0], [1], [2], [3]], channel=[5, 5, -1, -1], language=[0, -1, 0, -1])
    similarity = content(known)
    assert similarity[0, 1] == pytest.approx(tags.SAME_CHANNEL, rel=1e-6)
    assert similarity[0, 2] == pytest.approx(tags.SAME_LANGUAGE, rel=1e-6)
    assert similarity[2, 3] == similarity[1, 3] == 0


def test_a_catalogue_without_anything_known() -> None:
    assert not content(features([[], []])).any()


def test_features_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="each of the 2 videos"):
        features([[0], [1]], channel=[1, 2, 3])
    whole = features([[0], [1]])
    with pytest.raises(ValueError, match="one name"):
        Features(whole.tags, ("a",), whole.channel, whole.category, whole.language, whole.published)
