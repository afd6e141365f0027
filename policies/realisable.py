"""Whether a sum can be one of people at all: of so many, with histories so long, with noise of this law.

Numbers are in viewers, each of whom counts with a weight of at most one. None of these rules needs to know
who contributed what. Honest sums fail one less often than once in 2^60: every bound has the slack of Skellam
noise by a Chernoff bound and a union bound over all that is compared (`models.noise.slack`). A full test of
realisability is NP-hard; a part that was merely multiplied is caught only where more people than declared
must be behind it.

Where the slack is so wide that twice what people can make would pass as well, holding means nothing: the
verdict is then that the rule could not be checked, and says from how many viewers on it can.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.noise import SumNoise, slack
from models.statistics import Statistic, to_matrix
from models.weights import UNIT, weights
from policies.sentence import Sentence, sentence

_LARGEST_GROUP = 40
_STEPS = 30
_SINGLE = 1e-3
"""Of the largest count: what single precision may be wrong by, at most."""
_LOG_FAILURE = 60 * math.log(2.0)


@dataclass(frozen=True)
class Check:
    """One rule: whether it holds, why in a sentence for the admin, and the number that it is about."""

    id: str
    ok: bool | None
    """None where it could not be checked: nothing that matters would break it."""
    sentence: Sentence
    value: float
    bound: float

    def unless(self, unchecked: Sentence, *, hidden: bool) -> Check:
        """Return that the rule could not be checked where noise hides what breaks it, unless it is broken."""
        return replace(self, ok=None, sentence=unchecked) if hidden and self.ok else self

    @property
    def failed(self) -> bool:
        """Whether it was checked and does not hold."""
        return self.ok is False


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
    above, below = _slack(noise.counts + noise.pairs), _slack(noise.pairs)
    worst, bound = 0.0, above
    for row in range(counts.size - 1):
        pairs = gram[row, row + 1 :]
        over = float((pairs - np.minimum(counts[row], counts[row + 1 :])).max())
        worst = max(worst, over)
        if -float(pairs.min()) > below:
            return Check(
                "pairs-within-counts",
                ok=False,
                sentence=sentence("ruleNegativePair"),
                value=-float(pairs.min()),
                bound=below,
            )
    ok = worst <= bound and (not counts.size or float(counts.min()) >= -_slack(noise.counts))
    told = sentence("rulePairsHold") if ok else sentence("rulePairsBroken")
    found = Check("pairs-within-counts", ok, told, worst, bound)
    return found.unless(
        sentence("rulePairsUnchecked", viewers=_whole(bound)),
        hidden=bool(bound > counts.max(initial=0)),
    )


def positive_semi_definite(gram: NDArray[np.float64], noise: SumNoise) -> Check:
    """Check the eigenvalues: sums over people have no negative ones, those of noise end at a known edge.

    The edge of n entries of standard deviation s is 2 s sqrt(n) (E. Wigner, Ann. Math. 67, 1958), and for
    Gaussian entries the largest exceeds it by t with probability at most exp(-t^2 / (4 s^2)) (K. Davidson, S.
    Szarek, "Local operator theory, random matrices and Banach spaces", 2001). The tails of Skellam noise are
    wider: the bound is widened as much as a single entry's (`slack`) is over the Gaussian one.

    With entries between 0 and both counts no eigenvalue is below -(sum of counts) / 2 (by Cauchy-Schwarz, the
    signs of a vector splitting the videos in two), so that a bound beyond that checks nothing.
    """
    if not gram.size:
        none = sentence("ruleNoPairs")
        return Check("positive-semi-definite", ok=True, sentence=none, value=0.0, bound=0.0)
    variance = max(noise.counts, noise.pairs)
    deviation = math.sqrt(variance)
    gaussian = deviation * math.sqrt(2 * 86 * math.log(2.0))
    wider = _slack(variance) / gaussian if variance else 1.0
    edge = wider * deviation * (2 * math.sqrt(len(gram)) + 2 * math.sqrt(_LOG_FAILURE))
    bound = edge + _SINGLE * max(float(np.diagonal(gram).max()), 1.0)
    single = gram.astype(np.float32)
    lowest = _lowest(single)
    ok = lowest >= -bound and _at_least(single, -bound)
    told = sentence("ruleFitHolds") if ok else sentence("ruleFitBroken")
    return Check("positive-semi-definite", ok, told, -lowest, bound).unless(
        sentence("ruleFitUnchecked", views=_whole(2 * bound)),
        hidden=bool(bound > np.diagonal(gram).sum() / 2),
    )


def totals(others: Statistic, noise: SumNoise, roster: Roster) -> list[Check]:
    """Nobody is counted twice for a video, and nobody for more videos than the terms allow."""
    size = others.head.size
    videos = np.arange(min(roster.videos, size) + 1)
    weight = weights(videos) / UNIT
    pairs = others.triangle.size
    declared = {"viewers": roster.users, "videos": roster.videos}
    measured: list[tuple[str, float, float, float, Callable[[int], Sentence], Sentence, Sentence]] = [
        (
            "counts-total",
            float(others.counts.max(initial=0)) / UNIT,
            1.0,
            _slack(noise.counts),
            lambda needed: sentence("ruleCountsUnchecked", declared=needed),
            sentence("ruleCountsBroken", **declared),
            sentence("ruleCountsHold", **declared),
        ),
        (
            "engagements-total",
            float(others.counts.sum()) / UNIT,
            float((weight * videos).max()),
            _slack(size * noise.counts),
            lambda needed: sentence("ruleViewsUnchecked", declared=needed),
            sentence("ruleViewsBroken", **declared),
            sentence("ruleViewsHold", **declared),
        ),
        (
            "pairs-total",
            float(others.triangle.sum()) / UNIT,
            float((weight * videos * (videos - 1) / 2).max()),
            _slack(pairs * noise.pairs),
            lambda needed: sentence("rulePairTotalUnchecked", declared=needed),
            sentence("rulePairTotalBroken", **declared),
            sentence("rulePairTotalHolds", **declared),
        ),
    ]
    found = []
    for name, value, each, blur, unchecked, bad, good in measured:
        people = roster.users * each
        ok = value <= people + blur
        check = Check(name, ok, good if ok else bad, value, people + blur)
        # Who is limited to one video can be behind no pair, however many there are of them.
        needed = blur / each if each else 0.0
        found.append(check.unless(unchecked(_whole(needed)), hidden=each > 0 and blur > people))
    return found


def distinct_viewers(gram: NDArray[np.float64], noise: SumNoise, roster: Roster) -> Check:
    """Videos that hardly anybody watched two of have different people behind them; these can be counted.

    By Bonferroni's inequality a group of videos has at least (sum of counts - sum of pairs) viewers. A group
    with many is sought greedily, so the slack is for the worst group of its size: choices enter the union
    bound. That shows parts that were multiplied: each copy of a short history is one more person.
    """
    counts = np.diagonal(gram)
    open_ = counts.astype(np.float64).copy()
    total, most, blur = 0.0, 0.0, _slack(noise.counts)
    for size in range(1, min(_LARGEST_GROUP, counts.size) + 1):
        chosen = int(np.argmax(open_))
        if open_[chosen] <= 0:
            break
        total += float(open_[chosen])
        open_ -= gram[chosen]
        open_[chosen] = -math.inf
        choices = math.lgamma(counts.size + 1) - math.lgamma(size + 1) - math.lgamma(counts.size - size + 1)
        variance = size * noise.counts + size * (size - 1) / 2 * noise.pairs
        hidden = _slack(variance, log_choices=choices)
        if total - hidden > most:
            most, blur = total - hidden, hidden
    ok = most <= roster.users
    told = (
        sentence("rulePeopleHold", declared=roster.users)
        if ok
        else sentence("rulePeopleBroken", people=_whole(most), declared=roster.users)
    )
    return Check("viewers-total", ok, told, most, float(roster.users)).unless(
        sentence("rulePeopleUnchecked", declared=_whole(blur)),
        hidden=blur > roster.users,
    )


def _whole(number: float) -> int:
    return round(number) if math.isfinite(number) else 0


def _slack(variance: float, *, log_choices: float = 0.0) -> float:
    """Return `models.noise.slack` in viewers: the noise is on the grid of their weights."""
    return slack(variance * UNIT**2, log_choices=log_choices) / UNIT


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
