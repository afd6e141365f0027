"""Which stored sums may be learnt from: a new one that has to be judged, and the newest that was accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from daemon.peers.repository import KnownPeers
from daemon.store.sums import SumRecord, Verdict
from models.statistics import Statistic, to_matrix


@dataclass(frozen=True)
class SelectedSums:
    """Stored sums by what may be done with them; each entry holds sums of one batch.

    Attributes:
        fresh: a sum newer than the accepted one that nobody has judged yet; empty where there is none.
        accepted: what may be served from; empty where there is nothing.
        refused: why a newer sum is not used, empty where none is.
        whole: names of the batches of which no sum is missing: none failed, was left out or deleted.
    """

    fresh: tuple[SumRecord, ...]
    accepted: tuple[SumRecord, ...]
    refused: str
    whole: frozenset[str]

    def complete(self, records: Sequence[SumRecord]) -> bool:
        """Tell whether these are all sums that the head of their batch was chosen from."""
        return bool(records) and records[0].run in self.whole


def choose(stored: Sequence[SumRecord], book: KnownPeers) -> SelectedSums:
    """Choose from stored sums, newest first. What holds somebody who may not be learnt from is left out."""
    refused = ""
    fresh: tuple[SumRecord, ...] = ()
    whole = set()
    for batch, group in groupby(stored, key=lambda one: one.run):
        records = tuple(group)
        usable = tuple(one for one in records if not book.unusable(one.survivors))
        if not usable:
            gone = sorted({host for one in records for host in book.unusable(one.survivors)})
            refused = refused or f"the newest sum contains {', '.join(gone)}, which is no peer any more"
            continue
        if len(usable) == len(records) >= records[0].of:
            whole.add(batch)
        accepted = _having(usable, "accepted")
        if accepted:
            if len(accepted) < len(usable):
                whole.discard(batch)
            return SelectedSums(fresh, accepted, refused, frozenset(whole))
        if new := _having(usable, "new"):
            fresh = fresh or new
        elif not fresh:
            refused = refused or _why(usable)
    return SelectedSums(fresh, (), refused, frozenset(whole))


def _having(records: Sequence[SumRecord], verdict: Verdict) -> tuple[SumRecord, ...]:
    return tuple(one for one in records if one.verdict == verdict)


def _why(records: Sequence[SumRecord]) -> str:
    if any(one.verdict == "awaiting" for one in records):
        return "the first model learnt with others waits for you: shoal models list"
    return "the newest sum did not pass the acceptance test: shoal models list"


def without_one(records: Sequence[SumRecord]) -> Iterator[tuple[SumRecord, ...]]:
    """Yield the sums with each one left out in turn; nothing where there is only one."""
    if len(records) > 1:
        for left_out in records:
            yield tuple(one for one in records if one is not left_out)


def restricted(
    sum_: Statistic, own: Callable[[NDArray[np.int64]], NDArray[np.int64]], *, min_users: int
) -> Statistic:
    """Return a sum over those videos of its head that enough viewers stand behind without the missing sums.

    The head was chosen from the counts of all sums. A video that is in it because of a sum that was left
    out must not stay: that it is there would tell of that sub-cohort, and serve it. `own` gives own viewers'
    counts at catalogue positions.
    """
    kept = np.flatnonzero(sum_.counts + own(sum_.head) >= min_users)
    if kept.size == sum_.head.size:
        return sum_
    matrix = to_matrix(sum_.counts, sum_.triangle)[np.ix_(kept, kept)]
    triangle = matrix[np.triu_indices(kept.size, k=1)].astype(np.int64)
    return Statistic(sum_.head[kept], sum_.counts[kept], triangle)
