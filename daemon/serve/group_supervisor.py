"""Keeps a group going in the serving process: asks the host, runs what is due in child processes.

Everything it does follows from the row of the group and the time, looked at once a second; so it holds after
a restart, and what an admin decides by command holds from the next look on. The work is in children: the
host's SuperLink and fence, the link of a member, jobs. `plan.py` says when what is due.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from daemon.errors import ShoalError
from daemon.group import repository, schedule
from daemon.group.hosting import enrolment_server
from daemon.group.membership import host_client, node_key_file, rules
from daemon.group.repository import Membership
from daemon.group.status import Live
from daemon.jobs.run import run_job
from daemon.peers import peer_state
from daemon.process.child import run_child
from daemon.process.job_context import JobOutcome, RunJob
from daemon.serve.context import ServeContext
from daemon.store import activity
from daemon.store.engine import reads, writes
from federation.http.client import new_session

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
SPOOL_BYTES: Final = 268_435_456
"""Of all blobs that the host sends for one sum: a vocabulary, counts and pairs of several parts."""
_HOUSEKEEPING: Final = 3600.0
_HOSTING_AGAIN: Final = 30.0
_LEARN_AGAIN: Final = 600.0
_NODES_AGAIN: Final = 2.0
_JITTER: Final = 0.1


@dataclass
class _Facts:
    """What the keeper remembers between two looks; all of it may be lost."""

    asked_for: tuple[Any, ...] = ()
    poll_at: float = 0.0
    poll_failures: int = 0
    was_in: bool = False
    link_for: tuple[Any, ...] = ()
    link_failures: int = 0
    batch_before: str = ""
    taken_at: float = 0.0
    not_before: dict[str, float] = field(default_factory=dict)
    listens: str = ""


class GroupSupervisor:
    """One per serving process, made and used inside its event loop, which must be in the main thread.

    `waiting` tells whether something was published that has not been learnt yet; `run` runs a job.
    """

    def __init__(
        self,
        context: ServeContext,
        *,
        waiting: Callable[[], bool],
        run: RunJob = run_job,
        rng: random.Random | None = None,
    ) -> None:
        self._context = context
        self._config = context.config
        self._engine = context.engine
        self._waiting = waiting
        self._run = run
        self._rng = rng or random.Random()  # noqa: S311 (spreads load; nothing secret depends on it)
        self._looking: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._facts = _Facts()
        self._live = Live()
        # One thread, so that what is written last was said last.
        self._writer = ThreadPoolExecutor(1, "group")

    def start(self) -> None:
        """Begin to look; in a mode in which nothing is sent there is nothing to do."""
        if self._config.federates:
            if self._config.group_dir.is_dir():
                # A daemon that was killed could not take back what it said.
                self._writer.submit(self._live.write, self._config)
            self._looking = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """End what runs, children included; what was announced stays."""
        tasks = [task for task in (self._looking, *self._running.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._looking, self._running = None, {}
        await asyncio.to_thread(self._writer.shutdown)

    @property
    def live(self) -> Live:
        """What the daemon alone knows of the group."""
        return self._live

    # -- looking --------------------------------------------------------------------------------------------

    async def _look_on(self) -> None:
        while True:
            try:
                await self.look()
            except (OSError, SQLAlchemyError, ShoalError):
                log.exception("looking after the group failed; it is tried again")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once: end what is not wanted any more, and begin what is due."""
        group = await asyncio.to_thread(repository.current, self._engine)
        now = self._context.clock()
        if group is None:
            for name in tuple(self._running):
                await self._stop(name)
            self._facts = _Facts()
            self._tell(Live())
            return
        if group.role == "host":
            await self._host(group, now)
        else:
            for name in ("hosting", "session"):
                await self._stop(name)
            if self._poll_due(group, now):
                self._begin("poll", lambda: self._poll(group))
        await self._connect(group, now)
        if await asyncio.to_thread(self._waiting):
            self._begin("learn", self._learn)
        elif schedule.missed(self._config, group, now):
            self._begin("learn", lambda: self._learn(batch=group.offered))

    def _poll_due(self, group: Membership, now: float) -> bool:
        facts = self._facts
        asked_for = (group.group, group.host, group.url, group.since, group.state)
        window = schedule.window(self._config, group)
        inside = window is not None and window.holds(now)
        # At once after an admin's decision, and as a sum comes near or is over: it may have been moved.
        if asked_for != facts.asked_for or inside != facts.was_in:
            facts.asked_for, facts.was_in, facts.poll_at, facts.poll_failures = asked_for, inside, now, 0
        return now >= facts.poll_at

    async def _poll(self, group: Membership) -> None:
        facts = self._facts
        async with new_session() as session:
            after = await host_client.poll(self._config, self._engine, session, self._context.clock)
        heard = after is None or after.polled != group.polled
        facts.poll_failures = 0 if heard else facts.poll_failures + 1
        if after is not None:
            pause = schedule.poll_every(self._config, after, facts.poll_failures)
            facts.poll_at = self._context.clock() + pause * (1 + self._rng.uniform(-_JITTER, _JITTER))
            # What the host changed is no decision of ours, to be told at once.
            facts.asked_for = (after.group, after.host, after.url, after.since, after.state)

    # -- the link -------------------------------------------------------------------------------------------

    async def _connect(self, group: Membership, now: float) -> None:
        facts, window = self._facts, schedule.window(self._config, group)
        fence = group.fence
        if group.role == "host":
            fence = facts.listens and schedule.fence_for_host(self._config, facts.listens)
        wanted = (fence, group.ca, group.next_at, group.poll_ms) if window is not None and fence else ()
        if wanted != facts.link_for:
            await self._stop("link")
            facts.link_for, facts.link_failures = wanted, 0
            facts.batch_before, facts.taken_at = group.batch, 0.0
            facts.not_before.pop("link", None)
        if group.batch != facts.batch_before and not facts.taken_at:
            facts.taken_at = now
        over = bool(facts.taken_at) and now >= facts.taken_at + schedule.LINGER
        if window is None or not fence or not window.holds(now) or over:
            await self._stop("link")
            self._tell(replace(self._live, link=""))
            return
        self._begin("link", lambda: self._link(group, window, fence))

    async def _link(self, group: Membership, window: schedule.Window, fence: str) -> None:
        if not (listener := self._context.addresses.get("federation")):
            return
        await asyncio.to_thread(node_key_file.open_key, self._config)
        settings = {
            "fence": fence,
            "ca": group.ca,
            "key_file": str(node_key_file.path(self._config)),
            "deliver_to": f"http://{schedule.near(listener)}",
            "spool": str(self._config.group_dir / "spool"),
            "start": window.at,
            "until": window.until,
            "poll_ms": group.poll_ms or enrolment_server.poll_ms(0),
            "most": SPOOL_BYTES,
        }
        self._tell(replace(self._live, link="waiting"))
        try:
            await run_child(
                "daemon.group.membership.fleet_client",
                on_event=self._linked,
                told=json.dumps(settings).encode(),
            )
        finally:
            facts, now = self._facts, self._context.clock()
            facts.link_failures += 1
            facts.not_before["link"] = now + schedule.link_again(window.at, now, facts.link_failures)

    def _linked(self, event: Mapping[str, Any]) -> None:
        name = event.get("event")
        if name in ("connected", "busy", "refused", "ended"):
            if name == "connected":
                self._facts.link_failures = 0
            self._tell(replace(self._live, link=name))
        elif name == "lost":
            self._tell(replace(self._live, link="waiting"))
        elif name in ("foreign", "failed"):
            # The host offered something else than a message of ours, or the link cannot run: counted there.
            log.warning("the link to the group's host", extra={"event": name})

    # -- hosting --------------------------------------------------------------------------------------------

    async def _host(self, group: Membership, now: float) -> None:
        if not group.active:
            await self._stop("hosting")
            return
        self._begin("hosting", self._hosting)
        if now >= self._facts.not_before.get("housekeeping", 0.0):
            self._facts.not_before["housekeeping"] = now + _HOUSEKEEPING
            await asyncio.to_thread(self._forget_requests, now)
        if self._live.hosting == "ready" and await asyncio.to_thread(rules.nodes_outdated, self._engine):
            # At once, and not when the sum begins: members come to be connected before.
            self._begin("nodes", self._nodes)
        window = schedule.window(self._config, group)
        if window is None:
            await self._announce(group, now)
        elif now >= window.until and "session" not in self._running:
            problem = "the last announced sum was missed: the daemon, or the host's part of it, did not run"
            await self._over(window.at, problem)
        elif now >= window.at - schedule.READY and self._live.hosting == "ready":
            self._begin("session", lambda: self._session(window.at))

    async def _announce(self, group: Membership, now: float) -> None:
        if group.next_at or not self._config.schedule.enabled:
            return

        def write() -> None:
            last = activity.last_success(self._engine, "group-session") or 0.0
            with writes(self._engine) as connection:
                known = repository.current_in(connection)
                if known is None:
                    return
                at = schedule.announce(
                    self._config, known, repository.standing(connection, "member"), last, now
                )
                if at:
                    repository.change_in(connection, lambda _one: replace(known, next_at=at))

        await asyncio.to_thread(write)

    async def _hosting(self) -> None:
        from daemon.group.hosting import host_process

        self._tell(replace(self._live, hosting="starting"))
        ready: list[str] = []

        def heard(event: Mapping[str, Any]) -> None:
            if event.get("event") == "ready":
                ready.append(str(event.get("fence", "")))
                known.set()
            elif event.get("event") == "failed":
                problem = " ".join(str(event.get(name, "")) for name in ("message", "advice")).strip()
                self._tell(replace(self._live, hosting="failed", problem=problem))
                log.error("the group cannot be hosted", extra={"problem": problem})

        known = asyncio.Event()

        async def publish() -> None:
            while True:
                await known.wait()
                known.clear()
                ca = await asyncio.to_thread(host_process.authority, self._config)
                await asyncio.to_thread(self._listens, ready[-1], ca.decode("ascii"))
                self._facts.listens = ready[-1]
                self._tell(replace(self._live, hosting="ready", problem=""))

        telling = asyncio.create_task(publish())
        try:
            await run_child(
                "daemon.group.hosting.host_process",
                "--config",
                str(self._context.config_file),
                on_event=heard,
            )
        finally:
            telling.cancel()
            self._facts.listens = ""
            self._facts.not_before["hosting"] = self._context.clock() + _HOSTING_AGAIN
            if self._live.hosting != "failed":
                self._tell(replace(self._live, hosting=""))

    def _listens(self, where: str, ca: str) -> None:
        fence = schedule.fence_for_members(self._config, where)

        def edit(group: Membership | None) -> Membership | None:
            return group and replace(group, fence=fence, ca=ca, poll_ms=enrolment_server.poll_ms(0))

        repository.change(self._engine, edit)

    async def _nodes(self) -> None:
        await self._job("group-nodes")
        self._facts.not_before["nodes"] = self._context.clock() + _NODES_AGAIN

    async def _session(self, at: float) -> None:
        self._tell(replace(self._live, session=True))
        try:
            outcome = await self._job("group-session")
        finally:
            self._tell(replace(self._live, session=False))
        problem = "" if outcome.ok else f"the last sum was not taken: {outcome.message}"
        await self._over(at, problem)

    async def _over(self, at: float, problem: str) -> None:
        def edit(group: Membership | None) -> Membership | None:
            return group and schedule.after_session(group, at, problem)

        await asyncio.to_thread(repository.change, self._engine, edit)

    def _forget_requests(self, now: float) -> None:
        with reads(self._engine) as connection:
            asked = repository.pending(connection)
        if asked:
            with writes(self._engine) as connection:
                repository.forget_requests(connection, now - peer_state.KEEP_REQUEST)

    # -- learning -------------------------------------------------------------------------------------------

    async def _learn(self, **arguments: str) -> None:
        if not (await self._job("group-learn", arguments)).ok:
            self._facts.not_before["learn"] = self._context.clock() + _LEARN_AGAIN
        elif self._config.schedule.enabled:
            await self._job("train")

    async def _job(self, name: str, arguments: Mapping[str, str] | None = None) -> JobOutcome:
        limit = self._config.limits.job_time.total_seconds()
        outcome = await self._run(name, self._context.config_file, time_limit=limit, arguments=arguments)
        metrics = self._context.metrics
        metrics.jobs.labels(name, outcome.code or "ok").inc()
        if outcome.ok:
            metrics.job_seconds.labels(name).set(outcome.seconds)
            log.info("job done", extra={"job": name, "seconds": outcome.seconds})
        else:
            problem = {"job": name, "code": outcome.code, "problem": outcome.message}
            log.error("job failed", extra=problem)
        return outcome

    # -- tasks ----------------------------------------------------------------------------------------------

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin something, unless it runs, or ran in vain just now."""
        if name in self._running or self._context.clock() < self._facts.not_before.get(name, 0.0):
            return

        async def run() -> None:
            try:
                await work()
            except (OSError, SQLAlchemyError, ShoalError):
                log.exception("a part of the group's upkeep failed", extra={"part": name})
                self._facts.not_before.setdefault(name, self._context.clock() + _HOSTING_AGAIN)
            finally:
                self._running.pop(name, None)

        self._running[name] = asyncio.create_task(run())

    async def _stop(self, name: str) -> None:
        task = self._running.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _tell(self, live: Live) -> None:
        if live != self._live:
            self._live = live
            self._writer.submit(live.write, self._config)
