"""Opens a listener of the serving process."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp import web

from daemon.process.preflight import listen_error
from daemon.serve.connection_limit import ConnectionLimit, LimitedSite

logger = logging.getLogger(__name__)

CONNECTIONS: Final = web.AppKey("connections", ConnectionLimit)
"""Of an application: bounds the connections of its listener."""
STOP_SECONDS: Final = 5.0


async def listen(app: web.Application, name: str, host: str, port: int) -> tuple[web.AppRunner, str]:
    """Serve an application; returns what closes it, and `host:port` where it listens.

    Raises:
        ListenError: the address cannot be used.
    """
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
    await listener.setup()
    try:
        await LimitedSite(listener, app[CONNECTIONS], host, port).start()
    except OSError as error:
        await listener.cleanup()
        raise listen_error(name, host, port, error) from error
    bound = listener.addresses[0]
    return listener, f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
