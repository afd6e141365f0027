"""Attack 2: complete a history of which some videos are known, such as public likes.

The attacker knows k videos of the target and names ten others. There are several ways to rank them, all from
the sum alone: popularity; the item model that instances train (EASE, from a light to a heavy ridge), which is
what a recommender knows of everybody; and popularity or the model plus the personal evidence of the target's
pairs (`law`). The best way is chosen on other targets, once for the sum and once for its twin without the
target. What is gained over the twin is the loss of privacy; what is gained over popularity is what
recommenders do for a living. The attacker is given the weight w of the target, which follows from how many
videos the target has.

Taking the target out changes the model by a matrix of rank one, so the twin's ranking is exact and cheap:
(A - w x x^T)^-1 = P + w P x x^T P / (1 - w x^T P x) (Sherman, Morrison 1950).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from tests.adversaries.privacy.law import Background, background, evidence
from tests.adversaries.privacy.release import Release

NAMED = 10
_RIDGES = (3.0, 10.0, 30.0, 100.0)
_MODEL_WEIGHTS = (4.0, 8.0)
Matrix = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Completed:
    """Precision of ten named videos, one row per target and one column per way to rank.

    Attributes:
        with_target: (n, ways) on the sum.
        without_target: (n, ways) on the twin sum.
        ways: their names.
    """

    with_target: NDArray[np.float64]
    without_target: NDArray[np.float64]
    ways: tuple[str, ...]

    def best(self) -> tuple[str, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Best way, and precision of the odd targets with, without, and by popularity.

        The best ways on either sum are chosen on the even targets, each for itself: without the target a
        more cautious way may be best, and the attacker would have used it.
        """
        way = int(self.with_target[::2].mean(axis=0).argmax())
        other = int(self.without_target[::2].mean(axis=0).argmax())
        odd = slice(1, None, 2)
        return (
            self.ways[way],
            self.with_target[odd, way],
            self.without_target[odd, other],
            self.without_target[odd, 0],
        )


@dataclass(frozen=True)
class Knowledge:
    """What the attacker computes once per sum: its inverse models and everybody's part of the pairs."""

    release: Release
    inverses: tuple[Matrix, ...]
    others: Background


def prepare(release: Release) -> Knowledge:
    """Fit the models; the slow part."""
    counts = release.head_counts
    inverses: list[Matrix] = []
    for ridge in _RIDGES:
        matrix = release.pairs.copy()
        # Noise can make the smallest eigenvalue negative, by at most its spectral edge 2 sigma sqrt(h).
        edge = 2.05 * np.sqrt(release.pairs_variance * counts.size)
        matrix[np.diag_indices_from(matrix)] = counts + ridge * counts.mean() + edge
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        unit = np.eye(counts.size, dtype=np.float32)
        inverses.append(np.asarray(cho_solve(factor, unit, check_finite=False), np.float32))
    return Knowledge(release, tuple(inverses), background(release.pairs))


def attack(
    matrix: csr_array,
    knowledge: Knowledge,
    targets: Places,
    known: int | None,
    seed: int,
    *,
    counted: Matrix | None = None,
) -> Completed:
    """Complete the history of each target, a row of the (users, videos) `matrix`.

    `known`: how many videos the attacker knows; None for half of them. Targets with fewer than ten others in
    the head are left out. `counted`: (h,) 1 where members count a video, 0 where they do not; None for all.
    """
    rng = np.random.default_rng(seed)
    rows = matrix[:, knowledge.release.head][targets].toarray().astype(np.float32)
    sizes = rows.sum(axis=1).astype(np.int64)
    numbers = sizes // 2 if known is None else np.full(sizes.size, known)
    enough = sizes >= numbers + NAMED
    rows, numbers, weights = rows[enough], numbers[enough], knowledge.release.weights[targets[enough]]
    given = np.zeros_like(rows)
    for target, number in enumerate(numbers):
        given[target, rng.permutation(np.flatnonzero(rows[target]))[:number]] = 1
    summed = rows if counted is None else rows * counted
    heavy = np.sqrt(weights)[:, None] * summed
    figures: list[list[list[float]]] = []
    for without in (False, True):
        models = [_model(inverse, given, heavy if without else None) for inverse in knowledge.inverses]
        found = []
        for target, (known_row, row, part) in enumerate(zip(given, rows, summed, strict=True)):
            scores = [model[:, target] for model in models]
            rankings = _rankings(knowledge, scores, known_row, part, float(weights[target]), without)
            found.append(_precisions(rankings, known_row, row))
        figures.append(found)
    inside, outside = (np.array(part, np.float64).reshape(-1, len(ways())) for part in figures)
    return Completed(inside, outside, ways())


def ways() -> tuple[str, ...]:
    """Names of the ways to rank, in the order of the columns."""
    models = tuple(f"item model, ridge {ridge:g}" for ridge in _RIDGES)
    mixed = tuple(f"item model x {weight:g} + evidence" for weight in _MODEL_WEIGHTS)
    return ("popularity", *models, "popularity + evidence", *mixed)


def _rankings(
    knowledge: Knowledge, models: list[Matrix], given: Matrix, row: Matrix, weight: float, without: bool
) -> list[Matrix]:
    """Scores of all head videos by every way, from those of the models; `without` the row in the sum."""
    release = knowledge.release
    counts, others = release.head_counts, knowledge.others
    places = np.flatnonzero(given)
    pairs = release.pairs[places]
    if without:
        counts, pairs = np.maximum(counts - weight * row, 1), pairs - weight * row
        others = others.without(row, weight)
    popularity = np.log(counts)
    seen = evidence(pairs, others.expected_rows(places), release.pairs_variance, weight)
    seen[np.arange(places.size), places] = 0
    personal = seen.sum(axis=0)
    mixed = [weight * models[0] + 0.3 * popularity + personal for weight in _MODEL_WEIGHTS]
    return [popularity, *models, popularity + personal, *mixed]


def _model(inverse: Matrix, given: Matrix, rows: Matrix | None) -> Matrix:
    """Scores x B by the closed form, B = I - P / diag P, one column per row of `given`.

    `rows`: each one's whole history, times the root of its weight, is taken out of the sum.
    """
    projected = inverse @ given.T
    diagonal = np.diagonal(inverse)[:, None]
    if rows is not None:
        direction = inverse @ rows.T
        left = 1 - (rows.T * direction).sum(axis=0)
        projected = projected + direction * (rows.T * projected).sum(axis=0) / left
        diagonal = diagonal + direction**2 / left
    return np.asarray(given.T - projected / diagonal, np.float32)


def _precisions(rankings: list[Matrix], given: Matrix, row: Matrix) -> list[float]:
    hidden = row - given
    found = []
    for scores in rankings:
        allowed = np.where(given > 0, -np.inf, scores)
        found.append(float(hidden[np.argpartition(-allowed, NAMED)[:NAMED]].mean()))
    return found
