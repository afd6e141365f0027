"""What others got of this instance's viewers, and what it tells them: in a year, a data window, a session.

Counts, times and names of instances only: nothing here can name a viewer or a video.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Engine, select

from daemon.config import Config
from daemon.disclosure import formatting
from daemon.disclosure.cost import Costs, costs, costs_as_json, deviation, level_of, number
from daemon.disclosure.windows import WindowView, read_windows
from daemon.peers import repository
from daemon.rounds import yearly_budget
from daemon.rounds.own_statistics import OwnStatistics, own_viewers
from daemon.store import activity, releases
from daemon.store.activity import SessionRecord
from daemon.store.engine import reads
from daemon.store.releases import ReleaseRecord
from daemon.store.sums import SumPrivacy
from daemon.store.tables import Sum
from daemon.store.videos import public_since
from policies.neighbour_relations import YEAR, Relation, Release
from policies.privacy import PROTECTION, Level


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
class VectorNoise:
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
    def of(cls, record: ReleaseRecord, members: int) -> VectorNoise:
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
class WindowNoise:
    """A data window and the noise on what was given in it; a vector that is in no sum yet has none here.

    `changed` viewers are not as they were counted; `needed` must be, for the next vector to be a fresh one.
    """

    view: WindowView
    ours: bool
    changed: int
    needed: int
    counts: VectorNoise | None
    pairs: VectorNoise | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **self.view.as_json(),
            "ours": self.ours,
            "changed": self.changed,
            "needed": self.needed,
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
class PrivacyReport:
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
    windows: tuple[WindowNoise, ...]
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


def gather(config: Config, engine: Engine, now: float) -> PrivacyReport:
    """Read everything; nothing is changed, except that a restored backup may be noticed here first.

    Raises:
        StoreError: the database, or the record of what was given, cannot be read.

    """
    own, known = own_viewers(engine, config, now=now), repository.read(engine, config)
    past = releases.since(engine, now - YEAR)
    together = yearly_budget.past_year(engine, now)
    shown = [replace(release, with_pairs=False) for release in together]
    hosts = {config.instance.host, *(peer.host for peer in known.approved()), *(r.aggregator for r in past)}
    windows = read_windows(config, engine, hosts, now)
    served = [view.ends for view in windows if view.state == "served" and view.ends > now]
    return PrivacyReport(
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
        windows=tuple(_noise(config, engine, view, own, past) for view in windows if view.stored is not None),
        alone={host: Year(len(found), costs(found)) for host, found in sorted(by_aggregator(past).items())},
        together=Year(len(together), costs(together)),
        members=costs(shown),
        budgets=yearly_budget.budgets(config),
        served_until=max(served, default=None),
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


@dataclass(frozen=True)
class SessionPrivacy:
    """What is on record of a session; all of it empty where there is nothing.

    Attributes:
        level: the strongest whose demands its noise meets; None where the noise is not known.
        given: own vectors that went out in it for the first time, by name.
        costs: of these.
        stored: noise of the others' sum, where this instance took it.
    """

    level: Level | None
    given: dict[str, VectorNoise]
    costs: Costs
    stored: SumPrivacy | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "level": self.level and self.level.value,
            "given": {name: vector.as_json() for name, vector in self.given.items()},
            "cost": costs_as_json(self.costs),
            "sum": {} if self.stored is None else asdict(self.stored),
        }


def session_privacy(engine: Engine, session: SessionRecord) -> SessionPrivacy:
    """Read it; a release is on record for a year."""
    rows = [row for row in releases.since(engine, 0.0) if row.session_id == session.id]
    members = len(session.roster) + (session.role == "aggregator")
    found = [release for group in by_aggregator(rows).values() for release in group]
    with reads(engine) as connection:
        terms = connection.execute(select(Sum.privacy).where(Sum.session_id == session.id)).scalar()
    stored = None if terms is None else SumPrivacy(**terms)
    level = None
    if found:
        level = level_of(found[0].counts_noise, found[0].pairs_noise, found[0].max_videos_per_user)
    elif stored is not None:
        level = level_of(stored.counts_noise, stored.pairs_noise, stored.max_videos_per_user)
    return SessionPrivacy(
        level=level,
        given={("counts", "pairs")[row.round]: VectorNoise.of(row, members) for row in rows},
        costs=costs(found) if found else {},
        stored=stored,
    )


def session_lines(found: SessionPrivacy) -> list[tuple[str, str]]:
    """Return what `shoal sessions show` prints: a name and a sentence each."""
    shown = []
    if found.level is not None:
        shown.append(("level of its noise", found.level.value))
    if found.stored is not None:
        declared = formatting.off(found.stored.pairs_noise)
        realised = formatting.off(found.stored.pairs_noise_realised)
        noisy = f"{realised} in this sum; counted on {declared}"
        shown.append(("the others' sum", noisy if found.stored.pairs_noise else "exact"))
    for name, vector in found.given.items():
        size = vector.videos * (vector.videos - 1) // 2 if name == "pairs" else vector.videos
        realised, declared = formatting.off(vector.realised), formatting.off(vector.declared)
        noise = f"{realised}, everybody alive; counted on {declared}"
        shown.append((f"given: {name}", f"{size:,} numbers, {noise if vector.declared else 'exact'}"))
    if not found.given:
        shown.append(("given", "nothing new of own viewers: none, or the same as before in its data window"))
    for relation, cost in found.costs.items():
        shown.append(
            (
                formatting.NAMES[relation],
                f"guessed right: {formatting.guesses(cost)}; ε {formatting.epsilon(cost.epsilon)}",
            )
        )
    return shown


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


def _noise(
    config: Config, engine: Engine, view: WindowView, own: OwnStatistics, past: list[ReleaseRecord]
) -> WindowNoise:
    changed = 0
    if view.stored is not None:
        viewers, present = view.stored.viewers, own.digests(view.stored.seed)
        changed = sum(viewers.get(tag) != digest for tag, digest in present.items())
    vectors = {
        record.round: VectorNoise.of(record, members_of(engine, record))
        for record in past
        if record.window == view.id
    }
    return WindowNoise(
        view=view,
        ours=view.aggregator == config.instance.host,
        changed=changed,
        needed=config.privacy.min_changed_users,
        counts=vectors.get(0),
        pairs=vectors.get(1),
    )
