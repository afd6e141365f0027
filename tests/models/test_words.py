"""Words of titles, in any script, and what is left of them for copies."""

from __future__ import annotations

import string
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.words import MAX_WORDS, hashed, title_words, words

TITLES = st.text(max_size=80) | st.text(alphabet=string.ascii_letters + " あ猫แ–🎉\0\ud800é", max_size=700)
NEVER = float("nan")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Crème brûlée, à la façon d'Émile", ("crème", "brûlée", "à", "la", "façon", "d", "émile")),
        ("Straße STRASSE", ("strasse",)),
        ("Ｆｕｌｌ ｗｉｄｔｈ ﬁnds itself", ("full", "width", "finds", "itself")),
        ("Как варить БОРЩ дома", ("как", "варить", "борщ", "дома")),
        ("كيف تعمل النحلة", ("كيف", "تعمل", "النحلة")),
        ("東京の夜", ("東京", "京の", "の夜")),
        ("猫", ("猫",)),
        ("ラーメン作り", ("ラー", "ーメ", "メン", "ン作", "作り")),
        ("แมวสามขา", ("แม", "มว", "วส", "สา", "าม", "มข", "ขา")),
        ("Vlog2024東京day3", ("vlog2024", "東京", "day3")),
        ("one two One, TWO! (one)", ("one", "two")),
        ("🎉🎊 – …!?", ()),
        ("", ()),
        ("a\0b\x1bc\u202ed", ("a", "b", "c", "d")),
        ("half\ud800way", ("half", "way")),
    ],
)
def test_words_are_those_that_a_reader_sees(title: str, expected: tuple[str, ...]) -> None:
    assert words(title) == expected


@pytest.mark.parametrize(
    ("one", "other"), [("बिल", "बोल"), ("பில்", "புல்"), ("কাল", "কোল"), ("กิน", "กุน"), ("ដី", "ដូ"), ("မိ", "မု")]
)
def test_marks_above_and_below_tell_words_apart(one: str, other: str) -> None:
    """Hindi, Tamil, Bengali, Thai, Khmer, Burmese."""
    assert not set(words(one)) & set(words(other))


def test_composed_and_decomposed_letters_are_the_same() -> None:
    title = "Crème brûlée für Ángström"
    assert words(unicodedata.normalize("NFD", title)) == words(title)


@given(TITLES)
def test_any_title_has_few_words_that_can_be_hashed(title: str) -> None:
    found = words(title)
    assert len(found) == len(set(found)) <= MAX_WORDS
    assert all(found)
    assert all(0 <= hashed(word) < 2**32 for word in found)


@given(TITLES)
def test_a_title_that_was_stored_has_the_words_it_was_trained_with(title: str) -> None:
    """Labels hold valid UTF-8, so that a lone surrogate comes back as something else."""
    stored = title.encode("utf-8", "replace").decode("utf-8")
    assert words(stored) == words(title)


@pytest.mark.parametrize("title", ["word " * 2_000, "x" * 10_000, "猫" * 10_000, "\ufdfa" * 10_000])
def test_a_title_of_ten_kilobytes_costs_no_more_than_its_beginning(title: str) -> None:
    assert words(title) == words(title[:500])


def test_of_a_title_stuffed_with_words_the_first_count() -> None:
    many = [f"w{number}" for number in range(3 * MAX_WORDS)]
    assert words(" ".join(many)) == tuple(many[:MAX_WORDS])


def test_hashes_are_the_same_on_every_machine() -> None:
    assert [hashed(word) for word in ("bees", "猫", "émile")] == [804345403, 2245964304, 559111763]


def kept(titles: list[str], channels: list[int], published: list[float]) -> list[bool]:
    """Which videos keep their words, all of them; one that keeps a part of them fails the test."""
    found = title_words(titles, np.array(channels, np.int32), np.array(published, np.float64))
    assert found.rows.shape == (len(titles), found.hashes.size)
    assert found.rows.dtype == np.float32
    assert (found.rows.data == 1).all()
    assert (np.diff(found.hashes) > 0).all()
    rows = np.split(found.hashes[found.rows.indices], found.rows.indptr[1:-1])[: len(titles)]
    for title, row in zip(titles, rows, strict=True):
        assert row.tolist() in ([], sorted({hashed(word) for word in words(title)}))
    return [row.size > 0 for row in rows]


def test_copies_on_other_channels_lose_their_words_and_the_oldest_keeps_them() -> None:
    titles = ["How bees dance", "how BEES dance!", "Dance, bees: how", "How wasps dance", "How bees dance"]
    assert kept(titles, [0, 1, 2, 3, 4], [3.0, 1.0, 2.0, 9.0, NEVER]) == [False, True, False, True, False]
    # Of equal age, or of unknown age all of them, the first in the catalogue is the oldest.
    assert kept(titles, [0, 1, 2, 3, 4], [NEVER] * 5) == [True, False, False, True, False]


def test_a_channel_may_say_the_same_twice_where_it_said_it_first() -> None:
    titles = ["Weekly news"] * 4
    assert kept(titles, [1, 1, 2, 2], [1.0, 2.0, 3.0, 4.0]) == [True, True, False, False]
    # Nobody knows whether unknown channels are one.
    assert kept(titles, [-1, -1, 2, 2], [1.0, 2.0, 3.0, 4.0]) == [True, False, False, False]


def test_titles_without_words_copy_nothing() -> None:
    assert kept(["", "🎉", "bees", ""], [0, 1, 2, -1], [NEVER] * 4) == [False, False, True, False]
    assert kept([], [], []) == []


VIDEOS = st.tuples(
    st.sampled_from(["a b", "b A", "c", "", "c d e"]), st.integers(-1, 2), st.sampled_from([1.0, 2.0, NEVER])
)


@given(st.lists(VIDEOS, max_size=12))
def test_every_text_is_kept_on_one_channel_and_by_its_oldest_video(
    videos: list[tuple[str, int, float]],
) -> None:
    titles = [title for title, _, _ in videos]
    channels = [channel for _, channel, _ in videos]
    published = [when for _, _, when in videos]
    held = kept(titles, channels, published)
    texts = [frozenset(words(title)) for title in titles]
    for text in set(texts) - {frozenset()}:
        videos_of = [video for video, one in enumerate(texts) if one == text]
        oldest = min(videos_of, key=lambda video: (np.nan_to_num(published[video], nan=np.inf), video))
        keeping = [video for video in videos_of if held[video]]
        assert oldest in keeping
        assert {channels[video] for video in keeping} == {channels[oldest]}
        assert len(keeping) == 1 or channels[oldest] >= 0
