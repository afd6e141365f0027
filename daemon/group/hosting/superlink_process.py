"""Keeps Flower's SuperLink running: starts it, checks that it answers, restarts it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from daemon.errors import ShoalError
from daemon.group.hosting.proxy_upstream import Upstream
from daemon.process.child import python_module
from federation.flower import superlink

logger = logging.getLogger(__name__)

START_SECONDS: Final = 60.0
_START_POLL_SECONDS: Final = 0.1
CHECK_SECONDS: Final = 10.0
MISSED_CHECKS: Final = 3
"""After this many checks in a row without an answer the SuperLink counts as hung."""
ANSWER_SECONDS: Final = 60.0
_TERMINATE_SECONDS: Final = 5.0
_LONGEST_PAUSE: Final = 60.0
_TAIL: Final = 5
"""Lines of its output that an error shows."""


class HostingError(ShoalError):
    """A group cannot be hosted."""

    code = "hosting"
    exit_code = 5


class SuperLink:
    """A SuperLink whose files are in `folder`, on loopback at `port`; with 0 a free one is chosen.

    It is checked every `check` seconds.

    Attributes:
        address: `127.0.0.1:PORT`.
        upstream: connections to it; None while it does not answer.
    """

    def __init__(self, folder: Path, port: int, check: float = CHECK_SECONDS) -> None:
        self._folder, self._wanted_port, self._port, self._check = folder, port, 0, check
        self._process: asyncio.subprocess.Process | None = None
        self._output: deque[str] = deque(maxlen=_TAIL)
        self._reading: asyncio.Task[None] | None = None
        self.upstream: Upstream | None = None

    @property
    def address(self) -> str:
        """Its address, `127.0.0.1:PORT`."""
        return f"{superlink.HOST}:{self._port}"

    async def keep(self, ready: Callable[[], None], first: Callable[[], None]) -> None:
        """Keep it running until cancelled; calls `first` once, and `ready` whenever it answers again.

        Raises:
            HostingError: it did not start the first time.
        """
        await self._start()
        first()
        ready()
        pause = 1.0
        while True:
            began = asyncio.get_running_loop().time()
            await self._wait()
            logger.warning("the SuperLink ended and is restarted")
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE:
                pause = 1.0
            while True:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                try:
                    await self._start()
                    break
                except HostingError as error:
                    logger.error("the SuperLink does not start", extra={"reason": error.message})
            ready()

    async def end(self) -> None:
        """Terminate it, and kill it if that takes too long."""
        self._down()
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_TERMINATE_SECONDS):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._reading is not None:
            await self._reading
        self._process = self._reading = None

    async def _start(self) -> None:
        await self.end()
        self._output.clear()
        self._port = _free_port(self._wanted_port or self._port, required=bool(self._wanted_port))
        try:
            superlink.prepare(self._folder)
            process = await self._run()
            upstream = self._upstream()
        except OSError as error:
            raise HostingError(
                f"the SuperLink's files cannot be used ({error.strerror})",
                advice="Check the permissions of data_dir, and whether the disk is full.",
            ) from None
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await upstream.healthy(START_SECONDS):
                    if process.returncode is not None:
                        raise self._failed("ended immediately")
                    await asyncio.sleep(_START_POLL_SECONDS)
        except TimeoutError:
            raise self._failed(f"did not answer within {START_SECONDS:g} seconds") from None
        self.upstream = upstream

    async def _run(self) -> asyncio.subprocess.Process:
        arguments, environment = superlink.command(self._folder, self._port)
        wrapped, ours = python_module("daemon.process.exec_with_parent_death", str(os.getpid()), *arguments)
        self._process = await asyncio.create_subprocess_exec(
            *wrapped,
            env=environment | {"PYTHONPATH": ours["PYTHONPATH"]},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C at a terminal is for this process, which then ends the SuperLink.
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read_output(self._process))
        return self._process

    async def _wait(self) -> None:
        """Return when it has ended; one that does not answer any more is killed."""
        process, upstream, missed = self._process, self.upstream, 0
        if process is None or upstream is None:
            raise ValueError("the SuperLink was not started")
        while missed < MISSED_CHECKS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._check):
                    await process.wait()
                    break
            missed = 0 if await upstream.healthy(self._check) else missed + 1
        else:
            logger.warning("the SuperLink does not answer any more")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        self._down()

    def _down(self) -> None:
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def _upstream(self) -> Upstream:
        ca = superlink.access(self._folder, self._port).ca
        return Upstream(self.address, str(ca), answer_within=ANSWER_SECONDS)

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines of its output; a pipe that nobody reads would block it."""
        if process.stdout is None:
            raise ValueError("the SuperLink was started without a pipe")
        with contextlib.suppress(ValueError):
            async for line in process.stdout:
                self._output.append(line.decode("utf-8", "replace").strip())
        while await process.stdout.read(65_536):
            pass

    def _failed(self, what: str) -> HostingError:
        last = " / ".join(self._output)[-600:]
        return HostingError(
            f"Flower's SuperLink {what}. Its last output: {last or 'none'}",
            advice="Restart the daemon. If that does not help, the files group/host/superlink.sqlite* in "
            "data_dir may be damaged: move them away, and restart the daemon again.",
        )


def _free_port(port: int, *, required: bool) -> int:
    """Return `port` if it is free, otherwise another one. Raises HostingError if it has to be `port`."""
    for wanted in (port, 0):
        with contextlib.suppress(OSError), socket.create_server((superlink.HOST, wanted)) as probe:
            return int(probe.getsockname()[1])
        if required:
            break
    raise HostingError(
        f"port {port} on loopback, which the SuperLink is to use, is taken",
        advice="Set group.superlink_port to another port, or to 0 for any free one.",
    )
