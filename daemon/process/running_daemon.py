"""Waiting until the running daemon has noticed what was changed beside it."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from daemon.process import daemon_lock

FOLLOW_SECONDS = 15.0
_ASK_EVERY = 0.05


async def answers_from(data_dir: Path, model: str | None) -> bool:
    """Wait until the running daemon answers from a model, None from none; True at once where none runs."""
    deadline = time.monotonic() + FOLLOW_SECONDS
    while time.monotonic() < deadline:
        found = daemon_lock.find(data_dir)
        if found is None or await asyncio.to_thread(_serves, found.api) == (model or ""):
            return True
        await asyncio.sleep(_ASK_EVERY)
    return False


def _serves(api: str) -> str | None:
    """Return the model that a daemon answers from, empty where it has none, None where it does not answer."""
    # No proxy: this is a call to this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{api}/health/ready", timeout=2.0) as answer:
            return str(json.loads(answer.read()).get("model", ""))
    except urllib.error.HTTPError as error:
        return "" if error.code == 503 else None
    except (OSError, ValueError):
        return None
