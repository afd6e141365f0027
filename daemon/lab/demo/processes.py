"""The demo's daemons: real processes on loopback, started, watched, killed and stopped; their admin pages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import aiohttp
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import JobError
from daemon.jobs.run import run_job
from daemon.lab.demo.instances import DemoInstance
from daemon.process import daemon_lock, limits
from daemon.process.child import python_module
from daemon.process.job_context import JobOutcome
from daemon.rounds.crash_points import VARIABLE
from daemon.serve.admin import token
from daemon.store.engine import open_checked

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_JOB_SECONDS = 600.0
_LOG = "daemon.log"


class Daemon:
    """One instance's daemon."""

    def __init__(self, instance: DemoInstance) -> None:
        self.instance = instance
        self.api = ""
        self.federation = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def host(self) -> str:
        """Host of its instance."""
        return self.instance.host

    @property
    def name(self) -> str:
        """Short name of its instance, for people."""
        return self.host.removesuffix(".example")

    @property
    def url(self) -> str:
        """Where peers find it."""
        return f"http://{self.federation}"

    @cached_property
    def config(self) -> Config:
        """Settings of its instance."""
        return self.instance.config

    @cached_property
    def engine(self) -> Engine:
        """Database of its instance, opened at first use, until the daemon is stopped."""
        return open_checked(self.config.database)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self, *, die_at: str = "", within: float = _START_SECONDS) -> None:
        """Start it, with a fault or without, and wait until it listens, at most that many seconds.

        Raises:
            JobError: it ended, or did not listen in time.
        """
        command, environment = python_module("daemon.serve", "--config", str(self.instance.config_file))
        me = os.getpid()
        with (self.instance.folder / _LOG).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env={**environment, VARIABLE: die_at},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: limits.end_with(me),
            )
        async with asyncio.timeout(within):
            while (found := daemon_lock.find(self.instance.folder)) is None:
                if not self.alive:
                    raise JobError(
                        f"the daemon of {self.host} ended at its start",
                        advice=f"See {self.instance.folder / _LOG}.",
                    )
                await asyncio.sleep(0.05)
        self.api, self.federation = found.api, found.federation

    async def stop(self) -> None:
        """Ask it to stop; kill it if it does not."""
        if "engine" in vars(self):
            self.engine.dispose()
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
        return await run_job(name, self.instance.config_file, time_limit=_JOB_SECONDS, arguments=arguments)

    async def serves(self) -> str | None:
        """Return the model that it answers from, None where it has none."""
        body = await self._get("/health/ready")
        return None if body is None else str(body["model"])

    async def related(self, url: str, limit: int) -> list[dict[str, Any]]:
        """Ask it, over HTTP, for related videos."""
        body = await self._get("/v1/related", video=url, limit=str(limit))
        return [] if body is None else list(body["videos"])

    async def _get(self, path: str, **params: str) -> dict[str, Any] | None:
        """Return what the local API answers, None where it does not answer with success."""
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(f"http://{self.api}{path}", params=params) as answer,
        ):
            body: dict[str, Any] = await answer.json()
            return body if answer.status == 200 else None


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


def sum_details(result: Mapping[str, Any], seconds: float) -> str:
    """Say who was in a sum and what it cost, from the result of its round."""
    lost = "".join(f"; without {host} ({why})" for host, why in result["lost"].items())
    return (
        f"{len(result['survivors'])} members, {result['vocabulary']} videos, pairs of {result['head']}, "
        f"{(result['bytes_in'] + result['bytes_out']) / 1e6:.1f} MB, {seconds:.1f} s{lost}"
    )


def admin_pages(daemons: Sequence[Daemon]) -> dict[str, str]:
    """Return the address of each instance's admin page; each page offers the others."""
    tokens = {daemon.name: token.read(daemon.instance.folder) for daemon in daemons}
    others = [
        ("instance", f"{daemon.name},{daemon.api.rpartition(':')[2]},{tokens[daemon.name]}")
        for daemon in daemons
    ]
    return {
        daemon.name: f"{token.page_address(daemon.api, tokens[daemon.name])}&{urlencode(others)}"
        for daemon in daemons
    }


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
