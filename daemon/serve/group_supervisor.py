"""Keeps the group of this instance going: does in child processes what `daemon.group.schedule` says is due.

Everything follows from the row of the group and the time, looked at about once a second. The children are the
host's SuperLink with the proxy in front of it, a member's connection to the host, and jobs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final, get_args

from daemon.group import flower_installed, repository, schedule
from daemon.group.hosting import members_join_and_leave
from daemon.group.membership import blob_cache, host_client
from daemon.group.repository import Membership
from daemon.group.schedule import GroupSchedule, Task
from daemon.group.status import Live
from daemon.peers import peer_state
from daemon.process.child import run_child
from daemon.rounds.aggregator_window import group_windows
from daemon.serve.context import ServeContext
from daemon.serve.runner import Runner
from daemon.store.engine import reads, writes
from federation.http.client import new_session

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
_OVER_FLOWER: Final[frozenset[Task]] = frozenset({"hosting", "link", "nodes", "sum"})
_MISSED: Final = "the last announced sum was missed: the daemon, or the host's part of it, did not run"


class GroupSupervisor:
    """One per serving process. `waiting` tells whether something was published that is not learnt yet."""

    def __init__(
        self,
        context: ServeContext,
        runner: Runner,
        *,
        waiting: Callable[[], bool],
        rng: random.Random | None = None,
    ) -> None:
        self._context = context
        self._config = context.config
        self._engine = context.engine
        self._runner = runner
        self._waiting = waiting
        self._rng = rng or random.Random()  # noqa: S311 (spreads load; nothing secret depends on it)
        self._schedule = GroupSchedule(context.config)
        self._live = Live()
        self._lacks = flower_installed.missing()
        self._listens = ""
        self._work: dict[Task, Callable[[Membership], Awaitable[bool | None]]] = {
            "announce": self._announce,
            "hosting": self._host,
            "housekeeping": self._forget_requests,
            "learn": self._learn,
            "link": self._link,
            "missed": lambda group: self._over(group, _MISSED),
            "nodes": self._register_nodes,
            "poll": self._poll,
            "sum": self._sum,
        }
        # One thread, so that what is written last was said last.
        self._writer = ThreadPoolExecutor(1, "group")
        if self._config.group_dir.is_dir():
            # A daemon that was killed could not take back what it said.
            self._writer.submit(self._live.write, self._config)

    async def close(self) -> None:
        """Write what is left to write; what runs is the runner's to end, before this."""
        await asyncio.to_thread(self._writer.shutdown)

    @property
    def live(self) -> Live:
        """What the daemon alone knows of the group."""
        return self._live

    async def look(self) -> None:
        """Look once: end what is not wanted any more, and begin what is due."""
        group = await asyncio.to_thread(repository.current, self._engine)
        if group is None:
            await self._runner.end(*map(_name, get_args(Task)))
            self._schedule = GroupSchedule(self._config)
            self._tell(Live())
            return
        if self._lacks is not None and group.active and not self._live.problem:
            problem = f"{self._lacks.message}. {self._lacks.advice}"
            log.error("this instance can take part in no sum of its group", extra={"problem": problem})
            self._tell(replace(self._live, problem=problem))
        end, begin = self._schedule.due(
            group,
            self._context.clock(),
            listens=self._listens,
            outdated=bool(self._listens) and await asyncio.to_thread(repository.nodes_outdated, self._engine),
            unlearnt=await asyncio.to_thread(self._waiting),
            summing=self._runner.running(_name("sum")),
        )
        await self._runner.end(*map(_name, end))
        if "link" in end:
            self._tell(replace(self._live, link=""))
        for task in begin - (_OVER_FLOWER if self._lacks is not None else set()):
            self._runner.begin(_name(task), partial(self._do, task, group))

    async def _do(self, task: Task, group: Membership) -> None:
        try:
            ok = await self._work[task](group) is not False
        except Exception:
            self._schedule.ended(task, group, self._context.clock(), ok=False)
            raise
        self._schedule.ended(task, group, self._context.clock(), ok=ok)

    # -- a member -------------------------------------------------------------------------------------------

    async def _poll(self, group: Membership) -> None:
        async with new_session() as session:
            after = await host_client.poll(self._config, self._engine, session, self._context.clock)
        self._schedule.polled(group, after, self._context.clock(), self._rng.uniform(-1.0, 1.0))

    async def _link(self, group: Membership) -> None:
        window = schedule.window(self._config, group)
        listener = self._context.addresses.get("federation")
        if window is None or not listener:
            return
        await asyncio.to_thread(host_client.open_node_key, self._config)
        settings = {
            "address": self._schedule.proxy,
            "ca": group.ca,
            "key_file": str(host_client.node_key_file(self._config)),
            "listener": f"http://{schedule.near(listener)}",
            "blobs": str(self._config.group_dir / blob_cache.FOLDER),
            "start": window.at,
            "until": window.until,
            "poll_ms": group.poll_ms or members_join_and_leave.poll_ms(0),
            "max_bytes": blob_cache.MAX_BYTES,
        }
        self._tell(replace(self._live, link="waiting"))
        client = "daemon.group.membership.fleet_client"
        await run_child(client, on_event=self._linked, stdin=json.dumps(settings).encode())

    def _linked(self, event: Mapping[str, Any]) -> None:
        name = event.get("event")
        if name in ("connected", "busy", "refused", "ended"):
            if name == "connected":
                self._schedule.link_up()
            self._tell(replace(self._live, link=name))
        elif name == "lost":
            self._tell(replace(self._live, link="waiting"))
        elif name in ("foreign", "failed"):
            # The host sent something that is no message of ours, or the connection cannot be made.
            log.warning("the connection to the group's host", extra={"event": name})

    async def _learn(self, group: Membership) -> bool:
        delivered = await asyncio.to_thread(self._waiting)
        outcome = await self._runner.job("group-learn", None if delivered else {"run": group.offered})
        if outcome.ok and self._config.schedule.enabled:
            await self._runner.job("train")
        return outcome.ok

    # -- the host -------------------------------------------------------------------------------------------

    async def _host(self, _group: Membership) -> None:
        # Only hosts need it.
        from daemon.group.hosting import host_process

        def heard(event: Mapping[str, Any]) -> None:
            if event.get("event") == "ready":
                ready.put_nowait(str(event.get("address", "")))
            elif event.get("event") == "failed":
                problem = " ".join(str(event.get(name, "")) for name in ("message", "advice")).strip()
                self._listens = ""
                self._tell(replace(self._live, hosting="failed", problem=problem))
                log.error("the group cannot be hosted", extra={"problem": problem})

        async def publish() -> None:
            while True:
                listens = await ready.get()
                ca = await asyncio.to_thread(host_process.authority, self._config)
                await asyncio.to_thread(self._publish, listens, ca.decode("ascii"))
                self._listens = listens
                self._tell(replace(self._live, hosting="ready", problem=""))

        ready: asyncio.Queue[str] = asyncio.Queue()
        self._tell(replace(self._live, hosting="starting"))
        publishing = asyncio.create_task(publish())
        try:
            config = str(self._context.config_file)
            await run_child("daemon.group.hosting.host_process", "--config", config, on_event=heard)
        finally:
            publishing.cancel()
            self._listens = ""
            if self._live.hosting != "failed":
                self._tell(replace(self._live, hosting=""))

    def _publish(self, listens: str, ca: str) -> None:
        proxy = schedule.proxy_for_members(self._config, listens)

        def edit(group: Membership | None) -> Membership | None:
            return group and replace(group, proxy=proxy, ca=ca, poll_ms=members_join_and_leave.poll_ms(0))

        repository.change(self._engine, edit)

    async def _register_nodes(self, _group: Membership) -> None:
        await self._runner.job("group-nodes")

    async def _announce(self, group: Membership) -> None:
        def announce() -> None:
            due = group_windows(self._config, self._context.clock).next_at()
            with reads(self._engine) as connection:
                members = repository.count(connection, "member")
            at = schedule.announce(self._config, group, members, due, self._context.clock())
            if at:
                repository.change(
                    self._engine, lambda now: replace(group, next_at=at) if now == group else now
                )

        await asyncio.to_thread(announce)

    async def _sum(self, group: Membership) -> None:
        self._tell(replace(self._live, running=True))
        try:
            outcome = await self._runner.job("group-round")
        finally:
            self._tell(replace(self._live, running=False))
        await self._over(group, "" if outcome.ok else f"the last sum was not taken: {outcome.message}")

    async def _over(self, announced: Membership, problem: str) -> None:
        def edit(group: Membership | None) -> Membership | None:
            return group and schedule.after_round(group, announced.next_at, problem)

        await asyncio.to_thread(repository.change, self._engine, edit)

    async def _forget_requests(self, _group: Membership) -> None:
        def forget() -> None:
            with writes(self._engine) as connection:
                before = self._context.clock() - peer_state.KEEP_REQUEST
                repository.forget_requests(connection, before)

        await asyncio.to_thread(forget)

    def _tell(self, live: Live) -> None:
        if live != self._live:
            self._live = live
            self._writer.submit(live.write, self._config)


def _name(task: Task) -> str:
    return f"group {task}"
