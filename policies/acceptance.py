"""Whether a new sum may change what viewers see: quality, and who gains how much of the lists.

How much a video may gain is `max_exposure_gain`, and beside it what honest sums change by chance:

    allowed = max_exposure_gain + 0.3 sqrt(e (1 - e)) + noise + sampling

where e is its exposure before. *noise* is 1.5 times the standard deviation of the noise on a pair over the
typical count in the sum: the relative error of a video's ties. *sampling* is 1.5 over the square root of the
typical count of our viewers where the comparison is with the local model, which learnt from them alone; it is
0 where it is with a model that learnt from many instances.

The weights of ridge and tags are chosen anew for each model, by what predicts our viewers' held-out likes
best. On small instances that choice varies, and every list with it, whatever the sum. Where the two models
differ in it, the first two terms are doubled: of the sums of 300 honest newcomers, all four that one video or
channel would have quarantined were such.

A contribution that was multiplied stays below that: it pushes many videos a little. But viewers appear in it
from nowhere. So videos with far more viewers than their earlier ones predict (`models.exposure.risen`) are
judged together, without the first allowance and with 0.3 of the noise.
`python -m tests.adversaries.poisoning` measures this on the demo's instances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.realisable import Check

Numbers = NDArray[np.float64]

_SPREAD = 0.3
_NOISE = 1.5
_SAMPLING = 1.5
_NOISE_OF_RISEN = 0.3
_REWEIGHTED = 2.0
_STANDARD_ERRORS = 3.0
LEAST_OWN_VIEWERS = 10.0
"""Of a typical video: with fewer, the local model is too uncertain to compare anything with it."""

KINDS = {"videos": "video", "channels": "channel", "hosts": "instance"}


@dataclass(frozen=True)
class Allowance:
    """How much exposure may be gained: `most` by the settings, the others by chance alone."""

    most: float
    noise: float
    sampling: float
    reweighted: bool = False

    @classmethod
    def of(
        cls,
        most: float,
        *,
        pair_variance: float,
        typical: float,
        own: float | None = None,
        reweighted: bool = False,
    ) -> Allowance:
        """Return the allowance for noise on a pair, and viewers of a typical video in the sum and among ours.

        `reweighted` says whether the two models were learnt with different weights of ridge and tags.
        """
        noise = _NOISE * math.sqrt(pair_variance) / max(typical, 1.0)
        return cls(most, noise, 0.0 if own is None else _SAMPLING / math.sqrt(max(own, 1.0)), reweighted)

    def gains(self, before: Numbers) -> Numbers:
        """Return the gain allowed to each, (n,), by its exposure before."""
        chance = _SPREAD * np.sqrt(before * (1.0 - before))
        times = _REWEIGHTED if self.reweighted else 1.0
        return np.asarray(times * (self.most + chance) + self.noise + self.sampling, np.float64)

    @property
    def risen(self) -> float:
        """The gain allowed to all videos with viewers from nowhere together."""
        return self.most + _NOISE_OF_RISEN * self.noise + self.sampling


def against_words(against: str) -> str:
    """Say what a model is compared with."""
    return {"local": "the local model", "month": "the model of a month ago"}[against]


def gains(
    against: str, kind: str, names: list[str], before: Numbers, after: Numbers, allowance: Allowance
) -> Check:
    """No video, channel or instance may gain more of the lists than is allowed to it.

    `names` (n,) are shown to the admin; `before` and `after` (n,) are exposures.
    """
    identity = f"exposure-{kind}-{against}"
    if not before.size:
        return Check(identity, ok=True, sentence=f"No {KINDS[kind]} is known.", value=0.0, bound=0.0)
    gained, allowed = after - before, allowance.gains(before)
    worst = int(np.argmax(gained / allowed))
    ok = bool(gained[worst] <= allowed[worst])
    name, word = names[worst] or "(unnamed)", KINDS[kind]
    change = f"from {before[worst]:.1%} to {after[worst]:.1%} of the lists"
    sentence = (
        f"Against {against_words(against)} no {word} gains too much; nearest to it is {name}, {change}."
        if ok
        else f"Against {against_words(against)} the {word} {name} goes {change}: too much at once."
    )
    return Check(identity, ok, sentence, float(gained[worst]), float(allowed[worst]))


def risen_gains(
    against: str,
    names: list[str],
    before: Numbers,
    after: Numbers,
    marked: NDArray[np.bool_],
    allowance: Allowance,
) -> Check:
    """Videos with viewers from nowhere may together gain few of the ten places."""
    identity = f"exposure-risen-{against}"
    gained = np.maximum(after - before, 0.0) * marked
    total = float(gained.sum())
    number = int(np.count_nonzero(marked))
    ok = total <= allowance.risen
    if not number:
        sentence = f"Against {against_words(against)} no video has viewers from nowhere."
    elif ok:
        sentence = (
            f"Against {against_words(against)} {_videos(number)} far more viewers than expected, "
            "without a place in the lists to speak of."
        )
    else:
        first = names[int(np.argmax(gained))]
        sentence = (
            f"Against {against_words(against)} {_videos(number)} far more viewers than expected and "
            f"gain {total:.2f} of the ten places of a list, {first} the most."
        )
    return Check(identity, ok, sentence, total, allowance.risen)


def quality(new: float, own: float, *, margin: float, viewers: int) -> Check:
    """Our viewers' held-out likes must be ranked about as well as by the local model.

    Both are NDCG@10. With likes of n viewers, one standard error of the difference is about 1/sqrt(n) of it;
    three are allowed beside the margin. (Of 300 honest sums two were worse than one standard error allows, at
    the level strict: 0.80 of the local quality with 150 of our viewers, 0.46 with 68.)
    """
    chance = _STANDARD_ERRORS / math.sqrt(max(viewers, 1))
    bound = own * max(0.0, 1.0 - margin - chance)
    ok = new >= bound
    change = f"NDCG@10 {new:.3f}, with the local model {own:.3f}"
    sentence = (
        f"Own viewers' likes are predicted as well as before, within the margin ({change})."
        if ok
        else f"Own viewers' likes are predicted worse than without the sum ({change})."
    )
    return Check("quality", ok, sentence, new, bound)


def _videos(number: int) -> str:
    return "one video has" if number == 1 else f"{number} videos have"
