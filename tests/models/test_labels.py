from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import labels as module
from models.labels import Labels, Texts
from tests.models.made import made_labels

UNICODE = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(UNICODE, max_size=20))
def test_texts_come_back_as_they_went_in(texts: list[str]) -> None:
    packed = Texts.pack(texts)
    assert [packed[position] for position in range(len(packed))] == texts


def test_broken_unicode_is_replaced_and_positions_are_checked() -> None:
    packed = Texts.pack(["a\ud800b"])
    assert packed[0] == "a?b"
    with pytest.raises(IndexError):
        packed[1]
    with pytest.raises(IndexError):
        packed[-1]


@given(st.lists(UNICODE.filter(bool), unique=True, max_size=30), UNICODE)
def test_every_key_is_found_and_no_other(keys: list[str], other: str) -> None:
    urls = [f"https://example/{key}" for key in keys]
    labels = Labels.pack(uuid=keys, url=urls, title=keys)
    assert [labels.index(key) for key in keys] == list(range(len(keys)))
    assert [labels.index(url) for url in urls] == list(range(len(keys)))
    if other not in (*keys, *urls):
        assert labels.index(other) is None


def test_videos_without_keys_are_not_found_by_nothing() -> None:
    labels = Labels.pack(uuid=["", "b"], url=["", ""], title=["", ""])
    assert labels.index("") is None
    assert labels.index("b") == 1


def test_keys_with_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "key_hash", lambda _: 7)
    labels = Labels.pack(uuid=["a", "b", "c"], url=["", "", ""], title=["", "", ""])
    assert [labels.index(key) for key in "abcd"] == [0, 1, 2, None]


def test_a_hundred_thousand_labels_are_small() -> None:
    labels = made_labels(100_000)
    columns = (labels.uuid, labels.url, labels.title)
    size = sum(column.data.nbytes + column.offsets.nbytes for column in columns)
    size += labels.hashes.nbytes + labels.positions.nbytes
    assert size < 25 * 2**20
    assert labels.index(labels.uuid[99_999]) == 99_999


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry per video"):
        Labels.pack(uuid=["a"], url=["a", "b"], title=["a"])
    with pytest.raises(ValueError, match="one entry per video"):
        Labels.pack(uuid=["a"], url=["a"], title=["a"], nsfw=np.zeros(2, np.bool_))
