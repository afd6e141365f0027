"""Rounds in which members are killed at random stages, started again, and asked once more.

Six instances take turns: one asks, the other five give. So the data windows of one aggregator pass while the
others ask, and nobody has to wait for long.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from daemon.lab.demo.instances import build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.rounds.aggregator_window import peer_windows
from federation.aggregator import REQUESTS
from tests.chaos.witness import Given, Witness, given_by, window_of
from tests.daemon import plain_sums
from tests.daemon.small_dataset import write_overlapping_tastes

MEMBERS: Final = 5
TRIES: Final = 3
"""The first attempt, and two more by what the product does: an attempt that can be resumed is."""
START_WITHIN: Final = 300.0
"""Seconds that a daemon has to start: machines that run this do other things, too."""
_LAST_TRY: Final = 0.8
"""Part of a data window in which a try may begin: members' windows end a little before the aggregator's, and
with a new window the question is another one."""


@dataclass
class Row:
    """What came of the rounds at one loss: a share of members in [0, 1]. `tries[n]` rounds took n + 1."""

    loss: float
    rounds: int = 0
    tries: list[int] = field(default_factory=lambda: [0] * TRIES)
    killed: int = 0
    wrong_sums: list[str] = field(default_factory=list)
    given_twice: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether nothing happened that never may."""
        return not self.wrong_sums and not self.given_twice


@asynccontextmanager
async def running(folder: Path, *, window_seconds: int) -> AsyncIterator[list[Daemon]]:
    """Run the daemons of six small instances without noise, whose data windows are that long at most."""
    privacy: dict[str, str | int] = {
        "level": "none",
        "window_max": f"{window_seconds}s",
        "min_changed_users": 0,
    }
    world = build(folder / "instances", write_overlapping_tastes(folder / "set"), MEMBERS + 1, privacy)
    for instance in world.instances:
        with instance.config_file.open("a") as file:
            file.write('[cohort]\nstage_timeout = "15s"\n')
    daemons = [Daemon(instance) for instance in world.instances]
    try:
        require(await every(daemons, "sync"))
        for daemon in daemons:
            await daemon.start(within=START_WITHIN)
        yield daemons
    finally:
        for daemon in daemons:
            await daemon.stop()


@dataclass
class Rounds:
    """Tries rounds between these daemons, one after another; `say` is told of each."""

    daemons: Sequence[Daemon]
    rng: random.Random
    say: Callable[[str], None] = lambda _sentence: None
    _witnesses: dict[str, Witness] = field(default_factory=lambda: defaultdict(Witness))
    _asked: int = 0

    async def run(self, rounds: int, loss: float) -> Row:
        """Try so many rounds, in each of which every member is killed with that chance."""
        row = Row(loss)
        began = time.monotonic()
        for _ in range(rounds):
            aggregator = self.daemons[self._asked % len(self.daemons)]
            self._asked += 1
            await self._one(aggregator, row)
        row.seconds = time.monotonic() - began
        return row

    async def _one(self, aggregator: Daemon, row: Row) -> None:
        members = [daemon for daemon in self.daemons if daemon is not aggregator]
        await windows_over(aggregator, members)
        armed = {member: self.rng.choice(REQUESTS) for member in members if self.rng.random() < row.loss}
        await asyncio.gather(*(_again(member, die_at=f"member.{at}") for member, at in armed.items()))
        since, told, ended = time.time(), [], "not completed"
        row.rounds += 1
        for number in range(TRIES):
            done = await aggregator.job("round")
            dead = [member for member in members if not member.alive]
            row.killed += len(dead)
            told += [f"{member.name} died at {armed.pop(member, 'an unknown place')}" for member in dead]
            found = [one for member in members if (one := given_by(member, aggregator.host)) is not None]
            row.given_twice += self._witnesses[aggregator.host].look(found, since=since)
            await asyncio.gather(*(_again(member) for member in dead))
            if done.ok:
                ended = "completed"
                row.tries[number] += 1
                row.wrong_sums += wrong(aggregator, members, done.result["survivors"], found, since=since)
                break
            told.append(done.message)
            if time.time() - since > _LAST_TRY * _window_seconds(aggregator):
                told.append("its data window is about to end")
                break
        # These were not reached by a request of their stage.
        await asyncio.gather(*(_again(member) for member in armed))
        self.say(f"{aggregator.name}: {'; '.join([*told, ended])}")


async def windows_over(aggregator: Daemon, members: Sequence[Daemon]) -> None:
    """Wait until the aggregator may ask something new, and all members may answer it."""
    windows = [window_of(member, aggregator.host) for member in members]
    ends = [window.ends for window in windows if window is not None]
    asked = peer_windows(aggregator.config, time.time).current()
    if asked is not None:
        ends.append(asked.opened + _window_seconds(aggregator))
    await asyncio.sleep(max(ends, default=0.0) - time.time())


def _window_seconds(daemon: Daemon) -> float:
    return daemon.config.privacy.window_max.total_seconds()


async def _again(daemon: Daemon, *, die_at: str = "") -> None:
    await daemon.stop()
    await daemon.start(die_at=die_at, within=START_WITHIN)


def wrong(
    aggregator: Daemon,
    members: Sequence[Daemon],
    survivors: Collection[str],
    found: Sequence[Given],
    *,
    since: float,
) -> list[str]:
    """Return in words what is wrong with the newest sum of an aggregator, whose round began `since` then."""
    gave = {one.member for one in found if one.left >= since}
    if silent := sorted(set(survivors) - gave):
        return [f"{aggregator.host} names survivors that gave nothing: {', '.join(silent)}"]
    try:
        plain_sums.assert_plain(
            aggregator.instance.config_file,
            [member.instance.config_file for member in members if member.host in survivors],
        )
    except AssertionError as error:
        return [f"{aggregator.host} stored another sum than the plain one: {error}"]
    return []
