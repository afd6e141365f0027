"""Choosing lambda and alpha on the instance's own held-out interactions.

A part of the instance's own users' interactions is taken out of the Gram matrix (the others' sum stays
whole), the closed form is solved for each candidate, and the one that ranks the held-out part best wins.
Among candidates within 1 % of the best the largest lambda wins: such a difference is noise, and the thin
factorization loses less of a smoother model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.closed_form import solve
from models.interactions import Interactions, split_interactions
from models.problem import Items, assemble
from models.trained import Recipe, TrainingData

_CUTOFF = 10
_TIE = 0.99
_LARGE_COHORT = 1000
_DEFAULT_LAMBDA_LARGE = 3.0
_DEFAULT_LAMBDA_SMALL = 10.0
_BLOCK = 512


@dataclass(frozen=True)
class Choice:
    """Weights of ridge and pseudo-users, in multiples of the mean diagonal, and the NDCG@10 of each tried."""

    ridge: float
    alpha: float
    tried: dict[str, float] = field(default_factory=dict)


def default_ridge(data: TrainingData) -> float:
    """3 where at least 1,000 users are behind the model, else 10.

    A sum does not say how many users it has; own users plus the others' most engaged video is a lower bound.
    """
    others = 0 if data.others is None else int(data.others.counts.max(initial=0))
    engaged = int(np.count_nonzero(np.diff(data.own.matrix.indptr)))
    return _DEFAULT_LAMBDA_LARGE if engaged + others >= _LARGE_COHORT else _DEFAULT_LAMBDA_SMALL


def choose(
    data: TrainingData,
    items: Items,
    side: NDArray[np.float64],
    recipe: Recipe,
    progress: Callable[[float], None] = lambda _: None,
    *,
    others: NDArray[np.float64] | None = None,
) -> Choice:
    """Try every lambda with the default alpha, then every other alpha with the best lambda.

    `side` is the (m, m) Gram matrix of the pseudo-users, `others` as in `assemble`. Falls back to defaults
    where too few own users have held-out interactions. A single candidate is taken as it is.
    """
    ridges, alphas = recipe.lambdas, recipe.alphas
    alpha = recipe.default_alpha if recipe.default_alpha in alphas else alphas[0]
    if len(ridges) == len(alphas) == 1:
        return Choice(ridges[0], alphas[0])
    rng = np.random.default_rng(recipe.seed)
    kept, held_out = split_interactions(data.own.matrix, recipe.held_out, rng)
    judges = _judges(kept[:, items.positions], held_out[:, items.positions], recipe.max_validation_users, rng)
    if judges.size < recipe.min_validation_users:
        return Choice(default_ridge(data) if len(ridges) > 1 else ridges[0], alpha)
    history = csr_array(kept[judges][:, items.positions])
    truth = csr_array(held_out[judges][:, items.positions])
    problem = assemble(data, items, recipe, Interactions(kept), others=others)
    tried: dict[tuple[float, float], float] = {}

    def attempt(ridge: float, alpha: float) -> None:
        # Single precision halves the time and moves NDCG by less than the noise of the held-out part.
        amount = ridge * problem.unit + problem.shift
        solved = solve(problem.gram, amount, side=side, side_weight=alpha * problem.unit, dtype=torch.float32)
        tried[ridge, alpha] = ndcg(history, truth, solved.weights())
        progress(len(tried) / (len(ridges) + len(alphas) - 1))

    for ridge in ridges:
        attempt(ridge, alpha)
    ridge = max(r for (r, _), value in tried.items() if value >= _TIE * max(tried.values()))
    for other in alphas:
        if other != alpha:
            attempt(ridge, other)
    best = max((value, candidate) for candidate, value in tried.items() if candidate[0] == ridge)[1]
    return Choice(*best, {f"lambda={r:g} alpha={a:g}": value for (r, a), value in tried.items()})


def ndcg(history: csr_array, truth: csr_array, weights: torch.Tensor) -> float:
    """Mean NDCG@10 over users of ranking all items outside the history by `history @ weights`.

    `history` and `truth` are (users, m), each row of `truth` not empty; `weights` is (m, m) float32.
    """
    cutoff = min(_CUTOFF, weights.shape[0])
    discount = 1.0 / np.log2(np.arange(2, cutoff + 2))
    ideal = np.cumsum(discount)
    total = 0.0
    for first in range(0, history.shape[0], _BLOCK):
        rows = torch.from_numpy(history[first : first + _BLOCK].astype(np.float32).toarray())
        scores = (rows @ weights).masked_fill_(rows > 0, -torch.inf)
        top = scores.topk(cutoff, dim=1).indices.numpy()
        wanted = truth[first : first + _BLOCK].toarray() > 0
        gain = np.take_along_axis(wanted, top, axis=1) @ discount
        total += float((gain / ideal[np.minimum(wanted.sum(axis=1), cutoff) - 1]).sum())
    return total / max(history.shape[0], 1)


def _judges(history: csr_array, truth: csr_array, limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most `limit` users, drawn at random, with both history and held-out interactions; ascending."""
    able = np.flatnonzero((np.diff(history.indptr) > 0) & (np.diff(truth.indptr) > 0))
    return np.sort(rng.permutation(able)[:limit]) if able.size > limit else able
