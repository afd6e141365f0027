"""Whole groups in one process: real stores, listeners and jobs; a ferry stands in for Flower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from scipy.sparse import csr_array, vstack

from daemon.config import load
from daemon.group import commands, learning, repository, schedule
from daemon.group.hosting.group_run import GroupRun
from daemon.group.membership import host_client, join_and_leave, key_verification
from daemon.group.membership.blob_cache import FOLDER, BlobCache
from daemon.group.membership.key_verification import KeyEvidence
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.lab.demo.instances import build
from daemon.maintenance import sync
from daemon.serve import federation_app
from daemon.store import content_arrays, engagement_arrays, sums
from daemon.store.engagement_arrays import interactions
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.sums import StoredSum
from federation import envelope
from federation.carrier import Carrier, PeerUnreachable
from federation.envelope import Stage
from federation.http.client import PeerClient, Retry, new_session
from federation.identity import Identity, format_key
from models import counting
from models.interactions import Interactions
from tests.daemon.in_process_federation import DAY, Clock, Member, _count_here
from tests.daemon.small_dataset import write_overlapping_tastes

NAME = "video-cooperative"
EXACT: Mapping[str, str | int] = {"level": "none", "window_max": "7d", "min_changed_users": 0}
"""Without noise a sum can be compared to the last digit; whoever stays the same may be counted again."""
SETTINGS = '[cohort]\nstage_timeout = "20s"\n[guards]\nstrangers_per_minute = 1000\n'


@dataclass
class Islander(Member):
    """One instance; its service runs between `start` and `stop`."""

    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    up: bool = False
    refusals: list[str] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        return open_identity(self.config.identity_file, self.host)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.config.listen.federation_port}"

    @property
    def group(self) -> Membership:
        found = repository.current(self.engine)
        assert found is not None
        return found

    @property
    def evidence(self) -> KeyEvidence:
        return KeyEvidence(self.host, format_key(self.identity.public.key), "card", self.url)

    async def start(self) -> None:
        serving = await self.stack.enter_async_context(
            federation_app.open_service(
                self.config, self.config_file, self.engine, clock=self.clock, on_refused=self.refusals.append
            )
        )
        app = web.Application(client_max_size=100_000)
        app.add_routes(serving.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", self.config.listen.federation_port).start()
        self.up = True

    async def stop(self) -> None:
        self.up = False
        await self.stack.aclose()
        self.stack = AsyncExitStack()

    async def restart(self) -> None:
        """Start again, by the settings as they are now."""
        await self.stop()
        self.config = load(self.config_file)
        await self.start()

    async def joins(self, host: Islander) -> None:
        async with new_session() as http:
            offer = await join_and_leave.fetch_offer(self.config, self.engine, http, host.url, "", self.clock)
            await join_and_leave.join(self.config, self.engine, http, offer, self.clock)
        commands.admit(host.config, host.engine, self.evidence, now=self.clock())
        await self.polls()
        assert self.group.active

    async def polls(self) -> None:
        async with new_session() as http:
            await host_client.poll(self.config, self.engine, http, self.clock)

    async def leaves(self) -> None:
        async with new_session() as http:
            await join_and_leave.leave(self.config, self.engine, http, self.clock)

    def approves(self, others: Iterable[Islander]) -> None:
        for other in others:
            if other.host != self.host:
                key_verification.pin(self.engine, self.config, other.evidence, self.clock())

    async def learns(self, **arguments: str) -> dict[str, Any]:
        """Run the job that the supervisor runs; in a thread, as a job has no event loop around it."""
        context = replace(self.context(), arguments=arguments)
        return await asyncio.to_thread(learning.run, context)

    async def catches_up(self) -> dict[str, Any]:
        """What the supervisor does after it was away: ask, and fetch what was missed."""
        await self.polls()
        assert schedule.missed(self.config, self.group, self.clock())
        return await self.learns(run=self.group.offered)

    def users(self) -> Interactions:
        catalogue, engagements = engagement_arrays.read(self.engine)
        return interactions(engagements, len(catalogue), limit=200)

    def urls(self) -> tuple[str, ...]:
        return tuple(content_arrays.read_urls(self.engine))

    def stored(self, run: str) -> list[StoredSum]:
        """Return the stored parts of a run."""
        found = [part.round_id for part in sums.records(self.engine) if part.run == run]
        return [sums.load(self.engine, self.config.sums_dir, [one]) for one in found]


Before = Callable[[str, str, Stage], Any]
"""Called with kind (`round`, `published` or `documents`), host and stage; may raise or await."""


@dataclass
class Ferry:
    """A `FlowerRun` that posts to the listeners directly; blobs go through the blob cache."""

    people: dict[str, Islander]
    http: aiohttp.ClientSession
    before: Before = lambda _round, _host, _stage: None
    after: Before = lambda _round, _host, _stage: None
    answers: dict[tuple[str, str, Stage], bytes] = field(default_factory=dict)
    sent: list[tuple[str, str, Stage]] = field(default_factory=list)

    def online(self) -> frozenset[str]:
        return frozenset(host for host, one in self.people.items() if one.up)

    def carrier(self, blobs: Mapping[str, bytes] | None = None, on_traffic: Any = lambda *_: None) -> Carrier:
        return _Boat(self, dict(blobs or {}), on_traffic)


@dataclass
class _Boat:
    ferry: Ferry
    blobs: dict[str, bytes]
    on_traffic: Callable[[str, int, int], None]

    @property
    def kind(self) -> str:
        if not self.blobs:
            return "documents"
        return "round" if "vocabulary" in self.blobs else "published"

    async def send(self, host: str, request: bytes, *, max_answer: int, timeout: float) -> bytes:  # noqa: ASYNC109
        stage = envelope.parse(request, max_size=len(request)).stage
        ferry, step = self.ferry, (self.kind, host, stage)
        ferry.sent.append(step)
        if (waits := ferry.before(*step)) is not None:
            await waits
        member = ferry.people[host]
        if not member.up:
            raise PeerUnreachable(f"{host} is away")
        if stage in (Stage.PROPOSE, Stage.PUBLISH):
            BlobCache(member.config.group_dir / FOLDER).put(self.blobs)
        client = PeerClient(ferry.http, retry=Retry(attempts=1, poll=0.02))
        answer = await client.send(host, member.url, request, max_answer=max_answer, timeout=timeout)
        if (waits := ferry.after(*step)) is not None:
            await waits
        answer = ferry.answers.get(step, answer)
        self.on_traffic(host, len(request), len(answer))
        return answer


@dataclass
class Islands:
    """A group; the first one is its host."""

    people: list[Islander]
    ferry: Ferry
    clock: Clock

    @property
    def host(self) -> Islander:
        return self.people[0]

    def __getitem__(self, name: str) -> Islander:
        return self.ferry.people[name]

    async def form(self, people: Sequence[Islander] | None = None, name: str = NAME) -> None:
        """Host, join, admit, and approve one another, as their admins would."""
        host, now = self.host, self.clock()
        commands.host(host.config, host.engine, name, url=host.url, now=now)
        # Where nothing listens: members take an announced sum only from a host that is ready.
        repository.change(
            host.engine, lambda group: group and replace(group, proxy="127.0.0.1:9", poll_ms=250)
        )
        for one in (people or self.people)[1:]:
            await one.joins(host)
        for one in people or self.people:
            one.approves(people or self.people)

    def next_window(self) -> None:
        self.clock.ahead += 8 * DAY

    async def ask(self) -> dict[str, Any]:
        """Run the host's job, and have everybody who is there learn what was published."""
        result = await self.host_run()
        for one in self.people:
            if one.up and one.host in result["delivered"]:
                await one.learns()
        return result

    async def host_run(self) -> dict[str, Any]:
        group = self.host.group
        run = GroupRun(self.host.context(), group, self.ferry)  # type: ignore[arg-type]
        return await run.run(self.ferry.online())


@asynccontextmanager
async def islands(
    folder: Path,
    count: int,
    *,
    extra: str = SETTINGS,
    privacy: Mapping[str, str | int] = EXACT,
    users: int = 60,
) -> AsyncIterator[Islands]:
    """Run the services of so many instances that know nobody yet."""
    world = build(
        folder / "instances", write_overlapping_tastes(folder / "set", users), count, privacy, in_group=True
    )
    clock, patch = Clock(), pytest.MonkeyPatch()
    _count_here(patch, clock)
    people = []
    for instance in world.instances:
        with instance.config_file.open("a") as file:
            file.write(extra)
        config = load(instance.config_file)
        migrate(config.database)
        people.append(Islander(instance.config_file, config, open_checked(config.database), clock))
    try:
        async with new_session() as http:
            for one in people:
                sync.run(one.context())
                await one.start()
            yield Islands(people, Ferry({one.host: one for one in people}, http), clock)
    finally:
        patch.undo()
        for one in people:
            await one.stop()
            one.engine.dispose()


def assert_plain(group: Islands, one: Islander, stored: StoredSum) -> None:
    """Check a stored part against simply putting its survivors' users together."""
    members = [group[host].users().matrix for host in stored.survivors]
    together = Interactions(csr_array(vstack(members, format="csr")))
    place = {url: at for at, url in enumerate(one.urls())}
    head = np.array([place[url] for url in stored.urls], np.int64)
    assert head.size > 10
    np.testing.assert_array_equal(stored.counts, counting.weighted_counts(together, head)[head])
    np.testing.assert_array_equal(stored.triangle, counting.pair_counts(together, head))


def assert_learnt(group: Islands, one: Islander, run: str, parts: Iterable[Iterable[str]]) -> None:
    """Check that exactly these parts are stored, each the plain sum of the others in it."""
    found = one.stored(run)
    assert sorted(part.survivors for part in found) == sorted(
        tuple(sorted(set(hosts) - {one.host})) for hosts in parts
    )
    for part in found:
        assert_plain(group, one, part)
