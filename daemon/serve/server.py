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
from typing import TYPE_CHECKING, Final

from aiohttp import web

from daemon import log
from daemon.config import Config
from daemon.errors import ShoalError
from daemon.process.daemon_lock import Running, announce, only_daemon
from daemon.serve.admin import routes as admin
from daemon.serve.admin.notice_watcher import watch
from daemon.serve.api import health, recommendations, vectors, viewers
from daemon.serve.api.metrics import Metrics
from daemon.serve.connection_limit import ConnectionLimit, LimitedSite
from daemon.serve.context import CONTEXT, ServeContext
from daemon.serve.middleware import guard
from daemon.serve.model_loader import CurrentModel
from daemon.serve.scheduler import Scheduler
from daemon.serve.store_cache import StoreCache
from daemon.store.activity import refusals
from daemon.store.engine import open_checked
from daemon.store.viewers import Pseudonyms

if TYPE_CHECKING:
    from daemon.serve.group_supervisor import GroupSupervisor

logger = logging.getLogger(__name__)

MAX_FEDERATION_REQUEST: Final = 100_000
CROWD: Final = web.AppKey("crowd", ConnectionLimit)
"""Of the application for peers: bounds its connections."""
STOP_SECONDS: Final = 5.0
FEDERATED: Final = frozenset({"consume", "contribute"})
"""Modes in which peers are listened to: as a member, or for what an own session publishes."""


@dataclass(frozen=True)
class Apps:
    """The two applications of the process; `federation` is None while nothing may come in from peers."""

    api: web.Application
    federation: web.Application | None


def build_apps(context: ServeContext) -> Apps:
    """Wire routes to handlers; everything the listeners serve is named here."""
    local = web.Application(
        middlewares=[guard], client_max_size=context.config.limits.max_request_bytes, logger=logger
    )
    local[CONTEXT] = context
    local.add_routes(recommendations.routes)
    local.add_routes(health.routes)
    local.add_routes(viewers.routes)
    local[vectors.OFFERS] = vectors.Offers(context.config.models_dir)
    local.add_routes(vectors.routes)
    admin.add_to(local, context)
    peers = None
    if routes := list(context.federation_routes):
        crowd = ConnectionLimit()
        peers = web.Application(
            middlewares=[crowd.middleware], client_max_size=MAX_FEDERATION_REQUEST, logger=logger
        )
        peers[CONTEXT] = context
        peers[CROWD] = crowd
        peers.add_routes(routes)
    return Apps(local, peers)


def build_context(config: Config, config_file: Path) -> ServeContext:
    """Open what the handlers need.

    Raises:
        StoreError: the database is missing or at another schema.
    """
    engine = open_checked(config.database)
    stored = StoreCache(engine, history=config.limits.max_history)
    return ServeContext(
        config=config,
        config_file=config_file,
        engine=engine,
        stored=stored,
        model=CurrentModel(config.models_dir, prepare=stored.prepare),
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
    _finish_rotation(context)
    async with AsyncExitStack() as stack:
        if config.mode in FEDERATED:
            # In any other mode nothing listens for peers, and none of this is loaded.
            from daemon.serve.federation_app import open_service

            service = await stack.enter_async_context(open_service(config, config_file, context.engine))
            context.federation_routes = service.routes()
        await _serve(context, stop)


def _finish_rotation(context: ServeContext) -> None:
    if not context.config.next_identity_file.exists():
        return
    from daemon.rounds import rotate_key

    rotate_key.finish(context.config, context.engine)


async def _serve(context: ServeContext, stop: asyncio.Event) -> None:
    config = context.config
    apps = build_apps(context)
    # The first model is loaded before anybody can ask, so that a restart is never "not ready" for long.
    await context.stored.refresh(None)
    await context.model.refresh()
    scheduler = Scheduler(context)
    keeper = _keeper(context)
    runners: list[web.AppRunner] = []
    tasks: list[asyncio.Task[None]] = []
    listen = config.listen
    try:
        context.addresses["api"] = await _listen(runners, apps.api, listen.api_host, listen.api_port)
        if apps.federation is not None:
            where = (listen.federation_host, listen.federation_port)
            context.addresses["federation"] = await _listen(runners, apps.federation, *where)
        announce(
            config.data_dir,
            Running(
                os.getpid(), context.addresses["api"], context.addresses.get("federation", ""), time.time()
            ),
        )
        tasks.append(asyncio.create_task(context.model.follow(context.stored.refresh)))
        tasks.append(asyncio.create_task(watch(context)))
        scheduler.start()
        if keeper is not None:
            keeper.start()
        # What is there now stays: looking through it again and again would delay answers by milliseconds.
        gc.collect()
        gc.freeze()
        logger.info("serving", extra={"api": context.addresses["api"], "mode": config.mode})
        await stop.wait()
        logger.info("stopping")
    finally:
        if keeper is not None:
            await keeper.stop()
        await scheduler.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for runner in runners:
            await runner.cleanup()
        context.stored.close()
        context.engine.dispose()


def _keeper(context: ServeContext) -> GroupSupervisor | None:
    if context.config.mode not in FEDERATED:
        # Nothing is in a group then, and none of this is loaded.
        return None
    from daemon.group.membership import host_messages
    from daemon.serve.group_supervisor import GroupSupervisor

    return GroupSupervisor(context, waiting=lambda: host_messages.waiting(context.config))


async def _listen(runners: list[web.AppRunner], app: web.Application, host: str, port: int) -> str:
    # aiohttp's own access log would write addresses and queries.
    # Nor unpack what comes in: a small body must not become a large one.
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=logger,
        auto_decompress=False,
        shutdown_timeout=STOP_SECONDS,
        keepalive_timeout=75.0,
    )
    runners.append(runner)
    await runner.setup()
    crowd = app.get(CROWD)
    try:
        await (LimitedSite(runner, crowd, host, port) if crowd else web.TCPSite(runner, host, port)).start()
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)})",
            advice="Another program may use that port: choose another one under [listen].",
        ) from error
    bound = runner.addresses[0]
    return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"


class ListenError(ShoalError):
    """A configured address cannot be used."""

    code = "cannot-listen"
    exit_code = 2


def run(config: Config, config_file: Path) -> None:
    """Serve in this process, as the only daemon of its data directory."""
    log.configure(config.log)
    with only_daemon(config.data_dir):
        asyncio.run(serve(config, config_file))
