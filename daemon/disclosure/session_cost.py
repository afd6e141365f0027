"""The noise of one session, and what it told others about this instance's viewers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from daemon.disclosure import formatting
from daemon.disclosure.cost import Costs, costs, costs_as_json, level_of
from daemon.disclosure.privacy_report import Vector, by_aggregator
from daemon.store import releases
from daemon.store.activity import SessionRecord
from daemon.store.engine import reads
from daemon.store.tables import Sum
from policies.privacy import Level


@dataclass(frozen=True)
class SessionPrivacy:
    """What is on record of a session; all of it empty where there is nothing.

    Attributes:
        level: the strongest whose demands its noise meets; None where the noise is not known.
        given: own vectors that went out in it for the first time, by name.
        costs: of these.
        stored: noise of the others' sum, where this instance took it: see `terms.privacy_of`.
    """

    level: Level | None
    given: dict[str, Vector]
    costs: Costs
    stored: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "level": self.level and self.level.value,
            "given": {name: vector.as_json() for name, vector in self.given.items()},
            "cost": costs_as_json(self.costs),
            "sum": self.stored,
        }


def privacy_of(engine: Engine, session: SessionRecord) -> SessionPrivacy:
    """Read it; a release is on record for a year."""
    rows = [row for row in releases.since(engine, 0.0) if row.session_id == session.id]
    members = len(session.roster) + (session.role == "aggregator")
    found = [release for group in by_aggregator(rows).values() for release in group]
    with reads(engine) as connection:
        stored = connection.execute(select(Sum.privacy).where(Sum.session_id == session.id)).scalar() or {}
    level = None
    if found:
        level = level_of(found[0].counts_noise, found[0].pairs_noise, found[0].max_videos_per_user)
    elif stored:
        level = level_of(stored["counts_noise"], stored["pairs_noise"], stored["max_videos_per_user"])
    return SessionPrivacy(
        level=level,
        given={("counts", "pairs")[row.round]: Vector.of(row, members) for row in rows},
        costs=costs(found) if found else {},
        stored=dict(stored),
    )


def lines(found: SessionPrivacy) -> list[tuple[str, str]]:
    """Return what `shoal sessions show` prints: a name and a sentence each."""
    shown = []
    if found.level is not None:
        shown.append(("level of its noise", found.level.value))
    if found.stored:
        declared, realised = found.stored["pairs_noise"], found.stored["pairs_noise_realised"]
        shown.append(
            (
                "the others' sum",
                f"{formatting.off(realised)} in this sum; counted on {formatting.off(declared)}"
                if declared
                else "exact",
            )
        )
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
