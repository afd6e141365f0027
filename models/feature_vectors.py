"""What videos have in common by themselves: tags, title words, channel, category, language.

One vector per video: its tags and title words, weighted by idf and scaled to length 1 together, beside its
channel, category and language with small constants. The dot product of two vectors is their content
similarity: the cosine of tags and words plus a constant for each equal property. The same product over items
is the Gram matrix of the pseudo-viewers, who each "engaged" with the videos of one tag or word; its diagonal
is about 1, so one weight means the same on every catalogue. Raw tag counts were better on one of three sets
and worse on another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, hstack

from models.features import Features, one_hot

SAME_CHANNEL: Final = 0.2
SAME_CATEGORY: Final = 0.05
SAME_LANGUAGE: Final = 0.05
_SHARED = 2
"""Videos that a word needs to say something about another one."""


@dataclass(frozen=True)
class FeatureVectors:
    """Features of a catalogue's videos.

    Attributes:
        rows: (videos, features) float32, indices sorted; dot products are content similarities.
        starts: (6,) int64, where tags, words, channels, categories and languages start among the features,
            and where they end.
        word_hashes: (words,) int64, the hash of each word among the features, ascending.
    """

    rows: csr_array
    starts: NDArray[np.int64]
    word_hashes: NDArray[np.int64]

    def similarity(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Content similarity of the given videos, (m, m) float64 with diagonal."""
        chosen = self.rows[items].astype(np.float64)
        return np.asarray((chosen @ chosen.T).toarray())


def feature_vectors(features: Features) -> FeatureVectors:
    """Weigh the features of a catalogue: log(1 + videos / df) for tags and words.

    A word that no other title has counts in the length of its row: a title stuffed with made-up words is
    about nothing.
    """
    blocks, hashes = [features.tags], np.zeros(0, np.int64)
    if features.words is not None:
        blocks, hashes = [features.tags, features.words.rows], features.words.hashes
    text = csr_array(hstack(blocks, format="csr"))
    frequency = np.bincount(text.indices, minlength=text.shape[1])
    idf = np.log1p(features.videos / np.maximum(frequency, 1))
    weighted = csr_array(text.astype(np.float64) @ diags_array(idf))
    length = np.sqrt(np.asarray((weighted * weighted).sum(axis=1)).ravel())
    scaled = csr_array(diags_array(1.0 / np.where(length > 0, length, 1.0)) @ weighted)
    tags = features.tags.shape[1]
    shared = np.flatnonzero(frequency[tags:] >= _SHARED)
    columns = [
        scaled[:, np.concatenate((np.arange(tags), tags + shared))],
        one_hot(features.channel) * np.float32(np.sqrt(SAME_CHANNEL)),
        one_hot(features.category) * np.float32(np.sqrt(SAME_CATEGORY)),
        one_hot(features.language) * np.float32(np.sqrt(SAME_LANGUAGE)),
    ]
    rows = csr_array(hstack(columns, format="csr", dtype=np.float32))
    rows.sort_indices()
    widths = [0, tags, shared.size, *(block.shape[1] for block in columns[1:])]
    return FeatureVectors(rows, np.cumsum(widths).astype(np.int64), hashes[shared])
