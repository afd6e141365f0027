"""Models: how each was judged, what the admin decides about it, and which sub-cohorts are suspect."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import RequestError
from daemon.serve.admin.responses_history import Models, Suspects
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.store import current_model, model_records
from daemon.training.acceptance import decisions, suspect_sub_cohorts
from daemon.training.acceptance.report import with_titles
from daemon.training.rollback import roll_back

table = Table()

_ID: Final = re.compile(r"[\w-]{1,100}", re.ASCII)


@table.get("/models", "All models that are kept, and how each was judged", Models)
async def models(request: AdminRequest) -> dict[str, Any]:
    """Return models, newest first."""
    return await request.work.read(_models, request.engine, request.config)


def _models(engine: Engine, config: Config) -> dict[str, Any]:
    current = current_model.read(config.models_dir)
    names = ("id", "created", "kind", "state", "survivors", "quality")
    return {
        "models": [
            {
                **{name: getattr(model, name) for name in names},
                "report": with_titles(engine, model.report),
                "current": model.directory == current,
            }
            for model in model_records.models(engine)
        ]
    }


@table.post("/models/{id}/accept", "Put a model into service that awaits approval or was quarantined", Models)
async def accept(request: AdminRequest) -> dict[str, Any]:
    """Put it into service, and return all models as they are then."""
    model = _id(request)
    await request.work.read(decisions.accept, request.engine, request.config, model, request.now)
    return await models(request)


@table.post("/models/{id}/reject", "Keep a model from serving for good", Models)
async def reject(request: AdminRequest) -> dict[str, Any]:
    """Keep what serves, and return all models as they are then."""
    model = _id(request)
    await request.work.read(decisions.reject, request.engine, request.config, model, request.now)
    return await models(request)


@table.post("/models/{id}/rollback", "Go back to a model that served before", Models)
async def rollback(request: AdminRequest) -> dict[str, Any]:
    """Let it serve again, and return all models as they are then."""
    model = _id(request)
    await request.work.read(roll_back, request.engine, request.config, model)
    return await models(request)


@table.get("/suspects", "Sub-cohorts of sums that were quarantined", Suspects)
async def suspects(request: AdminRequest) -> dict[str, Any]:
    """Return runs of sums, newest first; what one peer contributed is known to nobody."""
    return {"suspects": await request.work.read(suspect_sub_cohorts.suspects, request.engine)}


def _id(request: AdminRequest) -> str:
    name = request.path["id"]
    if not _ID.fullmatch(name):
        raise RequestError("the path has no id of a model", advice="See GET /v1/admin/models.")
    return name
