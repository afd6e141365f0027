"""Attack 6: a public video of the attacker's own, seen by the target and by puppets who watch nothing else.

Enough puppets lift the video into the head. Its row of pairs is then the target's history, plus noise: nobody
else is in it. Several such videos, or one through several data windows, give several rows with independent
noise, and the evidence adds up. The attacker ranks videos by that evidence and by what is popular, which is
the baseline when it stands alone. That a video has to be public for a week costs the attacker a week. The
smallest noise, `Release.pairs_variance`, is what counts: no number of other viewers hides the row. The
attacker is given the weight of the target.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tests.adversaries.privacy.law import evidence
from tests.adversaries.privacy.release import Release, noise

_NAMED = 10


def attack(
    matrix: csr_array, release: Release, targets: NDArray[np.int64], rows: int, seed: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Name ten videos of each target who has ten in the head.

    `rows`: honeypots the target has watched, or windows that one of them was part of.

    Returns:
        (n,) precision with the honeypots' rows, and (n,) precision of naming what is popular.
    """
    truth = matrix[:, release.head][targets].toarray().astype(np.float32)
    enough = truth.sum(axis=1) >= _NAMED
    truth, weights = truth[enough], release.weights[targets[enough]].tolist()
    share = np.clip(release.head_counts / release.users, 1e-3, 0.95)
    prior = np.log(share / (1 - share))
    named, popular = np.zeros(len(truth)), np.zeros(len(truth))
    for number, (history, weight) in enumerate(zip(truth, weights, strict=True)):
        drawn = noise(release.pairs_variance, rows * history.size, (*seed, number))
        seen = np.float32(weight) * history + drawn.reshape(rows, -1)
        found = evidence(seen, np.zeros_like(seen), release.pairs_variance, weight).sum(axis=0)
        named[number] = precision(prior + found, history)
        popular[number] = precision(prior, history)
    return named, popular


def precision(scores: NDArray[np.floating], truth: NDArray[np.floating], named: int = _NAMED) -> float:
    """Part of the `named` best scored that are 1 in `truth`."""
    return float(truth[np.argpartition(-scores, named - 1)[:named]].mean())
