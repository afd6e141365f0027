"""Everything under `/v1/admin`, in the order of its description, and the page under `/admin/`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from daemon.serve.admin import (
    group,
    group_keys,
    models,
    overview,
    page,
    peers,
    records,
    reverts,
    share,
    suspects,
    videos,
)
from daemon.serve.admin.access import Access
from daemon.serve.admin.executor import Executor
from daemon.serve.admin.notice_watcher import Numbers
from daemon.serve.admin.routing import Call, Parts, Route, Table, mount
from daemon.serve.context import ServeContext

PARTS = web.AppKey("admin", Parts)

_description = Table()


@_description.get("/openapi.json", "This description", dict[str, Any])
async def description(_call: Call) -> dict[str, Any]:
    """Make the description of all routes."""
    # Only tools ask for it.
    from daemon.serve.admin.openapi import describe

    return describe(routes())


def routes() -> tuple[Route, ...]:
    """Return the whole table."""
    tables = (overview, peers, group, group_keys, reverts, share, records, models, suspects, videos)
    return (*(row for part in tables for row in part.table.routes), *_description.routes)


def add_to(app: web.Application, context: ServeContext) -> None:
    """Serve the admin API and the page; makes the token of this run."""
    parts = Parts(context, Access.create(context.config.data_dir), Executor(context))
    app[PARTS] = parts
    mount(app, routes(), parts)
    app.add_routes(page.routes(page.root()))
    context.metrics.registry.register(Numbers(context))
    app.on_cleanup.append(_close)


async def _close(app: web.Application) -> None:
    await app[PARTS].work.close()
