"""How often a model shows each video, on made-up viewers: what a new sum changes before anybody sees it.

Exposure@10 of a video is the share of profiles whose best ten, their own videos left out, hold it; that of a
channel or an instance the share whose best ten hold any of its videos. Two models are compared over the
videos that both cover, on the same profiles.

Profiles are drawn by how many viewers each video has in the model that is trusted: the one before, or the
instance's own. So the sum under test has no say in who judges it. Popularity alone, without taste, is the
hard case on purpose: fake users lean on popular videos, and such profiles lean on nothing else (the targets
of a scaled part gained twice as much on them as on profiles that follow a taste).

`risen` finds videos that gained more viewers than their former ones and chance explain. In a growing
cohort all videos grow; the typical ratio is the median over the more watched half, which nobody moves
without pushing a quarter of all videos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.item_scores import ItemScores

TOP = 10
SHORTEST, LONGEST = 3, 30
LEAST_VIDEOS = 50
"""With fewer videos in common, lists of ten hold most of them whatever the model."""
_BLOCK = 256
_LIFT, _LIFT_OVER_OWN = 1.5, 5.0
_DEVIATIONS = 4.5
_SPREADS = 3.0

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """What one model knows of some videos: `counts` (n,) viewers each, and scores over them."""

    counts: Counts
    scoring: ItemScores

    def among(self, rows: NDArray[np.integer]) -> View:
        """Return the same of these videos alone."""
        return View(self.counts[rows], self.scoring.among(rows))


def profiles(counts: Counts, number: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw made-up viewers, (number, longest) video numbers, -1 padded; each video at most once.

    Lengths are spread evenly over orders of magnitude from 3 to 30, videos drawn in proportion to `counts`
    without replacement (Gumbel keys: T. Vieira, "Gumbel-max trick and weighted reservoir sampling", 2014).
    Raises ValueError for fewer than `LEAST_VIDEOS` videos.
    """
    if counts.size < LEAST_VIDEOS:
        raise ValueError(f"profiles need at least {LEAST_VIDEOS} videos")
    lengths = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), number)).astype(np.int64)
    weight = np.log(np.maximum(counts, 1.0)).astype(np.float32)
    drawn = np.empty((number, LONGEST), np.int32)
    for first in range(0, number, _BLOCK):
        rows = min(_BLOCK, number - first)
        keys = weight - np.log(rng.standard_exponential((rows, counts.size), np.float32))
        best = np.argpartition(-keys, LONGEST - 1, axis=1)[:, :LONGEST]
        order = np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1, kind="stable")
        drawn[first : first + rows] = np.take_along_axis(best, order, axis=1)
    drawn[np.arange(LONGEST) >= lengths[:, None]] = -1
    return drawn


def best(histories: NDArray[np.int32], view: View) -> NDArray[np.int32]:
    """Return the ten videos that a model shows each profile, (profiles, 10), in no order."""
    shown = np.empty((len(histories), TOP), np.int32)
    for first in range(0, len(histories), _BLOCK):
        block = histories[first : first + _BLOCK]
        scores = view.scoring.many(block)
        row, place = np.nonzero(block >= 0)
        scores[row, block[row, place]] = -np.inf
        shown[first : first + _BLOCK] = np.argpartition(-scores, TOP - 1, axis=1)[:, :TOP]
    return shown


def shares(shown: NDArray[np.int32], groups: NDArray[np.int32], number: int) -> Counts:
    """Return the share of lists that hold each of `number` groups, (number,).

    `groups` is the group of every video, (videos,), -1 for none; `np.arange(videos)` for videos themselves.
    """
    found = np.sort(groups[shown], axis=1)
    first = np.ones(found.shape, np.bool_)
    first[:, 1:] = found[:, 1:] != found[:, :-1]
    held = np.bincount(found[first & (found >= 0)], minlength=number)
    return held / max(len(shown), 1)


def typical(counts: Counts) -> float:
    """Return the viewers of a typical engagement's video: the mean count, weighted by itself."""
    total = float(counts.sum())
    return float(counts @ counts) / total if total > 0 else 0.0


def expected(before: Counts, after: Counts, counted: NDArray[np.bool_] | None = None) -> tuple[Counts, float]:
    """Return the viewers that each video would have had all grown alike, (n,), and the spread of growth.

    The growth is that of the `counted` videos, all unless given; the spread is the robust standard deviation
    of its logarithm.
    """
    chosen = np.ones(before.shape, np.bool_) if counted is None else counted
    if not chosen.any():
        return before, 0.0
    much = chosen & (before >= max(float(np.median(before[chosen])), 1.0))
    ratios = np.maximum(after[much], 0.5) / before[much] if much.any() else np.ones(1)
    middle = float(np.median(ratios))
    spread = 1.4826 * float(np.median(np.abs(np.log(ratios / middle))))
    return middle * before, spread


def risen(
    before: Counts,
    after: Counts,
    variances: tuple[float, float],
    *,
    own: bool,
    counted: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Mark videos with far more viewers than the model before lets expect, (n,).

    Far more is half as many again, and 4.5 standard deviations of chance and of the noise in both, whose
    `variances` per count are given, before and after. Where the numbers before are of `own` viewers alone,
    tastes differ too: then it is five times as many, and three spreads of the growth of all videos. What is
    expected is learnt from the `counted` videos.
    """
    likely, spread = expected(before, after, counted)
    most = int(np.argmax(before))
    growth = float(likely[most] / max(before[most], 1.0))
    lift = max(_LIFT_OVER_OWN, float(np.exp(_SPREADS * spread))) if own else _LIFT
    chance = variances[1] + likely + growth**2 * (variances[0] + (before if own else 0.0))
    marked: NDArray[np.bool_] = (after > lift * likely) & (after - likely > _DEVIATIONS * np.sqrt(chance))
    return marked
