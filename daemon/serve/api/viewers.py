"""What a viewer may ask through the plugin: what is known about me, and forget it."""

import asyncio
from typing import Final

from aiohttp import web

from daemon.errors import RequestError
from daemon.serve import plugin_secret
from daemon.serve.api import requests
from daemon.serve.context import CONTEXT, ServeContext
from daemon.serve.middleware import HEADERS, json_answer
from daemon.store.viewers import consent_lock, forget_viewers, viewer_rows

MAX_VIEWER: Final = 200
PATIENCE: Final = 20.0
"""Seconds to wait for a sync that is putting its snapshot in place."""

_KEYS: Final = frozenset({"viewer"})

routes = web.RouteTableDef()


@routes.post("/v1/viewers/known")
async def known(request: web.Request) -> web.Response:
    """Answer `{"viewer"}` with every video that is stored for the viewer, newest first."""
    context = request.app[CONTEXT]
    pseudonym = await _asked(request, context)
    return json_answer({"videos": await asyncio.to_thread(viewer_rows, context.engine, pseudonym)})


@routes.post("/v1/viewers/forget")
async def forget(request: web.Request) -> web.Response:
    """Answer `{"viewer"}` with 204 when no byte of the viewer is left in the database."""
    context = request.app[CONTEXT]
    pseudonym = await _asked(request, context)
    try:
        await asyncio.to_thread(_forget, context, pseudonym)
    finally:
        context.stored.drop()
    return web.Response(status=204, headers=HEADERS)


def pseudonym_of(context: ServeContext, viewer: object) -> bytes:
    """Return what a viewer is called in the store.

    Raises:
        RequestError: it is not a name of a viewer.
    """
    if not isinstance(viewer, str) or not 0 < len(viewer) <= MAX_VIEWER:
        raise RequestError("viewer is not usable", advice="Give the viewer's pseudonym as text.")
    return context.pseudonyms.of(viewer)


async def _asked(request: web.Request, context: ServeContext) -> bytes:
    plugin_secret.require(request)
    return pseudonym_of(context, (await requests.body(request, _KEYS)).get("viewer"))


def _forget(context: ServeContext, pseudonym: bytes) -> None:
    with consent_lock(context.config.data_dir, patience=PATIENCE):
        forget_viewers(context.engine, [pseudonym])
    if context.config.windows_dir.is_dir():
        # Loaded only where something was ever given to peers.
        from daemon.rounds.data_windows import withdraw_viewers

        withdraw_viewers(context.config, context.engine)
