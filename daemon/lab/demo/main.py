"""`shoal demo`: set up, learn together, compare, clean up."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console

from daemon.errors import RequestError, ShoalError
from daemon.group import flower_installed
from daemon.lab.demo import attack as attacked
from daemon.lab.demo.compare import Compared, compare
from daemon.lab.demo.group import DemoGroup
from daemon.lab.demo.instances import DemoInstance, DemoSetup, build
from daemon.lab.demo.processes import Daemon, admin_pages, every, require, sum_details, until_interrupted
from daemon.lab.demo.report import DemoReport, Listing
from daemon.lab.made_up import NOTE, SHIPPED
from daemon.store import activity
from federation.node import ANSWERS
from federation.proposal import least_threshold
from models import counting

WELL_KNOWN = ("Matrix, The", "Toy Story", "Pulp Fiction", "Spirited Away", "Portal 2", "Skyrim")
LISTINGS = 3
LISTED = 3
_STAGES = {answer.value: request.value for request, answer in ANSWERS.items()}
_STAGES.update({request.value: request.value for request in ANSWERS})


def main(
    *,
    data: Path | None,
    instances: int,
    kill: str | None,
    level: str = "default",
    as_json: bool,
    attack: bool = False,
    serve: bool = False,
    group: bool = False,
) -> int:
    """Run the demo, or the one with an attack; return the exit status.

    Raises:
        ShoalError: it could not be run; the daemons' logs are kept, and the message says where.
    """
    if group:
        flower_installed.require()
    victim = parse_kill(kill, instances) if kill else None
    console = Console(stderr=True, highlight=False, quiet=as_json)
    if data is None and not SHIPPED.is_dir():
        console.print(NOTE, markup=False)
    folder = Path(tempfile.mkdtemp(prefix="shoal-demo-"))

    def show(report: DemoReport | attacked.AttackReport) -> None:
        if as_json:
            sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            report.show(Console(highlight=False))

    try:
        if attack:
            show(asyncio.run(attacked.run(folder, data, console)))
        else:
            asyncio.run(_Demo(folder, console, victim, level, serve, group).run(data, instances, show))
    except ShoalError:
        console.print(f"The files and logs of this run are in {folder}.")
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return 0


@dataclass(frozen=True)
class Victim:
    """Which instance is killed (from 0), when a request of which stage arrives."""

    number: int
    stage: str


def parse_kill(text: str, instances: int) -> Victim:
    """Read `N@STAGE`, N from 1.

    Raises:
        RequestError: it has another form.
    """
    number, _, stage = text.partition("@")
    if not number.isdigit() or not 1 <= int(number) <= instances or stage not in _STAGES:
        raise RequestError(
            f"--kill {text}: expected N@STAGE",
            advice=f"N is 1 to {instances}, STAGE one of {', '.join(sorted(_STAGES))}.",
        )
    return Victim(int(number) - 1, _STAGES[stage])


@dataclass
class _Demo:
    folder: Path
    console: Console
    victim: Victim | None
    level: str
    serve: bool = False
    group: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    rounds: dict[str, str] = field(default_factory=dict)
    killed: str = ""

    async def run(self, data: Path | None, instances: int, show: Callable[[DemoReport], None]) -> None:
        with self._phase("setup", "Splitting the users into instances by taste"):
            setup = build(self.folder, data, instances, {"level": self.level}, in_group=self.group)
        daemons = [Daemon(instance) for instance in setup.instances]
        try:
            with self._phase("sync", f"Reading videos and viewers of {len(daemons)} instances"):
                require(await every(daemons, "sync"))
            with self._phase("start", f"Starting {len(daemons)} daemons"):
                await asyncio.gather(*(self._start(number, one) for number, one in enumerate(daemons)))
            if self.group:
                await self._sum_in_group(daemons)
            else:
                with self._phase("rounds", "Summing securely, each instance with its own cohort"):
                    await self._sum(daemons)
            with self._phase("training", "Training, each instance for itself"):
                require(await every(daemons, "train"))
            with self._phase("evaluation", "Comparing with pooled data and simple rules"):
                compared = await self._compare(setup.instances)
            members = len(daemons) if self.group else len(daemons) - 1
            report = DemoReport(
                data_set=setup.name,
                positive=str(setup.positive),
                compared=tuple(compared),
                rounds=self.rounds,
                bytes_sent={
                    one.host: sum(round_.bytes_out for round_ in activity.rounds(one.engine, limit=1000))
                    for one in daemons
                },
                seconds={name: round(spent, 2) for name, spent in self.seconds.items()},
                cohort={
                    "members": members,
                    "threshold": least_threshold(members),
                    "aggregators": 1 if self.group else len(daemons),
                },
                listings=tuple(await _listings(setup, daemons[-1])),
                asked=daemons[-1].host,
                killed=self.killed,
            )
            show(report)
            if self.serve:
                await self._stay(daemons)
        finally:
            await asyncio.gather(*(daemon.stop() for daemon in daemons))

    async def _stay(self, daemons: Sequence[Daemon]) -> None:
        self.console.print("The daemons keep running. Their admin pages, reachable from this machine only:")
        for name, address in admin_pages(daemons).items():
            self.console.print(f"  {name}: {address}", markup=False, soft_wrap=True)
        self.console.print("Ctrl+C stops them and deletes everything.")
        await until_interrupted()

    async def _start(self, number: int, daemon: Daemon) -> None:
        die = self.victim is not None and self.victim.number == number
        await daemon.start(die_at=f"member.{self.victim.stage}" if self.victim and die else "")

    async def _revive(self, daemon: Daemon) -> None:
        """Start a daemon again that was killed."""
        if not daemon.alive and self.victim is not None:
            self.killed = f"{daemon.host} at stage {self.victim.stage}"
            self.console.print(f"  {self.killed}: killed there, now started again")
            await daemon.start()

    async def _sum(self, daemons: Sequence[Daemon]) -> None:
        """One round after the other; a killed instance is started again at the end and has its own then."""
        victim = None if self.victim is None else daemons[self.victim.number]
        for daemon in sorted(daemons, key=lambda one: one is victim):
            if daemon is victim:
                await self._revive(daemon)
            outcome = await daemon.job("round")
            self.rounds[daemon.host] = "done" if outcome.ok else outcome.message
            details = f"{outcome.message} {outcome.advice}"
            if outcome.ok:
                details = sum_details(outcome.result, outcome.seconds)
            self.console.print(f"  {daemon.name}: {details}")

    async def _sum_in_group(self, daemons: Sequence[Daemon]) -> None:
        """One round of all as a group; a killed instance is started again at once."""
        together = DemoGroup(daemons, lambda line: self.console.print(line, markup=False, soft_wrap=True))

        async def revive() -> None:
            if self.victim is not None:
                await self._revive(daemons[self.victim.number])

        with self._phase("forming", "Forming a group: all join it and approve one another"):
            await together.form()
        with self._phase("rounds", "Summing securely, all instances in one sum, over Flower"):
            found = await together.run(revive)
        self.seconds["round"] = found.seconds
        self.rounds.update({daemon.host: found.result for daemon in daemons})
        self.console.print(f"  {found.result}: {found.details}")

    async def _compare(self, instances: Sequence[DemoInstance]) -> list[Compared]:
        loop = asyncio.get_running_loop()
        workers = min(os.cpu_count() or 1, len(instances))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = [loop.run_in_executor(pool, compare, one, instances) for one in instances]
            return list(await asyncio.gather(*jobs))

    @contextmanager
    def _phase(self, name: str, what: str) -> Iterator[None]:
        began = time.monotonic()
        self.console.print(what)
        with self.console.status(what):
            yield
        self.seconds[name] = time.monotonic() - began


async def _listings(setup: DemoSetup, daemon: Daemon) -> list[Listing]:
    """Ask a daemon for its related videos of a few titles that many people know, else of what most like."""
    listings: list[Listing] = []
    for url in (_well_known(setup) or _most_liked(setup))[:LISTINGS]:
        videos = await daemon.related(url, LISTED)
        shown = ((setup.titles.get(v["url"], v["url"]), v["reason"]["text"]) for v in videos)
        listings.append(Listing(setup.titles[url], tuple(shown)))
    return listings


def _well_known(setup: DemoSetup) -> list[str]:
    found = ([url for url, title in setup.titles.items() if title.startswith(name)] for name in WELL_KNOWN)
    return [urls[0] for urls in found if urls]


def _most_liked(setup: DemoSetup) -> list[str]:
    liked = sum((counting.counts(one.history) for one in setup.instances), np.zeros(1, np.int64))
    urls = sorted(setup.titles)
    return [urls[video] for video in np.argsort(-liked, kind="stable")[: len(urls)]]
