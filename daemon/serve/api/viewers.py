"""What a viewer may ask for through the plugin: what is known about them, and to forget it."""

import asyncio
from typing import Final

from aiohttp import web

from daemon.serve import plugin_secret
from daemon.serve.api.requests import ViewerBody
from daemon.serve.context import CONTEXT, ServeContext
from daemon.serve.middleware import HEADERS, json_answer
from daemon.serve.validation import read_body
from daemon.store.viewers import consent_lock, forget_viewers, viewer_rows

PATIENCE: Final = 20.0
"""Seconds to wait for a sync that is putting its snapshot in place."""

routes = web.RouteTableDef()


@routes.post("/v1/viewers/known")
async def known(request: web.Request) -> web.Response:
    """Answer `{"viewer"}` with every video that is stored for the viewer, newest first."""
    context = request.app[CONTEXT]
    pseudonym = await _pseudonym(request, context)
    return json_answer({"videos": await asyncio.to_thread(viewer_rows, context.engine, pseudonym)})


@routes.post("/v1/viewers/forget")
async def forget(request: web.Request) -> web.Response:
    """Answer `{"viewer"}` with 204 when no byte of the viewer is left in the database."""
    context = request.app[CONTEXT]
    pseudonym = await _pseudonym(request, context)
    try:
        await asyncio.to_thread(_forget, context, pseudonym)
    finally:
        context.stored.drop()
    return web.Response(status=204, headers=HEADERS)


async def _pseudonym(request: web.Request, context: ServeContext) -> bytes:
    plugin_secret.require(request)
    return context.pseudonyms.of((await read_body(ViewerBody, request)).viewer)


def _forget(context: ServeContext, pseudonym: bytes) -> None:
    with consent_lock(context.config.data_dir, patience=PATIENCE):
        removed = forget_viewers(context.engine, [pseudonym])
    if context.config.windows_dir.is_dir():
        # Loaded only where something was ever released.
        from daemon.rounds.withdrawal import withdraw_viewers

        withdraw_viewers(context.config, context.engine, context.clock, removed=removed)
