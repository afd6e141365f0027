"""What the next shared suggestions wait for: each cause with what it lacks, and the date where there is one.

Public facts and the admin's own decisions alone: how many viewers there are, or what they did, is no part
of it.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Engine

from daemon.config import Config, Mode
from daemon.group import repository as groups
from daemon.peers import repository
from daemon.rounds.aggregator_window import asked_before, peer_windows
from daemon.sentences import Sentence, english, sentence
from daemon.store import model_records, sums
from daemon.store.videos import public_dates
from daemon.store.viewers import first_viewer_since
from policies.window import SETTLED_AFTER

Cause = Literal[
    "mode",
    "sync",
    "videos",
    "viewers",
    "approvals",
    "window",
    "retry",
    "schedule",
    "group",
    "training",
    "confirm",
]

_DAY: Final = 86400.0


@dataclass(frozen=True)
class Situation:
    """All that decides when the next sum can be taken; times in Unix seconds.

    Attributes:
        dates: since when each video of the catalogue is public here, ascending.
        min_age: seconds after which a video counts.
        viewers_from: when a change of some viewer counts towards a new data window of others, a week after
            the first of them agreed; 0 where nobody has.
        mutual: peers approved by both sides, but for those that were only introduced; `needed` by a sum.
        unanswered: peers approved here that are not known to approve this instance.
        asking: peers that wait for this admin's approval.
        next_at: when peers can be asked again, 0 for now; `failed` tells that it is a pause after a failure.
        scheduled: whether rounds start by themselves.
        group: name of the group that is learnt through, "" outside; `group_at` its next sum, 0 if unknown.
        first: whether no model learnt with others was ever good enough to serve.
        untrained: whether a sum is stored that no model was trained from; `awaiting` whether a model learnt
            with others waits for the admin.
    """

    mode: Mode
    dates: Sequence[float]
    min_age: float
    mutual: int
    needed: int
    viewers_from: float = 0.0
    unanswered: tuple[str, ...] = ()
    asking: tuple[str, ...] = ()
    next_at: float = 0.0
    failed: bool = False
    scheduled: bool = True
    group: str = ""
    group_at: float = 0.0
    first: bool = True
    untrained: bool = False
    awaiting: bool = False


@dataclass(frozen=True)
class Wait:
    """One cause; `at` is when it ends by itself, None where somebody has to do something.

    `hosts` are those it depends on. One that does not hold up a sum is told all the same, as `blocks` says.
    """

    cause: Cause
    sentences: tuple[Sentence, ...]
    at: float | None = None
    hosts: tuple[str, ...] = ()
    blocks: bool = True


@dataclass(frozen=True)
class Waiting:
    """What is missing for the next sum.

    Attributes:
        first: whether nothing learnt with others ever served.
        at: the earliest date, None where it depends on a decision.
        about: the date without the decisions, None where nothing else has one.
    """

    first: bool
    at: float | None
    about: float | None
    waits: tuple[Wait, ...]

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """What is waited for until when, then each cause, first those that hold up the sum."""
        causes = sorted(self.waits, key=lambda wait: not wait.blocks)
        if not any(wait.blocks for wait in self.waits):
            when = sentence("firstSharedNow") if self.first else sentence("nextSharedNow")
        elif self.about is None:
            when = sentence("firstSharedWaits") if self.first else sentence("nextSharedWaits")
        elif self.first:
            when = sentence("firstSharedAbout", at=self.about)
        else:
            when = sentence("nextSharedAbout", at=self.about)
        return (when, *(one for wait in causes for one in wait.sentences))

    @property
    def english(self) -> str:
        """All of that in English."""
        return english(*self.sentences)


def waiting(found: Situation, now: float) -> Waiting:
    """Return what the next sum waits for."""
    waits = tuple(_waits(found, now))
    blocking = [wait for wait in waits if wait.blocks]
    dated = [wait.at for wait in blocking if wait.at is not None]
    at = None if len(dated) < len(blocking) else max(dated, default=now)
    return Waiting(found.first, at, max(dated, default=None), waits)


def gather(config: Config, engine: Engine, now: float) -> Waiting:
    """Read what decides, and return what is missing."""
    known, group = repository.read(engine, config), groups.current(engine)
    inside = group if group is not None and group.active else None
    approved = known.approved()
    next_at, failed = 0.0, False
    if inside is None and asked_before(config, hosted=False):
        windows = peer_windows(config, lambda: now)
        current = windows.current()
        next_at, failed = windows.next_at(), current is None or not current.done
    models, viewer = model_records.models(engine), first_viewer_since(engine)
    found = Situation(
        mode=config.mode,
        dates=public_dates(engine),
        min_age=config.privacy.min_video_age.total_seconds(),
        mutual=sum(peer.theirs == "approved" and not peer.on_word_alone for peer in approved),
        needed=config.cohort.min_cohort,
        viewers_from=0.0 if viewer is None else viewer + SETTLED_AFTER,
        unanswered=tuple(peer.host for peer in approved if peer.theirs != "approved"),
        asking=tuple(
            sorted(
                host
                for host, peer in known.peers.items()
                if peer.state == "candidate" and peer.theirs in {"asked", "approved"}
            )
        ),
        next_at=next_at,
        failed=failed,
        scheduled=config.schedule.enabled,
        group="" if inside is None else inside.group,
        group_at=0.0 if inside is None else inside.next_at,
        first=not any(m.kind == "federated" and m.state in {"ready", "current"} for m in models),
        untrained=any(record.verdict == "new" for record in sums.records(engine)),
        awaiting=any(model.state == "awaiting" for model in models),
    )
    return waiting(found, now)


def _waits(found: Situation, now: float) -> list[Wait]:
    # What was summed already needs no further sum.
    if found.awaiting:
        return [Wait("confirm", (sentence("waitConfirm"),))]
    if found.untrained:
        return [Wait("training", (sentence("waitTraining"),), at=now)]
    waits = []
    if found.mode in {"off", "simulate"}:
        waits.append(Wait("mode", (sentence("waitMode", mode=found.mode),)))
    if found.group:
        # Its host asks, and knows when.
        waits.append(_group(found, now))
    else:
        waits += [*_videos(found, now), *_viewers(found, now), *_approvals(found), *_window(found, now)]
        if not found.scheduled:
            waits.append(Wait("schedule", (sentence("waitSchedule"),)))
    return waits


def _group(found: Situation, now: float) -> Wait:
    if found.group_at > now:
        said = sentence("waitGroup", group=found.group, at=found.group_at)
        return Wait("group", (said,), at=found.group_at)
    return Wait("group", (sentence("waitGroupSilent", group=found.group),))


def _videos(found: Situation, now: float) -> list[Wait]:
    total = len(found.dates)
    if not total:
        return [Wait("sync", (sentence("waitSync"),))]
    old = bisect.bisect_right(found.dates, now - found.min_age)
    if old == total:
        return []
    if old:
        # Some are enough to begin with; the others follow by themselves.
        all_ = found.dates[-1] + found.min_age
        said = sentence("waitVideosSome", old=old, total=total, at=all_)
        return [Wait("videos", (said,), at=all_, blocks=False)]
    first = found.dates[0] + found.min_age
    # What was stored within a day of the first comes with it.
    then = bisect.bisect_right(found.dates, found.dates[0] + _DAY)
    return [Wait("videos", (sentence("waitVideos", old=then, total=total, at=first),), at=first)]


def _viewers(found: Situation, now: float) -> list[Wait]:
    if found.mode != "contribute" or found.viewers_from <= now:
        return []
    said = sentence("waitViewers", at=found.viewers_from)
    return [Wait("viewers", (said,), at=found.viewers_from, blocks=False)]


def _approvals(found: Situation) -> list[Wait]:
    missing = found.needed - found.mutual
    if missing <= 0:
        return []
    said = [sentence("waitApprovals", count=missing, total=found.needed)]
    theirs, ours = found.unanswered, found.asking
    if theirs and len(theirs) <= missing:
        said.append(sentence("waitTheirs", hosts=theirs))
    if ours:
        said.append(sentence("waitYours", count=len(ours), hosts=ours))
    return [Wait("approvals", tuple(said), hosts=(*theirs, *ours))]


def _window(found: Situation, now: float) -> list[Wait]:
    if found.next_at <= now:
        return []
    if found.failed:
        return [Wait("retry", (sentence("waitRetry", at=found.next_at),), at=found.next_at)]
    return [Wait("window", (sentence("waitWindow", at=found.next_at),), at=found.next_at)]
