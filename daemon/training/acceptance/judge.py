"""Whether a new sum may become what viewers see.

Three questions, none of which needs to know who contributed what: can the sum be one of people at all
(`policies/realisable.py`); does it help own viewers; and does anything gain much of the lists
(`policies/acceptance.py`), against this instance's own model and against the one of a month ago. Of the two,
its own model is what no peer had a hand in, but it is a blunt measure where own viewers are few: at the
default level nothing can be told with fewer than 25 of a typical video, and the admin is told that. The older
model is sharp, and adds up what small steps do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Acceptance
from daemon.sentences import Sentence, sentence
from daemon.training.acceptance.reference_models import Pair, with_local, with_month
from daemon.training.acceptance.report import Gains, Report, largest
from models import exposure
from models.labels import Labels, Texts
from models.noise import NO_NOISE, SumNoise
from models.released import Released
from models.serving import ServedModel
from models.trained import TrainedModel
from policies import acceptance, realisable
from policies.acceptance import Allowance
from policies.realisable import Check, Roster

__all__ = ["Check", "Report", "judge"]

_NAMED = 3
"""Videos in warnings; the report lists more."""


def judge(
    candidate: TrainedModel,
    local: TrainedModel | None,
    month: ServedModel | None,
    *,
    others: Released,
    own: Released | None,
    good_enough: bool | None,
    declared: Mapping[str, int],
    max_videos_per_user: int,
    labels: Labels,
    settings: Acceptance,
    seed: int,
    at: float,
    survivors: Sequence[str],
    sums: Sequence[str],
) -> Report:
    """Return how a new sum does; deterministic given the seed.

    Args:
        candidate: the model learnt from it.
        local: the one of our own release alone, None where there is too little in it for one.
        month: the one that served a month ago, of a catalogue of its own; None where there is none.
        others: the sum, own viewers not in it; over today's catalogue.
        own: what this instance released of its own viewers, which `local` was learnt from.
        good_enough: whether own viewers' likes are predicted about as well as before; None where that could
            not be told.
        declared: how many viewers each survivor may have at most.
        max_videos_per_user: how many videos of one viewer count, by the terms of the sum.
        labels: names of today's catalogue.
        settings: the bounds.
        seed: of the profiles.
        at: the time of the judgement, Unix seconds.
        survivors: whose viewers are in the sum.
        sums: the round ids of its parts.
    """
    roster = Roster(sum(declared.values()), max_videos_per_user)
    checks = realisable.checks(others.statistic, others.noise, roster)
    warnings: list[Sentence] = []
    found: list[Gains] = []
    checks.append(acceptance.quality(good_enough=good_enough))
    noise = others.noise, NO_NOISE if own is None else own.noise
    for pair in _pairs(candidate, local, month, labels, warnings):
        if not _comparable(pair, noise, warnings):
            continue
        compared = _Comparison(pair, candidate, labels, noise, settings, seed)
        checks += compared.checks()
        warnings += compared.warnings()
        found.append(compared.gains())
    return Report(at, tuple(checks), tuple(warnings), tuple(found), tuple(survivors), tuple(sums))


def _pairs(
    candidate: TrainedModel,
    local: TrainedModel | None,
    month: ServedModel | None,
    labels: Labels,
    warnings: list[Sentence],
) -> list[Pair]:
    pairs = []
    if local is None:
        warnings.append(sentence("warnNoLocal"))
    else:
        pairs.append(with_local(local, candidate))
    if month is None:
        warnings.append(sentence("warnNoMonth"))
    else:
        pairs.append(with_month(month, candidate, labels))
    return pairs


def _comparable(pair: Pair, noise: tuple[SumNoise, SumNoise], warnings: list[Sentence]) -> bool:
    """Tell whether comparing lists can tell anything; `noise` is that of the sum, and of our own release."""
    against = acceptance.reference(pair.against)
    if pair.videos.size < exposure.LEAST_VIDEOS:
        videos = int(pair.videos.size)
        warnings.append(
            sentence("warnFewVideos", videos=videos, against=against, needed=exposure.LEAST_VIDEOS)
        )
        return False
    typical = exposure.typical(pair.before.counts)
    least = acceptance.least_viewers(_pair_variance(pair, *noise), own=pair.own)
    if typical < least:
        warnings.append(
            sentence("warnFewViewers", viewers=round(typical), against=against, needed=round(least))
        )
        return False
    return True


def _pair_variance(pair: Pair, sum_noise: SumNoise, own_noise: SumNoise) -> float:
    """Return the variance of the noise on a pair in the reference."""
    return own_noise.pairs + (0.0 if pair.own else sum_noise.pairs)


class _Comparison:
    """Exposure of videos, channels and instances under both models, on the same profiles."""

    def __init__(
        self,
        pair: Pair,
        candidate: TrainedModel,
        labels: Labels,
        noise: tuple[SumNoise, SumNoise],
        settings: Acceptance,
        seed: int,
    ) -> None:
        self._pair, self._settings = pair, settings
        self._variances = noise[0].counts, noise[1].counts
        self._pair_variance = _pair_variance(pair, *noise)
        typical = exposure.typical(pair.before.counts)
        self._allowance = Allowance.of(
            settings.max_exposure_gain,
            pair_variance=noise[0].pairs + noise[1].pairs,
            typical=exposure.typical(pair.after.counts),
            own=typical if pair.own else None,
            own_pair_variance=noise[1].pairs,
            reweighted=not pair.weights,
        )
        rng = np.random.default_rng([seed, int(pair.own)])
        histories = exposure.profiles(pair.before.counts, settings.profiles, rng)
        shown = [exposure.best(histories, view) for view in (pair.before, pair.after)]
        videos = np.arange(pair.videos.size, dtype=np.int32)
        groups = {
            "videos": (videos, [labels.url[video] for video in pair.videos.tolist()]),
            "channels": (candidate.channel[pair.videos], _names(labels.channels)),
            "hosts": (labels.host[pair.videos], _names(labels.hosts)),
        }
        self._found: dict[str, tuple[list[str], NDArray[np.float64], NDArray[np.float64]]] = {}
        for kind, (group, names) in groups.items():
            before, after = (exposure.shares(lists, group, len(names)) for lists in shown)
            self._found[kind] = (names, before, after)

    def checks(self) -> list[Check]:
        against, allowance = self._pair.against, self._allowance
        plain = [acceptance.gains(against, kind, *shares, allowance) for kind, shares in self._found.items()]
        marked = self._pair.risen(*self._variances)
        risen = acceptance.risen_gains(against, *self._found["videos"], marked, allowance)
        every = [*((check, allowance.telling) for check in plain), (risen, allowance.telling_risen)]
        found = [check for check, telling in every if telling or check.failed]
        if len(found) < len(every):
            found.append(acceptance.small_gains(against, self._pair_variance))
        return found

    def warnings(self) -> list[Sentence]:
        """Name what gains more than the admin wants to be told of, without being too much."""
        names, before, after = self._found["videos"]
        told = self._settings.warn_exposure_gain - self._settings.max_exposure_gain
        gained, allowed = after - before, self._allowance.gains(before)
        many = np.flatnonzero((gained > allowed + told) & (gained <= allowed))
        many = many[np.argsort(-gained[many], kind="stable")][:_NAMED]
        return [
            sentence(
                "warnGains",
                against=acceptance.reference(self._pair.against),
                name=names[video],
                before=float(before[video]),
                after=float(after[video]),
            )
            for video in many.tolist()
        ]

    def gains(self) -> Gains:
        """Return the largest of each kind."""
        parts = {kind: largest(*shares) for kind, shares in self._found.items()}
        return {
            "against": self._pair.against,
            "videos": [
                {"url": one["name"], "title": "", "before": one["before"], "after": one["after"]}
                for one in parts["videos"]
            ],
            "channels": parts["channels"],
            "hosts": parts["hosts"],
        }


def _names(texts: Texts) -> list[str]:
    return [texts[number] for number in range(len(texts))]
