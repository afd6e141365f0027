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

from daemon.config import load
from daemon.errors import RequestError, ShoalError
from daemon.lab.demo import attack as attacked
from daemon.lab.demo import attack_report, keep_running, report
from daemon.lab.demo.compare import Compared, compare
from daemon.lab.demo.group import Group
from daemon.lab.demo.instances import DemoInstance, World, build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.lab.demo.report import Listing, Story
from daemon.process.job_context import JobOutcome
from daemon.store import activity, content_arrays
from daemon.store.engine import open_checked
from federation.node import ANSWERS
from federation.proposal import least_threshold
from models.baselines import Newest, newest
from models.interactions import Interactions
from models.statistics import counts

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
    victim = parse_kill(kill, instances) if kill else None
    console = Console(stderr=True, highlight=False, quiet=as_json)
    folder = Path(tempfile.mkdtemp(prefix="shoal-demo-"))
    try:
        if attack:
            _attacked(asyncio.run(attacked.run(folder, data, console)), as_json=as_json)
        else:
            demo = _Demo(folder, console, victim, level, serve, group)
            asyncio.run(demo.run(data, instances, lambda story: _told_all(story, as_json=as_json)))
    except ShoalError:
        console.print(f"The files and logs of this run are in {folder}.")
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _told_all(story: Story, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report.as_json(story), ensure_ascii=False) + "\n")
        sys.stdout.flush()
    else:
        report.show(story, Console(highlight=False))


def _attacked(story: attacked.Story, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(story.as_json(), ensure_ascii=False) + "\n")
    else:
        attack_report.show(story, Console(highlight=False))


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
    sessions: dict[str, str] = field(default_factory=dict)
    killed: str = ""

    async def run(self, data: Path | None, instances: int, show: Callable[[Story], None]) -> None:
        with self._phase("setup", "Splitting the users into instances by taste"):
            world = build(self.folder, data, instances, {"level": self.level}, in_group=self.group)
        daemons = [Daemon(community) for community in world.communities]
        try:
            with self._phase("sync", f"Reading {len(daemons)} instances' videos and viewers"):
                require(await every(daemons, "sync"))
            with self._phase("start", f"Starting {len(daemons)} daemons"):
                await asyncio.gather(*(self._start(number, one) for number, one in enumerate(daemons)))
            if self.group:
                await self._sum_together(daemons)
            else:
                with self._phase("sessions", "Summing securely, each instance with its own cohort"):
                    await self._sum(daemons)
            with self._phase("training", "Training, each instance for itself"):
                require(await every(daemons, "train"))
            with self._phase("evaluation", "Comparing with pooled data and other rules"):
                order = _newest(world)
                compared = await self._compare(world.communities, order)
            story = Story(
                data_set=world.name,
                positive=str(world.positive),
                newest=order.rule,
                compared=tuple(compared),
                sessions=self.sessions,
                bytes_sent={c.host: _sent(c) for c in world.communities},
                seconds={name: round(spent, 2) for name, spent in self.seconds.items()},
                cohort=_cohort(len(daemons), group=self.group),
                listings=tuple(await _listings(world, daemons[-1])),
                asked=daemons[-1].community.host,
                killed=self.killed,
            )
            show(story)
            if self.serve:
                await self._stay(daemons)
        finally:
            await asyncio.gather(*(daemon.stop() for daemon in daemons))

    async def _stay(self, daemons: Sequence[Daemon]) -> None:
        self.console.print("The daemons keep running. Their admin pages, on this machine only:")
        for host, address in keep_running.pages(daemons).items():
            self.console.print(f"  {host.removesuffix('.example')}: {address}", markup=False, soft_wrap=True)
        self.console.print("Ctrl+C stops them and deletes everything.")
        await keep_running.until_interrupted()

    async def _start(self, number: int, daemon: Daemon) -> None:
        wanted = self.victim is not None and self.victim.number == number
        await daemon.start(die_at=f"member.{self.victim.stage}" if self.victim and wanted else "")

    async def _sum(self, daemons: Sequence[Daemon]) -> None:
        """One session after the other; who was killed is started again at the end and has its own then."""
        late = []
        for number, daemon in enumerate(daemons):
            if self.victim is not None and self.victim.number == number:
                late.append(daemon)
            else:
                await self._session(daemon)
        for daemon in late:
            if not daemon.alive:
                self.killed = f"{daemon.community.host} at stage {self.victim.stage if self.victim else ''}"
                self.console.print(f"  {self.killed}: killed there, now started again")
                await daemon.start()
            await self._session(daemon)

    async def _sum_together(self, daemons: Sequence[Daemon]) -> None:
        """One session of all as a group; who was killed is started again at once."""
        together = Group(daemons, lambda line: self.console.print(line, markup=False, soft_wrap=True))
        victim = daemons[self.victim.number] if self.victim else None

        async def revive() -> None:
            if self.victim and victim and not victim.alive:
                self.killed = f"{victim.community.host} at stage {self.victim.stage}"
                self.console.print(f"  {self.killed}: killed there, now started again")
                await victim.start()

        try:
            with self._phase("forming", "Forming a group: joining, being let in, approving one another"):
                await together.form()
            with self._phase("sessions", "Summing securely, all of them at once, over Flower"):
                found = await together.run(revive)
        finally:
            together.close()
        self.seconds["session"] = found.seconds
        self.sessions.update({daemon.community.host: found.told for daemon in daemons})
        self.console.print(f"  {found.told}: {found.details}")

    async def _session(self, daemon: Daemon) -> None:
        outcome = await daemon.job("session")
        host = daemon.community.host
        self.sessions[host] = "done" if outcome.ok else outcome.message
        self.console.print(f"  {host.removesuffix('.example')}: {_told(outcome)}")

    async def _compare(self, communities: Sequence[DemoInstance], order: Newest) -> list[Compared]:
        loop = asyncio.get_running_loop()
        workers = min(os.cpu_count() or 1, len(communities))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            return list(
                await asyncio.gather(
                    *(
                        loop.run_in_executor(pool, compare, one, communities, order.order)
                        for one in communities
                    )
                )
            )

    @contextmanager
    def _phase(self, name: str, what: str) -> Iterator[None]:
        began = time.monotonic()
        self.console.print(what)
        with self.console.status(what):
            yield
        self.seconds[name] = time.monotonic() - began


def _told(outcome: JobOutcome) -> str:
    if not outcome.ok:
        return f"{outcome.message} {outcome.advice}"
    found = outcome.result
    lost = "".join(f"; without {host} ({why})" for host, why in found["lost"].items())
    return (
        f"{len(found['survivors'])} members, {found['vocabulary']} videos, pairs of {found['head']}, "
        f"{(found['bytes_in'] + found['bytes_out']) / 1e6:.1f} MB, {outcome.seconds:.1f} s{lost}"
    )


def _newest(world: World) -> Newest:
    """Return what PeerTube's newest-first means in this set, over all instances' histories."""
    first = world.communities[0]
    engine = open_checked(load(first.config_file).database)
    catalogue, _ = content_arrays.read(engine)
    engine.dispose()
    histories = [community.history for community in world.communities]
    known = bool(np.isfinite(catalogue.published).any())
    return newest(
        catalogue.published,
        "publication date or year in title" if known else None,
        _first_seen(histories),
        np.sum([counts(history) for history in histories], axis=0),
    )


def _first_seen(histories: Sequence[Interactions]) -> np.ndarray | None:
    seen = np.full(histories[0].videos, np.inf)
    for history in histories:
        if history.recency is None:
            return None
        np.minimum.at(seen, history.matrix.indices, history.recency)
    return None if not seen.any() else np.where(np.isfinite(seen), seen, np.nan)


def _sent(community: DemoInstance) -> int:
    engine = open_checked(load(community.config_file).database)
    try:
        return sum(session.bytes_out for session in activity.sessions(engine, limit=1000))
    finally:
        engine.dispose()


def _cohort(instances: int, *, group: bool) -> dict[str, int]:
    members = instances if group else instances - 1
    return {
        "members": members,
        "threshold": least_threshold(members),
        "aggregators": 1 if group else instances,
    }


async def _listings(world: World, daemon: Daemon) -> list[Listing]:
    """Ask a daemon what it shows beside the first few titles that many people know."""
    listings: list[Listing] = []
    for wanted in WELL_KNOWN:
        for url, title in world.titles.items():
            if title.startswith(wanted) and len(listings) < LISTINGS:
                videos = await daemon.related(url, LISTED)
                shown = ((world.titles.get(v["url"], v["url"]), v["reason"]["text"]) for v in videos)
                listings.append(Listing(title, tuple(shown)))
                break
    return listings
