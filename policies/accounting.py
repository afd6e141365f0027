"""What sums with noise give away about one pair, one view or one user, over all sums together.

**Relations.** Two inputs are neighbours when one thing is added or removed, in what a member contributes
(after the limit on videos per user): a *pair* of videos of one user, so one entry of the pairs by 1; a
*view*, so one entry of the counts and a pair with each other video of that user; a *user* with as many videos
as the limit allows. A view that pushes an older one out at the limit is two views.

**Mechanism.** Every entry gets Skellam noise of the declared variance (what the honest members reach, see
`federation.noise`), independently, so the loss of a release is that of one entry shifted by 1, composed over
the entries that change. The Rényi divergence of one entry is summed numerically instead of bounded: the
closed bound of Agarwal, Kairouz & Liu (2021, "The Skellam Mechanism for Differentially Private Federated
Learning") is up to four times larger at small variances. Divergences add up over entries and releases, also
when later sums depend on earlier ones (Mironov 2017), and `dp-accounting` turns them into (epsilon, delta).
Guesses use privacy loss distributions (Koskela, Jälkö & Honkela 2020), rounded upwards. The distance
of the drawn noise from its law, below 2^-100 per entry, is far below any delta.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from policies.neighbour_relations import Relation, Release

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

__all__ = [
    "DELTA",
    "Relation",
    "Release",
    "detection",
    "epsilon",
    "guess",
    "spent",
    "would_exceed",
]

DELTA = 1e-6
"""Roughly: the probability with which the promise of epsilon may fail."""

# dp-accounting converts orders from 1.01; beyond 512 they matter for epsilons near 0.01 only.
_ORDERS = 1 + np.geomspace(0.0101, 511, 96)
# With a privacy loss as of a Gaussian shifted by 12 standard deviations, guesses fail once in 10^9.
_CERTAIN = 12.0
_WIDEST_STEP, _FINEST_STEP = 1e-3, 2e-5
_LEAST_LOG = math.log(1e-18)


def epsilon(releases: Iterable[Release], relation: Relation, delta: float = DELTA) -> float:
    """Return the epsilon of all releases together at `delta`; infinite when an entry has no noise.

    Raises:
        ValueError: a negative variance, or a delta that is not between 0 and 1.

    """
    if not 0 < delta < 1:
        raise ValueError(f"delta lies between 0 and 1, and {delta} does not")
    entries = _entries(releases, relation)
    if not entries:
        return 0.0
    if 0 in entries:
        return math.inf
    # dp-accounting takes a second to load; nobody waits for it where nothing was released.
    from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

    divergence = np.zeros(len(_ORDERS))
    for variance, count in entries.items():
        divergence += count * _divergence(variance)
    return float(compute_epsilon(_ORDERS.tolist(), divergence.tolist(), delta)[0])


def spent(releases: Sequence[Release], delta: float = DELTA) -> dict[Relation, float]:
    """Return the epsilon of all releases together for each relation."""
    return {relation: epsilon(releases, relation, delta) for relation in Relation}


def would_exceed(
    budget: Mapping[Relation, float], releases: Sequence[Release], new: Release, delta: float = DELTA
) -> list[Relation]:
    """Return the relations whose budget `new` would overspend; a relation without a budget has no limit."""
    return [
        relation for relation, most in budget.items() if epsilon((*releases, new), relation, delta) > most
    ]


def guess(releases: Iterable[Release], relation: Relation = Relation.PAIR) -> float:
    """Return how often the best guess is right, from 0.5 (a coin) to 1, whether a pair (view, user) is in.

    The guesser knows everything else, has seen all releases, and holds both answers for equally likely.
    """
    entries = _entries(releases, relation)
    if not entries:
        return 0.5
    loss = _loss(entries)
    return 1.0 if loss is None else (1 + float(np.clip(loss.get_delta_for_epsilon(0.0), 0, 1))) / 2


def detection(
    releases: Iterable[Release], false_positives: float = 0.05, relation: Relation = Relation.PAIR
) -> float:
    """Return the largest share of true pairs (views, users) found while claiming `false_positives` wrongly.

    From delta at each epsilon, by proposition 2.5 of Dong, Roth & Su (2022, "Gaussian differential privacy").
    """
    entries = _entries(releases, relation)
    if not entries:
        return false_positives
    loss = _loss(entries)
    if loss is None:
        return 1.0
    steps = np.append(0, np.geomspace(1e-3, 20, 400))
    delta = np.asarray(loss.get_delta_for_epsilon(steps.tolist()))
    found = delta + np.exp(steps) * false_positives
    found = np.minimum(found, 1 - np.exp(-steps) * (1 - delta - false_positives))
    return float(np.clip(found.min(), false_positives, 1))


def _entries(releases: Iterable[Release], relation: Relation) -> Counter[float]:
    entries: Counter[float] = Counter()
    for release, count in Counter(releases).items():
        for variance, changed in release.entries(relation).items():
            entries[variance] += count * changed
    if any(variance < 0 for variance in entries):
        raise ValueError("a variance is never negative")
    return entries


@lru_cache(maxsize=512)
def _divergence(variance: float) -> NDArray[np.float64]:
    """Return the Rényi divergence between Skellam(`variance`) and itself shifted by 1, for `_ORDERS`."""
    # P^order Q^(1 - order) is centred around -order and not much wider than P.
    log = _log_law(variance, 640 + math.ceil(40 * math.sqrt(variance)))
    shifted, ratio = log[:-1], np.diff(log)
    found = np.empty(len(_ORDERS))
    for place, order in enumerate(_ORDERS):
        terms = shifted + order * ratio
        largest = terms.max()
        found[place] = (largest + math.log(np.exp(terms - largest).sum())) / (order - 1)
    # Rounding could leave a divergence a little below 0 where it is 0.
    return np.maximum(found, 0)


def _log_law(variance: float, end: int) -> NDArray[np.float64]:
    """Return log P(k) of Skellam(`variance`) for k = -end ... end, float64.

    From the ratios I_k / I_{k-1}, which the backward recurrence makes stable at any size; it starts far
    beyond the end with their limit for large orders (DLMF 10.41.3).
    """
    start = 2 * end
    slope = start / variance
    ratio = math.hypot(1, slope) - slope
    logs = np.empty(end)
    for k in range(start, 0, -1):
        ratio = 1 / (2 * k / variance + ratio)
        if k <= end:
            logs[k - 1] = math.log(ratio)
    half = np.cumsum(logs)
    half = np.concatenate(([0.0], half)) - math.log1p(2 * np.exp(half).sum())
    return np.concatenate((half[:0:-1], half))


def _loss(entries: Counter[float]) -> PrivacyLossDistribution | None:
    """Return the distribution of the privacy loss, or None where a guess is as good as certain."""
    if 0 in entries or sum(count / variance for variance, count in entries.items()) > _CERTAIN**2:
        return None
    from dp_accounting.pld.pld_pmf import create_pmf_pessimistic_connect_dots
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

    # The steps widen each loss by a fraction of their square, so their number may grow with the root.
    step = min(_WIDEST_STEP, max(_FINEST_STEP, 20 * _WIDEST_STEP / math.sqrt(max(entries.total(), 1))))
    loss = PrivacyLossDistribution(create_pmf_pessimistic_connect_dots(step, [0], [0.0]))
    for variance, count in entries.items():
        loss = loss.compose(_one_loss(variance, step).self_compose(count))
    return loss


@lru_cache(maxsize=64)
def _one_loss(variance: float, step: float) -> PrivacyLossDistribution:
    """Return the privacy loss of one entry, on multiples of `step`.

    By connecting the dots (Doroshenko et al. 2022): never below the exact delta, and closer than rounding.
    """
    from dp_accounting.pld.pld_pmf import create_pmf_pessimistic_connect_dots
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

    log = _log_law(variance, 100 + math.ceil(12 * math.sqrt(variance)))
    log = log[log > _LEAST_LOG]
    # The law and the one shifted by 1, side by side; the loss falls from the first value to the last.
    loss = np.diff(log)
    law, shifted = (np.concatenate(([0.0], np.cumsum(np.exp(part)))) for part in (log[1:], log[:-1]))
    most = math.ceil(float(np.abs(loss).max()) / step) + 1
    places = np.arange(-most, most + 1)
    above = np.searchsorted(-loss, -step * places)
    delta = np.clip(law[above] - np.exp(step * places) * shifted[above], 0, 1)
    delta[-1] = 2 * math.exp(_LEAST_LOG)
    delta = np.maximum.accumulate(delta[::-1])[::-1]
    return PrivacyLossDistribution(create_pmf_pessimistic_connect_dots(step, places, delta))
