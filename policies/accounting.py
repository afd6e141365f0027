"""What sums with noise give away about one pair, one view or one user, over all sums together.

**Relations.** Two inputs are neighbours when one thing is added or removed, in what a member contributes
(after the limit on videos per user): a *pair* of videos of one user, so one entry of the pairs by one viewer;
a *view*, so one entry of the counts and a pair with each other video of that user in the head, and all that
the user weighs less in then (`models.weights`); a *user* with as many videos as the limit allows. A view that
pushes an older one out at the limit is two views. How many videos of the head the user has is not known, so
each release counts with the worst case of each order, over all numbers of them.

**Mechanism.** Every entry gets Skellam noise of the declared variance (what the honest members reach, see
`federation.noise`), independently and in steps of one 32nd of a viewer, so the loss of a release is that of
single entries shifted by some steps, composed over the entries that change. The Rényi divergence of one entry
is summed numerically instead of bounded: the closed bound of Agarwal, Kairouz & Liu (2021, "The Skellam
Mechanism for Differentially Private Federated Learning") is larger where there is little noise. Divergences
add up over entries and releases, also when later sums depend on earlier ones (Mironov 2017), and
`dp-accounting` turns them into (epsilon, delta). Guesses use privacy loss distributions (Koskela, Jälkö &
Honkela 2020), rounded upwards, of the largest change. The distance of the drawn noise from its law, below
2^-100 per entry, is far below any delta.

**Decisions** by own viewers' likes have an epsilon of their own, for each relation: at order a, a divergence
of at most min(epsilon, a epsilon^2 / 2), whatever made them (Bun & Steinke 2016, proposition 3.3; an
exponential mechanism would cost a quarter of the second). Guesses take them for randomised responses, which
every mechanism with that epsilon can be made from (Kairouz, Oh & Viswanath 2015).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.weights import UNIT
from policies.neighbour_relations import Change, Relation, Release

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

__all__ = [
    "DELTA",
    "Relation",
    "Release",
    "detection",
    "epsilon",
    "guess",
    "releases_within",
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
    divergence = _together(releases, relation)
    if not divergence.any():
        return 0.0
    if not np.isfinite(divergence).all():
        return math.inf
    # dp-accounting takes a second to load; nobody waits for it where nothing was released.
    from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

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


def releases_within(budget: float, release: Release, relation: Relation, most: int = 100_000) -> int:
    """Return how many such releases a budget has room for, at most `most`."""

    def fits(number: int) -> bool:
        return epsilon([release] * number, relation) <= budget

    high = 1
    while high < most and fits(high):
        high = min(2 * high, most)
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def guess(releases: Iterable[Release], relation: Relation = Relation.PAIR) -> float:
    """Return how often the best guess is right, from 0.5 (a coin) to 1, whether a pair (view, user) is in.

    The guesser knows everything else, has seen all releases, and holds both answers for equally likely.
    """
    entries, decisions = _largest(releases, relation)
    if not entries and not decisions:
        return 0.5
    loss = _loss(entries, decisions)
    return 1.0 if loss is None else (1 + float(np.clip(loss.get_delta_for_epsilon(0.0), 0, 1))) / 2


def detection(
    releases: Iterable[Release], false_positives: float = 0.05, relation: Relation = Relation.PAIR
) -> float:
    """Return the largest share of true pairs (views, users) found while claiming `false_positives` wrongly.

    From delta at each epsilon, by proposition 2.5 of Dong, Roth & Su (2022, "Gaussian differential privacy").
    """
    entries, decisions = _largest(releases, relation)
    if not entries and not decisions:
        return false_positives
    loss = _loss(entries, decisions)
    if loss is None:
        return 1.0
    steps = np.append(0, np.geomspace(1e-3, 20, 400))
    delta = np.asarray(loss.get_delta_for_epsilon(steps.tolist()))
    found = delta + np.exp(steps) * false_positives
    found = np.minimum(found, 1 - np.exp(-steps) * (1 - delta - false_positives))
    return float(np.clip(found.min(), false_positives, 1))


def _together(releases: Iterable[Release], relation: Relation) -> NDArray[np.float64]:
    """Return the Rényi divergence of all releases at `_ORDERS`, the largest there can be at each."""
    divergence = np.zeros(len(_ORDERS))
    for release, number in Counter(releases).items():
        divergence += number * _of_release(release, relation)
    return divergence


@lru_cache(maxsize=2048)
def _of_release(release: Release, relation: Relation) -> NDArray[np.float64]:
    if min(release.counts_noise, release.pairs_noise, release.decision) < 0:
        raise ValueError("a variance or an epsilon is never negative")
    worst = np.zeros(len(_ORDERS))
    for change in release.changes(relation):
        divergence = np.zeros(len(_ORDERS))
        for (variance, steps), entries in change.items():
            divergence += entries * _divergence(variance, steps)
        worst = np.maximum(worst, divergence)
    return worst + np.minimum(release.decision, _ORDERS * release.decision**2 / 2)


def _largest(releases: Iterable[Release], relation: Relation) -> tuple[Change, Counter[float]]:
    """Return the entries that change most, and how many decisions were made with which epsilon."""
    entries: Change = Counter()
    decisions: Counter[float] = Counter()
    for release, number in Counter(releases).items():
        for key, changed in release.most(relation).items():
            entries[key] += number * changed
        if release.decision:
            decisions[release.decision] += number
    return entries, decisions


@lru_cache(maxsize=512)
def _divergence(variance: float, steps: int) -> NDArray[np.float64]:
    """Return the Rényi divergence, at `_ORDERS`, that one entry has when it is shifted by so many steps.

    `variance` is in viewers squared; without noise the divergence is infinite.
    """
    if not variance:
        return np.full(len(_ORDERS), np.inf)
    on_grid = variance * UNIT**2
    # P^order Q^(1 - order) is centred around -order * steps and not much wider than P.
    log = _log_law(on_grid, _end(on_grid, steps))
    # Both laws are smooth on the scale of a standard deviation, so n times a sum over every n-th place
    # is the whole sum but for a part of exp(-2 (pi deviation / n)^2), which no float shows (by Poisson).
    stride = max(1, int(math.sqrt(on_grid) / 5))
    shifted, ratio = log[:-steps:stride], (log[steps:] - log[:-steps])[::stride]
    terms = shifted + _ORDERS[:, None] * ratio
    largest = terms.max(axis=1, keepdims=True)
    logs = largest[:, 0] + np.log(stride * np.exp(terms - largest).sum(axis=1))
    # Rounding could leave a divergence a little below 0 where it is 0.
    found: NDArray[np.float64] = np.maximum(logs / (_ORDERS - 1), 0)
    return found


def _end(variance: float, steps: int) -> int:
    return 640 * steps + math.ceil(20 * math.sqrt(variance))


def _log_law(variance: float, end: int) -> NDArray[np.float64]:
    """Return log P(k) of Skellam(`variance`) for k = -end ... end, float64."""
    half = _half_law(variance, _end(variance, UNIT))[: end + 1]
    return np.concatenate((half[:0:-1], half))


@lru_cache(maxsize=8)
def _half_law(variance: float, end: int) -> NDArray[np.float64]:
    """Return log P(k) of Skellam(`variance`) for k = 0 ... end, float64.

    From the ratios I_k / I_{k-1}, which the backward recurrence makes stable at any size; it starts far
    beyond the end with their limit for large orders (DLMF 10.41.3).
    """
    start = 2 * end
    slope = start / variance
    ratio = math.hypot(1, slope) - slope
    ratios = np.empty(end)
    for k in range(start, 0, -1):
        ratio = 1 / (2 * k / variance + ratio)
        if k <= end:
            ratios[k - 1] = ratio
    half = np.cumsum(np.log(ratios))
    return np.concatenate(([0.0], half)) - math.log1p(2 * np.exp(half).sum())


def _loss(entries: Change, decisions: Counter[float]) -> PrivacyLossDistribution | None:
    """Return the distribution of the privacy loss, or None where a guess is as good as certain."""
    if any(not variance for variance, _ in entries):
        return None
    squared = sum(count * (steps / UNIT) ** 2 / variance for (variance, steps), count in entries.items())
    if squared > _CERTAIN**2:
        return None
    # The steps widen each loss by a fraction of their square, so their number may grow with the root.
    step = min(_WIDEST_STEP, max(_FINEST_STEP, 20 * _WIDEST_STEP / math.sqrt(max(entries.total(), 1))))
    loss = _on_places(step, np.zeros(1, np.int64), np.zeros(1))
    for (variance, steps), count in entries.items():
        loss = loss.compose(_one_loss(variance, steps, step).self_compose(count))
    for decision, count in decisions.items():
        loss = loss.compose(_response(decision, step).self_compose(count))
    return loss


@lru_cache(maxsize=64)
def _one_loss(variance: float, steps: int, step: float) -> PrivacyLossDistribution:
    """Return the privacy loss of one entry, on multiples of `step`.

    By connecting the dots (Doroshenko et al. 2022): never below the exact delta, and closer than rounding.
    """
    on_grid = variance * UNIT**2
    log = _log_law(on_grid, 3 * steps + math.ceil(12 * math.sqrt(on_grid) + 100))
    log = log[log > _LEAST_LOG]
    # The law and the shifted one, side by side; the loss falls from the first value to the last.
    law, shifted = log[steps:], log[:-steps]
    loss = law - shifted
    law, shifted = (np.concatenate(([0.0], np.cumsum(np.exp(part)))) for part in (law, shifted))
    most = math.ceil(float(np.abs(loss).max()) / step) + 1
    places = np.arange(-most, most + 1)
    above = np.searchsorted(-loss, -step * places)
    delta = np.clip(law[above] - np.exp(step * places) * shifted[above], 0, 1)
    # What has no partner, at the end and beyond: a geometric series bounds it, since the law is log-concave.
    beyond = math.exp(log[0]) / -math.expm1(log[0] - log[1])
    delta[-1] = np.exp(log[:steps]).sum() + 2 * beyond
    delta = np.maximum.accumulate(delta[::-1])[::-1]
    return _on_places(step, places, delta)


def _response(decision: float, step: float) -> PrivacyLossDistribution:
    """Return the privacy loss of a randomised response with an epsilon, on multiples of `step`."""
    most = math.ceil(decision / step)
    places = np.arange(-most, most + 1)
    # Of two answers, one is exp(epsilon) times as likely with the thing as without it.
    likely = 1 / (1 + math.exp(-decision))
    delta = np.maximum(likely - np.exp(step * places) * (1 - likely), 0)
    return _on_places(step, places, np.maximum(delta, 1 - np.exp(step * places)))


def _on_places(step: float, places: NDArray[np.int64], delta: NDArray[np.float64]) -> PrivacyLossDistribution:
    from dp_accounting.pld.pld_pmf import create_pmf_pessimistic_connect_dots
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

    return PrivacyLossDistribution(create_pmf_pessimistic_connect_dots(step, places, delta))
