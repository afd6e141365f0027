"""What heads are chosen from: the noisy counts of the last releases, by the videos that they were about.

One entry per run, in a journal of its own for one's own peers, for a hosted group, and for own releases. It
holds released numbers only. A revert forgets every run that the peer is in.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.config import Config
from federation import cbor
from federation.cbor_fields import exact_map, host, integer, octets, sequence, text
from federation.errors import Refusal
from federation.journal import FileJournal
from models.head import WINDOWS
from models.weights import UNIT

_NAME = "counts"
_TYPE = np.dtype("<i8")
_MAX_URL = 2000


@dataclass(frozen=True)
class ReleasedCounts:
    """The counts of one run: `counts` (v,) int64 entries over the vocabulary `videos`, with their noise."""

    run: str
    at: int
    survivors: tuple[str, ...]
    videos: tuple[str, ...]
    counts: NDArray[np.int64]


class HeadHistory:
    """The newest runs."""

    def __init__(self, journal: FileJournal) -> None:
        self._journal = journal

    def add(self, new: ReleasedCounts) -> None:
        """Keep the counts of a sub-cohort; those of another one of the same run are added up with them."""
        known = self._read(bytes.fromhex(new.run))
        if known is not None and known.videos == new.videos and not set(known.survivors) & set(new.survivors):
            survivors = tuple(sorted((*known.survivors, *new.survivors)))
            new = ReleasedCounts(new.run, new.at, survivors, new.videos, known.counts + new.counts)
        content: dict[str, cbor.Item] = {
            "at": new.at,
            "survivors": list(new.survivors),
            "videos": list(new.videos),
            "counts": new.counts.astype(_TYPE).tobytes(),
        }
        self._journal.write(bytes.fromhex(new.run), _NAME, zlib.compress(cbor.encode(content), 1))
        for old in self.newest()[WINDOWS:]:
            self._journal.erase(bytes.fromhex(old.run))

    def newest(self) -> list[ReleasedCounts]:
        """Return what is kept, newest first; an entry that cannot be read is forgotten."""
        found = []
        for run in self._journal.ids():
            known = self._read(run)
            if known is None:
                self._journal.erase(run)
            else:
                found.append(known)
        return sorted(found, key=lambda one: (-one.at, one.run))

    def aligned(self, vocabulary: Sequence[str]) -> NDArray[np.float64]:
        """Return the kept counts over a vocabulary, (runs, v) float64 viewers; NaN where it had no video."""
        place = {url: at for at, url in enumerate(vocabulary)}
        kept = self.newest()[:WINDOWS]
        rows = np.full((len(kept), len(vocabulary)), np.nan)
        for row, one in zip(rows, kept, strict=True):
            places = np.array([place.get(url, -1) for url in one.videos], np.int64)
            row[places[places >= 0]] = one.counts[places >= 0] / UNIT
        return rows

    def forget(self, hosts: Collection[str]) -> int:
        """Forget every run that one of these hosts is in; returns how many."""
        gone = self.with_any(hosts)
        for one in gone:
            self._journal.erase(bytes.fromhex(one.run))
        return len(gone)

    def with_any(self, hosts: Collection[str]) -> list[ReleasedCounts]:
        """Return the runs that one of these hosts is in."""
        return [one for one in self.newest() if set(one.survivors) & set(hosts)]

    def _read(self, run: bytes) -> ReleasedCounts | None:
        raw = self._journal.read(run, _NAME)
        if raw is None:
            return None
        try:
            content = exact_map(cbor.decode(zlib.decompress(raw)), "at", "survivors", "videos", "counts")
            videos = sequence(content["videos"], lambda item: text(item, _MAX_URL), at_most=10**7)
            counts = octets(content["counts"], len(videos) * _TYPE.itemsize)
            survivors = sequence(content["survivors"], host, at_most=10**5)
            at = integer(content["at"])
        except (Refusal, zlib.error):
            return None
        numbers = np.frombuffer(counts, _TYPE).astype(np.int64)
        return ReleasedCounts(run.hex(), at, tuple(survivors), tuple(videos), numbers)


def of_peers(config: Config) -> HeadHistory:
    """Return the history of rounds with our own peers."""
    return HeadHistory(FileJournal(config.journal_dir / "head-history"))


def of_own(config: Config) -> HeadHistory:
    """Return the history of this instance's own releases."""
    return HeadHistory(FileJournal(config.journal_dir / "own-history"))


def of_group(config: Config) -> HeadHistory:
    """Return the history of rounds of the group that this instance hosts."""
    return HeadHistory(FileJournal(config.group_dir / "host" / "head-history"))


def forget(config: Config, hosts: Collection[str]) -> int:
    """Forget, in all histories, every run that one of these hosts is in; returns how many."""
    return sum(history.forget(hosts) for history in _with_others(config))


def count(config: Config, hosts: Collection[str]) -> int:
    """Return how many runs, in all histories, one of these hosts is in."""
    return sum(len(history.with_any(hosts)) for history in _with_others(config))


def _with_others(config: Config) -> list[HeadHistory]:
    """Return the histories that hold others; looking makes no folder."""
    folders = (
        (config.journal_dir / "head-history", of_peers),
        (config.group_dir / "host" / "head-history", of_group),
    )
    return [open_(config) for folder, open_ in folders if folder.is_dir()]
