"""A year on one line for this instance and one for each peer: windows, rounds, models, reverts.

Only what this instance did or was asked itself is known, and shown. Beside it, how many viewers took part,
day by day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field
from sqlalchemy import Engine, select
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.peers import repository
from daemon.status.quality import Trained, trained
from daemon.store import releases, viewer_numbers
from daemon.store.engine import reads
from daemon.store.releases import OWN
from daemon.store.tables import Revert, Round

YEAR: Final = 366 * 86400.0
DAY: Final = 86400.0
_STATES: Final = ("approved", "paused", "candidate", "removed", "reverted")

What = Literal["window", "round", "model", "revert"]
Outcome = Literal["given", "done", "left-out", "failed", "running", "alone", "together", "held", "reverted"]


class Event(TypedDict):
    """One thing that happened; a model is told once a day by its kind."""

    what: What
    at: Annotated[float, Field(description="Unix seconds.")]
    outcome: Annotated[
        Outcome,
        Field(
            description="Of a window: given. Of a round: done, left-out (the peer did not come through), "
            "failed, running. Of a model: alone, together, held (quarantined or awaiting the admin). Of a "
            "revert: reverted."
        ),
    ]


class Line(TypedDict):
    """What happened with one peer, oldest first."""

    host: str
    events: list[Event]


class ViewersOnDay(TypedDict):
    """How many viewers took part at the end of a day; for the admin alone."""

    day: Annotated[float, Field(description="Its start in UTC, Unix seconds.")]
    viewers: int


class Timeline(TypedDict):
    """What happened from `since` to `until`, Unix seconds."""

    since: float
    until: float
    own: list[Event]
    peers: Annotated[
        list[Line], Field(description="Approved peers first; others only where there is something.")
    ]
    viewers: Annotated[
        list[ViewersOnDay], Field(description="Oldest first; days without a check are missing.")
    ]


def read(engine: Engine, config: Config, now: float) -> Timeline:
    """Read a year from the store.

    Raises:
        StoreError: the database cannot be used.
    """
    since = now - YEAR
    lines: defaultdict[str, list[Event]] = defaultdict(list)
    for host, event in (*_windows(engine, since), *_rounds(engine, since), *_reverts(engine, since)):
        lines[host].append(event)
    own = [*lines.pop("", []), *_models(trained(engine), since)]
    known = {host: peer.state for host, peer in repository.read(engine, config).peers.items()}
    shown = {*lines, *(host for host, state in known.items() if state in {"approved", "paused"})}
    return {
        "since": since,
        "until": now,
        "own": _in_order(own),
        "peers": [{"host": host, "events": _in_order(lines[host])} for host in _sorted(shown, known)],
        "viewers": [{"day": day, "viewers": number} for day, number in viewer_numbers.since(engine, since)],
    }


def _windows(engine: Engine, since: float) -> Iterator[tuple[str, Event]]:
    for one in releases.since(engine, since):
        if one.numbers:
            yield "" if one.aggregator == OWN else one.aggregator, _event("window", one.at, "given")


def _rounds(engine: Engine, since: float) -> Iterator[tuple[str, Event]]:
    columns = (Round.role, Round.aggregator, Round.started, Round.outcome, Round.roster, Round.survivors)
    with reads(engine) as connection:
        rows = connection.execute(select(*columns).where(Round.started >= since)).all()
    for role, aggregator, at, outcome, roster, survivors in rows:
        ended = _outcome(outcome)
        if role in {"aggregator", "host"}:
            yield "", _event("round", at, ended)
            for host in roster:
                missed = ended == "done" and host not in survivors
                yield host, _event("round", at, "left-out" if missed else ended)
        else:
            yield aggregator, _event("round", at, ended)


def _reverts(engine: Engine, since: float) -> Iterator[tuple[str, Event]]:
    with reads(engine) as connection:
        rows = connection.execute(select(Revert.host, Revert.at).where(Revert.at >= since)).all()
    for host, at in rows:
        yield host, _event("revert", at, "reverted")
        yield "", _event("revert", at, "reverted")


def _models(models: Sequence[Trained], since: float) -> Iterator[Event]:
    told = set()
    for model in models:
        held = model.state in {"awaiting", "quarantined"}
        outcome: Outcome = "held" if held else "alone" if model.kind == "local" else "together"
        if model.at >= since and (outcome, model.at // DAY) not in told:
            told.add((outcome, model.at // DAY))
            yield _event("model", model.at, outcome)


def _outcome(outcome: str) -> Outcome:
    return "done" if outcome == "done" else "running" if outcome in {"running", "waiting"} else "failed"


def _event(what: What, at: float, outcome: Outcome) -> Event:
    return {"what": what, "at": at, "outcome": outcome}


def _in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event["at"])


def _sorted(hosts: set[str], states: Mapping[str, str]) -> list[str]:
    order = {state: place for place, state in enumerate(_STATES)}
    return sorted(hosts, key=lambda host: (order.get(states.get(host, ""), len(order)), host))
