"""What happens next on an instance, and why then: sync, training, data windows, the round. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from daemon.config import Config
from daemon.config.types import format_duration
from daemon.disclosure.waiting import Cause, Waiting
from daemon.process.live import Live
from daemon.sentences import Sentence, sentence

What = Literal["sync", "training", "window", "round"]

WINDOWS: Final[frozenset[Cause]] = frozenset({"videos", "viewers", "window", "retry", "group"})
"""Causes of a wait that end on a date, because a data window opens then."""


@dataclass(frozen=True)
class NextDate:
    """One thing that happens by itself: `at` in Unix seconds, None while it has no date; `why` then."""

    what: What
    at: float | None
    why: tuple[Sentence, ...]


def next_dates(config: Config, live: Live | None, waiting: Waiting) -> tuple[NextDate, ...]:
    """Return what happens next, in the order in which an instance does it."""
    return (*_own(config, live), *(_shared(live, waiting) if config.federates else ()))


def _own(config: Config, live: Live | None) -> Iterator[NextDate]:
    schedule = config.schedule
    sync = None if live is None else live.upcoming.get("sync")
    if not schedule.enabled:
        why = sentence("nextNothingScheduled")
    elif live is None:
        why = sentence("nextNoDaemon")
    else:
        why = sentence("nextEvery", duration=format_duration(schedule.sync))
    yield NextDate("sync", sync, (why,))
    if sync is None:
        yield NextDate("training", None, (why,))
    elif schedule.train_after_sync:
        yield NextDate("training", sync, (sentence("nextAfterSync"),))
    else:
        yield NextDate("training", None, (sentence("nextTrainingByHand"),))


def _shared(live: Live | None, waiting: Waiting) -> Iterator[NextDate]:
    for wait in waiting.waits:
        if wait.at is not None and wait.cause in WINDOWS:
            yield NextDate("window", wait.at, wait.sentences)
    if waiting.at is None:
        # What has a date of its own stands above.
        missing = [wait for wait in waiting.waits if wait.blocks and wait.at is None]
        yield NextDate("round", None, tuple(one for wait in missing for one in wait.sentences))
    elif live is None:
        yield NextDate("round", None, (sentence("nextNoDaemon"),))
    else:
        at = live.upcoming.get("round", waiting.at)
        yield NextDate("round", at, (sentence("nextNothingMissing"),))
