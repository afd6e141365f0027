"""What videos have in common by tags, words, channel, category and language, and what a viewer makes of it.

For videos that nobody has engaged with yet, a viewer's taste is carried by features. What an item of the
history says about them was solved with the model (`models.profile_weights`); of other videos of the history,
their own features count, each divided by how often known videos have it. Both are sums over the history, so
that they can be explained exactly. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

FeatureKind = Literal["tag", "word", "channel", "category", "language"]
KINDS: Final[tuple[FeatureKind, ...]] = ("tag", "word", "channel", "category", "language")
RIDGE = 10.0  # in videos: a feature that fewer known videos have is not trusted fully
PROFILE_TERMS = 30  # weightiest tags and words of a viewer that new videos are looked up by
NEWEST_PER_TERM = 50  # videos kept per tag or word in that index


@dataclass(frozen=True)
class Content:
    """Features of a catalogue's videos.

    Attributes:
        offsets: (videos + 1,) int32, where the features of each video start.
        ids: (stored,) int32 feature numbers, ascending within a video.
        weights: (stored,) float32; the dot product of two videos is their content similarity.
        starts: (6,) int64, where tags, words, channels, categories and languages start among the features,
            and where they end.
    """

    offsets: NDArray[np.int32]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    starts: NDArray[np.int64]

    @property
    def features(self) -> int:
        """How many features there are."""
        return int(self.starts[-1])

    @property
    def terms(self) -> int:
        """How many of them are tags and words: the first ones."""
        return int(self.starts[2])

    def row(self, video: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Feature numbers and their weights of one video."""
        start, stop = self.offsets[video], self.offsets[video + 1]
        return self.ids[start:stop], self.weights[start:stop]

    def kind(self, feature: int) -> FeatureKind:
        """Tell what a feature is."""
        return KINDS[int(np.searchsorted(self.starts, feature, side="right")) - 1]

    def shared(self, first: int, second: int) -> list[int]:
        """Features in common, weightiest first."""
        return [feature for feature, _ in self.parts(first, second)]

    def parts(self, first: int, second: int) -> list[tuple[int, float]]:
        """Features in common with what each adds to the similarity, weightiest first."""
        ids, weights = self.row(first)
        mine = dict(zip(ids.tolist(), weights.tolist(), strict=True))
        others = zip(*(part.tolist() for part in self.row(second)), strict=True)
        common = [(feature, mine[feature] * weight) for feature, weight in others if feature in mine]
        return sorted(common, key=lambda part: (-part[1], part[0]))

    def part(self, video: int, others: NDArray[np.int64], feature: int) -> NDArray[np.float64]:
        """Return what one feature adds to the similarity of a video to some others, (n,) float64."""
        row = np.zeros(self.features)
        ids, weights = self.row(video)
        row[feature] = weights[ids == feature].sum()
        return gather(self, others, row)

    def similarity(self, video: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """Content similarity of one video to some others, (n,) float64."""
        row = np.zeros(self.features)
        ids, weights = self.row(video)
        row[ids] = weights
        return gather(self, others, row)


@dataclass(frozen=True)
class ProfileWeights:
    """Weights per item, in the order of the items; an empty row where an item has none.

    Attributes:
        offsets: (m + 1,) int32, where the weights of each item start.
        ids: (weights,) int32 feature numbers, ascending within an item.
        weights: (weights,) float32.
    """

    offsets: NDArray[np.int32]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]


class Profiler:
    """Turns histories into profiles over features."""

    def __init__(self, content: Content, row: NDArray[np.int32], weights: ProfileWeights) -> None:
        """Take the items' weights, and count features among them.

        `row` is (videos,), the row of each video among the items, -1 where it is none.
        """
        self._content, self._row, self._of_items = content, row, weights
        _, places = _stored(content, np.flatnonzero(row >= 0))
        squares = content.weights[places].astype(np.float64) ** 2
        self._scale = 1 / (np.bincount(content.ids[places], squares, content.features) + RIDGE)

    def profile(self, history: Sequence[int]) -> Profile:
        """Profile of a viewer, from catalogue positions."""
        found = np.zeros(self._content.features)
        for video in history:
            ids, weights = self._part(video)
            found[ids] += weights
        return Profile(self._content, found)

    def _part(self, video: int) -> tuple[NDArray[np.int32], NDArray[np.floating]]:
        row, solved = int(self._row[video]), self._of_items
        if row >= 0 and solved.offsets[row] < solved.offsets[row + 1]:
            span = slice(solved.offsets[row], solved.offsets[row + 1])
            return solved.ids[span], solved.weights[span]
        ids, weights = self._content.row(video)
        return ids, weights * self._scale[ids]


@dataclass(frozen=True)
class Profile:
    """What a viewer makes of each feature: `weights`, (features,) float64."""

    content: Content
    weights: NDArray[np.float64]

    @property
    def empty(self) -> bool:
        """Whether it says nothing about anything."""
        return not self.weights.any()

    def scores(self, videos: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) scores of the given videos."""
        return gather(self.content, videos, self.weights)

    def parts(self, video: int) -> list[tuple[int, float]]:
        """Split the score of one video: (feature, part) pairs, which add up to it."""
        ids, weights = self.content.row(video)
        return [
            (feature, float(self.weights[feature]) * weight)
            for feature, weight in zip(ids.tolist(), weights.tolist(), strict=True)
        ]


def gather(content: Content, videos: NDArray[np.int64], row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dot products of a dense row over features with those of each of some videos, (n,) float64."""
    rows, places = _stored(content, videos)
    values = row[content.ids[places]] * content.weights[places]
    # Without any feature bincount would return integers.
    return np.bincount(rows, values, len(videos)).astype(np.float64, copy=False)


def newest_by_term(
    content: Content, published: NDArray[np.float64], known: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Index from tags and words to the newest videos that nobody has engaged with.

    Args:
        content: features of the catalogue.
        published: (videos,) Unix seconds, nan unknown: oldest.
        known: (m,) positions of the videos that people engaged with.

    Returns:
        (terms + 1,) int32 offsets; (n,) int32 videos, newest first within a term.
    """
    videos = np.setdiff1d(np.arange(len(published)), known)
    rows, places = _stored(content, videos)
    kept = content.ids[places] < content.terms
    rows, terms = rows[kept], content.ids[places[kept]]
    when = np.nan_to_num(published[videos][rows], nan=-np.inf)
    order = np.lexsort((videos[rows], -when, terms))
    starts = np.searchsorted(terms[order], np.arange(content.terms + 1))
    listed = np.arange(len(order)) - starts[terms[order]] < NEWEST_PER_TERM
    lengths = np.bincount(terms[order][listed], minlength=content.terms)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return offsets, videos[rows[order][listed]].astype(np.int32)


def _stored(content: Content, videos: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For some videos, the row number and the place in `ids` of each of their features."""
    starts = content.offsets[videos].astype(np.int64)
    lengths = content.offsets[videos + 1] - starts
    rows = np.repeat(np.arange(len(videos)), lengths)
    before = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    return rows, np.arange(len(rows)) + np.repeat(starts - before, lengths)
