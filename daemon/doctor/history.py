"""Checks of what happened lately: rounds, and jobs that failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from daemon.config import Mode
from daemon.disclosure.waiting import Waiting
from daemon.doctor.check import Result, failure, ok, sentence, warning
from daemon.source.plugin_probe import span
from daemon.store.activity import JobRecord, Role, RoundRecord

RECEIVES: Final[frozenset[Role]] = frozenset({"aggregator", "host", "group", "newcomer"})
"""Roles in which this instance is given a sum."""
UNFINISHED: Final = frozenset({"running", "waiting"})
IN_A_ROW: Final = 3
"""Rounds that failed one after the other: one alone is tried again, and mostly succeeds."""


def last_round(mode: Mode, rounds: Sequence[RoundRecord], waiting: Waiting, now: float) -> Result:
    """Check the last round that was to give this instance a sum; `rounds` are newest first."""
    if mode in {"off", "simulate"}:
        return ok("rounds", f'No round is taken: mode is "{mode}".')
    found = [one for one in rounds if one.role in RECEIVES and one.outcome not in UNFINISHED]
    if not found:
        blocked = [wait for wait in waiting.waits if wait.blocks and wait.at is None]
        if blocked:
            return warning("rounds", waiting.english, "See what is missing: shoal peers list")
        return ok("rounds", f"There was no round yet. {waiting.english}")
    last = found[0]
    when = f"{span(max(0.0, now - (last.ended or last.started)))} ago"
    if last.outcome == "done":
        return ok("rounds", f"The last round ended {when} with {len(last.survivors)} members.")
    told = sentence(f"The last round, {when}, failed: {last.reason or last.outcome}")
    step = f"It is tried again by itself. See: shoal rounds show {last.id[:12]}"
    lately = found[:IN_A_ROW]
    judge = failure if len(lately) == IN_A_ROW and all(one.outcome != "done" for one in lately) else warning
    return judge("rounds", told, step)


def jobs(last_runs: Mapping[str, JobRecord], now: float) -> Iterator[Result]:
    """Check how each job ended last."""
    failed = [run for run in last_runs.values() if run.outcome == "failed"]
    for run in failed:
        why = run.result.get("message") or f"an error of kind {run.code}"
        ended = span(max(0.0, now - run.ended))
        told = sentence(f"The job {run.name} failed {ended} ago: {why}")
        yield warning("jobs", told, run.result.get("advice") or "See the daemon's log.")
    if not failed:
        yield ok("jobs", "Every job ended well when it last ran.")
