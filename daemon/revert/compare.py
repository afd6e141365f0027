"""What viewers would see before and after: the lists of related videos of two models, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.labels import Labels
from models.serving import ServedModel

LIST = 10
MOST_LISTS = 4_000
EXAMPLES = 10


@dataclass(frozen=True)
class Example:
    """One video whose list changed: addresses, best first; an empty list is PeerTube's own."""

    url: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """How many of the compared lists differ, the examples that differ most, and a host's part of all places.

    `exposure` is the share of places in those lists that the host's videos have, before and after.
    """

    lists: int = 0
    of: int = 0
    exposure: tuple[float, float] = (0.0, 0.0)
    examples: list[Example] = field(default_factory=list)


def changes(
    before: ServedModel | None,
    after: ServedModel | None,
    host: str,
    progress: Callable[[float], None] = lambda _part: None,
) -> Change:
    """Compare the first ten related videos of every video that either model knows.

    Of catalogues larger than `MOST_LISTS`, those of the videos with the most viewers are compared. Where
    there is no model, lists are empty.
    """
    urls = _seeds(before, after)
    places, host_places, changed, found = np.zeros(2), np.zeros(2), 0, []
    sides = [None if model is None else _Lists(model, host) for model in (before, after)]
    for number, url in enumerate(urls):
        lists = [() if side is None else side.of(url) for side in sides]
        for which, (side, positions) in enumerate(zip(sides, lists, strict=True)):
            places[which] += len(positions)
            if side is not None:
                host_places[which] += side.from_host[list(positions)].sum()
        old, new = (
            () if side is None else tuple(side.labels.url[position] for position in positions)
            for side, positions in zip(sides, lists, strict=True)
        )
        if old != new:
            changed += 1
            found.append((len(set(old) ^ set(new)), Example(url, old, new)))
        if number % 100 == 0:
            # Sorting is stable: of equals, the videos with more viewers stay.
            found = sorted(found, key=lambda pair: -pair[0])[:EXAMPLES]
            progress(number / len(urls))
    share = np.divide(host_places, places, out=np.zeros(2), where=places > 0)
    examples = [example for _, example in sorted(found, key=lambda pair: -pair[0])[:EXAMPLES]]
    return Change(changed, len(urls), (float(share[0]), float(share[1])), examples)


class _Lists:
    def __init__(self, model: ServedModel, host: str) -> None:
        self._model, self.labels = model, model.labels
        self.from_host = videos_of(model.labels, host)

    def of(self, url: str) -> tuple[int, ...]:
        seed = self._model.index(url)
        if seed is None:
            return ()
        return tuple(found.video for found in self._model.related(seed, limit=LIST))


def videos_of(labels: Labels, host: str) -> NDArray[np.bool_]:
    """Mark the videos, (videos,), that are published on a host."""
    numbers = [number for number in range(len(labels.hosts)) if labels.hosts[number] == host]
    return np.isin(labels.host, numbers)


def _seeds(*models: ServedModel | None) -> list[str]:
    """Return the addresses of the videos to compare, each once, those with the most viewers first."""
    found: dict[str, None] = {}
    for model in models:
        if model is not None:
            order = np.concatenate([model.by_viewers[:MOST_LISTS], np.arange(len(model))[:MOST_LISTS]])
            found |= dict.fromkeys(model.labels.url[position] for position in order.tolist())
    return list(found)[:MOST_LISTS]
