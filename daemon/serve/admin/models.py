"""What the admin decides about a model that waits or was held back."""

from __future__ import annotations

import re
from typing import Any, Final

from daemon.errors import RequestError
from daemon.serve.admin.records import models as listing
from daemon.serve.admin.responses_history import Models
from daemon.serve.admin.routing import Call, Table

table = Table()

_ID: Final = re.compile(r"[\w-]{1,100}", re.ASCII)


@table.post("/models/{id}/accept", "Let a model serve that awaits the admin's look, or was held back", Models)
async def accept(call: Call) -> dict[str, Any]:
    """Put it into service, and return all models as they are then."""
    context, model = call.context, _model(call)
    from daemon.training.acceptance import decisions

    await call.work.read(decisions.accept, context.engine, context.config, model, context.clock())
    return await listing(call)


@table.post("/models/{id}/reject", "Keep a model from serving for good", Models)
async def reject(call: Call) -> dict[str, Any]:
    """Keep what serves, and return all models as they are then."""
    context, model = call.context, _model(call)
    from daemon.training.acceptance import decisions

    await call.work.read(decisions.reject, context.engine, context.config, model, context.clock())
    return await listing(call)


def _model(call: Call) -> str:
    name = call.path["id"]
    if not _ID.fullmatch(name):
        raise RequestError("the path names no model", advice="See GET /v1/admin/models.")
    return name
