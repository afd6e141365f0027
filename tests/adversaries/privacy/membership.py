"""Attack 3: is a person whose whole history is known in the sum?

The evidence of all pairs and counts of the history is added up and compared between the sum and its twin
without the person: every target is a member in one and a stranger in the other. Two attackers: one who knows
the sum alone, estimates everybody else's part from its largest eigenvectors, and standardises by what the law
of the noise lets expect; and one who knows everybody else's history, the strongest there can be. Who knows a
history knows its weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tests.adversaries.privacy.law import background, evidence
from tests.adversaries.privacy.release import Release, gram

Matrix = NDArray[np.float32]


def attack(
    matrix: csr_array, release: Release, targets: NDArray[np.int64], *, everybody_known: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) scores of the targets as members and as strangers; higher means member."""
    people = matrix[:, release.head][targets].toarray().astype(np.float32)
    exact_counts, exact_pairs = gram(matrix, release.head, release.weights)
    others = background(release.pairs)
    inside: list[float] = []
    outside: list[float] = []
    for row, weight in zip(people, release.weights[targets].tolist(), strict=True):
        own = np.flatnonzero(row)
        if own.size < 2:
            continue
        upper = np.triu_indices(own.size, 1)
        pairs = release.pairs[np.ix_(own, own)][upper]
        counts = release.head_counts[own]
        for scores, here in ((inside, 1), (outside, 0)):
            gone = (1 - here) * weight
            if not everybody_known:
                fitted = others if here else others.without(row, weight)
                expected = fitted.expected_rows(own)[:, own][upper]
                spread = release.pairs_variance + expected
                seen = evidence(pairs - gone, expected, release.pairs_variance, weight)
                # Mean and variance of the evidence of a stranger, to second order.
                told = weight**2 * float((1 / spread).sum())
                scores.append((float(seen.sum()) + 0.5 * told) / np.sqrt(told))
            else:
                rest = exact_pairs[np.ix_(own, own)][upper] - weight
                left = counts - gone - (exact_counts[own] - weight)
                seen = np.concatenate(
                    (
                        _exact(pairs - gone - rest, release.pairs_variance, weight),
                        _exact(left, release.counts_variance, weight),
                    )
                )
                scores.append(float(seen.sum()))
    return np.array(inside), np.array(outside)


def _exact(left: Matrix, variance: float, weight: float) -> Matrix:
    """Evidence of what is left when everybody else's part is taken away."""
    return evidence(left, np.zeros_like(left), variance, weight)
