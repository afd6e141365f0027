"""The Gram matrix that an instance trains on: cohort's head, own tail, and the rule for private pairs.

Items are the head (of the cohort; local only: of the instance's own users) and the instance's own tail:
further videos that enough own users engaged with. Pairs within a cohort's head are sums over the cohort.
Every other pair rests on own users alone, and one of fewer than `min_pair_users` users could show one
viewer's history to another; it never enters the model. In its place stands what the counts alone predict, at
most `min_pair_users - 1`:

    kappa * count_i * count_j,    kappa = (sum of hidden pairs) / (sum of count_i * count_j over them),

a single number drawn from at least 100 hidden pairs (else kappa = 0). Plain zeros would tell the model that
popular videos repel each other: on ml-latest-small with 36 / 70 / 150 / 330 / 604 users and no cohort,
NDCG@10 is 0.158 / 0.188 / 0.237 / 0.250 / 0.275 with zeros, 0.176 / 0.210 / 0.254 / 0.266 / 0.287 with this
estimate, and 0.202 / 0.229 / 0.261 / 0.275 / 0.298 without the rule. The matrix stays positive semi-definite
by a uniform shift of its diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import statistics
from models.closed_form import spectral_shift
from models.denoise import denoise
from models.interactions import Interactions
from models.trained import Recipe, TrainingData

_PAIRS_BEHIND_ESTIMATE = 100


@dataclass(frozen=True)
class Items:
    """Which videos the matrix model covers; positions in the catalogue."""

    positions: NDArray[np.int64]
    """(m,) first the head, ascending, then the instance's own tail, ascending."""
    head_size: int


@dataclass(frozen=True)
class GramProblem:
    """What the solvers need."""

    items: Items
    gram: NDArray[np.float64]
    """(m, m) symmetric; entries of at least `min_pair_users` are true numbers of users, or estimates of them
    within a head that was summed with noise."""
    shift: float
    """To add to the diagonal, so that no eigenvalue is negative."""
    counts: NDArray[np.int64]
    """(m,) users engaged with each item, as counted: never negative."""
    noisy: int = 0
    """The first so many items are a head that was summed with noise."""

    @property
    def unit(self) -> float:
        """Mean diagonal: the unit of lambda and alpha."""
        return float(np.diagonal(self.gram).mean()) if self.gram.size else 1.0

    def users(self) -> NDArray[np.float64]:
        """Return the numbers of users per pair that can be shown, (m, m): estimates become plausible ones.

        These are whole numbers, not negative, and at most either count. Without noise it is `gram` itself.
        """
        if not self.noisy:
            return self.gram
        shown = self.gram.copy()
        block, counts = shown[: self.noisy, : self.noisy], self.counts[: self.noisy]
        np.rint(block, out=block)
        np.clip(block, 0.0, np.minimum(counts[:, None], counts[None, :]), out=block)
        return shown


def choose_items(data: TrainingData, recipe: Recipe) -> Items:
    """Head of the cohort, or without one of own users, then own tail, at most `max_items` together.

    A cohort's head is never cut: it is as large as the cohort agreed on.
    """
    own = statistics.counts(data.own)
    if data.others is None:
        head = statistics.head(own, min_users=recipe.min_users, max_head=recipe.max_head)
    else:
        head = data.others.head
    outside = own.copy()
    outside[head] = 0
    room = max(0, recipe.max_items - head.size)
    tail = statistics.head(outside, min_users=recipe.min_users, max_head=room)
    return Items(np.concatenate((head, tail)), int(head.size))


def assemble(
    data: TrainingData,
    items: Items,
    recipe: Recipe,
    own: Interactions | None = None,
    *,
    others: NDArray[np.float64] | None = None,
) -> GramProblem:
    """Add up the Gram matrix over `items` and apply the rule for private pairs.

    `own` replaces the instance's own users of `data`, for a problem with a part of their interactions held
    out. `others` is the others' sum without its noise, (h, h), for callers that need it more than once; left
    out, it is worked out here. Own users' exact numbers are added to it.
    """
    users = data.own if own is None else own
    gram = statistics.gram(users.matrix, items.positions)
    hidden = _hide_private_pairs(
        gram, items.head_size if data.others is not None else 0, recipe.min_pair_users
    )
    counts = np.diagonal(gram).astype(np.int64)
    if data.others is None:
        return GramProblem(items, gram, spectral_shift(gram) if hidden else 0.0, counts)
    size = items.head_size
    gram[:size, :size] += denoise(data.others, data.noise) if others is None else others
    if not data.noise:
        counts[:size] += data.others.counts
        return GramProblem(items, gram, spectral_shift(gram) if hidden else 0.0, counts)
    counts[:size] += np.maximum(data.others.counts, 0)
    return GramProblem(items, gram, _shift(gram) if hidden else 0.0, counts, size)


def _shift(gram: NDArray[np.float64]) -> float:
    """Like `spectral_shift`, of a matrix with very many eigenvalues at 0.

    Lanczos takes forever to tell these apart, to a precision relative to the lowest. Moved down by a tenth of
    the mean diagonal they are all the same to it; the result is at most 0.5 % of the mean diagonal too large.
    """
    diagonal = np.diagonal(gram).copy()
    down = 0.1 * float(diagonal.mean())
    np.fill_diagonal(gram, diagonal - down)
    try:
        return max(0.0, spectral_shift(gram) - down)
    finally:
        np.fill_diagonal(gram, diagonal)


def _hide_private_pairs(gram: NDArray[np.float64], summed: int, min_users: int) -> bool:
    """Replace, in place, pairs of too few own users, unless both are among the first `summed` items.

    Returns whether there were any.
    """
    counts = np.diagonal(gram).copy()
    index = np.arange(counts.size)
    mass, expected, number = 0.0, 0.0, 0
    for row in range(counts.size):
        hidden = _hidden(gram[row], index, row, summed, min_users)
        mass += float(gram[row, hidden].sum())
        expected += float(counts[row] * counts[hidden].sum())
        number += int(np.count_nonzero(gram[row, hidden]))
    if not number:
        return False
    enough = number >= 2 * _PAIRS_BEHIND_ESTIMATE and expected > 0
    kappa = mass / expected if enough else 0.0
    for row in range(counts.size):
        hidden = _hidden(gram[row], index, row, summed, min_users)
        gram[row, hidden] = np.minimum(kappa * (counts[row] * counts[hidden]), min_users - 1)
    return True


def _hidden(
    values: NDArray[np.float64], index: NDArray[np.int64], row: int, summed: int, min_users: int
) -> NDArray[np.bool_]:
    hidden: NDArray[np.bool_] = np.logical_and(values < min_users, index != row)
    if row < summed:
        hidden[:summed] = False
    return hidden
