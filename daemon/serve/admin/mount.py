"""Serves the admin API under `/v1/admin`, and the page under `/admin/`.

The API itself is imported when the first request with a credential arrives, and only here: a daemon that only
serves lists loads none of it, and the modules of the API import at their top what they need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from daemon.serve.admin import page
from daemon.serve.admin.access import ACCESS, Access
from daemon.serve.admin.store_metrics import StoreMetrics
from daemon.serve.context import ServeContext

if TYPE_CHECKING:
    from daemon.serve.admin.routing import AdminApi

PREFIX: Final = "/v1/admin"


def add_to(app: web.Application, context: ServeContext) -> None:
    """Serve the admin API and the page; makes the token of this run."""
    app[ACCESS] = Access.create(context.config.data_dir)
    mount = AdminMount(context, app[ACCESS])
    app.router.add_route("*", PREFIX + "/{path:.*}", mount.answer)
    app.add_routes(page.routes(page.Page.load()))
    app.on_cleanup.append(mount.close)
    context.metrics.private.register(StoreMetrics(context))


class AdminMount:
    """Passes requests with a credential on to the admin API."""

    def __init__(self, context: ServeContext, access: Access) -> None:
        self._context = context
        self._access = access
        self._api: AdminApi | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        # Before anything is read or loaded: a request without a credential costs next to nothing.
        self._access.require(request)
        if self._api is None:
            # In a thread: it takes long enough for viewers to notice.
            make = await asyncio.to_thread(_load)
            self._api = self._api or make(self._context)
        return await self._api.answer(request)

    async def close(self, _app: web.Application) -> None:
        """End what the API is doing."""
        if self._api is not None:
            await self._api.close()


def _load() -> Callable[[ServeContext], AdminApi]:
    from daemon.serve.admin.routes import admin_api

    return admin_api
