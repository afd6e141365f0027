"""Small worlds with a known right answer, and random ones."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import counting
from models.features import Features, unknown
from models.interactions import Interactions
from models.noise import SumNoise
from models.released import Released
from models.statistics import Statistic
from models.weights import UNIT
from models.words import title_words

GROUP = 8


def interactions(rows: list[list[int]], videos: int) -> Interactions:
    """One list of videos per user."""
    dense = np.zeros((len(rows), videos), np.uint8)
    for user, row in enumerate(rows):
        dense[user, row] = 1
    return Interactions(csr_array(dense))


def two_tastes(users: int = 60, seed: int = 0) -> Interactions:
    """Even users like 4 of videos 0..7, odd users 4 of videos 8..15; nobody likes both kinds."""
    rng = np.random.default_rng(seed)
    rows = [(rng.choice(GROUP, 4, replace=False) + GROUP * (u % 2)).tolist() for u in range(users)]
    return interactions(rows, 2 * GROUP)


def population(users: int, videos: int, seed: int = 0) -> Interactions:
    """Users with two tastes out of six and skewed popularity."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, 6, videos)
    popularity = 1.0 / (np.arange(videos) + 5.0)
    rows = []
    for _ in range(users):
        weight = popularity * np.where(np.isin(taste, rng.integers(0, 6, 2)), 1.0, 0.05)
        size = int(rng.integers(5, max(6, videos // 4)))
        rows.append(rng.choice(videos, size, replace=False, p=weight / weight.sum()).tolist())
    return interactions(rows, videos)


def gram(users: Interactions) -> NDArray[np.float64]:
    """The plain Gram matrix, in which everybody counts as one."""
    matrix = users.matrix.astype(np.float64)
    return np.asarray((matrix.T @ matrix).toarray())


def summed(users: Interactions, head: NDArray[np.int64]) -> Statistic:
    """The statistic of these users over a given head."""
    counts = counting.weighted_counts(users, head)[head]
    return Statistic(head, counts, counting.pair_counts(users, head))


def exactly(users: Interactions, head: NDArray[np.int64]) -> Released:
    """These users' release over a given head, without noise."""
    return Released(summed(users, head))


def with_noise(sum_: Statistic, noise: SumNoise, seed: int = 0) -> Statistic:
    """The statistic with Skellam noise on every entry."""
    rng = np.random.default_rng([seed, 1])

    def draw(variance: float, size: int) -> NDArray[np.int64]:
        variance *= UNIT**2
        return rng.poisson(variance / 2, size) - rng.poisson(variance / 2, size)

    counts = sum_.counts + draw(noise.counts, sum_.counts.size)
    return Statistic(sum_.head, counts, sum_.triangle + draw(noise.pairs, sum_.triangle.size))


def features(
    tags: list[list[int]],
    *,
    titles: list[str] | None = None,
    channel: list[int] | None = None,
    language: list[int] | None = None,
    published: list[float] | None = None,
    views: list[int] | None = None,
) -> Features:
    """One list of tag numbers per video; nothing else known unless given."""
    videos, width = len(tags), max((t for row in tags for t in row), default=-1) + 1
    dense = np.zeros((videos, width), np.float32)
    for video, row in enumerate(tags):
        dense[video, row] = 1
    channels = unknown(videos) if channel is None else np.array(channel, np.int32)
    dates = np.full(videos, np.nan) if published is None else np.array(published, np.float64)
    return Features(
        tags=csr_array(dense),
        tag_names=tuple(f"tag{i}" for i in range(width)),
        channel=channels,
        category=unknown(videos),
        language=unknown(videos) if language is None else np.array(language, np.int32),
        published=dates,
        views=np.zeros(videos, np.int64) if views is None else np.array(views, np.int64),
        words=None if titles is None else title_words(titles, channels, dates),
    )


def plain(videos: int) -> Features:
    """A catalogue of which nothing is known."""
    return features([[] for _ in range(videos)])


def long_rows(seed: int, users: int = 8, videos: int = 90) -> Interactions:
    """Users of any number of videos, none and all among them: weights matter."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, videos + 1, users)
    return interactions([rng.choice(videos, length, replace=False).tolist() for length in lengths], videos)


@st.composite
def small_worlds(draw: st.DrawFn, max_users: int = 12, max_videos: int = 7) -> Interactions:
    """Any binary matrix of a few users and videos."""
    videos = draw(st.integers(2, max_videos))
    row = st.lists(st.integers(0, videos - 1), max_size=videos, unique=True)
    return interactions(draw(st.lists(row, min_size=1, max_size=max_users)), videos)
