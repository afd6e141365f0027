"""Tells systemd that the daemon is ready, alive or stopping, as sd_notify(3) describes it.

A datagram to the socket that the environment names; without one, nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

log = logging.getLogger(__name__)

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"
_SHARE: Final = 0.4
"""Of the watchdog's time between two signs of life: one may come late."""


class ServiceManager:
    """Whoever started this process and wants to hear of it; `environ` are the variables it set."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get(SOCKET, "")
        # A name that begins with @ is one of the kernel's own, in no folder.
        self._address = "\0" + name[1:] if name.startswith("@") else name
        microseconds = environ.get(WATCHDOG, "")
        self._every = (
            _SHARE * int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else 0.0
        )

    def ready(self) -> None:
        """Say that requests are answered from now on."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """Say that the process is about to end."""
        self._tell("STOPPING=1")

    async def live(self) -> None:
        """Give a sign of life as often as the watchdog wants one, from the loop that answers requests."""
        while self._every > 0:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._every)

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # A manager that does not read must not stop the daemon.
                channel.settimeout(0.0)
                channel.sendto(state.encode(), self._address)
        except OSError as error:
            log.warning(
                "the service manager cannot be told", extra={"state": state, "reason": error.strerror}
            )
