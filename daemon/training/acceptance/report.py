"""What a judgement of a sum found, as it is stored, written into the ledger and shown to the admin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.sentences import Sentence, sentence
from daemon.store.sums import Verdict
from daemon.store.videos import public_titles

if TYPE_CHECKING:  # it would load scipy into the serving process
    from policies.realisable import Check

Against = Literal["local", "month"]
SHOWN = 10
_WORTH_SHOWING = 0.001


class CheckResult(TypedDict):
    """One rule: what it measured, and what it allows; `ok` is null where it could not be checked."""

    id: str
    ok: bool | None
    sentence: Sentence
    value: float | None
    bound: float | None


class Gain(TypedDict):
    """Share of top-10 places before and after, of a channel or an instance."""

    name: str
    before: float
    after: float


class VideoGain(TypedDict):
    """Likewise of a video; the title of one that is not public any more is empty."""

    url: str
    title: str
    before: float
    after: float


class Gains(TypedDict):
    """What gains most over the local model, or over the one of a month ago."""

    against: Against
    videos: list[VideoGain]
    channels: list[Gain]
    hosts: list[Gain]


class Decided(TypedDict):
    """What the admin decided instead of the rules, and what they said before."""

    verdict: Verdict
    at: float
    before: str


class AcceptanceReport(TypedDict):
    """How a sum was judged, and of whom it was; `sums` are the ids of its rounds."""

    verdict: Verdict
    sentences: list[Sentence]
    at: float
    checks: list[CheckResult]
    warnings: list[Sentence]
    gains: list[Gains]
    survivors: list[str]
    sums: list[str]
    decided: NotRequired[Decided]


@dataclass(frozen=True)
class Report:
    """What was looked at, and of whom: `survivors` are the roster behind the `sums` (round ids)."""

    at: float
    checks: tuple[Check, ...]
    warnings: tuple[Sentence, ...]
    gains: tuple[Gains, ...]
    survivors: tuple[str, ...]
    sums: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no rule fails."""
        return not any(check.failed for check in self.checks)

    @property
    def sentences(self) -> list[Sentence]:
        """Why a sum was refused and who was in it; or that it was not."""
        failed = [check.sentence for check in self.checks if check.failed]
        if not failed:
            hold = sum(check.ok is True for check in self.checks)
            unchecked = len(self.checks) - hold
            left = [sentence("reportUnchecked", count=unchecked)] if unchecked else []
            return [sentence("reportHolds", count=hold), *left]
        more = [sentence("reportMoreFail", count=len(failed) - 1)] if len(failed) > 1 else []
        return [failed[0], *more, sentence("reportWhose", hosts=list(self.survivors))]

    def told(self, verdict: Verdict) -> AcceptanceReport:
        """Return it as it is stored; shares of lists with four digits."""
        return {
            "verdict": verdict,
            "sentences": self.sentences,
            "at": self.at,
            "checks": [
                {
                    "id": check.id,
                    "ok": check.ok,
                    "sentence": check.sentence,
                    "value": _finite(check.value),
                    "bound": _finite(check.bound),
                }
                for check in self.checks
            ],
            "warnings": list(self.warnings),
            "gains": list(self.gains),
            "survivors": list(self.survivors),
            "sums": list(self.sums),
        }


def largest(names: list[str], before: NDArray[np.float64], after: NDArray[np.float64]) -> list[Gain]:
    """Return the largest gains, at most ten, none below a thousandth of the lists; with four digits."""
    gained = after - before
    order = np.argsort(-gained, kind="stable")[:SHOWN]
    return [
        {
            "name": names[place],
            "before": round(float(before[place]), 4),
            "after": round(float(after[place]), 4),
        }
        for place in order.tolist()
        if gained[place] >= _WORTH_SHOWING
    ]


def with_titles(engine: Engine, stored: Mapping[str, Any]) -> AcceptanceReport | None:
    """Return a stored report with the titles of videos as they are today; None where nothing was judged."""
    if not stored:
        return None
    # Of what the admin decided without a judgement, the decision is all there is.
    nothing: dict[str, Any] = {name: [] for name in ("sentences", "checks", "warnings", "gains")}
    nothing |= {"at": stored.get("decided", {}).get("at", 0.0), "survivors": [], "sums": []}
    report = cast("AcceptanceReport", {**nothing, **stored})
    urls = [video["url"] for gains in report["gains"] for video in gains["videos"]]
    today = public_titles(engine, urls)
    named: list[Gains] = [
        {
            **gains,
            "videos": [{**video, "title": today.get(video["url"], "")} for video in gains["videos"]],
        }
        for gains in report["gains"]
    ]
    return {**report, "gains": named}


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
