"""What the next shared suggestions wait for: each cause with what it lacks, and the date where there is one.

Public facts and the admin's own decisions alone: how many viewers there are, or what they did, is no part
of it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import Engine

from daemon.config import Config, Mode
from daemon.disclosure.formatting import plural
from daemon.group import repository as groups
from daemon.peers import repository
from daemon.rounds.aggregator_window import asked_before, peer_windows
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
_NAMED: Final = 3
"""Hosts that a sentence names; of more it gives the number."""


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

    `count` of `total` are there (videos that are old enough then, approvals that are missing); `hosts` are
    those it depends on. One that does not hold up a sum is told all the same, as `blocks` says.
    """

    cause: Cause
    sentence: str
    at: float | None = None
    count: int = 0
    total: int = 0
    hosts: tuple[str, ...] = ()
    blocks: bool = True


@dataclass(frozen=True)
class Waiting:
    """What is missing for the next sum; `at` is the earliest date, None where it depends on a decision.

    `sentence` says it all in one.
    """

    first: bool
    at: float | None
    waits: tuple[Wait, ...]
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        waits = [{**asdict(wait), "hosts": list(wait.hosts)} for wait in self.waits]
        return {"first": self.first, "at": self.at, "sentence": self.sentence, "waits": waits}


def waiting(found: Situation, now: float) -> Waiting:
    """Return what the next sum waits for."""
    waits = tuple(_waits(found, now))
    blocking = [wait for wait in waits if wait.blocks]
    dated = [wait.at for wait in blocking if wait.at is not None]
    at = None if len(dated) < len(blocking) else max(dated, default=now)
    return Waiting(found.first, at, waits, _sentence(found, waits, dated, now))


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
        return [Wait("confirm", "a model learnt with others waits for your approval")]
    if found.untrained:
        return [Wait("training", "a sum is there, and the next training learns from it", at=now)]
    waits = []
    if found.mode in {"off", "simulate"}:
        waits.append(Wait("mode", f'mode is "{found.mode}", which asks nobody'))
    if found.group:
        # Its host asks, and knows when.
        waits.append(_group(found, now))
    else:
        waits += [*_videos(found, now), *_viewers(found, now), *_approvals(found), *_window(found, now)]
        if not found.scheduled:
            sentence = "rounds start only when you start them (schedule.enabled is false)"
            waits.append(Wait("schedule", sentence))
    return waits


def _group(found: Situation, now: float) -> Wait:
    if found.group_at > now:
        sentence = f"the group {found.group} takes its next sum on {_day(found.group_at, now)}"
        return Wait("group", sentence, at=found.group_at)
    return Wait("group", f"the group {found.group} has announced no sum yet")


def _videos(found: Situation, now: float) -> list[Wait]:
    total = len(found.dates)
    if not total:
        return [Wait("sync", "no video has been read yet")]
    old = bisect.bisect_right(found.dates, now - found.min_age)
    if old == total:
        return []
    if old:
        # Some are enough to begin with; the others follow by themselves.
        all_ = found.dates[-1] + found.min_age
        sentence = f"{old:,} of {plural(total, 'video')} are old enough, all of them on {_day(all_, now)}"
        return [Wait("videos", sentence, at=all_, count=old, total=total, blocks=False)]
    first = found.dates[0] + found.min_age
    # What was stored within a day of the first comes with it.
    then = bisect.bisect_right(found.dates, found.dates[0] + _DAY)
    sentence = f"{then:,} of {plural(total, 'video')} are old enough on {_day(first, now)}"
    return [Wait("videos", sentence, at=first, count=then, total=total)]


def _viewers(found: Situation, now: float) -> list[Wait]:
    if found.mode != "contribute" or found.viewers_from <= now:
        return []
    sentence = f"what viewers do begins new data windows of others from {_day(found.viewers_from, now)} on"
    return [Wait("viewers", sentence, at=found.viewers_from, blocks=False)]


def _approvals(found: Situation) -> list[Wait]:
    missing = found.needed - found.mutual
    if missing <= 0:
        return []
    are = "is" if missing == 1 else "are"
    sentence = f"{missing} of {plural(found.needed, 'approval')} {are} missing"
    theirs, ours = found.unanswered, found.asking
    if theirs and len(theirs) <= missing:
        sentence += f" (not yet given: {_named(theirs)})"
    if ours:
        sentence += f", {_named(ours)} {'waits' if len(ours) == 1 else 'wait'} for yours"
    return [Wait("approvals", sentence, count=missing, total=found.needed, hosts=(*theirs, *ours))]


def _window(found: Situation, now: float) -> list[Wait]:
    if found.next_at <= now:
        return []
    day = _day(found.next_at, now)
    if found.failed:
        return [Wait("retry", f"the last round failed and is tried again on {day}", at=found.next_at)]
    return [Wait("window", f"the peers gave their sum and give the next on {day}", at=found.next_at)]


def _sentence(found: Situation, waits: Sequence[Wait], dated: Sequence[float], now: float) -> str:
    what = "First shared suggestions" if found.first else "Next shared round"
    told = ", ".join(wait.sentence for wait in sorted(waits, key=lambda wait: not wait.blocks))
    if not any(wait.blocks for wait in waits):
        return f"{what} now: nothing is missing{f', and {told}' if told else ''}."
    about = f" about {_day(max(dated), now)}" if dated and math.isfinite(max(dated)) else ""
    return f"{what}{about}: {told}."


def _named(hosts: Sequence[str]) -> str:
    if len(hosts) > _NAMED:
        return f"{', '.join(hosts[:_NAMED])} and {len(hosts) - _NAMED} more"
    return " and ".join(hosts) if len(hosts) < 3 else f"{', '.join(hosts[:-1])} and {hosts[-1]}"


def _day(at: float, now: float) -> str:
    """Write a day as people say it; the hour where it is today, the year where it is another."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    if then.date() == today.date():
        return f"{then.day} {then:%B at %H:%M} UTC"
    year = f" {then.year}" if then.year != today.year else ""
    return f"{then.day} {then:%B}{year}"
