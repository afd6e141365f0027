"""Rounds between daemons that are killed at random times under load, and started again at once or later."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from daemon.lab.demo.processes import Daemon, every, require
from tests.chaos import load
from tests.chaos.killed_rounds import START_WITHIN, TRIES, windows_over, wrong
from tests.chaos.witness import Witness, given_by

BETWEEN: Final = 0.2, 3.0
"""Seconds between two kills."""
AWAY: Final = 0.0, 2.0
"""Seconds that somebody who was killed stays away: shorter and longer than a stage waits."""


@dataclass
class Kills:
    """What came of it."""

    killed: int = 0
    rounds: int = 0
    completed: int = 0
    answered: int = 0
    away: int = 0
    orders: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0


async def run(daemons: Sequence[Daemon], kills: int, rng: random.Random, say: Callable[[str], None]) -> Kills:
    """Kill so often while rounds run and lists are asked for, then look whether anything was lost."""
    require(await every(daemons, "train"))
    await load.prepare(daemons)
    found, began = Kills(), time.monotonic()
    async with load.load(daemons, rng) as answers:
        killing = asyncio.create_task(_kill(daemons, kills, rng, found, say))
        try:
            await _rounds(daemons, killing, found, say)
        finally:
            killing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await killing
    for daemon in daemons:
        one = answers[daemon.host]
        found.answered, found.away = found.answered + one.answered, found.away + one.away
        found.orders += one.orders
        found.wrong += one.wrong
        found.lost += await asyncio.to_thread(load.lost_entries, daemon, one)
    found.seconds = time.monotonic() - began
    return found


async def _kill(
    daemons: Sequence[Daemon], kills: int, rng: random.Random, found: Kills, say: Callable[[str], None]
) -> None:
    while found.killed < kills:
        await asyncio.sleep(rng.uniform(*BETWEEN))
        daemon = rng.choice(daemons)
        await kill(daemon)
        found.killed += 1
        if found.killed % 20 == 0:
            say(f"{found.killed} kills, {found.completed} of {found.rounds} rounds completed")
        await asyncio.sleep(rng.uniform(*AWAY))
        await daemon.start(within=START_WITHIN)


async def kill(daemon: Daemon) -> None:
    """Kill a daemon, with the jobs that it runs, without a warning."""
    process = daemon._process
    if process is not None and process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _rounds(
    daemons: Sequence[Daemon], killing: asyncio.Task[None], found: Kills, say: Callable[[str], None]
) -> None:
    witnesses: dict[str, Witness] = defaultdict(Witness)
    while not killing.done():
        aggregator = daemons[found.rounds % len(daemons)]
        members = [daemon for daemon in daemons if daemon is not aggregator]
        await windows_over(aggregator, members)
        found.rounds += 1
        since, told = time.time(), ""
        for _ in range(TRIES):
            done = await aggregator.job("round")
            given = [one for member in members if (one := given_by(member, aggregator.host)) is not None]
            found.wrong += witnesses[aggregator.host].look(given, since=since)
            told = done.message
            if done.ok:
                found.completed += 1
                found.wrong += wrong(aggregator, members, done.result["survivors"], given, since=since)
                break
        say(f"{aggregator.name}: {'completed' if done.ok else told}")
    # What killing raised is raised here.
    await killing
