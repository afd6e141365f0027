"""The demo's instances as a group: one hosts, the others join, all share one sum, carried by Flower."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import aiohttp
from sqlalchemy import Engine

from daemon.errors import JobError
from daemon.group import commands, repository, status
from daemon.group.membership import join_and_leave, key_verification
from daemon.group.membership.key_verification import KeyEvidence
from daemon.lab.demo.processes import Daemon, sum_details
from daemon.peers import cards
from daemon.store import activity, sums
from daemon.store.activity import JobRecord

NAME: Final = "archipelago"
NOTICE: Final = 10.0
"""Seconds from the announcement to the sum: members ask every second, and need some to connect."""
_WITHIN: Final = 600.0
_LOOK: Final = 0.1

T = TypeVar("T")
Tell = Callable[[str], None]
Revive = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class GroupRun:
    """The outcome of the group's round; `seconds` from its announced start until all was published."""

    outcome: JobRecord
    seconds: float

    @property
    def result(self) -> str:
        """`done`, or why there is no sum."""
        return "done" if self.outcome.outcome == "done" else f"no sum ({self.outcome.code})"

    @property
    def details(self) -> str:
        """Who was in it and what it cost."""
        if self.outcome.outcome != "done":
            return "the served models are unchanged"
        return sum_details(self.outcome.result, self.seconds)


class DemoGroup:
    """The demo's daemons as a group; the first one is its host. `tell` prints a line."""

    def __init__(self, daemons: Sequence[Daemon], tell: Tell) -> None:
        self._daemons, self._tell = daemons, tell

    async def form(self) -> None:
        """Host the group, have everybody join and approve one another, as their admins would."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            seen = {one.host: await _seen(one, session) for one in self._daemons}
            host = self._daemons[0]
            invitation = commands.host(host.config, host.engine, NAME, url=host.url, now=time.time())
            self._tell(f"  {host.name} hosts {NAME}: {invitation['command']}")
            for one in self._daemons[1:]:
                offer = await join_and_leave.fetch_offer(
                    one.config, one.engine, session, host.url, NAME, time.time
                )
                await join_and_leave.join(one.config, one.engine, session, offer, time.time)
                commands.admit(host.config, host.engine, seen[one.host], now=time.time())
        for one in self._daemons:
            _approve_all(one, seen)
        await self._until(partial(_ready, host), "the group's host did not get ready")
        self._tell(f"  {len(self._daemons[1:])} instances joined, and all approved one another")

    async def run(self, revive: Revive) -> GroupRun:
        """Announce a sum, wait until it is taken and every instance has stored it.

        `revive` is called again and again meanwhile: it starts a daemon that was killed.

        Raises:
            JobError: that took too long.

        """
        host, begins = self._daemons[0], time.time() + NOTICE
        commands.start(host.config, host.engine, at=begins, now=time.time())
        outcome = await self._until(
            partial(_last, host.engine, begins), "the group took no sum in time", revive
        )
        if outcome.outcome == "done":
            for one in self._daemons:
                await self._until(
                    partial(_has, one.engine, str(outcome.result["run"])),
                    f"{one.host} did not fetch the sum",
                    revive,
                )
        return GroupRun(outcome, outcome.ended - begins)

    async def _until(self, found: Callable[[], T | None], problem: str, revive: Revive | None = None) -> T:
        deadline = time.monotonic() + _WITHIN
        while (value := found()) is None:
            if time.monotonic() > deadline:
                raise JobError(problem, advice="The daemons' logs say why.")
            if revive is not None:
                await revive()
            await asyncio.sleep(_LOOK)
        return value


async def _seen(one: Daemon, session: aiohttp.ClientSession) -> KeyEvidence:
    card = await cards.read_card(session, one.host, one.url, now=time.time())
    return KeyEvidence(one.host, card.key, "card", one.url)


def _approve_all(one: Daemon, seen: Mapping[str, KeyEvidence]) -> None:
    """Approve all others, by the keys that they show themselves."""
    for host, other in seen.items():
        if host != one.host:
            key_verification.pin(one.engine, one.config, other, time.time())


def _last(engine: Engine, since: float) -> JobRecord | None:
    """Return how the round ended that began at a time, None while it goes on."""
    found = activity.jobs(engine, names=["group-round"], limit=1)
    return found[0] if found and found[0].ended >= since else None


def _ready(host: Daemon) -> bool | None:
    """Say whether the host's process runs and knows all members."""
    live = status.live(host.config)
    ready = live is not None and live.hosting == "ready"
    return True if ready and not repository.nodes_outdated(host.engine) else None


def _has(engine: Engine, run: str) -> bool | None:
    """Say whether an instance has the published sums of a run."""
    group = repository.current(engine)
    stored = any(one.run == run for one in sums.records(engine))
    return True if stored and group is not None and group.run == run else None
