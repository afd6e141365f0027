"""Attack 3: is a person whose whole history is known in the sum?

The evidence of all pairs and counts of the history is added up and compared between the sum and its twin
without the person: every target is a member in one and a stranger in the other. Two attackers: one who knows
the sum alone, estimates everybody else's part from its largest eigenvectors, and standardises by what the law
of the noise lets expect; and one who knows everybody else's history, the strongest there can be.
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
    exact = gram(matrix, release.head) if everybody_known else None
    others = background(release.pairs)
    exact_counts = np.asarray(matrix[:, release.head].sum(axis=0)).ravel().astype(np.float32)
    inside: list[float] = []
    outside: list[float] = []
    for row in people:
        own = np.flatnonzero(row)
        if own.size < 2:
            continue
        upper = np.triu_indices(own.size, 1)
        pairs = release.pairs[np.ix_(own, own)][upper]
        counts = release.head_counts[own]
        for scores, here in ((inside, 1), (outside, 0)):
            if exact is None:
                fitted = others if here else others.without(row)
                expected = fitted.expected_rows(own)[:, own][upper]
                spread = release.pairs_variance + expected
                seen = evidence(pairs - (1 - here), expected, release.pairs_variance)
                # Mean and variance of the evidence of a stranger, to second order.
                scores.append(float((seen.sum() + 0.5 * (1 / spread).sum()) / np.sqrt((1 / spread).sum())))
            else:
                rest = exact[np.ix_(own, own)][upper] - 1
                seen = np.concatenate(
                    (
                        _exact(pairs - (1 - here) - rest, release.pairs_variance),
                        _exact(counts - (1 - here) - (exact_counts[own] - 1), release.counts_variance),
                    )
                )
                scores.append(float(seen.sum()))
    return np.array(inside), np.array(outside)


def _exact(left: Matrix, variance: float) -> Matrix:
    """Evidence of what is left when everybody else's part is taken away."""
    return evidence(left, np.zeros_like(left), variance)
