"""How the instance is doing, on one page: who it is, what serves, what waits, how quality went."""

from __future__ import annotations

from typing import Any, Final

from daemon import notices
from daemon.serve.admin.shapes import Overview
from daemon.serve.admin.table import Call, Parts, Table
from daemon.serve.current import Loaded
from daemon.store import model_records
from daemon.store.model_records import ModelRecord

table = Table()

MEASURE: Final = "held_out_ndcg10"


@table.get("/overview", "How the instance is doing, and what waits for the admin", Overview)
async def overview(call: Call) -> dict[str, Any]:
    """Read it all in one go."""
    return await call.work.read(_overview, call.parts)


def _overview(parts: Parts) -> dict[str, Any]:
    from daemon.identity import open_identity
    from daemon.peers import control
    from federation.identity import format_key
    from federation.words import words

    context = parts.context
    config, engine, now = context.config, context.engine, context.clock()
    key = open_identity(config.identity_file, config.instance.host).public.key
    return {
        "host": config.instance.host,
        "key": format_key(key),
        "words": list(words(key)),
        "mode": config.mode,
        "model": served(context.model.loaded),
        "cohort": control.listing(engine, config, now)["cohort"],
        "notices": [vars(notice) for notice in notices.current(engine, config, now)],
        "quality": quality(model_records.models(engine)),
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


def quality(models: list[ModelRecord]) -> list[dict[str, Any]]:
    """Return one point per training, oldest first: the model it gave, and the own one made beside it.

    A training makes the local model first; what was learnt with others comes after it, if there was a sum.
    """
    points: list[dict[str, Any]] = []
    for model in sorted(models, key=lambda model: model.created):
        value = model.quality.get(MEASURE)
        if model.kind == "federated" and points and points[-1]["kind"] == "local":
            local = points.pop()["local"]
        else:
            local = value if model.kind == "local" else None
        points.append(
            {
                "at": model.created,
                "model": model.id,
                "kind": model.kind,
                "state": model.state,
                "local": local,
                "federated": value if model.kind == "federated" else None,
            }
        )
    return points
