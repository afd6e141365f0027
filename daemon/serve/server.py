"""The serving process from start to stop: two listeners, the model in service, the scheduler."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from daemon import log
from daemon.config import Config
from daemon.process.daemon_lock import Running, announce, only_daemon
from daemon.process.preflight import listen_error
from daemon.serve.admin import mount as admin
from daemon.serve.admin.notice_watcher import watch
from daemon.serve.api import health, recommendations, vectors, viewers
from daemon.serve.api.metrics import Metrics
from daemon.serve.connection_limit import MAX_CONNECTIONS, MAX_LOCAL, ConnectionLimit, LimitedSite
from daemon.serve.context import CONTEXT, ServeContext
from daemon.serve.middleware import guard
from daemon.serve.model_loader import CurrentModel, arrange
from daemon.serve.runner import Runner
from daemon.serve.scheduler import Scheduler, rules
from daemon.serve.service_manager import ServiceManager
from daemon.serve.store_cache import StoreCache
from daemon.store.activity import refusals
from daemon.store.engine import open_checked
from daemon.store.viewers import Pseudonyms
from daemon.training import exact_own
from models.serving import ServedModel

logger = logging.getLogger(__name__)

MAX_FEDERATION_REQUEST: Final = 100_000
CONNECTIONS: Final = web.AppKey("connections", ConnectionLimit)
"""Of an application: bounds the connections of its listener."""
STOP_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Apps:
    """The two applications of the process; `federation` is None while nothing may come in from peers."""

    api: web.Application
    federation: web.Application | None


def build_apps(context: ServeContext) -> Apps:
    """Wire routes to handlers; everything the listeners serve is named here."""
    few = ConnectionLimit(MAX_LOCAL)
    local = web.Application(
        middlewares=[few.middleware, guard],
        client_max_size=context.config.limits.max_request_bytes,
        logger=logger,
    )
    local[CONTEXT] = context
    local[CONNECTIONS] = few
    local.add_routes(recommendations.routes)
    local.add_routes(health.routes)
    local.add_routes(viewers.routes)
    local[vectors.OFFERS] = vectors.Offers(context.config.models_dir)
    local.add_routes(vectors.routes)
    admin.add_to(local, context)
    peers = None
    if routes := list(context.federation_routes):
        limit = ConnectionLimit(MAX_CONNECTIONS)
        peers = web.Application(
            middlewares=[limit.middleware], client_max_size=MAX_FEDERATION_REQUEST, logger=logger
        )
        peers[CONTEXT] = context
        peers[CONNECTIONS] = limit
        peers.add_routes(routes)
    return Apps(local, peers)


def build_context(config: Config, config_file: Path) -> ServeContext:
    """Open what the handlers need.

    Raises:
        StoreError: the database is missing or at another schema.
    """
    engine = open_checked(config.database)
    stored = StoreCache(engine, history=config.limits.max_history)

    def prepare(model: ServedModel) -> None:
        arrange(model, config.serve)
        stored.prepare(model)

    return ServeContext(
        config=config,
        config_file=config_file,
        engine=engine,
        stored=stored,
        model=CurrentModel(
            config.models_dir,
            prepare=prepare,
            may_be_exact=lambda: exact_own.allowed(engine, config),
        ),
        pseudonyms=Pseudonyms.open(config.data_dir / "viewers.key"),
        metrics=Metrics(lambda: refusals(engine)),
    )


async def serve(config: Config, config_file: Path) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are finished, a running job is ended."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    context = build_context(config, config_file)
    if config.next_identity_file.exists():
        from daemon.rounds import rotate_key

        rotate_key.finish(config, context.engine)
    runner = Runner(context)
    async with AsyncExitStack() as stack:
        if config.federates:
            # In any other mode nothing is exchanged with others, and none of this is loaded.
            from daemon.serve import federation_app

            scheduler = await stack.enter_async_context(federation_app.federate(context, runner))
        else:
            scheduler = Scheduler(context, runner, rules(config))
        await _serve(context, runner, scheduler, stop)


async def _serve(context: ServeContext, runner: Runner, scheduler: Scheduler, stop: asyncio.Event) -> None:
    config = context.config
    apps = build_apps(context)
    # The first model is loaded before anybody can ask, so that a restart is never "not ready" for long.
    await context.stored.refresh(None)
    await context.model.refresh()
    manager = ServiceManager()
    listeners: list[web.AppRunner] = []
    tasks: list[asyncio.Task[None]] = []
    listen = config.listen
    try:
        context.addresses["api"] = await _listen(listeners, apps.api, "api", listen.api_host, listen.api_port)
        if apps.federation is not None:
            where = (listen.federation_host, listen.federation_port)
            context.addresses["federation"] = await _listen(listeners, apps.federation, "federation", *where)
        announce(
            config.data_dir,
            Running(
                os.getpid(), context.addresses["api"], context.addresses.get("federation", ""), time.time()
            ),
        )
        tasks.append(asyncio.create_task(context.model.follow(context.stored.refresh)))
        tasks.append(asyncio.create_task(watch(context)))
        scheduler.start()
        tasks.append(asyncio.create_task(manager.live()))
        # What is there now stays: looking through it again and again would delay answers by milliseconds.
        gc.collect()
        gc.freeze()
        logger.info("serving", extra={"api": context.addresses["api"], "mode": config.mode})
        if config.serve.exact_own:
            # Not what is missing for it: that may change any minute, and a notice says it.
            logger.warning("serve.exact_own is on: lists may show what single viewers watched")
        manager.ready()
        await stop.wait()
        logger.info("stopping")
    finally:
        manager.stopping()
        scheduler.stop()
        await runner.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in listeners:
            await listener.cleanup()
        context.stored.close()
        context.engine.dispose()


async def _listen(
    listeners: list[web.AppRunner], app: web.Application, name: str, host: str, port: int
) -> str:
    # aiohttp's own access log would write addresses and queries. Bodies are not unpacked: a small one must
    # not become a large one.
    listener = web.AppRunner(
        app,
        access_log=None,
        logger=logger,
        auto_decompress=False,
        shutdown_timeout=STOP_SECONDS,
        keepalive_timeout=75.0,
    )
    listeners.append(listener)
    await listener.setup()
    try:
        await LimitedSite(listener, app[CONNECTIONS], host, port).start()
    except OSError as error:
        raise listen_error(name, host, port, error) from error
    bound = listener.addresses[0]
    return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"


def run(config: Config, config_file: Path) -> None:
    """Serve in this process, as the only daemon of its data directory."""
    log.configure(config)
    with only_daemon(config.data_dir):
        asyncio.run(serve(config, config_file))
