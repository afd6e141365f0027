"""How the instance is doing, on one page: who it is, what serves, what waits, how quality went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine

from daemon.disclosure import waiting
from daemon.group import messages
from daemon.group import repository as groups
from daemon.identity import open_identity
from daemon.peers import commands, repository
from daemon.serve.admin import notices
from daemon.serve.admin.responses import Overview
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.serve.context import ServeContext
from daemon.serve.model_loader import Loaded
from daemon.store import ledger_rows, model_records
from federation.identity import format_key
from federation.key_words import words

table = Table()

MEASURE: Final = "held_out_ndcg10"
MOST_ENTRIES: Final = 2_000
MOST_POINTS: Final = 400


@table.get("/overview", "How the instance is doing, and what waits for the admin", Overview)
async def overview(request: AdminRequest) -> dict[str, Any]:
    """Read it all in one go."""
    return await request.work.read(_overview, request.context)


def _overview(context: ServeContext) -> dict[str, Any]:
    config, engine, now = context.config, context.engine, context.clock()
    key = open_identity(config.identity_file, config.instance.host).public.key
    group = groups.current(engine)
    through = messages.learns_in_group(group)
    return {
        "host": config.instance.host,
        "key": format_key(key),
        "words": list(words(key)),
        "mode": config.mode,
        "model": served(context.model.loaded),
        "cohort": commands.cohort(engine, repository.read(engine, config), config, through),
        "waiting": waiting.gather(config, engine, now).as_json(),
        "group": {"group": group.group, "host": group.host, "role": group.role}
        if group is not None and group.active
        else None,
        "notices": [vars(notice) for notice in notices.current(engine, config, now)],
        "quality": quality(trained(engine)),
    }


def served(loaded: Loaded | None) -> dict[str, Any] | None:
    """Describe the model in service by its own manifest."""
    if loaded is None:
        return None
    provenance = loaded.model.manifest.get("provenance", {})
    return {
        "id": loaded.id,
        "kind": provenance.get("kind", "local"),
        "since": loaded.since,
        "videos": len(loaded.model.labels),
        "survivors": list(provenance.get("survivors", ())),
    }


@dataclass(frozen=True)
class Trained:
    """A model as the chart needs it; `value` is None where nothing was measured."""

    id: str
    at: float
    kind: str
    state: str
    value: float | None


def trained(engine: Engine) -> list[Trained]:
    """Return the models that were trained, oldest first: those on record, and older ones by the ledger."""
    rows = {model.id: model for model in model_records.models(engine)}
    found = {
        entry.subject: Trained(
            entry.subject,
            entry.at,
            str(entry.details.get("kind")),
            "deleted",
            _number(entry.details.get("quality")),
        )
        for entry in ledger_rows.newest(engine, limit=MOST_ENTRIES, kinds=("model",))
    }
    for model in rows.values():
        value = _number(model.quality.get(MEASURE))
        found[model.id] = Trained(model.id, model.created, model.kind, model.state, value)
    return sorted(found.values(), key=lambda one: (one.at, one.kind != "local"))


def quality(models: Sequence[Trained]) -> list[dict[str, Any]]:
    """Return one point per training, oldest first: the model it gave, and the local one made with it.

    A training makes the local model first; what was learnt with others comes after it, if there was a sum.
    """
    points: list[dict[str, Any]] = []
    for model in models:
        local, federated = (model.value, None) if model.kind == "local" else (None, model.value)
        if model.kind == "federated" and points and points[-1]["kind"] == "local":
            local = points.pop()["local"]
        point = {"at": model.at, "model": model.id, "kind": model.kind, "state": model.state}
        points.append({**point, "local": local, "federated": federated})
    # No more than a chart can show; the newest is always there.
    step = max(1, -(-len(points) // MOST_POINTS))
    return points[(len(points) - 1) % step :: step]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
