"""Whether a sum can be one of people at all: of so many, with histories so long, with noise of this law.

None of these rules needs to know who contributed what. Honest sums fail one less often than once in 2^60:
every bound has the slack of Skellam noise by a Chernoff bound and a union bound over all that is compared
(`models.noise.slack`). A full test of realisability is NP-hard; a part that was merely multiplied is caught
only where more people than declared must be behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.noise import SumNoise, slack
from models.statistics import Statistic, to_matrix

_LARGEST_GROUP = 40
_STEPS = 30
_SINGLE = 1e-3
"""Of the largest count: what single precision may be wrong by, at most."""
_LOG_FAILURE = 60 * math.log(2.0)


@dataclass(frozen=True)
class Check:
    """One rule: whether it holds, why in a sentence for the admin, and the number that it is about."""

    id: str
    ok: bool
    sentence: str
    value: float
    bound: float


@dataclass(frozen=True)
class Roster:
    """What the members of a sum declared together: `users` at most, each with `videos` at most."""

    users: int
    videos: int


def checks(others: Statistic, noise: SumNoise, roster: Roster) -> list[Check]:
    """Apply every rule to a sum; takes about two seconds for 4,096 videos."""
    gram = to_matrix(others.counts, others.triangle)
    return [
        pairs_within_counts(gram, noise),
        positive_semi_definite(gram, noise),
        *totals(others, noise, roster),
        distinct_viewers(gram, noise, roster),
    ]


def pairs_within_counts(gram: NDArray[np.float64], noise: SumNoise) -> Check:
    """Whoever watched two videos watched each of them."""
    counts = np.diagonal(gram)
    above, below = slack(noise.counts + noise.pairs), slack(noise.pairs)
    worst, bound = 0.0, float(above)
    for row in range(counts.size - 1):
        pairs = gram[row, row + 1 :]
        over = float((pairs - np.minimum(counts[row], counts[row + 1 :])).max())
        worst = max(worst, over)
        if -float(pairs.min()) > below:
            return Check(
                "pairs-within-counts",
                ok=False,
                sentence="A pair of videos has a negative number of viewers, which noise does not explain.",
                value=-float(pairs.min()),
                bound=float(below),
            )
    ok = worst <= bound and (not counts.size or float(counts.min()) >= -slack(noise.counts))
    sentence = (
        "No pair of videos has more viewers than either video."
        if ok
        else "A pair has more viewers than one of its videos, or a video fewer than none: no people do that."
    )
    return Check("pairs-within-counts", ok, sentence, worst, bound)


def positive_semi_definite(gram: NDArray[np.float64], noise: SumNoise) -> Check:
    """Check the eigenvalues: sums over people have no negative ones, those of noise end at a known edge.

    The edge of n entries of standard deviation s is 2 s sqrt(n) (E. Wigner, Ann. Math. 67, 1958), and for
    Gaussian entries the largest exceeds it by t with probability at most exp(-t^2 / (4 s^2)) (K. Davidson, S.
    Szarek, "Local operator theory, random matrices and Banach spaces", 2001). The tails of Skellam noise are
    wider: the bound is widened as much as a single entry's (`slack`) is over the Gaussian one.
    """
    if not gram.size:
        return Check("positive-semi-definite", ok=True, sentence="There are no pairs.", value=0.0, bound=0.0)
    variance = max(noise.counts, noise.pairs)
    deviation = math.sqrt(variance)
    gaussian = deviation * math.sqrt(2 * 86 * math.log(2.0))
    wider = slack(variance) / gaussian if variance else 1.0
    edge = wider * deviation * (2 * math.sqrt(len(gram)) + 2 * math.sqrt(_LOG_FAILURE))
    bound = edge + _SINGLE * max(float(np.diagonal(gram).max()), 1.0)
    single = gram.astype(np.float32)
    lowest = _lowest(single)
    ok = lowest >= -bound and _at_least(single, -bound)
    sentence = (
        "The pairs fit together as those of people do."
        if ok
        else "The pairs do not fit together: no group of people produces them, with this noise or without."
    )
    return Check("positive-semi-definite", ok, sentence, -lowest, bound)


def totals(others: Statistic, noise: SumNoise, roster: Roster) -> list[Check]:
    """Nobody is counted twice for a video, and nobody for more videos than the terms allow."""
    size = others.head.size
    each = min(roster.videos, size)
    pairs = others.triangle.size
    measured = [
        (
            "counts-total",
            float(others.counts.max(initial=0)),
            roster.users + slack(noise.counts),
            "video has more viewers than the members declared to have together",
            "No video has more viewers than the members declared to have together",
        ),
        (
            "engagements-total",
            float(others.counts.sum()),
            roster.users * each + slack(size * noise.counts),
            "sum counts more views than its members' viewers can have",
            "There are no more views than the members' viewers can have",
        ),
        (
            "pairs-total",
            float(others.triangle.sum()),
            roster.users * each * (each - 1) // 2 + slack(pairs * noise.pairs),
            "sum counts more pairs than its members' viewers can have",
            "There are no more pairs than the members' viewers can have",
        ),
    ]
    told = f"({roster.users:,} viewers with {roster.videos} videos each)"
    found = []
    for name, value, bound, bad, good in measured:
        ok = value <= bound
        article = "A" if name == "counts-total" else "The"
        found.append(
            Check(name, ok, f"{good} {told}." if ok else f"{article} {bad} {told}.", value, float(bound))
        )
    return found


def distinct_viewers(gram: NDArray[np.float64], noise: SumNoise, roster: Roster) -> Check:
    """Videos that hardly anybody watched two of have different people behind them; these can be counted.

    By Bonferroni's inequality a group of videos has at least (sum of counts - sum of pairs) viewers. A group
    with many is sought greedily, so the slack is for the worst group of its size: choices enter the union
    bound. That shows parts that were multiplied: each copy of a short history is one more person.
    """
    counts = np.diagonal(gram)
    open_ = counts.astype(np.float64).copy()
    total, most = 0.0, 0.0
    for size in range(1, min(_LARGEST_GROUP, counts.size) + 1):
        chosen = int(np.argmax(open_))
        if open_[chosen] <= 0:
            break
        total += float(open_[chosen])
        open_ -= gram[chosen]
        open_[chosen] = -math.inf
        choices = math.lgamma(counts.size + 1) - math.lgamma(size + 1) - math.lgamma(counts.size - size + 1)
        variance = size * noise.counts + size * (size - 1) / 2 * noise.pairs
        most = max(most, total - slack(variance, log_choices=choices))
    ok = most <= roster.users
    sentence = (
        f"No more people are needed to explain the sum than its members declared ({roster.users:,})."
        if ok
        else f"At least {most:,.0f} people must be behind the sum, its members declared {roster.users:,}."
    )
    return Check("viewers-total", ok, sentence, most, float(roster.users))


def _lowest(gram: NDArray[np.float32]) -> float:
    """Return an upper bound of the lowest eigenvalue, close to it: Lanczos with full orthogonalisation."""
    size = len(gram)
    steps = min(_STEPS, size)
    basis = np.zeros((steps + 1, size), np.float32)
    basis[0] = np.random.default_rng(0).standard_normal(size)
    basis[0] /= np.linalg.norm(basis[0])
    small = np.zeros((steps, steps))
    for step in range(steps):
        image = gram @ basis[step]
        along = basis[: step + 1] @ image
        small[step, : step + 1] = along
        small[: step + 1, step] = along
        image -= along @ basis[: step + 1]
        image -= (basis[: step + 1] @ image) @ basis[: step + 1]
        length = float(np.linalg.norm(image))
        if length < 1e-5 * max(1.0, float(np.abs(along).max())):
            return float(np.linalg.eigvalsh(small[: step + 1, : step + 1])[0])
        basis[step + 1] = image / length
    return float(np.linalg.eigvalsh(small)[0])


def _at_least(gram: NDArray[np.float32], low: float) -> bool:
    """Tell whether no eigenvalue is below `low`: then, and only then, a Cholesky factor exists."""
    diagonal = np.diagonal(gram).copy()
    np.fill_diagonal(gram, diagonal - low)
    try:
        np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return False
    finally:
        np.fill_diagonal(gram, diagonal)
    return True
