"""What the process does besides answering the local API: the schedule, and the exchange with other instances.

It follows from the settings, and is built anew when they change. The local API and the model in service are
no part of it, so that viewers notice nothing.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from daemon.config import Config
from daemon.process.daemon_lock import Running, announce
from daemon.serve.connection_limit import MAX_CONNECTIONS, ConnectionLimit
from daemon.serve.context import CONTEXT, ServeContext
from daemon.serve.listening import CONNECTIONS, listen
from daemon.serve.model_loader import arrange
from daemon.serve.runner import Runner
from daemon.serve.scheduler import Scheduler, rules

logger = logging.getLogger(__name__)

MAX_FEDERATION_REQUEST: Final = 100_000
STARTED_AGAIN: Final = ("sync", "train")
"""Jobs that are begun once more when a change of settings ended them; others are due at each start anyway."""


class Background:
    """One per process, made inside the event loop."""

    def __init__(self, context: ServeContext, runner: Runner) -> None:
        self._context, self._runner = context, runner
        self._scheduler: Scheduler | None = None
        self._listener: web.AppRunner | None = None
        self._stack = AsyncExitStack()
        context.reconfigure = self.reconfigure

    async def open(self) -> None:
        """Build everything by the settings and start it; the local API must listen already.

        Raises:
            ListenError: the address for peers cannot be used.
        """
        context = self._context
        try:
            if context.config.federates:
                # In any other mode nothing is exchanged with others, and none of this is loaded. In a thread:
                # it takes long enough for viewers to notice.
                await asyncio.to_thread(importlib.import_module, "daemon.serve.federation_app")
                from daemon.serve import federation_app

                federation = federation_app.federate(context, self._runner)
                self._scheduler = await self._stack.enter_async_context(federation)
                await self._listen()
            else:
                self._scheduler = Scheduler(context, self._runner, rules(context.config))
        except BaseException:
            await self.close()
            raise
        context.begin = self._scheduler.begin_now
        at = context.addresses
        announce(
            context.config.data_dir,
            Running(os.getpid(), at["api"], at.get("federation", ""), context.started),
        )

    def start(self) -> None:
        """Let jobs run by themselves."""
        if self._scheduler is not None:
            self._scheduler.start()

    async def close(self) -> None:
        """End it all; what a job had not finished never happened."""
        if self._scheduler is not None:
            self._scheduler.stop()
            self._scheduler = None
        await self._runner.close()
        if self._listener is not None:
            await self._listener.cleanup()
            self._listener = None
        await self._stack.aclose()
        self._context.federation_routes = ()
        self._context.addresses.pop("federation", None)

    async def reconfigure(self, config: Config) -> None:
        """Let other settings hold from now on; for one caller at a time.

        Raises:
            ListenError: the address for peers cannot be used; the settings from before hold again.
        """
        context, before = self._context, self._context.config
        if _depends_on(before) != _depends_on(config):
            ended = [name for name in STARTED_AGAIN if name in context.begun()]
            await self.close()
            context.config = config
            if before.mode == "contribute" != config.mode:
                await asyncio.to_thread(_leave_rounds, context)
            try:
                await self.open()
            except BaseException:
                context.config = before
                await self.open()
                raise
            finally:
                self.start()
            for name in ended:
                context.begin(name)
        context.config = config
        loaded = context.model.loaded
        if loaded is not None:
            arrange(loaded.model, config.serve)
        logger.info("settings changed", extra={"mode": config.mode, "privacy_level": config.privacy.level})

    async def _listen(self) -> None:
        context = self._context
        app = peers_app(context)
        where = context.config.listen
        port = where.federation_port or context.last_federation_port
        self._listener, address = await listen(app, "federation", where.federation_host, port)
        context.addresses["federation"] = address
        context.last_federation_port = int(address.rpartition(":")[2])


def peers_app(context: ServeContext) -> web.Application:
    """Wire what the listener for peers serves: the routes that were added to the context."""
    limit = ConnectionLimit(MAX_CONNECTIONS)
    app = web.Application(
        middlewares=[limit.middleware], client_max_size=MAX_FEDERATION_REQUEST, logger=logger
    )
    app[CONTEXT] = context
    app[CONNECTIONS] = limit
    app.add_routes(list(context.federation_routes))
    return app


def _depends_on(config: Config) -> tuple[object, ...]:
    """Return the settings that the background is built by, of those that change while it runs."""
    return config.mode, config.privacy.level, config.schedule.enabled


def _leave_rounds(context: ServeContext) -> None:
    from daemon.rounds import abort

    left = abort.leave_all(context.engine, context.config, now=context.clock())
    logger.info("open rounds were left", extra={"as_member": left.as_member, "own": left.own})
