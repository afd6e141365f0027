"""Whether a new sum may become what viewers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.config.acceptance import Acceptance
from models.errors import SumError
from models.labels import Labels
from models.noise import SumNoise
from models.serving import ServedModel
from models.statistics import Statistic
from models.trained import TrainedModel


@dataclass(frozen=True)
class Check:
    """One rule: whether it holds, and a sentence for the admin."""

    id: str
    ok: bool
    sentence: str
    value: float | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Report:
    """What was looked at, of whom."""

    at: float
    checks: tuple[Check, ...]
    survivors: tuple[str, ...]
    sums: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every rule holds."""
        return all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return the report as it is stored and shown."""
        return {
            "verdict": "accepted" if self.ok else "quarantined",
            "at": self.at,
            "checks": [vars(check) for check in self.checks],
            "warnings": [],
            "gains": [],
            "survivors": list(self.survivors),
            "sums": list(self.sums),
        }


def judge(
    candidate: TrainedModel,
    local: TrainedModel | None,
    month: ServedModel | None,
    *,
    others: Statistic,
    noise: SumNoise,
    declared: Mapping[str, int],
    max_videos_per_user: int,
    labels: Labels,
    settings: Acceptance,
    seed: int,
    at: float,
    survivors: Sequence[str],
    sums: Sequence[str],
) -> Report:
    """Return how a new sum does."""
    try:
        others.check(noise)
        check = Check("consistent", ok=True, sentence="The sum is possible.")
    except SumError as error:
        check = Check("consistent", ok=False, sentence=str(error))
    return Report(at, (check,), tuple(survivors), tuple(sums))
