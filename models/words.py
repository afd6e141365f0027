"""Title words: what a video is about where it has few tags or none.

Words go by a hash, so that no table of them has to be kept; which word is meant is read off the title again
when somebody asks. Of 100,000 words about one pair shares a hash.
Scripts without spaces between words are cut into pairs of characters, which find as much there as words do.

Titles are written by strangers. Of a long one only the first words count, and a row of many words says less
about each. Of videos with the same words on different channels only the oldest keeps them: the others are
copies, made to be seen beside it or not.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_WORDS: Final = 32
"""Of one title, distinct: PeerTube allows 120 characters, other servers what they like."""
_MAX_CHARACTERS = 500
_TELLING = 4
"""Letters that a word needs to say something by itself."""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, Kana and Chinese characters."""


class _Spaced(dict[int, int]):
    """Translation of what is in no word to a space, found out once for each character.

    Vowels of many scripts are marks, which `re` takes for no part of a word.
    """

    def __missing__(self, code: int) -> int:
        inside = chr(code) == "_" or unicodedata.category(chr(code))[0] in "LMN"
        self[code] = code if inside else ord(" ")
        return self[code]


_SPACED: Final = _Spaced()


def words(title: str) -> tuple[str, ...]:
    """Return the distinct words of a title, in lower case and their order, at most `MAX_WORDS`."""
    text = unicodedata.normalize("NFKC", title[:_MAX_CHARACTERS]).casefold()
    found = text.translate(_SPACED).split()
    if not text.isascii() and _UNSPACED.search(text):
        found = [part for word in found for part in _parts(word)]
    return tuple(dict.fromkeys(found))[:MAX_WORDS]


@dataclass(frozen=True)
class TitleWords:
    """Words of the titles of a catalogue.

    Attributes:
        rows: (videos, words) float32, 1.0 where a title has the word.
        hashes: (words,) int64, the hash of each word, ascending.
    """

    rows: csr_array
    hashes: NDArray[np.int64]


def hashed(word: str) -> int:
    """Return the hash of a word, 32 bits: CRC-32, the same on every machine."""
    return zlib.crc32(word.encode("utf-8", "replace"))


def named(title: str, hashes: Iterable[int]) -> tuple[str, ...]:
    """Return the words of a title that have these hashes, in their order.

    "In", "a" or "le" tell a viewer nothing: short words are left out, but where there are no others.
    """
    found = {hashed(word): word for word in words(title)}
    known = [found[one] for one in hashes if one in found]
    telling = [word for word in known if len(word) >= _TELLING or not word.isascii()]
    return tuple(telling or known)


def title_words(
    titles: Sequence[str], channel: NDArray[np.int32], published: NDArray[np.float64]
) -> TitleWords:
    """Return the words of every title; none for copies.

    Args:
        titles: one per video, "" where unknown.
        channel: (videos,) channel numbers, -1 unknown: no copy is told from another by it.
        published: (videos,) Unix seconds, nan unknown: last.
    """
    from scipy.sparse import csr_array  # here, because the process that serves has no use for it

    rows = [sorted({hashed(word) for word in words(title)}) for title in titles]
    first: dict[tuple[int, ...], int] = {}
    when = np.where(np.isnan(published), np.inf, published)
    for video in np.lexsort((np.arange(when.size), when)).tolist():
        original = first.setdefault(tuple(rows[video]), video)
        if original != video and (channel[video] < 0 or channel[video] != channel[original]):
            rows[video] = []
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    found = np.fromiter((number for row in rows for number in row), np.int64, int(offsets[-1]))
    hashes, columns = np.unique(found, return_inverse=True)
    ones = np.ones(found.size, np.float32)
    return TitleWords(csr_array((ones, columns, offsets), shape=(len(rows), hashes.size)), hashes)


def _parts(word: str) -> list[str]:
    """Return a word as it is, or, of a script without spaces, its pairs of characters."""
    parts: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        parts += [word[end : run.start()]] if run.start() > end else []
        text, end = run.group(), run.end()
        parts += [text[place : place + 2] for place in range(max(1, len(text) - 1))]
    return [*parts, *([word[end:]] if end < len(word) else [])]
