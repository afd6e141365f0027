"""What a judgement of a sum found, as it is stored, written into the ledger and shown to the admin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.store.videos import public_titles

if TYPE_CHECKING:  # it would load scipy into the serving process
    from policies.realisable import Check

SHOWN = 10
_WORTH_SHOWING = 0.001


@dataclass(frozen=True)
class Gain:
    """Exposure of one video, channel or instance before and after."""

    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Gains:
    """The largest gains against one reference."""

    against: str
    videos: tuple[Gain, ...]
    channels: tuple[Gain, ...]
    hosts: tuple[Gain, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; shares of lists with four digits."""
        return {
            "against": self.against,
            "videos": [_plain("url", gain) for gain in self.videos],
            "channels": [_plain("name", gain) for gain in self.channels],
            "hosts": [_plain("name", gain) for gain in self.hosts],
        }


@dataclass(frozen=True)
class Report:
    """What was looked at, and of whom: `survivors` are the roster behind the `sums` (round ids)."""

    at: float
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    gains: tuple[Gains, ...]
    survivors: tuple[str, ...]
    sums: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no rule fails."""
        return not any(check.failed for check in self.checks)

    @property
    def sentence(self) -> str:
        """Why a sum was refused and who was in it; or that it was not."""
        failed = [check.sentence for check in self.checks if check.failed]
        if not failed:
            hold = sum(check.ok is True for check in self.checks)
            unchecked = len(self.checks) - hold
            left = f" {unchecked} could not be checked." if unchecked else ""
            return f"{hold} rules hold.{left}"
        more = f" {len(failed) - 1} more rules fail." if len(failed) > 1 else ""
        return f"{failed[0]}{more} In the sum were {', '.join(self.survivors)}."

    def as_json(self) -> dict[str, Any]:
        """Return plain values; a caller may replace the verdict by "awaiting"."""
        return {
            "verdict": "accepted" if self.ok else "quarantined",
            "sentence": self.sentence,
            "at": self.at,
            "checks": [
                {**vars(check), "value": _finite(check.value), "bound": _finite(check.bound)}
                for check in self.checks
            ],
            "warnings": list(self.warnings),
            "gains": [gains.as_json() for gains in self.gains],
            "survivors": list(self.survivors),
            "sums": list(self.sums),
        }


def largest(names: list[str], before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[Gain, ...]:
    """Return the largest gains, at most ten, none below a thousandth of the lists."""
    gained = after - before
    order = np.argsort(-gained, kind="stable")[:SHOWN]
    return tuple(
        Gain(names[place], float(before[place]), float(after[place]))
        for place in order.tolist()
        if gained[place] >= _WORTH_SHOWING
    )


def with_titles(engine: Engine, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report whose videos have a `title` as it is today, empty for what is not public any more."""
    comparisons = report.get("gains", [])
    today = public_titles(
        engine, [str(video["url"]) for gains in comparisons for video in gains.get("videos", [])]
    )
    named = [
        {
            **gains,
            "videos": [{**video, "title": today.get(str(video["url"]), "")} for video in gains["videos"]],
        }
        for gains in comparisons
    ]
    return {**report, "gains": named} if named else dict(report)


def _plain(key: str, gain: Gain) -> dict[str, Any]:
    return {key: gain.name, "before": round(gain.before, 4), "after": round(gain.after, 4)}


def _finite(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
