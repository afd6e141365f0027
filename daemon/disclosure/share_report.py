"""What exactly would leave next and what has left; the job "share" answers the admin with it.

The viewers behind each video are counted as for a contribution. What would leave is that with noise, which is
drawn when a peer asks and then kept for a data window: so before that there is no vector whose hash could be
shown, and once it has left there is exactly one. Nothing of it goes into a log, and nothing is written but
the videos for the admin's page, to a file that is gone as soon as the daemon has opened it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json, to_jsonable_python
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config, Mode
from daemon.disclosure.data_kinds import DATA_KINDS, KindOfData
from daemon.disclosure.next_sum import (
    Drawn,
    NextSum,
    RuleVerdict,
    aggregator_windows,
    next_sum,
    rule_verdicts,
)
from daemon.disclosure.windows import DataWindow, WindowView, read_windows
from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.store import releases, traffic
from daemon.store.releases import OWN, ReleaseRecord
from daemon.store.traffic import PeerTraffic
from federation.masks import RING

if TYPE_CHECKING:  # it would load scipy into the serving process
    from daemon.rounds.own_statistics import OwnStatistics

MOST_LEFT: Final = 200
MOST_HOSTS: Final = 200
MOST_TRAFFIC: Final = 500
MOST_BYTES: Final = 450_000
"""Of the videos in a report, as JSON: with what else is in it, one line of a job's output has to hold it."""
_ENTRY: Final = RING // 8
"""Bytes of a number in a vector."""


@dataclass(frozen=True)
class SharedVideo:
    """A video, the viewers here behind it now, and the noisy number that aggregators have, by host."""

    url: str
    title: str
    users: int
    given: dict[str, float]


class NextShare(TypedDict):
    """What the next contribution would hold, over `total` videos that have viewers.

    It is one vector: a number for each video of the vocabulary, and one for each pair of a head that whoever
    asks chooses from it. Its noise is drawn then, so it has no hash before.

    Attributes:
        group: the group whose host asks; empty: peers ask.
        drawn: where members come from: our sub-cohort of the epoch, the host's list, or our peers.
        members: instances that this one would be summed with, at most 200.
    """

    aggregators: list[str]
    group: str
    drawn: Drawn
    members: list[str]
    total: int
    users: int
    vocabulary: int
    head_at_most: int
    pairs_at_most: int
    bytes_at_most: int
    verdicts: list[RuleVerdict]


class Left(TypedDict):
    """A vector that left; `vocabulary` and `head` are numbers of videos."""

    at: float
    aggregator: str
    round: str
    vocabulary: int
    head: int
    bytes: int
    sha256: str
    window_ends: float | None


class Share(TypedDict):
    """What would leave this instance next, and what has left. Our own release goes by `releases.OWN`."""

    mode: Mode
    kinds: list[KindOfData]
    next: NextShare
    windows: list[DataWindow]
    left: list[Left]
    traffic: list[PeerTraffic]


@dataclass(frozen=True)
class ShareReport:
    """See the module.

    Attributes:
        next_sum: who may ask for the next contribution, and who would be summed.
        vocabulary: (n,) urls that a sum of ours is about; `counts` (n,) int64 the viewers behind each.
        users: viewers with at least one of these videos.
    """

    config: Config
    next_sum: NextSum
    vocabulary: tuple[str, ...]
    counts: NDArray[np.int64]
    titles: dict[str, str]
    users: int
    verdicts: tuple[RuleVerdict, ...]
    windows: tuple[WindowView, ...]
    left: tuple[ReleaseRecord, ...]
    traffic: tuple[PeerTraffic, ...]

    @property
    def total(self) -> int:
        """How many videos have viewers."""
        return int(np.count_nonzero(self.counts))

    @property
    def most_pairs(self) -> tuple[int, int]:
        """Return how many videos a head has at most, and how many pairs that makes."""
        head = min(self.config.model.max_head, len(self.vocabulary))
        return head, head * (head - 1) // 2

    @property
    def most_bytes(self) -> int:
        """Return how many bytes the next vector has at most."""
        return _ENTRY * (len(self.vocabulary) + self.most_pairs[1])

    def videos(self) -> Iterator[SharedVideo]:
        """Give each video that has viewers, most viewers first."""
        for place in np.argsort(-self.counts, kind="stable")[: self.total]:
            yield self._video(self.vocabulary[place], int(self.counts[place]))

    def everything(self) -> Iterator[SharedVideo]:
        """Give all of these, then what has no viewers here, but a number in a vector that somebody has."""
        seen = set()
        for video in self.videos():
            seen.add(video.url)
            yield video
        for url in sorted({url for one in self.windows for url in one.numbers} - seen):
            yield self._video(url, 0)

    def _video(self, url: str, users: int) -> SharedVideo:
        have = {one.aggregator: one.numbers[url] for one in self.windows if url in one.numbers}
        return SharedVideo(url, self.titles.get(url, ""), users, have)

    def window_ends(self, record: ReleaseRecord) -> float | None:
        """Return until when what left is given again, None where its window is over."""
        return next((one.ends for one in self.windows if one.id == record.window), None)

    def answer(self, *, most_left: int = MOST_LEFT) -> Share:
        """Return what the admin API answers; of what has left, the newest `most_left` vectors."""
        head, pairs = self.most_pairs
        return {
            "mode": self.config.mode,
            "kinds": [kind.shown for kind in DATA_KINDS],
            "next": {
                "aggregators": list(self.next_sum.hosts[:MOST_HOSTS]),
                "group": self.next_sum.group,
                "drawn": self.next_sum.drawn,
                "members": list(self.next_sum.members[:MOST_HOSTS]),
                "total": self.total,
                "users": self.users,
                "vocabulary": len(self.vocabulary),
                "head_at_most": head,
                "pairs_at_most": pairs,
                "bytes_at_most": self.most_bytes,
                "verdicts": list(self.verdicts),
            },
            "windows": [window.shown for window in self.windows[:MOST_HOSTS]],
            "left": [self._left(record) for record in self.left[:most_left]],
            "traffic": list(self.traffic[:MOST_TRAFFIC]),
        }

    def with_videos(self, most: int) -> dict[str, Any]:
        """Return the same with the first `most` videos, fewer where names are long."""
        shown: list[SharedVideo] = []
        room = MOST_BYTES
        for video in self.videos():
            room -= len(to_json(video))
            if len(shown) == most or room < 0:
                break
            shown.append(video)
        found = self.answer()
        return {**found, "next": {**found["next"], "videos": shown, "shown": len(shown)}}

    def _left(self, record: ReleaseRecord) -> Left:
        return {
            "at": record.at,
            "aggregator": record.aggregator,
            "round": record.round_id,
            "vocabulary": record.vocabulary,
            "head": record.head,
            "bytes": record.bytes,
            "sha256": record.vector_sha256,
            "window_ends": self.window_ends(record),
        }


def run(context: JobContext) -> dict[str, Any]:
    """Return the report as JSON; its videos go to the file that the argument "videos" names, one per line."""
    report = gather(context.config, context.engine, context.clock())
    descriptor = os.open(context.arguments["videos"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(to_json(one) + b"\n" for one in report.videos())
    found: dict[str, Any] = to_jsonable_python(report.answer())
    return found


def gather(config: Config, engine: Engine, now: float) -> ShareReport:
    """Reckon everything anew.

    Raises:
        StoreError: the database, or the record of what was given, cannot be read.

    """
    # They load scipy.
    from daemon.rounds.own_statistics import over, own_viewers
    from models import counting

    known = repository.read(engine, config)
    own = own_viewers(engine, config, now=now)
    vocabulary = _vocabulary(config, engine, own, now)
    users = over(vocabulary, own.catalogue, own.limited(own.most))
    left = tuple(reversed(releases.since(engine, 0.0)))
    planned = next_sum(config, engine, known)
    hosts = {OWN, *(peer.host for peer in known.approved()), *planned.hosts}
    windows = read_windows(config, engine, hosts | {one.aggregator for one in left}, now)
    return ShareReport(
        config=config,
        next_sum=planned,
        vocabulary=vocabulary,
        counts=counting.counts(users),
        titles=dict(zip(own.catalogue.urls, own.catalogue.titles, strict=True)),
        users=int(np.count_nonzero(np.diff(users.matrix.indptr))),
        verdicts=tuple(rule_verdicts(config, engine, known, planned, len(vocabulary), windows, now)),
        windows=tuple(windows),
        left=left,
        # The host of a group is a member of it as well: what it sends itself goes nowhere.
        traffic=tuple(
            one for one in traffic.months(engine, since=_year_ago(now)) if one.peer != config.instance.host
        ),
    )


def _vocabulary(config: Config, engine: Engine, own: OwnStatistics, now: float) -> tuple[str, ...]:
    """Return what a sum of ours is about: what was asked in this data window already, or the catalogue."""
    # It loads scipy.
    from daemon.rounds.own_statistics import public_vocabulary

    record = aggregator_windows(config, engine, now)
    asked = None if record is None else record.current()
    if asked is None:
        return public_vocabulary(own.catalogue, config.sharing.max_vocabulary)
    return round_config.decode_vocabulary(asked.vocabulary, at_most=config.sharing.max_vocabulary)


def _year_ago(now: float) -> str:
    year, month = map(int, traffic.month_of(now).split("-"))
    return f"{year - 1}-{month:02d}"
