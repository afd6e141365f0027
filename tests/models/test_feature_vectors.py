from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.feature_vectors import SAME_CHANNEL, SAME_LANGUAGE, FeatureVectors, feature_vectors
from models.features import Features
from models.words import hashed
from tests.models.worlds import features


def similarity(known: Features) -> NDArray[np.float64]:
    return feature_vectors(known).similarity(np.arange(known.videos))


def block(vectors: FeatureVectors, kind: int) -> NDArray[np.float32]:
    """The features of one kind, (videos, features of it)."""
    dense: NDArray[np.float32] = vectors.rows.toarray()
    return dense[:, vectors.starts[kind] : vectors.starts[kind + 1]]


def test_tags_and_words_have_length_one_together_and_rare_ones_weigh_more() -> None:
    titles = ["bees and honey", "bees at night", "wasps", ""]
    vectors = feature_vectors(features([[0, 1], [0], [0], []], titles=titles))
    text = np.hstack([block(vectors, 0), block(vectors, 1)])
    weight = {df: np.log1p(4 / df) for df in (1, 2, 3)}
    # The first: two tags, of which one is rarer, "bees" that two titles have, and two words of its own.
    length = np.sqrt(weight[3] ** 2 + weight[1] ** 2 + weight[2] ** 2 + 2 * weight[1] ** 2)
    expected = [weight[3] / length, weight[1] / length, weight[2] / length]
    np.testing.assert_allclose(text[0], expected, rtol=1e-6)
    assert vectors.rows.dtype == np.float32
    assert vectors.rows.has_sorted_indices


def test_a_word_of_one_title_is_dropped_but_counts_in_the_length() -> None:
    plain = feature_vectors(features([[0], [0]], titles=["bees", "bees"], channel=[1, 1]))
    stuffed = feature_vectors(features([[0], [0]], titles=["bees aa bb cc dd", "bees"], channel=[1, 1]))
    assert stuffed.word_hashes.tolist() == plain.word_hashes.tolist() == [hashed("bees")]
    assert np.linalg.norm(plain.rows.toarray()[0, :2]) == pytest.approx(1.0)
    assert np.linalg.norm(stuffed.rows.toarray()[0, :2]) < 0.7
    both = np.array([0, 1])
    assert stuffed.similarity(both)[0, 1] < plain.similarity(both)[0, 1] - 0.2


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 5), unique=True, max_size=4),
            st.lists(st.sampled_from(["bees", "honey", "猫", "wax", "été"]), unique=True, max_size=4),
            st.integers(-1, 3),
            st.integers(-1, 2),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_features_lie_kind_after_kind_and_words_are_found_by_their_hashes(
    videos: list[tuple[list[int], list[str], int, int]],
) -> None:
    known = features(
        [tags for tags, _, _, _ in videos],
        titles=[" ".join(title) for _, title, _, _ in videos],
        channel=[channel for _, _, channel, _ in videos],
        language=[language for _, _, _, language in videos],
    )
    vectors = feature_vectors(known)
    assert vectors.starts[0] == 0
    assert vectors.starts.tolist() == sorted(vectors.starts.tolist())
    assert vectors.starts[-1] == vectors.rows.shape[1]
    assert np.diff(vectors.starts)[:2].tolist() == [known.tags.shape[1], vectors.word_hashes.size]
    assert (np.diff(vectors.word_hashes) > 0).all()
    assert known.words is not None
    titled = known.words.rows.toarray() > 0
    often = titled.sum(axis=0) >= 2
    np.testing.assert_array_equal(vectors.word_hashes, known.words.hashes[often])
    np.testing.assert_array_equal(block(vectors, 1) > 0, titled[:, often])
    for kind, column in ((2, known.channel), (4, known.language)):
        np.testing.assert_array_equal(
            block(vectors, kind) > 0, np.arange(block(vectors, kind).shape[1]) == column[:, None]
        )
    exact = vectors.rows.toarray().astype(np.float64)
    np.testing.assert_allclose(similarity(known), exact @ exact.T, atol=1e-6)


def test_equal_videos_are_most_similar_and_strangers_not_at_all() -> None:
    found = similarity(features([[0, 1], [0, 1], [1, 2], [3]]))
    np.testing.assert_allclose(np.diagonal(found), 1.0, rtol=1e-6)
    assert found[0, 1] == pytest.approx(1.0, rel=1e-6)
    assert 0 < found[0, 2] < 1
    assert found[0, 3] == 0


def test_titles_make_videos_without_tags_similar_whatever_the_script() -> None:
    titles = ["Пчёлы и мёд", "мёд", "東京の夜", "夜の東京", "نحلة عسل", "عسل", "other", "words"]
    found = similarity(features([[]] * 8, titles=titles))
    for one, two in ((0, 1), (2, 3), (4, 5)):
        assert found[one, two] > 0.2
        assert not found[one, [video for video in range(8) if video not in (one, two)]].any()


def test_channel_and_language_count_a_little_and_unknown_ones_nothing() -> None:
    known = features([[0], [1], [2], [3]], channel=[5, 5, -1, -1], language=[0, -1, 0, -1])
    found = similarity(known)
    assert found[0, 1] == pytest.approx(SAME_CHANNEL, rel=1e-6)
    assert found[0, 2] == pytest.approx(SAME_LANGUAGE, rel=1e-6)
    assert found[2, 3] == found[1, 3] == 0


def test_a_catalogue_without_anything_known() -> None:
    assert not similarity(features([[], []])).any()
    assert not similarity(features([[], []], titles=["", ""])).any()


def test_features_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="each of the 2 videos"):
        features([[0], [1]], channel=[1, 2, 3])
    with pytest.raises(ValueError, match="each of the 2 videos"):
        features([[0], [1]], views=[1])
    with pytest.raises(ValueError, match="those of the 2 videos"):
        dataclasses.replace(features([[0], [1]]), words=features([[0]], titles=["a"]).words)
    with pytest.raises(ValueError, match="one name"):
        dataclasses.replace(features([[0], [1]]), tag_names=("a",))
