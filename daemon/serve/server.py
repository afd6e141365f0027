"""The serving process from start to stop: the local API, the model in service, and what runs beside them."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from pathlib import Path

from aiohttp import web

from daemon import log
from daemon.config import Config
from daemon.process.daemon_lock import only_daemon
from daemon.serve.admin import mount as admin
from daemon.serve.admin.notice_watcher import watch
from daemon.serve.api import health, recommendations, vectors, viewers
from daemon.serve.api.metrics import Metrics
from daemon.serve.background import Background
from daemon.serve.connection_limit import MAX_LOCAL, ConnectionLimit
from daemon.serve.context import CONTEXT, ServeContext
from daemon.serve.listening import CONNECTIONS, listen
from daemon.serve.middleware import guard
from daemon.serve.model_loader import CurrentModel, arrange
from daemon.serve.runner import Runner
from daemon.serve.service_manager import ServiceManager
from daemon.serve.store_cache import StoreCache
from daemon.store.activity import refusals
from daemon.store.engine import open_checked
from daemon.store.viewers import Pseudonyms
from daemon.training import exact_own
from models.serving import ServedModel

logger = logging.getLogger(__name__)


def build_api(context: ServeContext) -> web.Application:
    """Wire routes to handlers: everything that the local API serves is named here."""
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
    return local


def build_context(config: Config, config_file: Path) -> ServeContext:
    """Open what the handlers need.

    Raises:
        StoreError: the database is missing or at another schema.
    """
    engine = open_checked(config.database)
    stored = StoreCache(engine, history=config.limits.max_history)

    def prepare(model: ServedModel) -> None:
        # By the settings of then: they change while the process runs.
        arrange(model, context.config.serve)
        stored.prepare(model)

    context = ServeContext(
        config=config,
        config_file=config_file,
        engine=engine,
        stored=stored,
        model=CurrentModel(
            config.models_dir,
            prepare=prepare,
            may_be_exact=lambda: exact_own.allowed(engine, context.config),
        ),
        pseudonyms=Pseudonyms.open(config.data_dir / "viewers.key"),
        metrics=Metrics(lambda: refusals(engine)),
    )
    return context


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
    background = Background(context, Runner(context))
    # The first model is loaded before anybody can ask, so that a restart is never "not ready" for long.
    await context.stored.refresh(None)
    await context.model.refresh()
    manager = ServiceManager()
    listener: web.AppRunner | None = None
    tasks: list[asyncio.Task[None]] = []
    try:
        where = config.listen
        listener, address = await listen(build_api(context), "api", where.api_host, where.api_port)
        context.addresses["api"] = address
        await background.open()
        tasks.append(asyncio.create_task(context.model.follow(context.stored.refresh)))
        tasks.append(asyncio.create_task(watch(context)))
        background.start()
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
        await background.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if listener is not None:
            await listener.cleanup()
        context.stored.close()
        context.engine.dispose()


def run(config: Config, config_file: Path) -> None:
    """Serve in this process, as the only daemon of its data directory."""
    log.configure(config)
    with only_daemon(config.data_dir):
        asyncio.run(serve(config, config_file))
