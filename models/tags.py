"""What videos have in common by themselves: tags, channel, category, language.

One content vector per video: its tags, weighted by idf and scaled to length 1, beside its channel, category
and language with small constants. The dot product of two vectors is their content similarity: tag cosine
plus a constant for each equal property. The same product over items is the Gram matrix of the pseudo-users,
who each "engaged" with the videos of one tag; its diagonal is about 1, so one weight means the same on every
catalogue. Raw tag counts were better on one of three sets and worse on another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, hstack

from models.features import Features, one_hot

SAME_CHANNEL = 0.2
SAME_CATEGORY = 0.05
SAME_LANGUAGE = 0.05


def tag_vectors(features: Features) -> csr_array:
    """(videos, tags) float32, indices sorted: weights log(1 + videos / df), rows of length 1 or empty."""
    frequency = np.bincount(features.tags.indices, minlength=len(features.tag_names))
    idf = np.log1p(features.videos / np.maximum(frequency, 1))
    weighted = csr_array(features.tags.astype(np.float64) @ diags_array(idf))
    length = np.sqrt(np.asarray((weighted * weighted).sum(axis=1)).ravel())
    scaled = csr_array(diags_array(1.0 / np.where(length > 0, length, 1.0)) @ weighted)
    scaled.sort_indices()
    return scaled.astype(np.float32)


def content_vectors(features: Features, tags: csr_array) -> csr_array:
    """(videos, tags + channels + categories + languages) float32; dot products are content similarities."""
    blocks = [
        tags,
        one_hot(features.channel) * np.float32(np.sqrt(SAME_CHANNEL)),
        one_hot(features.category) * np.float32(np.sqrt(SAME_CATEGORY)),
        one_hot(features.language) * np.float32(np.sqrt(SAME_LANGUAGE)),
    ]
    return csr_array(hstack(blocks, format="csr", dtype=np.float32))


def similarity(content: csr_array, items: NDArray[np.int64]) -> NDArray[np.float64]:
    """Content similarity of the given videos, (m, m) float64 with diagonal: the pseudo-users' Gram matrix."""
    chosen = content[items].astype(np.float64)
    return np.asarray((chosen @ chosen.T).toarray())
