"""Attack 7: watch the related lists, which everybody sees, change when one viewer watches one more video.

After Calandrino, Kilzer, Narayanan, Felten, Shmatikov, "You might also like", IEEE S&P 2011: the attacker
knows ten videos of the target, keeps their related lists, and looks again after the next training. A video
that rises in several of the lists at once is likely what the target has watched. Ten are named. The real
training code makes the lists, from own viewers as they are and the others' noisy sum.

Once the target is a viewer of the serving instance itself: nothing but the one video changes, the others' sum
and its noise stay. That is the best case for the attacker, a day without any other viewer. Once the target is
a viewer of another member: then a new data window has brought a new sum, with new noise. The baseline names
what is popular.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import statistics
from models.features import Features
from models.interactions import Interactions
from models.noise import SumNoise
from models.training import Recipe, TrainedModel, TrainingData, train
from policies.privacy import Protection
from tests.adversaries.privacy.release import noise, release

_OWN_PART = 0.2
_CATALOGUE = 400
_KNOWN = 10
_NAMED = 10
RECIPE = Recipe(rank=8, lambdas=(10.0,), alphas=(0.3,), related_length=40)
Places = NDArray[np.int64]


def attack(
    matrix: csr_array,
    features: Features,
    level: Protection,
    *,
    own: bool,
    targets: int,
    seed: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the one video a viewer has watched since; a fifth of the users are the serving instance's own.

    Args:
        matrix: (users, videos) of the cohort, limited.
        features: of the videos.
        level: noise of the others' sum.
        own: the target is a viewer of the serving instance, else of another member.
        targets: how many at most.
        seed: of all draws.

    Returns:
        (n,) 1 where the video was among ten named, and (n,) the same naming what is popular.
    """
    rng = np.random.default_rng(seed)
    videos = np.sort(release(matrix, level, seed).head)
    popularity = np.bincount(matrix.indices, minlength=matrix.shape[1])
    videos = np.sort(videos[np.argsort(-popularity[videos], kind="stable")[:_CATALOGUE]])
    small = csr_array(matrix[:, videos])
    served = _slice(features, videos)
    border = int(small.shape[0] * _OWN_PART)
    pool = np.arange(border) if own else np.arange(border, small.shape[0])
    pool = pool[np.diff(small.indptr)[pool] > _KNOWN]
    found, popular = [], []
    for number, target in enumerate(rng.permutation(pool)[:targets]):
        history = rng.permutation(small.indices[small.indptr[target] : small.indptr[target + 1]])
        new, known = int(history[0]), history[1 : 1 + _KNOWN].astype(np.int64)
        lists = []
        for after in (False, True):
            shown = small if after else _drop(small, int(target), new)
            # A new sum is a new draw; what an own viewer watched needs none.
            draw = (*seed, number, int(after and not own))
            lists.append(_train(shown, border, served, level, draw).related_videos[known])
        taken = np.zeros(videos.size, np.bool_)
        taken[known] = True
        counts = np.bincount(small[:border].indices, minlength=videos.size).astype(np.float64)
        rises = _rises(lists[0], lists[1], videos.size)
        found.append(_hit(rises + 1e-6 * counts / counts.sum(), taken, new))
        popular.append(_hit(counts, taken, new))
    return np.array(found), np.array(popular)


def _train(
    matrix: csr_array, border: int, features: Features, level: Protection, draw: tuple[int, ...]
) -> TrainedModel:
    others = Interactions(csr_array(matrix[border:]))
    everything = np.arange(matrix.shape[1], dtype=np.int64)
    counts = statistics.counts(others) + noise(level.counts_noise, everything.size, (*draw, 1))
    pairs = statistics.pair_counts(others, everything)
    pairs += noise(level.pairs_noise, pairs.size, (*draw, 2))
    data = TrainingData(
        features,
        Interactions(csr_array(matrix[:border])),
        statistics.Statistic(everything, counts, pairs),
        SumNoise(level.counts_noise, level.pairs_noise),
    )
    return train(data, RECIPE)


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


def _drop(matrix: csr_array, row: int, column: int) -> csr_array:
    start, stop = matrix.indptr[row], matrix.indptr[row + 1]
    keep = np.ones(matrix.nnz, np.bool_)
    keep[start + np.flatnonzero(matrix.indices[start:stop] == column)] = False
    return Interactions(matrix).where(keep).matrix


def _slice(features: Features, videos: Places) -> Features:
    return Features(
        tags=csr_array(features.tags[videos]),
        tag_names=features.tag_names,
        channel=features.channel[videos],
        category=features.category[videos],
        language=features.language[videos],
        published=features.published[videos],
    )
