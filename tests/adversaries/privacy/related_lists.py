"""Attack 7: watch the related lists, which everybody sees, change when one viewer watches one more video.

After Calandrino, Kilzer, Narayanan, Felten, Shmatikov, "You might also like", IEEE S&P 2011: the attacker
knows ten videos of the target, keeps their related lists, and looks again when they have changed. A video
that rises in several of the lists at once is likely what the target has watched. Ten are named. The code that
serves makes the lists, from the serving instance's own release and the others' sum.

Either is frozen in its window. So where the target is a viewer of the serving instance, nothing changes until
it draws a new release of its own, with new noise; the others' sum stays. Where the target is a viewer of
another member, a new window brought a new sum, and its own release stays. Nothing else changes but the one
video: the best case for the attacker, a window without any other viewer. The baseline names what is popular.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.features import Features
from models.interactions import Interactions
from policies.privacy import Protection
from tests.adversaries.privacy.lists import Catalogue, catalogue
from tests.adversaries.privacy.release import noise_of

OWN_PART = 0.2
"""Of the cohort: viewers of the serving instance."""
_CATALOGUE = 300
_KNOWN = 10
_NAMED = 10


def attack(
    matrix: csr_array,
    features: Features,
    level: Protection,
    *,
    own: bool,
    targets: int,
    seed: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the one video a viewer has watched since.

    Args:
        matrix: (users, videos) of the cohort, limited.
        features: of the videos.
        level: noise of both releases.
        own: the target is a viewer of the serving instance, else of another member.
        targets: how many at most.
        seed: of all draws.

    Returns:
        (n,) 1 where the video was among ten named, and (n,) the same naming what is popular.
    """
    rng = np.random.default_rng(seed)
    popularity = np.bincount(matrix.indices, minlength=matrix.shape[1])
    videos = np.sort(np.argsort(-popularity, kind="stable")[:_CATALOGUE])
    small, known_videos = csr_array(matrix[:, videos]), catalogue(features, videos)
    border = int(small.shape[0] * OWN_PART)
    pool = np.arange(border) if own else np.arange(border, small.shape[0])
    pool = pool[np.diff(small.indptr)[pool] > _KNOWN]
    sums = known_videos.entries(csr_array(small[:border])), known_videos.entries(csr_array(small[border:]))
    counts = np.bincount(small[:border].indices, minlength=videos.size).astype(np.float64)
    found, popular = [], []
    for number, target in enumerate(rng.permutation(pool)[:targets]):
        after = csr_array(small[[target]])
        history = rng.permutation(after.indices)
        new, known = int(history[0]), history[1 : 1 + _KNOWN].astype(np.int64)
        before = Interactions(after).where(after.indices != new).matrix
        change = known_videos.entries(before) - known_videos.entries(after)
        seen = [
            _lists(known_videos, sums, level, own, change * (step == 0), (*seed, number), step)[known]
            for step in (0, 1)
        ]
        taken = np.zeros(videos.size, np.bool_)
        taken[known] = True
        rises = _rises(seen[0], seen[1], videos.size)
        found.append(_hit(rises + 1e-6 * counts / counts.sum(), taken, new))
        popular.append(_hit(counts, taken, new))
    return np.array(found), np.array(popular)


def _lists(
    videos: Catalogue,
    sums: tuple[NDArray[np.int64], NDArray[np.int64]],
    level: Protection,
    own: bool,
    change: NDArray[np.int64],
    seed: tuple[int, ...],
    step: int,
) -> NDArray[np.int32]:
    """Lists from both sums, of which that with the target is changed and drawn anew in every step."""
    noise = noise_of(level)
    releases = []
    for part, entries in enumerate(sums):
        fresh = (part == 0) == own
        drawn = videos.noise(noise, (*seed, part, step if fresh else 0))
        releases.append(videos.released(entries + drawn + (change if fresh else 0), noise))
    return videos.shown(*releases).videos


def _rises(before: NDArray[np.int32], after: NDArray[np.int32], videos: int) -> NDArray[np.float64]:
    """How far every video rose, added up over the lists; places count by the logarithm."""
    total = np.zeros(videos)
    length = before.shape[1]
    for old, new in zip(before, after, strict=True):
        place = np.full((2, videos), length + 1.0)
        for which, shown in enumerate((old, new)):
            shown = shown[shown >= 0]
            place[which, shown] = 1 + np.arange(shown.size)
        total += np.log(place[0] / place[1])
    return total


def _hit(scores: NDArray[np.float64], taken: NDArray[np.bool_], new: int) -> float:
    allowed = np.where(taken, -np.inf, scores)
    return float(new in np.argsort(-allowed, kind="stable")[:_NAMED])
