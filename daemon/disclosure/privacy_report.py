"""What others got of this instance's viewers, and what it tells them: in a year, a data window, a round.

Counts, times and names of instances only: nothing here can name a viewer or a video.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine, select

from daemon.config import Config
from daemon.disclosure import formatting
from daemon.disclosure.cost import Costs, costs, costs_as_json, deviation, level_of, number
from daemon.disclosure.windows import WindowView, read_windows
from daemon.peers import repository
from daemon.rounds import yearly_budget
from daemon.rounds.data_windows import StoredWindow
from daemon.rounds.own_statistics import OwnStatistics, own_viewers
from daemon.rounds.yearly_budget import Pace
from daemon.store import activity, releases
from daemon.store.activity import RoundRecord
from daemon.store.engine import reads
from daemon.store.releases import OWN, ReleaseRecord
from daemon.store.sums import SumPrivacy
from daemon.store.tables import Sum
from daemon.store.videos import public_since
from models.head import LEAST_VIEWS
from policies.neighbour_relations import YEAR, Relation, Release
from policies.privacy import PROTECTION, Level


@dataclass(frozen=True)
class Viewers:
    """Who counts in a sum now: viewers with at least one video that counts.

    `settled` videos do: they are old enough and not too rare. `too_long` viewers have more of them than are
    counted, `left_out` videos in all.
    """

    stored: int
    counted: int
    videos: int
    settled: int
    limit: int
    too_long: int
    left_out: int


@dataclass(frozen=True)
class SegmentNoise:
    """The noise on one segment of a vector: counts of so many videos, or pairs of a head of so many.

    `members` give a share of it when everybody is alive. Variances are in viewers squared: `share` is ours,
    `declared` what the sum carries at least, `realised` what it carries with everybody alive.
    """

    videos: int
    members: int
    declared: float
    realised: float
    share: float

    @classmethod
    def of(cls, record: ReleaseRecord, members: int) -> dict[str, SegmentNoise]:
        """Return the segments of a release by name, `counts` and, where it has a head, `pairs`."""

        def segment(videos: int, noise: float) -> SegmentNoise:
            share = noise * record.share
            return cls(videos, members, noise, max(members * share, noise), share)

        found = {"counts": segment(record.vocabulary, record.counts_noise)}
        return {**found, "pairs": segment(record.head, record.pairs_noise)} if record.head else found

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
    """A data window and the noise on what left in it, by segment: none as long as nothing has.

    `changed` viewers, of those who agreed more than a week ago, are not as they were counted. `enough` tells
    whether a look at them, once its time was over, found enough: with noise, and so not exactly from them.
    """

    view: WindowView
    changed: int
    enough: bool
    given: Mapping[str, SegmentNoise]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **self.view.shown,
            "changed": self.changed,
            "enough": self.enough,
            "given": {name: segment.as_json() for name, segment in self.given.items()},
        }


@dataclass(frozen=True)
class Year:
    """What was released to somebody in the past 365 days: data windows, and what they cost.

    The costs are those of decisions by own viewers' likes, too.
    """

    windows: int
    costs: Costs

    @classmethod
    def of(cls, past: Sequence[Release]) -> Year:
        """Add up releases."""
        return cls(sum(one.max_videos_per_user > 0 for one in past), costs(past))

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"windows": self.windows, **costs_as_json(self.costs)}


@dataclass(frozen=True)
class PrivacyReport:
    """See the module. `alone` is the year per aggregator, and that of our own release.

    `pace` is that at which the budget for a pair lasts.
    """

    host: str
    now: float
    mode: str
    level: Level
    peers: int
    window_max_seconds: float
    min_video_age_seconds: float
    min_changed: int
    publishes: bool
    exact_own: bool
    viewers: Viewers
    windows: tuple[WindowNoise, ...]
    alone: Mapping[str, Year]
    together: Year
    budgets: Mapping[Relation, float]
    pace: Pace
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
            "budgets": {
                relation.value: {"limit": limit, "left": number(self.left(relation) or 0.0)}
                for relation, limit in self.budgets.items()
            },
            "windows_stretched_by": round(self.pace.stretch, 2),
            "refused_for_the_budget": list(self.pace.refused),
            "vectors_may_be_published": self.publishes,
            "exact_own": self.exact_own,
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
    hosts = {OWN, *(peer.host for peer in known.approved()), *(record.aggregator for record in past)}
    windows = read_windows(config, engine, hosts, now)
    served = [view.ends for view in windows if view.state == "served" and view.ends > now]
    return PrivacyReport(
        host=config.instance.host,
        now=now,
        mode=config.mode,
        level=Level(config.privacy.level),
        peers=len(known.approved()),
        window_max_seconds=config.privacy.window_max.total_seconds(),
        min_video_age_seconds=config.privacy.min_video_age.total_seconds(),
        min_changed=config.privacy.min_changed_users,
        exact_own=config.serve.exact_own,
        publishes=config.privacy.allow_published_vectors or config.privacy.publish_vectors,
        viewers=_viewers(config, engine, own, now),
        windows=tuple(
            _noise(engine, view, view.stored, own, past) for view in windows if view.stored is not None
        ),
        alone={host: Year.of(found) for host, found in sorted(by_aggregator(past).items())},
        together=Year.of(together),
        budgets=yearly_budget.budgets(config),
        pace=yearly_budget.pace(config, engine, now, {one.aggregator: one.stored for one in windows}.get),
        served_until=max(served, default=None),
    )


def by_aggregator(past: list[ReleaseRecord]) -> dict[str, list[Release]]:
    """Return one release per data window, by the aggregator that it was given to."""
    found: dict[str, list[Release]] = defaultdict(list)
    for record in past:
        found[record.aggregator].append(yearly_budget.release_of(record))
    return dict(found)


def members_of(engine: Engine, record: ReleaseRecord) -> int:
    """Return how many shares of noise are in a sum when everybody is alive; 1 where it is not known."""
    round_ = activity.round_(engine, record.round_id)
    return 1 if round_ is None else len(round_.roster)


@dataclass(frozen=True)
class RoundPrivacy:
    """What is on record of a round; all of it empty where there is nothing.

    Attributes:
        level: the strongest whose demands its noise meets; None where the noise is not known.
        given: by segment, our own vector, where it went out in it for the first time.
        costs: of that.
        stored: noise of the others' sum, where this instance took it.
    """

    level: Level | None
    given: Mapping[str, SegmentNoise]
    costs: Costs
    stored: SumPrivacy | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "level": self.level and self.level.value,
            "given": {name: segment.as_json() for name, segment in self.given.items()},
            "cost": costs_as_json(self.costs),
            "sum": {} if self.stored is None else asdict(self.stored),
        }


def round_privacy(engine: Engine, round_: RoundRecord) -> RoundPrivacy:
    """Read it; a release is on record for a year."""
    given = releases.of_round(engine, round_.id)
    with reads(engine) as connection:
        terms = connection.execute(select(Sum.privacy).where(Sum.round_id == round_.id)).scalar()
    stored = None if terms is None else SumPrivacy(**terms)
    terms_of = given or stored
    level = None
    if terms_of is not None:
        level = level_of(terms_of.counts_noise, terms_of.pairs_noise, terms_of.max_videos_per_user)
    return RoundPrivacy(
        level=level,
        given={} if given is None else SegmentNoise.of(given, len(round_.roster)),
        costs={} if given is None else costs([yearly_budget.release_of(given)]),
        stored=stored,
    )


def round_lines(found: RoundPrivacy) -> list[tuple[str, str]]:
    """Return what `shoal rounds show` prints: a name and a sentence each."""
    shown = []
    if found.level is not None:
        shown.append(("level of its noise", found.level.value))
    if found.stored is not None:
        declared = formatting.off(found.stored.pairs_noise)
        realised = formatting.off(found.stored.pairs_noise_realised)
        noisy = f"{realised} in this sum; counted on {declared}"
        shown.append(("the others' sum", noisy if found.stored.pairs_noise else "exact"))
    for name, segment in found.given.items():
        size = segment.videos * (segment.videos - 1) // 2 if name == "pairs" else segment.videos
        realised, declared = formatting.off(segment.realised), formatting.off(segment.declared)
        noise = f"{realised}, everybody alive; counted on {declared}"
        shown.append((f"given: {name}", f"{size:,} numbers, {noise if segment.declared else 'exact'}"))
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
    old = public_since(engine, own.catalogue.urls, before=now - age)
    return Viewers(
        stored=own.interactions.users,
        counted=int((lengths > 0).sum()),
        videos=len(own.catalogue),
        settled=int((old & (own.catalogue.views >= LEAST_VIEWS)).sum()),
        limit=own.most,
        too_long=int((over > 0).sum()),
        left_out=int(over.sum()),
    )


def _noise(
    engine: Engine, view: WindowView, stored: StoredWindow, own: OwnStatistics, past: list[ReleaseRecord]
) -> WindowNoise:
    known, present = stored.viewers, own.digests(stored.seed)
    settled = own.settled(stored.seed)
    changed = sum(known.get(tag) != digest for tag, digest in present.items() if tag in settled)
    given = next((record for record in past if record.window == stored.id), None)
    return WindowNoise(
        view=view,
        changed=changed,
        enough=stored.window.least_changed <= 0,
        given={} if given is None else SegmentNoise.of(given, members_of(engine, given)),
    )
