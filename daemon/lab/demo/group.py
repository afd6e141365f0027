"""The demo's instances as a group: one hosts, the others join, all share one sum, carried by Flower."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.errors import JobError
from daemon.group import commands, repository, status
from daemon.group.membership import join_and_leave, key_verification, rules
from daemon.group.membership.key_verification import Seen
from daemon.lab.demo.processes import Daemon
from daemon.peers import cards
from daemon.store import activity, sums
from daemon.store.activity import JobRecord
from daemon.store.engine import open_checked

NAME: Final = "archipelago"
NOTICE: Final = 10.0
"""Seconds from the announcement to the sum: members ask every second, and need some to connect."""
_WITHIN: Final = 600.0
_LOOK: Final = 0.1

T = TypeVar("T")
Tell = Callable[[str], None]
Revive = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class GroupSession:
    """What became of the group's session; `seconds` from its announced start until all was published."""

    outcome: JobRecord
    seconds: float
    survivors: tuple[str, ...]

    @property
    def told(self) -> str:
        """`done`, or why there is no sum."""
        return "done" if self.outcome.outcome == "done" else f"no sum ({self.outcome.code})"

    @property
    def details(self) -> str:
        """Return who was in it and what it cost."""
        if self.outcome.outcome != "done":
            return "the served models are unchanged"
        found = self.outcome.result
        lost = "".join(f"; without {host} ({why})" for host, why in found["lost"].items())
        return (
            f"{len(self.survivors)} members, {found['vocabulary']} videos, pairs of {found['head']}, "
            f"{(found['bytes_in'] + found['bytes_out']) / 1e6:.1f} MB through the host, "
            f"{self.seconds:.1f} s from the announced start{lost}"
        )


@dataclass(frozen=True)
class _Instance:
    daemon: Daemon
    config: Config
    engine: Engine

    @property
    def host(self) -> str:
        return self.config.instance.host

    @property
    def url(self) -> str:
        return f"http://{self.daemon.federation}"


class Group:
    """The demo's daemons as a group; the first one is its host. `tell` prints a line."""

    def __init__(self, daemons: Sequence[Daemon], tell: Tell) -> None:
        self._instances = [
            _Instance(daemon, config := load(daemon.community.config_file), open_checked(config.database))
            for daemon in daemons
        ]
        self._hosting, self._joining = self._instances[0], self._instances[1:]
        self._tell = tell

    def close(self) -> None:
        """Let go of the databases."""
        for one in self._instances:
            one.engine.dispose()

    async def form(self) -> None:
        """Host the group, have everybody join and approve one another, as their admins would."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            seen = {one.host: await _seen(one, session) for one in self._instances}
            host = self._hosting
            invitation = commands.host(host.config, host.engine, NAME, url=host.url, now=time.time())
            self._tell(f"  {_short(host)} hosts {NAME}: {invitation['command']}")
            for one in self._joining:
                offer = await join_and_leave.look(one.config, one.engine, session, host.url, NAME, time.time)
                await join_and_leave.join(one.config, one.engine, session, offer, time.time)
                commands.approve(host.config, host.engine, seen[one.host], now=time.time())
        for one in self._instances:
            _recognise(one, seen)
        await self._until(lambda: _ready(host), "the host's listener is not ready", _nobody)
        self._tell(f"  {len(self._joining)} instances asked, were let in, and approved one another")

    async def run(self, revive: Revive) -> GroupSession:
        """Announce a sum, wait until it is taken, and until everybody has learnt of it.

        `revive` is called again and again meanwhile: it starts a daemon that was killed.

        Raises:
            JobError: that took too long.

        """
        host, begins = self._hosting, time.time() + NOTICE
        commands.start(host.config, host.engine, at=begins, now=time.time())
        outcome = await self._until(lambda: _last(host.engine, since=begins), "the sum was not taken", revive)
        ended = outcome.ended
        if outcome.outcome == "done":
            for one in self._instances:
                batch = str(outcome.result["session"])
                await self._until(
                    lambda one=one, batch=batch: _has(one.engine, batch),  # type: ignore[misc]
                    f"{one.host} has not learnt of the sum",
                    revive,
                )
        return GroupSession(outcome, ended - begins, tuple(outcome.result.get("survivors", ())))

    async def _until(self, found: Callable[[], T | None], problem: str, revive: Revive) -> T:
        deadline = time.monotonic() + _WITHIN
        while (value := found()) is None:
            if time.monotonic() > deadline:
                raise JobError(problem, advice="The logs of the daemons say why.")
            await revive()
            await asyncio.sleep(_LOOK)
        return value


async def _seen(one: _Instance, session: aiohttp.ClientSession) -> Seen:
    card = await cards.read_card(session, one.host, one.url, now=time.time())
    return Seen(one.host, card.key, "card", one.url)


def _recognise(one: _Instance, seen: Mapping[str, Seen]) -> None:
    """Approve everybody, by the keys that they show themselves."""
    for host, other in seen.items():
        if host != one.host:
            key_verification.pin(one.engine, one.config, other, time.time())


def _last(engine: Engine, *, since: float) -> JobRecord | None:
    """Return how the session ended that began at a time, None while it goes on."""
    found = activity.jobs(engine, names=["group-session"], limit=1)
    return found[0] if found and found[0].ended >= since else None


def _ready(host: _Instance) -> bool | None:
    """Tell whether the host's part runs, and knows all members."""
    live = status.live(host.config)
    ready = live is not None and live.hosting == "ready"
    return True if ready and not rules.nodes_outdated(host.engine) else None


async def _nobody() -> None:
    """Nobody was killed yet."""


def _has(engine: Engine, batch: str) -> bool | None:
    group = repository.current(engine)
    stored = any(part.run == batch for part in sums.records(engine))
    return True if stored and group is not None and group.batch == batch else None


def _short(one: _Instance) -> str:
    return one.host.removesuffix(".example")
