"""What the running daemon of an instance tells its admin, for commands that show it."""

from __future__ import annotations

import json
import time
import urllib.request
from http.client import HTTPException
from typing import Final

from daemon.config import Config, PeerTubeSource
from daemon.errors import NotRunningError
from daemon.process.daemon_lock import Running
from daemon.process.live import Live
from daemon.serve.admin import token

HEADER: Final = "X-Shoal-Admin"
SECRET_HEADER: Final = "X-Shoal-Secret"  # noqa: S105 (a name)
WITHIN: Final = 3.0


def ask(running: Running | None, config: Config) -> Live | None:
    """Return what the daemon says of itself, None where none runs or it does not answer."""
    if running is None:
        return None
    host, _, port = running.api.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 (nothing is bound here)
    try:
        headers = {HEADER: token.read(config.data_dir)}
        if isinstance(config.source, PeerTubeSource) and not config.listen.api_is_local:
            # Off loopback nobody is answered without.
            headers[SECRET_HEADER] = config.source.secret.get_secret_value()
        request = urllib.request.Request(f"http://{host}:{port}/v1/status", headers=headers)
        # No proxy: it is on this machine, and the token is for nobody else.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=WITHIN) as answer:
            return Live.of_status(json.load(answer), time.time())
    except (OSError, ValueError, KeyError, TypeError, HTTPException, NotRunningError):
        return None
