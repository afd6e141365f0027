"""Whole federations in one process: real stores, real services on loopback, counting in a thread.

A member that dies takes no request any more, as after SIGKILL; its files and its store stay as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gzip
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.lab.demo.instances import build
from daemon.maintenance import sync, training
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext, JobOutcome, Progress
from daemon.rounds import contribution_job
from daemon.rounds.aggregate_job import _PeerRun
from daemon.serve import federation_app
from daemon.store import current_model
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from federation.identity import format_key
from models.artefact import MODEL
from tests.daemon.small_dataset import write_overlapping_tastes

EXACT: Mapping[str, str | int] = {"level": "none", "window_max": "7d", "min_changed_users": 3}
"""Without noise two federations can be compared to the last bit."""
SAME_VIEWERS: Mapping[str, str | int] = {**EXACT, "min_changed_users": 0}
"""The same, and viewers who did nothing new may be counted again."""
LENIENT = "[acceptance]\nquality_margin = 1.0\nmax_exposure_gain = 1.0"
"""So few users teach little; whether a sum is accepted is tested elsewhere."""
DAY = 86400.0


@dataclass
class Clock:
    """Real time, and the days that a test went ahead."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class _Died(Exception):
    """A member is not there any more."""


@dataclass
class Member:
    """One instance of a federation; its service runs between `start` and `stop`.

    It dies when a request of the stage `dies_at` arrives, before that is handled.
    """

    config_file: Path
    config: Config
    engine: Engine
    clock: Clock
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    up: bool = False
    dies_at: str = ""
    dead: bool = False

    @property
    def host(self) -> str:
        return self.config.instance.host

    async def start(self) -> None:
        """Serve peers, as `shoal run` does."""
        serving = await self.stack.enter_async_context(
            federation_app.open_service(self.config, self.config_file, self.engine, clock=self.clock)
        )
        # Where `crash_points` ends a real daemon.
        serving._on_stage = self._reached
        app = web.Application(client_max_size=100_000, middlewares=[self._mortal])
        app.add_routes(serving.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", self.config.listen.federation_port).start()
        self.up = True

    async def stop(self) -> None:
        """Listen no more."""
        self.up = False
        await self.stack.aclose()
        self.stack = AsyncExitStack()

    async def restart(self) -> None:
        """Start again from what is on disk, by the settings as they are now."""
        await self.stop()
        self.dies_at, self.dead = "", False
        self.config = load(self.config_file)
        await self.start()

    def _reached(self, stage: str) -> None:
        if stage == self.dies_at:
            self.dead = True
            raise _Died

    @web.middleware
    async def _mortal(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        with contextlib.suppress(_Died):
            if not self.dead:
                return await handler(request)
        if request.transport is not None:
            request.transport.abort()
        raise web.HTTPServiceUnavailable

    async def ask(self, progress: Progress = lambda _stage, _part: None) -> dict[str, Any]:
        """Ask for a sum."""
        return await _PeerRun(self.context(progress)).run()

    def context(self, progress: Progress = lambda _stage, _part: None, **arguments: str) -> JobContext:
        """Return what a job of this instance works with."""
        return JobContext(self.config, self.engine, progress, self.clock, arguments)

    def served(self) -> str:
        """Return the model in service."""
        name = current_model.read(self.config.models_dir)
        assert name is not None
        return name

    def bytes_of(self, name: str) -> bytes:
        """Return all numbers of a model, as they are on disk."""
        return (self.config.models_dir / name / MODEL).read_bytes()

    def train(self) -> str:
        """Train, and return what serves then."""
        training.run(self.context())
        return self.served()

    def knows(self, other: Member) -> None:
        """Approve another instance, as `shoal peers approve` does."""
        key = format_key(open_identity(other.config.identity_file, other.host).public.key)
        url = f"http://127.0.0.1:{other.config.listen.federation_port}"
        repository.save(self.engine, Peer(other.host, url, key, state="approved", since=self.clock()))

    def change_users(self, window: int) -> None:
        """Let a few users like one more video each; the same ones in every copy of a federation."""
        path = self.config_file.parent / "dataset" / "interactions.csv.gz"
        with gzip.open(path, "rt", newline="") as file:
            header, *rows = list(csv.reader(file))
        for number, user in enumerate(sorted({row[0] for row in rows})[:6]):
            rows.append([user, f"v{(37 * window + 5 * number) % 120}", "1.0"])
        distinct = {(row[0], row[1]): row for row in rows}
        with gzip.open(path, "wt", newline="") as file:
            csv.writer(file).writerows([header, *distinct.values()])


@dataclass
class Federation:
    """Instances of which the first one is the aggregator that is looked at."""

    members: list[Member]
    clock: Clock = field(default_factory=Clock)

    @property
    def aggregator(self) -> Member:
        return self.members[0]

    def sync(self) -> None:
        """Read every instance's users."""
        for member in self.members:
            sync.run(member.context())

    def next_window(self, window: int) -> None:
        """Let a data window pass, in which a few users of each instance change."""
        self.clock.ahead += 8 * DAY
        for member in self.members:
            member.change_users(window)
        self.sync()

    async def ask(self, progress: Progress = lambda _stage, _part: None) -> dict[str, Any]:
        """Have the aggregator ask for a sum."""
        return await self.aggregator.ask(progress)


def prepare(
    base: Path,
    instances: int,
    *,
    privacy: Mapping[str, str | int] = EXACT,
    users: int = 60,
    stranger: bool = False,
) -> list[Path]:
    """Write the folders of instances that know one another. Nobody knows the last one yet if a `stranger`."""
    data = write_overlapping_tastes(base / "set", users)
    world = build(base / "instances", data, instances, privacy)
    for instance in world.instances:
        text = instance.config_file.read_text()
        head, *peers = text.split("[[peers]]\n")
        if stranger:
            peers = [peer for peer in peers if f'"{world.instances[-1].host}"' not in peer]
        assert "[acceptance]" in head
        head = head.replace("[acceptance]", LENIENT)
        instance.config_file.write_text("[[peers]]\n".join([head, *peers]))
    return [instance.folder for instance in world.instances]


@asynccontextmanager
async def running(folders: Sequence[Path], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Federation]:
    """Run the services of instances until the end of the block, each with its own store."""
    clock = Clock()
    _count_here(monkeypatch, clock)
    found = Federation([], clock)
    async with AsyncExitStack() as stack:
        for folder in folders:
            config_file = folder / "shoal.toml"
            config = load(config_file)
            migrate(config.database)
            engine = open_checked(config.database)
            stack.callback(engine.dispose)
            member = Member(config_file, config, engine, clock)
            found.members.append(member)
            await member.start()
            stack.push_async_callback(member.stop)
        yield found


def copy(folders: Sequence[Path], target: Path) -> list[Path]:
    """Copy the folders of instances, links to the shared catalogue included."""
    return [shutil.copytree(folder, target / folder.name, symlinks=True) for folder in folders]


def _count_here(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    """Count users in a thread: the same function as in the child process, a second faster each time."""

    async def run_job(name: str, config_file: Path, **more: Any) -> JobOutcome:
        assert name == "contribution"

        def work() -> dict[str, Any]:
            config = load(config_file)
            engine = open_checked(config.database)
            try:
                context = JobContext(config, engine, lambda _s, _p: None, clock, more["arguments"])
                return contribution_job.run(context)
            finally:
                engine.dispose()

        return JobOutcome(name, ok=True, exit_code=0, result=await asyncio.to_thread(work))

    monkeypatch.setattr(federation_app, "run_job", run_job)
