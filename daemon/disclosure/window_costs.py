"""What the longest data window costs: privacy in a year, bytes in a month, and videos too new for any sum.

Longer windows give less away and send less; in return the pairs of a new video are counted later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config
from daemon.disclosure.cost import number
from daemon.rounds import yearly_budget
from daemon.store import releases, source_state
from daemon.store.content_arrays import read
from daemon.store.viewers import ages_when_played
from policies.accounting import epsilon
from policies.neighbour_relations import YEAR, Relation, Release

LENGTHS: Final = tuple(timedelta(weeks=weeks) for weeks in (1, 2, 4))
FEWEST_PLAYS: Final = 100
"""Of fewer, a share says nothing."""
MEASURED_ON: Final = "ml-latest-small"
MEASURED: Final = (0.093, 0.095, 0.099)
"""For the same lengths, where the source's history is too short: ratings of films, each as old as its first
rating. `tests/daemon/disclosure/test_window_costs.py` measures it."""
_MONTH: Final = YEAR / 12
_ENTRY_BYTES: Final = 4


@dataclass(frozen=True)
class WindowCost:
    """One longest window, `length`.

    Attributes:
        windows: of one aggregator, in this instance's first year as a contributor, and in a later one.
        pair: epsilon of one pair of videos after the sums of one aggregator in such a year.
        pair_together: the same after the sums of all aggregators and our own release.
        bytes: masked numbers sent to one aggregator in a month of a later year.
        too_new: share in [0, 1] of plays that are of videos whose pairs no window counts yet.
    """

    length: timedelta
    windows: tuple[int, int]
    pair: tuple[float, float]
    pair_together: tuple[float, float]
    bytes: float
    too_new: float

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "window_max_days": self.length.total_seconds() / 86400,
            "windows": list(self.windows),
            "epsilon_of_a_pair": [number(value) for value in self.pair],
            "epsilon_of_a_pair_together": [number(value) for value in self.pair_together],
            "bytes_a_month": round(self.bytes),
            "plays_too_new": round(self.too_new, 4),
        }


@dataclass(frozen=True)
class WindowCosts:
    """All lengths; `aggregators` take sums, and `measured_on` names the data set of `too_new`, "" for own."""

    found: tuple[WindowCost, ...]
    aggregators: int
    measured_on: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        lengths = [one.as_json() for one in self.found]
        return {"lengths": lengths, "aggregators": self.aggregators, "plays_measured_on": self.measured_on}


def too_new(ages: NDArray[np.float64], min_age: float, window: float) -> float:
    """Return the share of plays, in [0, 1], of videos that no full-grown window has counted yet.

    `ages` (plays,) are the seconds that a video had been public when it was played. A video counts after
    `min_age` seconds; the next window opens up to `window` seconds later, with equal chances.
    """
    return float(np.clip(1 - (ages - min_age) / window, 0.0, 1.0).mean()) if ages.size else 0.0


def gather(config: Config, engine: Engine, release: Release, aggregators: int) -> WindowCosts:
    """Return what each length would cost for a release of the planned level, and that many aggregators."""
    source = source_state.read(engine)
    ages = np.array(ages_when_played(engine) if source is not None and source.kind == "peertube" else ())
    known = ages.size >= FEWEST_PLAYS
    min_age = config.privacy.min_video_age.total_seconds()
    # Our own release tells as much of a pair as what an aggregator gets.
    streams = aggregators + 1

    def cost(length: timedelta, measured: float) -> WindowCost:
        first, later = yearly_budget.yearly(length, 1), yearly_budget.yearly(length, 1, later=True)
        seconds = length.total_seconds()
        return WindowCost(
            length=length,
            windows=(first, later),
            pair=(_pair(release, first), _pair(release, later)),
            pair_together=(_pair(release, first * streams), _pair(release, later * streams)),
            bytes=bytes_a_month(config, engine, length),
            too_new=too_new(ages, min_age, seconds) if known else measured,
        )

    found = tuple(cost(length, measured) for length, measured in zip(LENGTHS, MEASURED, strict=True))
    return WindowCosts(found, aggregators, "" if known else MEASURED_ON)


def bytes_a_month(config: Config, engine: Engine, window: timedelta) -> float:
    """Return how much is sent to one aggregator in a month, once windows are fully grown."""
    return _bytes_of_release(config, engine) * _MONTH / window.total_seconds()


def _pair(release: Release, windows: int) -> float:
    return epsilon([release] * windows, Relation.PAIR)


def _bytes_of_release(config: Config, engine: Engine) -> float:
    """Return the size of one masked vector: that of the newest on record, else what the catalogue allows."""
    past = [record.bytes for record in releases.since(engine, 0.0) if record.head and record.bytes]
    if past:
        return past[-1]
    videos = min(len(read(engine)), config.sharing.max_vocabulary)
    head = min(config.model.max_head, videos)
    return _ENTRY_BYTES * (videos + head * (head - 1) // 2)
