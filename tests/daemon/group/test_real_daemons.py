"""Five real daemons as a group over Flower: processes are killed in mid-round, every sum is the plain one.

The tests follow one another.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
from pydantic_core import to_json
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.group import commands, repository, status
from daemon.group.hosting import host_process
from daemon.group.membership import host_client
from daemon.lab.demo.group import DemoGroup
from daemon.lab.demo.instances import build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.rounds import round_config
from daemon.store import activity, sums
from daemon.store.activity import JobRecord
from daemon.store.engine import open_checked
from federation import envelope
from federation.flower import control as flower
from federation.group.epoch_document import read_epoch
from federation.proposal import SignedProposal
from tests.daemon.plain_sums import assert_plain
from tests.daemon.small_dataset import write_overlapping_tastes

pytestmark = [pytest.mark.flower, pytest.mark.asyncio(loop_scope="module")]

EXACT: dict[str, str | int] = {"level": "none", "window_max": "1h", "min_changed_users": 0}
"""Without noise a sum can be compared to the last digit; windows so short that every round is a new one."""
NOTICE = 6.0
WITHIN = 400.0


@dataclass
class Live:
    """The daemons, the first of which hosts, with the files that tests look at."""

    daemons: list[Daemon]
    configs: list[Config]
    engines: list[Engine]

    @property
    def host(self) -> Daemon:
        return self.daemons[0]

    def tree(self, daemon: Daemon) -> list[psutil.Process]:
        """Return a daemon's process and all below it."""
        process = daemon._process
        assert process is not None
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]

    def running(self, daemon: Daemon, what: str) -> list[psutil.Process]:
        return [one for one in self.tree(daemon) if what in " ".join(_command(one))]

    async def until(self, true: Callable[[], object], meanwhile: Callable[[], Awaitable[object]]) -> None:
        """Look until something happened; `meanwhile` as an admin's service manager would."""
        async with asyncio.timeout(WITHIN):
            while not true():
                await meanwhile()
                await asyncio.sleep(0.1)

    async def announce(self) -> float:
        at = time.time() + NOTICE
        commands.start(self.configs[0], self.engines[0], at=at, now=time.time())
        return at

    def last(self, since: float) -> JobRecord | None:
        found = activity.jobs(self.engines[0], names=["group-round"], limit=1)
        return found[0] if found and found[0].ended >= since else None

    def open_rounds(self) -> list[SignedProposal]:
        """Return the proposals of the rounds under way."""
        journal, limits = round_config.hosted_journal(self.configs[0]), round_config.limits(self.configs[0])
        raws = [journal.read(round_id, "proposal") for round_id in journal.ids()]
        me = standing_key(self.configs[0])
        return [SignedProposal.read(envelope.parse(raw, max_size=1 << 20), me, limits) for raw in raws if raw]

    def vectors_arrived(self) -> bool:
        """Tell whether some member's masked vector is in the journal of the round under way."""
        journal = round_config.hosted_journal(self.configs[0])
        return any(name.startswith("shares.") for one in journal.ids() for name in journal.names(one))

    async def learnt(self, run: str, restart: Callable[[], Awaitable[object]]) -> None:
        """Wait until everybody has stored a run, and check each stored sum."""
        everybody = [daemon.instance.config_file for daemon in self.daemons]
        for daemon, engine in zip(self.daemons, self.engines, strict=True):
            await self.until(lambda engine=engine: _has(engine, run), restart)  # type: ignore[misc]
            mine = daemon.instance.config_file
            assert_plain(mine, [one for one in everybody if one != mine])
        hashes = {_group(engine).published for engine in self.engines}
        assert len(hashes) == 1
        assert hashes != {""}


def standing_key(config: Config) -> Any:
    from daemon.identity import open_identity

    return open_identity(config.identity_file, config.instance.host).public


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _group(engine: Engine) -> repository.Membership:
    found = repository.current(engine)
    assert found is not None
    return found


def _has(engine: Engine, run: str) -> bool:
    return _group(engine).run == run and any(part.run == run for part in sums.records(engine))


async def nothing() -> None:
    """Wait for things to happen by themselves."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    base = tmp_path_factory.mktemp("live")
    world = build(base / "instances", write_overlapping_tastes(base / "set"), 5, EXACT, in_group=True)
    daemons = [Daemon(instance) for instance in world.instances]
    for instance in world.instances:
        with instance.config_file.open("a") as file:
            file.write('[cohort]\nstage_timeout = "60s"\n')
    engines: list[Engine] = []
    try:
        require(await every(daemons, "sync"))
        await asyncio.gather(*(daemon.start() for daemon in daemons))
        await DemoGroup(daemons, lambda _line: None).form()
        configs = [load(one.instance.config_file) for one in daemons]
        engines = [open_checked(config.database) for config in configs]
        yield Live(daemons, configs, engines)
    finally:
        await asyncio.gather(*(daemon.stop() for daemon in daemons))
        for engine in engines:
            engine.dispose()


async def test_a_member_a_link_the_superlink_and_the_whole_host_die_in_one_round_and_it_is_whole(
    live: Live,
) -> None:
    victim, linked = live.daemons[2], live.daemons[3]
    await victim.stop()
    await victim.start(die_at="member.shares")
    since = await live.announce()
    killed: dict[str, int] = {}

    async def counting() -> None:
        if not victim.alive and "member" not in killed:
            killed["member"] = 0
            await victim.start()
        if live.open_rounds():
            for daemon, what in (
                (linked, "daemon.group.membership.fleet_client"),
                (live.host, "flower-superlink"),
            ):
                for process in live.running(daemon, what) if what not in killed else ():
                    killed[what] = process.pid
                    process.kill()

    # Vectors have left then: whoever is started again may give no other.
    await live.until(lambda: (len(killed) == 3 and live.vectors_arrived()) or live.last(since), counting)
    assert set(killed) == {"member", "daemon.group.membership.fleet_client", "flower-superlink"}
    before = live.open_rounds()
    assert len(before) == 1
    family = live.tree(live.host)
    told = [" ".join(_command(one)) for one in family]
    for name in (
        "flower-superlink",
        "daemon.group.hosting.host_process",
        "daemon.group.membership.fleet_client",
        "group-round",
    ):
        assert any(name in command for command in told), name
    assert killed["flower-superlink"] not in [one.pid for one in family]
    # Nothing of it goes on by itself.
    family[0].kill()
    await live.until(lambda: not any(_alive(one) for one in family[1:]), nothing)
    assert live.host._process is not None
    await live.host._process.wait()
    assert live.last(since) is None
    assert [one.round_id for one in live.open_rounds()] == [one.round_id for one in before]
    await live.host.start()
    await live.until(lambda: live.last(since), nothing)
    outcome = live.last(since)
    assert outcome is not None
    assert outcome.outcome == "done", outcome
    hosted = hashlib.sha256(b"hosted" + before[0].round_id).hexdigest()
    assert [one["round"] for one in outcome.result["sub_cohorts"]] == [hosted]
    assert outcome.result["lost"] == {}
    await live.learnt(outcome.result["run"], nothing)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


async def test_who_is_ejected_is_shut_out_by_flower(live: Live) -> None:
    out = live.daemons[4].instance.host
    access = host_process.running(live.configs[0])
    assert access is not None
    number = repository.member(live.engines[0], out)
    assert number is not None
    assert number.node_id in flower.nodes(access.access)
    commands.eject(live.configs[0], live.engines[0], out, now=time.time())
    await live.until(lambda: not repository.nodes_outdated(live.engines[0]), nothing)
    # What is not outdated any more has been done.
    assert number.node_id not in flower.nodes(access.access)
    assert len(flower.nodes(access.access)) == 4
    await live.until(lambda: _group(live.engines[4]).state == "ejected", nothing)
    said = status.status(live.configs[4], live.engines[4], time.time())
    assert "ejected it" in said["sentences"][0]
    document = read_epoch(
        envelope.parse(_group(live.engines[1]).epoch, max_size=1 << 21), standing_key(live.configs[0])
    )
    assert out in document.members


async def test_no_log_result_or_error_names_a_viewer_a_title_an_address_or_a_key(live: Live) -> None:
    """Of the daemons and all their children, which write to the same file; and of what jobs leave behind."""
    ports = {
        daemon.instance.host: _ports(config)
        for daemon, config in zip(live.daemons, live.configs, strict=True)
    }
    for daemon, config, engine in zip(live.daemons, live.configs, live.engines, strict=True):
        told = (daemon.instance.folder / "daemon.log").read_text("utf-8", "replace")
        assert "group" in told
        jobs = [vars(job) for job in activity.jobs(engine, limit=1000)]
        rounds = [vars(one) for one in activity.rounds(engine, limit=1000)]
        said = status.status(config, engine, time.time())
        files = [path.read_text("utf-8", "replace") for path in _logs(config)]
        texts = {
            "log": told,
            "jobs": json.dumps([jobs, rounds], default=str),
            "live": to_json(None if said["standing"] is None else said["standing"]["live"]).decode(),
        }
        texts |= {f"file {number}": text for number, text in enumerate(files)}
        secrets = _secrets(config)
        for where, text in texts.items():
            assert "Secret title" not in text, where
            assert "/videos/watch/" not in text, where
            assert not re.search(r"\bu\d{1,2}\b", text), where
            assert not any(secret in text for secret in secrets), where
            assert "PRIVATE KEY" not in text, where
            others = {port for host, some in ports.items() if host != daemon.instance.host for port in some}
            assert not {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)} & others, where


def _ports(config: Config) -> set[int]:
    return {config.listen.api_port, config.listen.federation_port, config.group.listen_port}


def _logs(config: Config) -> list[Path]:
    return [path for path in config.group_dir.rglob("*") if path.suffix in (".log", ".out", ".err")]


def _secrets(config: Config) -> list[str]:
    """Return what is secret in the files of an instance, in the forms in which it could be printed."""
    seed = config.identity_file.read_bytes()
    found = [seed.hex(), base64.b64encode(seed).decode()]
    # Who left the group since has no node key any more.
    keys = [path for path in (host_client.node_key_file(config),) if path.exists()]
    for path in (*keys, *config.group_dir.rglob("*.pem")):
        found += re.findall(r"^[A-Za-z0-9+/=]{40,}$", path.read_text("ascii"), re.MULTILINE)
    found += [
        path.read_text("ascii").strip() for path in config.group_dir.rglob("*secret*") if path.is_file()
    ]
    return found
