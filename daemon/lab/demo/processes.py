"""The demo's daemons: real processes on loopback, started, watched, killed and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Any

import aiohttp

from daemon.errors import JobError
from daemon.jobs.run import run_job
from daemon.lab.demo.instances import DemoInstance
from daemon.process import daemon_lock, limits
from daemon.process.child import python_module
from daemon.process.job_context import JobOutcome
from daemon.rounds.crash_points import VARIABLE

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_JOB_SECONDS = 600.0
_LOG = "daemon.log"


class Daemon:
    """One instance's daemon."""

    def __init__(self, community: DemoInstance) -> None:
        self.community = community
        self.api = ""
        self.federation = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self, *, die_at: str = "") -> None:
        """Start it, with a fault or without, and wait until it listens.

        Raises:
            JobError: it ended, or did not listen in time.
        """
        command, environment = python_module("daemon.serve", "--config", str(self.community.config_file))
        me = os.getpid()
        with (self.community.folder / _LOG).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env={**environment, VARIABLE: die_at},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: limits.end_with(me),
            )
        async with asyncio.timeout(_START_SECONDS):
            while (found := daemon_lock.find(self.community.folder)) is None:
                if not self.alive:
                    raise JobError(
                        f"the daemon of {self.community.host} ended at its start",
                        advice=f"See {self.community.folder / _LOG}.",
                    )
                await asyncio.sleep(0.05)
        self.api, self.federation = found.api, found.federation

    async def stop(self) -> None:
        """Ask it to stop; kill it if it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def job(self, name: str, **arguments: str) -> JobOutcome:
        """Run one of its jobs to the end."""
        return await run_job(name, self.community.config_file, time_limit=_JOB_SECONDS, arguments=arguments)

    async def serves(self) -> str | None:
        """Return the model that it answers from, None where it has none."""
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(f"http://{self.api}/health/ready") as answer,
        ):
            body = await answer.json()
            return str(body["model"]) if answer.status == 200 else None

    async def related(self, url: str, limit: int) -> list[dict[str, Any]]:
        """Ask it, over HTTP, for related videos."""
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(
                f"http://{self.api}/v1/related", params={"video": url, "limit": str(limit)}
            ) as answer,
        ):
            body = await answer.json()
            return list(body["videos"]) if answer.status == 200 else []


async def every(daemons: Sequence[Daemon], name: str) -> list[JobOutcome]:
    """Run a job on all instances, as many at once as there are cores."""
    gate = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(daemon: Daemon) -> JobOutcome:
        async with gate:
            return await daemon.job(name)

    return list(await asyncio.gather(*(one(daemon) for daemon in daemons)))


def require(outcomes: Sequence[JobOutcome]) -> None:
    """Raise JobError for the first job that failed."""
    for outcome in outcomes:
        if not outcome.ok:
            raise JobError(f"{outcome.name}: {outcome.message}", advice=outcome.advice)
