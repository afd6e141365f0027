"""The supervisor of a group: asks its host, connects for sums, runs what is due, and ends with the daemon."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from daemon.group import commands, repository, status
from daemon.group.repository import Membership
from daemon.jobs.run import run_job
from daemon.process import child
from daemon.process.child import run_child
from daemon.process.daemon_lock import Running, announce, only_daemon
from daemon.process.job_context import JobOutcome, Progress
from daemon.serve.context import ServeContext
from daemon.serve.group_supervisor import GroupSupervisor
from daemon.serve.runner import Runner
from daemon.serve.scheduler import Scheduler
from daemon.serve.server import build_context
from tests.daemon.group.join_neighbours import GROUP, admits, asks
from tests.daemon.peer_instances import Neighbour, neighbours

pytestmark = pytest.mark.flower

PORTS = '[group]\nlisten_port = 0\nlead = "1m"\nstay = "5m"\n[limits]\njob_time = "1m"\n'


@dataclass
class Jobs:
    """Takes the place of jobs, which are tested elsewhere: notes each, and answers as it was told.

    Only that nodes are let in is done, by the job itself.
    """

    ran: list[str] = field(default_factory=list)
    outcomes: dict[str, JobOutcome] = field(default_factory=dict)
    on_run: Callable[[str], None] = lambda _name: None

    async def __call__(
        self,
        name: str,
        config_file: Path,
        *,
        time_limit: float,
        on_progress: Progress | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> JobOutcome:
        assert config_file.name == "shoal.toml"
        assert time_limit == 60.0
        if name == "group-nodes":
            return await run_job(name, config_file, time_limit=time_limit, arguments=arguments)
        self.ran.append(name)
        self.on_run(name)
        return self.outcomes.get(name, JobOutcome(name, ok=True, exit_code=0))


@dataclass
class Kept:
    """A neighbour with a supervisor beside its service."""

    neighbour: Neighbour
    context: ServeContext
    runner: Runner
    supervisor: GroupSupervisor
    jobs: Jobs
    waits: list[bool] = field(default_factory=list)

    @property
    def group(self) -> Membership:
        found = repository.current(self.neighbour.engine)
        assert found is not None
        return found

    def change(self, **what: Any) -> None:
        repository.change(self.neighbour.engine, lambda group: group and replace(group, **what))

    async def looks(self, until: Callable[[], bool], seconds: float = 60.0) -> None:
        """Look again and again until something holds."""
        async with asyncio.timeout(seconds):
            while True:
                await self.supervisor.look()
                await asyncio.sleep(0.05)
                if until():
                    return


async def soon(condition: Callable[[], bool]) -> None:
    """Wait for something that happens by itself."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (a row in a database tells nobody of a change)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def kept(neighbour: Neighbour, *, schedule: bool = False) -> AsyncIterator[Kept]:
    context = build_context(neighbour.config, neighbour.config_file)
    context.clock = neighbour.clock
    settings = context.config.schedule.model_copy(update={"enabled": schedule})
    context.config = context.config.model_copy(update={"schedule": settings})
    context.addresses["federation"] = f"{neighbour.host}/plugins/shoal/router"
    jobs = Jobs()
    waits: list[bool] = []
    runner = Runner(context, jobs)
    supervisor = GroupSupervisor(context, runner, waiting=lambda: bool(waits))
    try:
        yield Kept(neighbour, context, runner, supervisor, jobs, waits)
    finally:
        await runner.close()
        await supervisor.close()
        context.stored.close()
        context.engine.dispose()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 2, extra=PORTS) as found:
        commands.host(found[0].config, found[0].engine, GROUP, now=found[0].clock())
        yield found


def _connected(one: Neighbour) -> bool:
    standing = status.status(one.config, one.engine, one.clock())["standing"]
    return standing is not None and standing["connected"]


async def test_a_member_asks_at_once_and_then_now_and_then(pair: list[Neighbour]) -> None:
    host, a = pair
    await asks(a, host)
    asked = sum(path.endswith("/message") for path in host.front.asked)
    async with kept(a) as member:
        await member.looks(lambda: sum(p.endswith("/message") for p in host.front.asked) > asked)
        before = len(host.front.asked)
        for _ in range(5):
            await member.supervisor.look()
        assert len(host.front.asked) == before
        await admits(host, a.host)
        host.clock.ahead = a.clock.ahead = 4000.0
        await member.looks(lambda: member.group.state == "member")
        # The host is away: after a minute again, then after two.
        await host.stop()
        host.clock.ahead = a.clock.ahead = 8000.0
        await member.looks(lambda: "cannot be reached" in member.group.problem)
        await host.start()
        a.clock.ahead = host.clock.ahead = 8070.0
        await member.looks(lambda: not member.group.problem or "not ready" in member.group.problem)


async def test_what_was_published_is_learnt_and_then_trained_on(pair: list[Neighbour]) -> None:
    host, a = pair
    await asks(a, host)
    async with kept(a, schedule=True) as member:
        member.waits.append(True)
        member.jobs.on_run = lambda _name: member.waits.clear()
        await member.looks(lambda: len(member.jobs.ran) == 2)
        assert member.jobs.ran == ["group-learn", "train"]
        # In vain: it is not tried again and again.
        failed = JobOutcome("group-learn", ok=False, exit_code=5, code="job-failed", message="no")
        member.jobs.outcomes["group-learn"] = failed
        member.jobs.on_run = lambda _name: None
        member.waits.append(True)
        await member.looks(lambda: len(member.jobs.ran) == 3)
        for _ in range(5):
            await member.supervisor.look()
            await asyncio.sleep(0.01)
        assert member.jobs.ran[2:] == ["group-learn"]
        a.clock.ahead = 700.0
        await member.looks(lambda: len(member.jobs.ran) == 4)


async def test_the_host_runs_flower_and_takes_announced_sums(pair: list[Neighbour]) -> None:
    host, _ = pair
    async with kept(host) as here:
        with only_daemon(host.config.data_dir):
            announce(host.config.data_dir, Running(1, "", "", 0.0))
            await here.looks(lambda: here.supervisor.live.hosting == "ready")
            group = here.group
            assert group.proxy.startswith("127.0.0.1:")
            assert group.ca.startswith("-----BEGIN CERTIFICATE-----")
            assert group.poll_ms == 250
            # The nodes of members are let in at once, the host's own among them.
            await here.looks(lambda: all(one.node_id for one in repository.members(host.engine)))
            here.change(next_at=host.clock() + 58)
            await here.looks(lambda: here.supervisor.live.link in ("connected", "busy"))
            await here.looks(lambda: _connected(host))
            assert here.jobs.ran == []
            host.clock.ahead += 60.0
            await here.looks(lambda: here.group.next_at == 0.0)
            assert here.jobs.ran == ["group-round"]
            await here.looks(lambda: here.supervisor.live.link == "")
            # A sum that fails is told of, and was announced once.
            failed = JobOutcome("group-round", ok=False, exit_code=5, message="nobody came")
            here.jobs.outcomes["group-round"] = failed
            here.change(next_at=host.clock())
            await here.looks(lambda: "nobody came" in here.group.problem)
            assert here.group.next_at == 0.0
            # One that fell into a time without power is not made up for.
            here.change(next_at=host.clock() - 600, problem="")
            await here.looks(lambda: "was missed" in here.group.problem)
            assert here.jobs.ran == ["group-round"] * 2
            commands.close(host.config, host.engine, now=host.clock())
            await here.looks(lambda: here.supervisor.live.hosting == "")


async def test_sums_are_announced_by_themselves(pair: list[Neighbour]) -> None:
    host, a = pair
    await asks(a, host)
    await admits(host, a.host)
    async with kept(host, schedule=True) as here:
        here.supervisor._config = here.supervisor._config.model_copy(
            update={"cohort": host.config.cohort.model_copy(update={"min_cohort": 1})}
        )
        now = host.clock()
        await here.looks(lambda: here.group.next_at > 0)
        assert here.group.next_at == pytest.approx(now + 7200, abs=30)


async def test_a_child_ends_with_whoever_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "child.py"
    # It lives on when it is asked to end, and so must be made to.
    script.write_text(
        "import json, os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "told = sys.stdin.readline().strip()\n"
        'print("no event"); print("x" * 3000000)\n'
        'print(json.dumps({"event": told, "pid": os.getpid()}), flush=True)\n'
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(child, "python_module", lambda *_: ([sys.executable, str(script)], {}))
    monkeypatch.setattr(child, "GRACE_SECONDS", 0.1)
    heard: list[Any] = []
    told = asyncio.Event()

    def on_event(event: Any) -> None:
        heard.append(event)
        told.set()

    task = asyncio.create_task(run_child("any", on_event=on_event, stdin=b"hello\n"))
    await asyncio.wait_for(told.wait(), 20)
    [event] = heard
    assert event["event"] == "hello"
    assert _lives(event["pid"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _lives(event["pid"])


def _lives(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


async def test_what_federates_looks_after_its_group_by_itself(pair: list[Neighbour]) -> None:
    host, a = pair
    await asks(a, host)
    a.config.group_dir.mkdir(exist_ok=True)
    (a.config.group_dir / status.LIVE_NAME).write_text(json.dumps({"link": "connected"}))
    await admits(host, a.host)
    async with kept(a) as member:
        # Nothing runs any more, and so nothing is connected, whatever a daemon that was killed wrote down.
        scheduler = Scheduler(member.context, member.runner)
        scheduler.repeat("group", member.supervisor.look, 0.05)
        scheduler.start()
        await soon(lambda: member.group.state == "member")
        assert scheduler.upcoming() == {}
        scheduler.stop()
    assert json.loads((a.config.group_dir / status.LIVE_NAME).read_text())["link"] == ""
