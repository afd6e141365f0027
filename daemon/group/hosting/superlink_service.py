"""A SuperLink that something else keeps running, such as Docker or systemd: `shoal group superlink`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from filelock import FileLock

from daemon.config import Config
from daemon.errors import RequestError
from daemon.group import flower_installed
from daemon.group.hosting.proxy_upstream import Upstream
from daemon.group.hosting.superlink_process import (
    ANSWER_SECONDS,
    CHECK_SECONDS,
    MISSED_CHECKS,
    START_SECONDS,
    HostingError,
)
from federation.flower import superlink

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.5
_LOCK_NAME: Final = "superlink.lock"


def command(config: Config, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment of the service, whose files in `folder` are there then.

    Raises:
        RequestError: the settings name no service. FlowerMissingError: it is not installed.
        HostingError: the files cannot be written.
    """
    if not config.group.superlink_service:
        raise RequestError(
            "the daemon runs the SuperLink itself, as group.superlink_service is not set",
            advice='Set it to the address of this service, such as "127.0.0.1:9744".',
        )
    flower_installed.require()
    host, port = _split(config.group.superlink_service)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder / _LOCK_NAME):
            superlink.prepare(folder, host=host)
    except OSError as error:
        raise HostingError(
            f"the SuperLink's files cannot be used ({error.strerror})",
            advice="Check the permissions of data_dir, and whether the disk is full.",
        ) from None
    return superlink.command(folder, port, host)


class SuperLinkService:
    """The service at `address`, `HOST:PORT`, whose files are in `folder`; looked at every `check` seconds.

    Attributes:
        upstream: connections to it; None while it does not answer.
    """

    def __init__(self, folder: Path, address: str, check: float = CHECK_SECONDS) -> None:
        self._folder, self.address, self._check = folder, address, check
        self.upstream: Upstream | None = None

    async def keep(self, ready: Callable[[], None], first: Callable[[], None]) -> None:
        """Look after it until cancelled; calls `first` once, and `ready` whenever it answers again.

        Raises:
            HostingError: it does not answer at first.
        """
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._answer()
        except TimeoutError:
            raise HostingError(
                f"no SuperLink answers at {self.address} (group.superlink_service)",
                advice="Start its service, which runs: shoal group superlink",
            ) from None
        first()
        while True:
            ready()
            await self._silence()
            logger.warning("the SuperLink does not answer any more")
            await self.end()
            await self._answer()

    async def end(self) -> None:
        """Close the connections to it; it goes on."""
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    async def _answer(self) -> None:
        """Return when it answers."""
        host, port = _split(self.address)
        ca = superlink.access(self._folder, port, host).ca
        while True:
            # The service may make its certificate only now, or a new one.
            if ca.is_file():
                upstream = Upstream(self.address, str(ca), answer_within=ANSWER_SECONDS)
                if await upstream.healthy(self._check):
                    self.upstream = upstream
                    return
                upstream.close()
            await asyncio.sleep(_POLL_SECONDS)

    async def _silence(self) -> None:
        """Return when it has not answered several times in a row."""
        missed = 0
        while self.upstream is not None and missed < MISSED_CHECKS:
            await asyncio.sleep(self._check)
            missed = 0 if await self.upstream.healthy(self._check) else missed + 1


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
