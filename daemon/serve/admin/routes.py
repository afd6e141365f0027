"""The whole table of the admin API, in the order of its description."""

from __future__ import annotations

from typing import Any, Final

from daemon.serve.admin import (
    circle,
    group,
    group_keys,
    model_lists,
    models,
    openapi,
    overview,
    peers,
    records,
    reverts,
    settings,
    videos,
)
from daemon.serve.admin.routing import AdminApi, AdminRequest, Route, Table
from daemon.serve.context import ServeContext

_description = Table()


@_description.get("/openapi.json", "This description", dict[str, Any])
async def description(_request: AdminRequest) -> dict[str, Any]:
    """Make the description of all routes."""
    return openapi.describe(ROUTES)


_TABLES = (
    overview,
    peers,
    circle,
    group,
    group_keys,
    reverts,
    records,
    settings,
    models,
    model_lists,
    videos,
)
ROUTES: Final[tuple[Route, ...]] = (
    *(row for topic in _TABLES for row in topic.table.routes),
    *_description.routes,
)


def admin_api(context: ServeContext) -> AdminApi:
    """Make what answers by this table."""
    return AdminApi(context, ROUTES)
