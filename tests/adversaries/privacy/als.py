"""Attack 5: invert the sums that alternating least squares would need, for short histories.

Implicit ALS (Hu, Koren, Volinsky, ICDM 2008) could be trained from sums too: per video, the sum over its
users of x_u x_u^T and of x_u, rank 64. With public video factors Y a user's factor is

    x_u = (Y^T Y + a sum y_i y_i^T + l I)^-1 (1 + a) sum y_i,    i over the history,

so (Y^T Y + l I) x_u is a combination of the y_i of the history and of nothing else: a sparse code. Matching
pursuit reads off the history. A video of one user hands x_u over as it is. That is why there is no such
trainer here. Factors are scaled to length 1 before they are summed, so that noise compares to one user as it
does in a sum of counts; it then hides everything, what the trainer would learn included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_RANK = 64
_CONFIDENCE = 20.0
_RIDGE = 1.0
_ROUNDS = 3
Dense = NDArray[np.float64]


def item_factors(matrix: csr_array, seed: int, rank: int = _RANK) -> Dense:
    """Few rounds of implicit ALS; returns (videos, rank), each column of users and videos solved exactly."""
    rng = np.random.default_rng(seed)
    items = rng.normal(scale=0.1, size=(matrix.shape[1], rank))
    transposed = csr_array(matrix.T.tocsr())
    for _ in range(_ROUNDS):
        users = _solve(matrix, items)
        items = _solve(transposed, users)
    return items


def attack(
    matrix: csr_array, items: Dense, *, variance: float, length: int, targets: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read histories of `length` videos off the sum of x_u of a video that nobody else has.

    Args:
        matrix: (users, videos) whose popularities the short histories follow.
        items: (videos, rank) public factors.
        variance: of the noise on every entry.
        length: videos per history.
        targets: how many people.
        seed: of histories and noise.

    Returns:
        (targets,) part of the history found, and the same naming the most popular videos.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    usable = np.flatnonzero(np.linalg.norm(items, axis=1) > 0)
    weights = counts[usable] / counts[usable].sum()
    gram = items.T @ items + _RIDGE * np.eye(items.shape[1])
    popular = usable[np.argsort(-counts[usable], kind="stable")[:length]]
    found, guessed = np.zeros(targets), np.zeros(targets)
    for number in range(targets):
        history = rng.choice(usable, size=length, replace=False, p=weights)
        factor = _factor(items, gram, history)
        half = variance / 2
        noise = rng.poisson(half, factor.size) - rng.poisson(half, factor.size)
        seen = gram @ (factor / np.linalg.norm(factor) + noise)
        found[number] = np.isin(_pursue(items, seen, length), history).mean()
        guessed[number] = np.isin(popular, history).mean()
    return found, guessed


def _factor(items: Dense, gram: Dense, history: NDArray[np.int64]) -> Dense:
    own = items[history]
    return np.asarray(np.linalg.solve(gram + _CONFIDENCE * own.T @ own, (1 + _CONFIDENCE) * own.sum(axis=0)))


def _pursue(items: Dense, seen: Dense, length: int) -> NDArray[np.int64]:
    """Orthogonal matching pursuit (Pati et al. 1993): the videos whose factors make up `seen`."""
    norms = np.maximum(np.linalg.norm(items, axis=1), 1e-12)
    chosen: list[int] = []
    rest = seen
    for _ in range(length):
        fit = np.abs(items @ rest) / norms
        fit[chosen] = -1
        chosen.append(int(fit.argmax()))
        own = items[chosen].T
        rest = seen - own @ np.linalg.lstsq(own, seen, rcond=None)[0]
    return np.array(chosen)


def _solve(matrix: csr_array, factors: Dense) -> Dense:
    gram = factors.T @ factors + _RIDGE * np.eye(factors.shape[1])
    solved = np.zeros((matrix.shape[0], factors.shape[1]))
    for row in range(matrix.shape[0]):
        history = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        if history.size:
            solved[row] = _factor(factors, gram, history.astype(np.int64))
    return solved
