"""Keeping a SuperLink running: start, look whether it answers, start again."""

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
_ASK_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 10.0
_LOOKS: Final = 3
"""So many looks in a row without an answer are a SuperLink that hangs."""
_ANSWER_SECONDS: Final = 60.0
_PATIENCE: Final = 5.0
_LONGEST_PAUSE: Final = 60.0
_TAIL: Final = 5


class HostingError(ShoalError):
    """A group cannot be hosted as things are."""

    code = "hosting"
    exit_code = 5


class SuperLink:
    """A SuperLink whose files are in `folder`, on loopback at `port`; 0 has one chosen.

    It is looked at every `look` seconds.

    Attributes:
        address: `127.0.0.1:PORT`.
        upstream: connections to it; None while it does not answer.
    """

    def __init__(self, folder: Path, port: int, look: float = LOOK_SECONDS) -> None:
        self._folder, self._wanted, self._port, self._look = folder, port, 0, look
        self._process: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=_TAIL)
        self._listening: asyncio.Task[None] | None = None
        self.upstream: Upstream | None = None

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{superlink.HOST}:{self._port}"

    async def keep(self, ready: Callable[[], None], first: Callable[[], None]) -> None:
        """Keep it running until cancelled; calls `first` once, and `ready` whenever it answers again.

        Raises:
            HostingError: it did not even start the first time.
        """
        await self._start()
        first()
        ready()
        pause = 1.0
        while True:
            began = asyncio.get_running_loop().time()
            await self._until_it_ends()
            logger.warning("the SuperLink ended and is started again")
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
        """End it, politely first."""
        self._down()
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._listening is not None:
            await self._listening
        self._process = self._listening = None

    async def _start(self) -> None:
        await self.end()
        self._said.clear()
        self._port = _free(self._wanted or self._port, required=bool(self._wanted))
        try:
            superlink.prepare(self._folder)
            process = await self._run()
            upstream = self._upstream()
        except OSError as error:
            raise HostingError(
                f"the SuperLink's files cannot be used ({error.strerror})",
                advice="Check the rights of data_dir, and whether the disk is full.",
            ) from None
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await upstream.healthy(START_SECONDS):
                    if process.returncode is not None:
                        raise self._failed("ended at once")
                    await asyncio.sleep(_ASK_SECONDS)
        except TimeoutError:
            raise self._failed(f"did not answer within {START_SECONDS:g} seconds") from None
        self.upstream = upstream

    async def _run(self) -> asyncio.subprocess.Process:
        arguments, environment = superlink.command(self._folder, self._port)
        leash, ours = python_module("daemon.process.exec_with_parent_death", str(os.getpid()), *arguments)
        self._process = await asyncio.create_subprocess_exec(
            *leash,
            env=environment | {"PYTHONPATH": ours["PYTHONPATH"]},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C at a terminal is for us: we end it.
            start_new_session=True,
        )
        self._listening = asyncio.create_task(self._listen(self._process))
        return self._process

    async def _until_it_ends(self) -> None:
        """Return when it has ended; one that does not answer any more is ended."""
        process, upstream, missed = self._process, self.upstream, 0
        if process is None or upstream is None:
            raise ValueError("the SuperLink was not started")
        while missed < _LOOKS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look):
                    await process.wait()
                    break
            missed = 0 if await upstream.healthy(self._look) else missed + 1
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
        return Upstream(self.address, str(ca), answer_within=_ANSWER_SECONDS)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines it says; a pipe that nobody reads would make it stand still."""
        if process.stdout is None:
            raise ValueError("the SuperLink was started without a pipe")
        with contextlib.suppress(ValueError):
            async for line in process.stdout:
                self._said.append(line.decode("utf-8", "replace").strip())
        while await process.stdout.read(65_536):
            pass

    def _failed(self, what: str) -> HostingError:
        last = " / ".join(self._said)[-600:]
        return HostingError(
            f"Flower's SuperLink {what}. The last it said: {last or 'nothing'}",
            advice="Start the daemon again; if that does not help, the files in group/host/superlink.sqlite* "
            "may be damaged: put them aside, and approve the members anew.",
        )


def _free(port: int, *, required: bool) -> int:
    """Return `port` if it is free, else one that is. Raises HostingError where it has to be this one."""
    for wanted in (port, 0):
        with contextlib.suppress(OSError), socket.create_server((superlink.HOST, wanted)) as probe:
            return int(probe.getsockname()[1])
        if required:
            break
    raise HostingError(
        f"the SuperLink's port {port} on loopback is taken",
        advice="Set group.superlink_port to another one, or to 0.",
    )
