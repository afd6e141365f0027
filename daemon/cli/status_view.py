"""How `shoal status` looks: one screen, the most important first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from daemon.cli.terminal import ago, count, paragraph, prose, utc
from daemon.doctor.check import Outcome, Result
from daemon.process.daemon_lock import Running
from daemon.sentences import english
from daemon.status.next_dates import NextDate, What
from daemon.status.view import ModelInService, Status

_LABEL: Final = 10
_NAMED: Final = 4
"""Hosts that are named; of more it says how many."""
_MOST, _FEWER = 3, 2
"""Notices that are shown, fewer where something is wrong; where the others are is said."""
_DATES: Final = 38
"""Columns before the cause of a date."""
_WHAT: Final[dict[What, str]] = {
    "sync": "sync",
    "training": "training",
    "window": "data window",
    "round": "round",
}


def show(
    host: str, running: Running | None, found: Status | None, problems: Sequence[Result], now: float
) -> None:
    """Print it; `found` is None where the database cannot be read."""
    prose(_head(host, running, found), bold=True)
    for label, outcome in (("Wrong", Outcome.FAILURE), ("Look at", Outcome.WARNING)):
        shown = [one for one in problems if one.outcome is outcome]
        _rows(label, [line for one in shown for line in (one.sentence, f"-> {one.next_step}")])
    if found is not None:
        _row("Model", _model(found.model, now, runs=found.running is not None))
        _rows("Next", _next(found.next), hanging=_DATES)
        _rows("Jobs", _jobs(found, now))
        _row("Peers", _peers(found))
        _rows("For you", _notices(found, _FEWER if problems else _MOST))
    if problems:
        _row("", "All checks: shoal doctor")


def _head(host: str, running: Running | None, found: Status | None) -> str:
    daemon = "the daemon does not run"
    if running is not None:
        daemon = f"the daemon runs, since {utc(running.started)}"
    if found is None:
        return f"{host}: {daemon}"
    return f"{host}: mode {found.mode}, {_together(found)}; {daemon}"


def _together(found: Status) -> str:
    group = found.group
    if group is None:
        return "peer to peer"
    if group.role == "host":
        return f"hosts the group {group.group}"
    return f"in the group {group.group} of {group.host}"


def _model(model: ModelInService | None, now: float, *, runs: bool) -> str:
    if model is None:
        return "None serves, so viewers get PeerTube's own lists."
    whose = "own viewers only"
    if model.survivors:
        more = len(model.survivors) - _NAMED
        named = ", ".join(model.survivors[:_NAMED])
        whose = f"own viewers and those of {named}" + (f" and {more} more" if more > 0 else "")
    told = f"{count(model.videos, 'video')}, made {ago(now - model.trained)} from {whose}"
    told += f"; NDCG@10 {model.quality:.3f}" if model.quality is not None else ""
    return f"{told}. {f'Serves since {utc(model.since)}' if runs else 'It serves while the daemon runs'}."


def _next(dates: Sequence[NextDate]) -> Iterator[str]:
    # Training follows sync, or both have no date for the same reason.
    for one, after in zip(dates, [*dates[1:], None], strict=True):
        if one.what == "training":
            continue
        together = one.what == "sync" and after is not None and after.at == one.at
        name = "sync, training" if together else _WHAT[one.what]
        yield f"{name:16}{utc(one.at) if one.at is not None else 'no date':22}{english(*one.why)}"
        if one.what == "sync" and after is not None and not together:
            yield f"{'training':16}{'no date':22}{english(*after.why)}"


def _jobs(found: Status, now: float) -> Iterator[str]:
    running = found.running or {}
    if running:
        yield f"running: {', '.join(f'{job}, begun {ago(now - since)}' for job, since in running.items())}"
    for run in found.failed[:_FEWER]:
        yield f"{run.job} failed {ago(now - run.at)}: {run.message or run.code}"
    if len(found.failed) > _FEWER:
        yield f"{len(found.failed) - _FEWER} more failed: shoal doctor"
    if not running and not found.failed:
        yield "None runs, and each ended well when it last ran."


def _peers(found: Status) -> str:
    numbers = found.peers
    told = [f"{numbers.approved} approved"]
    told += [f"{numbers.paused} paused"] if numbers.paused else []
    told += [f"{numbers.asking} waiting for your approval"] if numbers.asking else []
    return f"{', '.join(told)}."


def _notices(found: Status, most: int) -> Iterator[str]:
    for notice in found.notices[:most]:
        yield english(*notice.sentences)
        yield f"-> {english(notice.command)}"
    if len(found.notices) > most:
        yield f"{len(found.notices) - most} more, on the admin page: shoal admin"
    if not found.notices:
        yield "No decisions are waiting."


def _row(label: str, text: str, hanging: int = 0) -> None:
    paragraph(f"{label:{_LABEL}}{text}", indent=0, hanging=_LABEL + hanging)


def _rows(label: str, texts: Iterable[str], hanging: int = 0) -> None:
    for number, text in enumerate(texts):
        _row("" if number else label, text, 3 if text.startswith("->") else hanging)
