"""Keeping the demo's daemons up, so that somebody can click through their admin pages."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from urllib.parse import urlencode

from daemon.lab.demo.processes import Daemon
from daemon.serve.admin import token


def pages(daemons: Sequence[Daemon]) -> dict[str, str]:
    """Return the address of each instance's admin page; each page offers the others."""
    tokens = {daemon.community.host: token.read(daemon.community.folder) for daemon in daemons}
    others = [
        ("instance", f"{_name(daemon)},{daemon.api.rpartition(':')[2]},{tokens[daemon.community.host]}")
        for daemon in daemons
    ]
    return {
        daemon.community.host: (
            f"{token.page_address(daemon.api, tokens[daemon.community.host])}&{urlencode(others)}"
        )
        for daemon in daemons
    }


def _name(daemon: Daemon) -> str:
    return daemon.community.host.removesuffix(".example")


async def until_interrupted() -> None:
    """Return at Ctrl+C, or when this process is asked to end."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    try:
        await done.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
