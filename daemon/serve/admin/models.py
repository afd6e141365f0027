"""Models: how each was judged, what the admin decides about it, and which sub-cohorts are suspect."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.errors import RequestError
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.store import current_model, model_records
from daemon.store.model_records import Kind, State
from daemon.training.acceptance import decisions, suspect_sub_cohorts
from daemon.training.acceptance.report import AcceptanceReport, with_titles
from daemon.training.acceptance.suspect_sub_cohorts import Run
from daemon.training.rollback import roll_back

table = Table()


class Model(TypedDict):
    """A trained model, what was measured of it by name, and how its sum was judged, null for a local one."""

    id: str
    created: float
    kind: Kind
    state: State
    survivors: list[str]
    quality: dict[str, Any]
    report: AcceptanceReport | None
    current: bool


class Models(TypedDict):
    """Newest first."""

    models: list[Model]


class Suspects(TypedDict):
    """Newest first."""

    suspects: list[Run]


_ID: Final = re.compile(r"[\w-]{1,100}", re.ASCII)


@table.get("/models", "All models that are kept, and how each was judged", Models)
async def models(request: AdminRequest) -> Models:
    """Return models, newest first."""
    return await request.work.read(_models, request.engine, request.config)


def _models(engine: Engine, config: Config) -> Models:
    current = current_model.read(config.models_dir)
    return {
        "models": [
            {
                "id": model.id,
                "created": model.created,
                "kind": model.kind,
                "state": model.state,
                "survivors": model.survivors,
                "quality": model.quality,
                "report": with_titles(engine, model.report),
                "current": model.directory == current,
            }
            for model in model_records.models(engine)
        ]
    }


@table.post("/models/{id}/accept", "Put a model into service that awaits approval or was quarantined", Models)
async def accept(request: AdminRequest) -> Models:
    """Put it into service, and return all models as they are then."""
    model = _id(request)
    await request.work.read(decisions.accept, request.engine, request.config, model, request.now)
    return await models(request)


@table.post("/models/{id}/reject", "Keep a model from serving for good", Models)
async def reject(request: AdminRequest) -> Models:
    """Keep what serves, and return all models as they are then."""
    model = _id(request)
    await request.work.read(decisions.reject, request.engine, request.config, model, request.now)
    return await models(request)


@table.post("/models/{id}/rollback", "Go back to a model that served before", Models)
async def rollback(request: AdminRequest) -> Models:
    """Let it serve again, and return all models as they are then."""
    model = _id(request)
    await request.work.read(roll_back, request.engine, request.config, model)
    return await models(request)


@table.get("/suspects", "Sub-cohorts of sums that were quarantined", Suspects)
async def suspects(request: AdminRequest) -> Suspects:
    """Return runs of sums, newest first; what one peer contributed is known to nobody."""
    return {"suspects": await request.work.read(suspect_sub_cohorts.suspects, request.engine)}


def _id(request: AdminRequest) -> str:
    name = request.path["id"]
    if not _ID.fullmatch(name):
        raise RequestError("the path has no id of a model", advice="See GET /v1/admin/models.")
    return name
