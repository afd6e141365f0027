"""What viewers would see before and after: the lists of related videos of two models, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models import exposure
from models.labels import Labels
from models.serving import ServedModel

LIST = 10
MOST_LISTS = 4_000
EXAMPLES = 10
PROFILES, SEED = 1_000, 20


@dataclass(frozen=True)
class Example:
    """One video whose list changed: addresses, best first; an empty list is PeerTube's own."""

    url: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """How many of the compared lists differ, the examples that differ most, and a host's part of all places.

    `exposure` is the share of made-up viewers whose best ten hold any of the host's videos, before and after,
    as in `models.exposure`. Where the models have too few videos in common for that, it is the share of the
    compared lists that do.
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
    holding, changed, found = np.zeros(2), 0, []
    sides = [None if model is None else _Lists(model, host) for model in (before, after)]
    for number, url in enumerate(urls):
        lists = [() if side is None else side.of(url) for side in sides]
        for which, (side, positions) in enumerate(zip(sides, lists, strict=True)):
            if side is not None:
                holding[which] += side.from_host[list(positions)].any()
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
    shown = _exposure(before, after, host)
    if shown is None:
        share = holding / max(len(urls), 1)
        shown = float(share[0]), float(share[1])
    examples = [example for _, example in sorted(found, key=lambda pair: -pair[0])[:EXAMPLES]]
    return Change(changed, len(urls), shown, examples)


def _exposure(before: ServedModel | None, after: ServedModel | None, host: str) -> tuple[float, float] | None:
    """Return the exposure of a host's videos in two models; None where it cannot be measured.

    Profiles hold videos that both know, drawn by how many viewers they have without the host; what is shown
    to them is all that each model has.
    """
    if before is None or after is None:
        return None
    items = [model.items for model in (before, after)]
    urls = [[model.labels.url[int(v)] for v in m] for model, m in zip((before, after), items, strict=True)]
    places = {url: place for place, url in enumerate(urls[0])}
    there = np.array([row for row, url in enumerate(urls[1]) if url in places], np.int64)
    if there.size < exposure.LEAST_VIDEOS:
        return None
    here = np.array([places[urls[1][row]] for row in there], np.int64)
    rng = np.random.default_rng(SEED)
    histories = exposure.profiles(after.counts[there].astype(np.float64), PROFILES, rng)
    found = []
    for model, rows in ((before, here), (after, there)):
        view = exposure.View(model.counts.astype(np.float64), model.scoring)
        shown = exposure.best(np.where(histories < 0, -1, rows[histories]).astype(np.int32), view)
        groups = np.where(videos_of(model.labels, host)[model.items], 0, -1).astype(np.int32)
        found.append(float(exposure.shares(shown, groups, 1)[0]))
    return found[0], found[1]


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
