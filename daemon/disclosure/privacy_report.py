"""What outsiders got of this instance's viewers, and what it tells them: everything `privacy show` prints.

Counts, times and names of instances only: nothing here can name a viewer or a video.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Engine

from daemon.config import Config
from daemon.disclosure.cost import Costs, costs, costs_as_json, deviation, number
from daemon.identity import open_identity
from daemon.peers import repository
from daemon.rounds import yearly_budget
from daemon.rounds.data_windows import StoredWindow, open_windows
from daemon.rounds.own_statistics import OwnStatistics, own_viewers
from daemon.store import activity, releases
from daemon.store.releases import ReleaseRecord
from daemon.store.videos import public_since
from policies.neighbour_relations import YEAR, Relation, Release
from policies.privacy import PROTECTION, Level
from policies.window import Closed


@dataclass(frozen=True)
class Viewers:
    """Who counts in a sum now: viewers with at least one video that is old enough.

    `too_long` of them have more videos than count, `left_out` videos in all.
    """

    stored: int
    counted: int
    videos: int
    settled: int
    limit: int
    too_long: int
    left_out: int


@dataclass(frozen=True)
class Vector:
    """One noisy vector of a sum: counts of videos, or pairs of a head of videos.

    `share` is the variance of our own part, `declared` what the sum carries at least, `realised` what it
    carries with everybody alive.
    """

    videos: int
    members: int
    declared: float
    realised: float
    share: float

    @classmethod
    def of(cls, record: ReleaseRecord, members: int) -> Vector:
        """Return the vector on record; `members` gave a share of noise when all were alive."""
        realised = members * record.share_variance
        return cls(record.videos, members, record.noise, max(realised, record.noise), record.share_variance)

    def as_json(self) -> dict[str, Any]:
        """Return numbers; of noise, the standard deviations."""
        return {
            "videos": self.videos,
            "members": self.members,
            "noise_declared": round(deviation(self.declared), 4),
            "noise_realised": round(deviation(self.realised), 4),
            "noise_of_own_share": round(deviation(self.share), 4),
        }


@dataclass(frozen=True)
class WindowState:
    """An aggregator's data window; `frozen` vectors are kept for it, of which some may be in no sum yet."""

    aggregator: str
    ours: bool
    opened: float
    ends: float
    closed: Closed
    changed: int
    needed: int
    frozen: int
    counts: Vector | None
    pairs: Vector | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **vars(self),
            "closed": self.closed.value,
            "counts": self.counts and self.counts.as_json(),
            "pairs": self.pairs and self.pairs.as_json(),
        }


@dataclass(frozen=True)
class Year:
    """What was released to somebody in the past 365 days: data windows, and what they cost."""

    windows: int
    costs: Costs

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"windows": self.windows, **costs_as_json(self.costs)}


@dataclass(frozen=True)
class Report:
    """See the module. `alone` is the year per aggregator; `members` what members were shown: counts."""

    host: str
    now: float
    mode: str
    level: Level
    peers: int
    window_seconds: float
    min_video_age_seconds: float
    min_changed: int
    min_users: int
    publishes: bool
    viewers: Viewers
    windows: tuple[WindowState, ...]
    alone: Mapping[str, Year]
    together: Year
    members: Costs
    budgets: Mapping[Relation, float]
    served_until: float | None

    def left(self, relation: Relation) -> float | None:
        """Return how much of a yearly budget is left; None without one."""
        limit = self.budgets.get(relation)
        return None if limit is None else max(limit - self.together.costs[relation].epsilon, 0.0)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        asked = PROTECTION[self.level]
        return {
            "host": self.host,
            "mode": self.mode,
            "level": self.level.value,
            "unsafe": self.level is Level.NONE,
            "level_asks": {
                "counts_noise": round(deviation(asked.counts_noise), 4),
                "pairs_noise": round(deviation(asked.pairs_noise), 4),
                "max_videos_per_user": asked.max_videos_per_user,
            },
            "peers": self.peers,
            "viewers": vars(self.viewers),
            "windows": [window.as_json() for window in self.windows],
            "aggregators": {host: year.as_json() for host, year in self.alone.items()},
            "together": self.together.as_json(),
            "members": costs_as_json(self.members),
            "budgets": {
                relation.value: {"limit": limit, "left": number(self.left(relation) or 0.0)}
                for relation, limit in self.budgets.items()
            },
            "vectors_may_be_published": self.publishes,
            "restored_backup_counts_as_served_until": self.served_until,
        }


def gather(config: Config, engine: Engine, now: float) -> Report:
    """Read everything; nothing is changed, except that a restored backup may be noticed here first.

    Raises:
        StoreError: the database, or the record of what was given, cannot be read.

    """
    own, known = own_viewers(engine, config, now=now), repository.read(engine, config)
    past = releases.since(engine, now - YEAR)
    together = yearly_budget.past_year(engine, now)
    shown = [replace(release, with_pairs=False) for release in together]
    kept, served_until = _windows(config, engine, past, now)
    return Report(
        host=config.instance.host,
        now=now,
        mode=config.mode,
        level=Level(config.privacy.level),
        peers=len(known.approved()),
        window_seconds=config.privacy.window.total_seconds(),
        min_video_age_seconds=config.privacy.min_video_age.total_seconds(),
        min_changed=config.privacy.min_changed_users,
        min_users=config.sharing.min_users,
        publishes=config.privacy.allow_published_vectors or config.privacy.publish_vectors,
        viewers=_viewers(config, engine, own, now),
        windows=tuple(_state(config, engine, host, one, own, past) for host, one in sorted(kept.items())),
        alone={host: Year(len(found), costs(found)) for host, found in sorted(by_aggregator(past).items())},
        together=Year(len(together), costs(together)),
        members=costs(shown),
        budgets=yearly_budget.budgets(config),
        served_until=served_until,
    )


def by_aggregator(past: list[ReleaseRecord]) -> dict[str, list[Release]]:
    """Return one release per data window, by the aggregator that it was given to."""
    windows: dict[tuple[str, str], dict[int, ReleaseRecord]] = defaultdict(dict)
    for record in past:
        windows[record.aggregator, record.window][record.round] = record
    found: dict[str, list[Release]] = defaultdict(list)
    for (aggregator, _), rounds in windows.items():
        found[aggregator].append(yearly_budget.release_of(rounds))
    return dict(found)


def members_of(engine: Engine, record: ReleaseRecord) -> int:
    """Return how many shares of noise are in a sum when everybody is alive; 1 where it is not known.

    The counts of a sum of our own are shown to its members with our own share of noise on top.
    """
    session = activity.session(engine, record.session_id)
    if session is None:
        return 1
    return len(session.roster) + (session.role == "aggregator")


def _viewers(config: Config, engine: Engine, own: OwnStatistics, now: float) -> Viewers:
    lengths = np.diff(own.interactions.matrix.indptr)
    over = np.maximum(lengths - own.most, 0)
    age = config.privacy.min_video_age.total_seconds()
    return Viewers(
        stored=own.interactions.users,
        counted=int((lengths > 0).sum()),
        videos=len(own.catalogue),
        settled=int(public_since(engine, own.catalogue.urls, before=now - age).sum()),
        limit=own.most,
        too_long=int((over > 0).sum()),
        left_out=int(over.sum()),
    )


def _windows(
    config: Config, engine: Engine, past: list[ReleaseRecord], now: float
) -> tuple[dict[str, StoredWindow], float | None]:
    """Return the window of everybody who may have one, and until when a restored backup counts as served."""
    if not config.windows_dir.is_dir():
        return {}, None
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    found = open_windows(config, identity, engine, lambda: now)
    known = repository.read(engine, config)
    names = {config.instance.host, *(peer.host for peer in known.approved()), *(r.aggregator for r in past)}
    windows = {host: kept for host in names if (kept := found.read(host)) is not None}
    until = found.served_until()
    return windows, until if until is not None and until > now else None


def _state(
    config: Config,
    engine: Engine,
    aggregator: str,
    kept: StoredWindow,
    own: OwnStatistics,
    past: list[ReleaseRecord],
) -> WindowState:
    present = own.digests(kept.seed)
    vectors = {
        record.round: Vector.of(record, members_of(engine, record))
        for record in past
        if record.window == kept.id
    }
    return WindowState(
        aggregator=aggregator,
        ours=aggregator == config.instance.host,
        opened=kept.window.opened,
        ends=kept.window.ends,
        closed=kept.window.closed,
        changed=sum(kept.viewers.get(who) != what for who, what in present.items()),
        needed=config.privacy.min_changed_users,
        frozen=len(kept.window.given),
        counts=vectors.get(0),
        pairs=vectors.get(1),
    )
