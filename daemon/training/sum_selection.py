"""Which stored sums may be learnt from: a new one that has to be judged, and the newest that was accepted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from daemon.peers.repository import KnownPeers
from daemon.store.sums import SumRecord, Verdict
from models.released import Released
from models.weights import UNIT


@dataclass(frozen=True)
class SelectedSums:
    """Stored sums by what may be done with them; each entry holds sums of one run.

    Attributes:
        fresh: a sum newer than the accepted one that nobody has judged yet; empty where there is none.
        accepted: what may be served from; empty where there is nothing.
        refused: why a newer sum is not used, empty where none is.
    """

    fresh: tuple[SumRecord, ...]
    accepted: tuple[SumRecord, ...]
    refused: str


def choose(stored: Sequence[SumRecord], book: KnownPeers) -> SelectedSums:
    """Choose from stored sums, newest first. What holds somebody who may not be learnt from is left out.

    A sum that a peer passed on is there for want of one of our own, or of our group: it comes after all of
    these, and since sums of one run alone are added up, no member is counted twice.
    """
    stored = sorted(stored, key=lambda one: bool(one.passed_on_by))
    refused = ""
    fresh: tuple[SumRecord, ...] = ()
    for _, group in groupby(stored, key=lambda one: one.run):
        records = tuple(group)
        usable = tuple(one for one in records if not book.unusable(one.sources))
        if not usable:
            gone = sorted({host for one in records for host in book.unusable(one.sources)})
            refused = refused or f"the newest sum contains {', '.join(gone)}, which is no peer any more"
            continue
        accepted = _having(usable, "accepted")
        if accepted:
            return SelectedSums(fresh, accepted, refused)
        if new := _having(usable, "new"):
            fresh = fresh or new
        elif not fresh:
            refused = refused or _why(usable)
    return SelectedSums(fresh, (), refused)


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


def restricted(others: Released, own: Released | None, *, min_users: float) -> Released:
    """Return a sum over those videos of its head that enough viewers stand behind, noise included.

    The head was chosen before anybody counted; and where sums are left out, a video may be in it because of
    them alone, and must not stay. What this instance released of its own viewers counts as well.
    """
    found = others.statistic
    behind = found.counts.copy()
    if own is not None:
        _, here, there = np.intersect1d(found.head, own.statistic.head, return_indices=True)
        behind[here] += own.statistic.counts[there]
    return replace(others, statistic=found.of(np.flatnonzero(behind >= min_users * UNIT)))
