"""How the instance is doing, on one page: who it is, what serves, what waits, how quality went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Engine

from daemon.identity import open_identity
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.serve.context import ServeContext
from daemon.status import effects, view
from daemon.status.effects import Effects
from daemon.status.view import MEASURE, Status
from daemon.store import ledger_rows, model_records
from daemon.store.model_records import Kind, State

table = Table()

MOST_ENTRIES: Final = 2_000
MOST_POINTS: Final = 400


@dataclass(frozen=True)
class Point:
    """NDCG@10 on held-out engagements of this instance, of a model and of the local one made with it."""

    at: float
    model: str
    kind: Kind
    state: State | Literal["deleted"]
    local: float | None
    federated: float | None


@dataclass(frozen=True)
class Overview(Status):
    """How the instance is doing, and how quality went."""

    quality: tuple[Point, ...]


@table.get("/overview", "How the instance is doing, and what waits for the admin", Overview)
async def overview(request: AdminRequest) -> Overview:
    """Read it all in one go."""
    return await request.work.read(_overview, request.context)


def _overview(context: ServeContext) -> Overview:
    config = context.config
    public = open_identity(config.identity_file, config.instance.host).public
    found = view.gather(config, context.engine, public, context.live(), context.clock())
    return Overview(**vars(found), quality=quality(trained(context.engine)))


@table.get("/effects", "What suggestions achieved on watch pages, counted without any viewer", Effects)
async def achieved(request: AdminRequest) -> Effects:
    """Return weekly totals, and clicks on our lists against PeerTube's own order."""
    return await request.work.read(effects.gather, request.engine, request.config, request.now)


@dataclass(frozen=True)
class Trained:
    """A model as the chart needs it; `value` is None where nothing was measured."""

    id: str
    at: float
    kind: Kind
    state: State | Literal["deleted"]
    value: float | None


def trained(engine: Engine) -> list[Trained]:
    """Return the models that were trained, oldest first: those on record, and older ones by the ledger."""
    rows = {model.id: model for model in model_records.models(engine)}
    found = {
        entry.subject: Trained(
            entry.subject,
            entry.at,
            "federated" if entry.details.get("kind") == "federated" else "local",
            "deleted",
            _number(entry.details.get("quality")),
        )
        for entry in ledger_rows.newest(engine, limit=MOST_ENTRIES, kinds=("model",))
    }
    for model in rows.values():
        value = _number(model.quality.get(MEASURE))
        found[model.id] = Trained(model.id, model.created, model.kind, model.state, value)
    return sorted(found.values(), key=lambda one: (one.at, one.kind != "local"))


def quality(models: Sequence[Trained]) -> tuple[Point, ...]:
    """Return one point per training, oldest first: the model it gave, and the local one made with it.

    A training makes the local model first; what was learnt with others comes after it, if there was a sum.
    """
    points: list[Point] = []
    for model in models:
        local, federated = (model.value, None) if model.kind == "local" else (None, model.value)
        if model.kind == "federated" and points and points[-1].kind == "local":
            local = points.pop().local
        points.append(Point(model.at, model.id, model.kind, model.state, local, federated))
    # No more than a chart can show; the newest is always there.
    step = max(1, -(-len(points) // MOST_POINTS))
    return tuple(points[(len(points) - 1) % step :: step])


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
