"""Whether a new sum may change what viewers see: quality, and who gains how much of the lists.

How much a video may gain is `max_exposure_gain`, and beside it what honest sums change by chance:

    allowed = max_exposure_gain + 0.3 sqrt(e (1 - e)) + noise + sampling

where e is its exposure before. *noise* is 1.5 times the standard deviation of the noise on a pair, of the sum
and of our own release together, over the typical count in the model: the relative error of a video's ties.
Where the reference is the local model, its error is added, as errors are. *sampling* is 1.5 over the square
root of the typical count of our viewers there, since that model learnt from them alone; it is 0 where the
reference learnt from many instances.

The weight of the ridge is smaller from 1,000 viewers on, and larger instances choose it. Where the two models
differ in it, every list does, whatever the sum, and the first two terms are doubled: six honest sums with a
ridge of 3 against a model with 10 then used up to 0.7 of what is allowed.

A contribution that was multiplied stays below that: it pushes many videos a little. But viewers appear in it
from nowhere. So videos with far more viewers than their earlier ones predict (`models.exposure.risen`) are
judged together, without the first allowance and with 0.3 of the noise.

Measured by `python -m tests.adversaries.poisoning`: part of the lists that the video nearest to its limit
gained, the most of 100 honest newcomers and the most and least of 50 pushes multiplied by twenty; likewise
what videos with viewers from nowhere gained of the ten places. Month: a model of four instances.

    level      against    honest    pushed        limit          risen: honest    pushed        limit
    none       month      .06       .07 - .14     .03 - .17              .00    1.0 - 2.3       .03
    default    month      .16       .09 - .34     .04 - .31              .00     .16 - 3.3    .03 - .07
    strict     month      .25       .10 - .31     .20 - .53              .00     .21 - 2.4    .08 - .14
    none       local      .33       .11 - .24     .37 - .58              .00     .00 - .19    .33 - .50
    default    local      .17       .11 - .22     .44 - .59              .00     .00          .32 - .38

All pushes were refused against the model of a month ago, at the strict level mostly by risen videos alone. No
honest newcomer was; the nearest used 0.71 of what is allowed. Against the local model, of 297 viewers at
most, honest sums gain as much as pushed ones, and no limit tells them apart. So where chance may move more
than a quarter of the lists, holding is not called a check that passed (`small_gains`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from policies.realisable import Check
from policies.sentence import Sentence, sentence

Numbers = NDArray[np.float64]

_SPREAD = 0.3
_NOISE = 1.5
_SAMPLING = 1.5
_NOISE_OF_RISEN = 0.3
_REWEIGHTED = 2.0
_MOST_BY_CHANCE = 0.47
"""Part of the lists; where more can come by chance, they are not compared."""
_TELLING = 0.25
"""Part of the lists; where more can come by chance, no push that was measured would be told."""


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
        own_pair_variance: float = 0.0,
        reweighted: bool = False,
    ) -> Allowance:
        """Return the allowance for noise on a pair, and for viewers of a typical video, all and ours.

        `own_pair_variance` is that of the noise in the reference, where it is the local model. `reweighted`
        says whether the two models were learnt with different weights of the ridge.
        """
        noise = _NOISE * math.sqrt(pair_variance) / max(typical, 1.0)
        if own is not None:
            noise = math.hypot(noise, _NOISE * math.sqrt(own_pair_variance) / max(own, 1.0))
        return cls(most, noise, 0.0 if own is None else _SAMPLING / math.sqrt(max(own, 1.0)), reweighted)

    @property
    def telling(self) -> bool:
        """Whether chance is small enough for a push to be told by what one video gains."""
        return self.noise + self.sampling <= _TELLING

    @property
    def telling_risen(self) -> bool:
        """Likewise by what all videos with viewers from nowhere gain together."""
        return self.risen - self.most <= _TELLING

    def gains(self, before: Numbers) -> Numbers:
        """Return the gain allowed to each, (n,), by its exposure before."""
        chance = _SPREAD * np.sqrt(before * (1.0 - before))
        times = _REWEIGHTED if self.reweighted else 1.0
        return np.asarray(times * (self.most + chance) + self.noise + self.sampling, np.float64)

    @property
    def risen(self) -> float:
        """The gain allowed to all videos with viewers from nowhere together."""
        return self.most + _NOISE_OF_RISEN * self.noise + self.sampling


def least_viewers(pair_variance: float, *, own: bool, chance: float = _MOST_BY_CHANCE) -> float:
    """Return the viewers of a typical video from which no more than `chance` of the lists comes by chance.

    `pair_variance` is that of the noise in the reference; `own` says whether it knows own viewers alone.
    """
    noise, sampling = _NOISE * math.sqrt(pair_variance), _SAMPLING if own else 0.0
    # Solves noise / viewers + sampling / sqrt(viewers) = chance, for sqrt(viewers).
    return ((sampling + math.sqrt(sampling**2 + 4 * noise * chance)) / (2 * chance)) ** 2


def reference(against: str) -> Sentence:
    """Name what a model is compared with."""
    return sentence("referenceLocal") if against == "local" else sentence("referenceMonth")


def gains(
    against: str, kind: str, names: list[str], before: Numbers, after: Numbers, allowance: Allowance
) -> Check:
    """No video, channel or instance may gain more of the lists than is allowed to it.

    `names` (n,) are shown to the admin; `before` and `after` (n,) are exposures.
    """
    identity = f"exposure-{kind}-{against}"
    if not before.size:
        return Check(identity, ok=True, sentence=sentence("ruleNothingKnown"), value=0.0, bound=0.0)
    gained, allowed = after - before, allowance.gains(before)
    worst = int(np.argmax(gained / allowed))
    ok = bool(gained[worst] <= allowed[worst])
    said = {
        "against": reference(against),
        "name": names[worst] or "–",
        "before": float(before[worst]),
        "after": float(after[worst]),
    }
    return Check(identity, ok, _GAINS[kind, ok](said), float(gained[worst]), float(allowed[worst]))


_GAINS: Final[Mapping[tuple[str, bool], Callable[[dict[str, Any]], Sentence]]] = {
    ("videos", True): lambda said: sentence("ruleVideoGains", **said),
    ("videos", False): lambda said: sentence("ruleVideoGainsTooMuch", **said),
    ("channels", True): lambda said: sentence("ruleChannelGains", **said),
    ("channels", False): lambda said: sentence("ruleChannelGainsTooMuch", **said),
    ("hosts", True): lambda said: sentence("ruleHostGains", **said),
    ("hosts", False): lambda said: sentence("ruleHostGainsTooMuch", **said),
}


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
    known = reference(against)
    if not number:
        told = sentence("ruleNoneRisen", against=known)
    elif ok:
        told = sentence("ruleRisen", count=number, against=known)
    else:
        first = names[int(np.argmax(gained))]
        told = sentence("ruleRisenTooMuch", count=number, against=known, places=round(total, 2), first=first)
    return Check(identity, ok, told, total, allowance.risen)


def small_gains(against: str, pair_variance: float) -> Check:
    """Return that gains within a wide allowance could not be checked; the variance as in `least_viewers`."""
    own = against == "local"
    needed = round(least_viewers(pair_variance, own=own, chance=_TELLING))
    told = (
        sentence("ruleSmallGainsLocal", viewers=needed)
        if own
        else sentence("ruleSmallGainsMonth", viewers=needed)
    )
    return Check(f"exposure-{against}", None, told, math.nan, math.nan)


QUALITY: Final = "quality"


def quality(*, good_enough: bool | None) -> Check:
    """Our viewers' held-out likes must be ranked about as well as by the local model.

    It says nothing but yes or no, since more would tell about own viewers; None where it was not asked.
    """
    if good_enough is None:
        told = sentence("ruleQualityUnchecked")
    else:
        told = sentence("ruleQualityHolds") if good_enough else sentence("ruleQualityBroken")
    return Check(QUALITY, good_enough, told, math.nan, math.nan)
