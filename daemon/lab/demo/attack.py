"""`shoal demo --attack push`: one instance pushes five videos, is refused, overruled, and taken out again.

Five instances sum; a sixth asks to be approved, and everybody does. It attacks twice: with as many fake
viewers as it has real ones, then with all of them counted twentyfold. Each time the acceptance test decides;
then the admin serves what it refused, to see what that does, and takes the instance out. Beside it runs a
twin federation in which the sixth never was: what serves is compared with what serves there, byte by byte.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from daemon.errors import JobError
from daemon.jobs.run import run_job
from daemon.lab.demo import poisoning
from daemon.lab.demo.compare import ServedScores
from daemon.lab.demo.instances import NAMES, DemoSetup, build, like_more, make_up
from daemon.lab.demo.processes import Daemon, every, require
from daemon.peers import commands
from daemon.revert.artifacts import artifacts_of
from daemon.revert.orchestrate import carry_out
from daemon.revert.out_of_service import take_out_of_service
from daemon.store import content_arrays, current_model, model_records
from daemon.training.acceptance import decisions as acceptance
from models import artefact, counting
from models.evaluation import NDCG_AT, top, without
from models.interactions import stack
from models.serving import ServedModel

SIZES = (302, 145, 66, 34, 18, 39)
"""Users per instance of the shipped set; the last one attacks."""
OBSERVER = 1
CASES = {"fakes": 1, "scaled": poisoning.SCALE}
"""Attacks, and how many times the attacker counts everybody."""
FILLERS = 3
"""Of popular videos per fake viewer: fewer push harder."""
SEED = 5
WINDOW: dict[str, str | int] = {"level": "none", "window_max": "1s", "min_changed_users": 0}
"""No noise, so that models can be compared byte by byte; windows as long as the demo has patience."""
_SWITCH_SECONDS = 30.0
_TITLES = {"fakes": "Fake viewers, as many as real ones", "scaled": "All of them counted twentyfold"}


@dataclass
class Case:
    """What one attack achieved: exposure@10 of the targets, as shares of honest viewers' lists."""

    name: str
    before: float = 0.0
    without_guards: float = 0.0
    with_guards: float = 0.0
    after_revert: float = 0.0
    verdict: str = ""
    why: str = ""
    seconds_out_of_service: float = 0.0
    equal_at_once: bool = False
    equal_next_window: bool = False

    @property
    def equal_to_never(self) -> bool:
        """Whether what serves is what the twin serves: after the revert, and in the next window."""
        return self.equal_at_once and self.equal_next_window


@dataclass
class AttackReport:
    """Everything that the attack showed."""

    attacker: str
    observer: str
    targets: tuple[str, ...]
    cases: list[Case] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        shares = ("before", "without_guards", "with_guards", "after_revert", "equal_to_never")
        return {
            **{name: value for name, value in asdict(self).items() if name != "cases"},
            "exposure10": {case.name: {name: getattr(case, name) for name in shares} for case in self.cases},
            "equal_to_never": all(case.equal_to_never for case in self.cases),
            "verdicts": {case.name: {"verdict": case.verdict, "why": case.why} for case in self.cases},
            "seconds_out_of_service": {case.name: case.seconds_out_of_service for case in self.cases},
        }

    def show(self, console: Console) -> None:
        """Print it for people."""
        table = Table(
            title=f"Viewers with one of the five pushed videos in their top ten on {_short(self.observer)}",
            box=box.SIMPLE_HEAD,
            title_justify="left",
            pad_edge=False,
        )
        table.add_column("Attack by " + _short(self.attacker))
        for name in ("Before", "Without guards", "With guards", "After revert"):
            table.add_column(name, justify="right")
        for case in self.cases:
            shares = (case.before, case.without_guards, case.with_guards, case.after_revert)
            table.add_row(_TITLES[case.name], *(f"{share:.1%}" for share in shares))
        console.print(table)
        for case in self.cases:
            console.print(f"{_TITLES[case.name]}: {_verdict(case)}", markup=False)
            equal = "equals" if case.equal_to_never else "DOES NOT EQUAL"
            console.print(
                f"  Revert: out of service after {case.seconds_out_of_service:.1f} s. What serves then, and "
                f"in the next window, {equal} byte for byte what serves in a federation in which the "
                "attacker never was."
            )
        console.print(f"Everything took {self.seconds:.0f} s.")


async def run(folder: Path, data: Path | None, console: Console) -> AttackReport:
    """Run it, and the twin beside it.

    Raises:
        ShoalError: a step failed.

    """
    began = time.monotonic()
    attacker = f"inlet-{len(NAMES) + 1}.example"
    console.print(f"Setting up five instances, and {_short(attacker)}, which will attack")
    setup = build(folder / "attacked", data, len(SIZES), WINDOW, sizes=SIZES, stranger=attacker)
    never = build(folder / "twin", data, len(SIZES), WINDOW, sizes=SIZES, without=attacker)
    attacked, twin = _Federation(setup, attacker), _Federation(never, attacker)
    try:
        await attacked.start()
        await twin.start()
        report = await _play(attacked, twin, console)
    finally:
        await asyncio.gather(attacked.stop(), twin.stop())
    report.seconds = round(time.monotonic() - began, 1)
    return report


async def _play(attacked: _Federation, twin: _Federation, console: Console) -> AttackReport:
    both = (attacked, twin)
    for federation in both:
        await federation.sum()
    pushed = attacked.targets()
    report = AttackReport(attacked.attacker, attacked.observer.host, attacked.urls(pushed))
    for number, (name, copies) in enumerate(CASES.items()):
        case = Case(name)
        console.print(f"Attack: {_TITLES[name].lower()}")
        for federation in both:
            # A week passes.
            await federation.change(2 * number)
        case.before = attacked.exposure(pushed)
        await attacked.let_in(pushed, copies=copies)
        await attacked.round_()
        outcome = await attacked.train()
        case.verdict = outcome.get("acceptance", "")
        case.why = outcome.get("sum_not_used", "")
        case.with_guards = attacked.exposure(pushed)
        console.print(f"  the acceptance test: {case.verdict}. {case.why}")
        await attacked.overrule()
        case.without_guards = attacked.exposure(pushed)
        case.seconds_out_of_service = await attacked.take_out()
        case.after_revert = attacked.exposure(pushed)
        case.equal_at_once = attacked.served() == twin.served()
        await attacked.finish()
        case.equal_at_once &= attacked.served() == twin.served()
        for federation in both:
            await federation.change(2 * number + 1)
            await federation.sum()
        case.equal_next_window = attacked.served() == twin.served()
        console.print(
            f"  out of service after {case.seconds_out_of_service:.2f} s; "
            f"{'equal' if case.equal_to_never else 'NOT EQUAL'} to the federation that never had it"
        )
        report.cases.append(case)
    return report


class _Federation:
    """Daemons of one setup; one of them, the observer, asks for sums and learns."""

    def __init__(self, setup: DemoSetup, attacker: str) -> None:
        self.attacker = attacker
        self.setup = setup
        for instance in setup.instances:
            with instance.config_file.open("a") as file:
                # The demo says what happens; jobs would speak in between.
                file.write('[log]\nlevel = "warning"\n')
        self.daemons = [Daemon(instance) for instance in setup.instances]
        self.honest = [daemon for daemon in self.daemons if daemon.host != attacker]
        self.everybody = stack([daemon.instance.history for daemon in self.honest])
        self.observer = self.honest[OBSERVER]
        self.config = self.observer.config

    async def start(self) -> None:
        require(await every(self.daemons, "sync"))
        await asyncio.gather(*(daemon.start() for daemon in self.daemons))
        for daemon in self.honest:
            # What their NodeInfo says on a PeerTube: how many accounts there are.
            if daemon is not self.observer:
                _approve(self.observer, daemon.host, daemon.instance.history.users)

    async def stop(self) -> None:
        await asyncio.gather(*(daemon.stop() for daemon in self.daemons))

    async def change(self, week: int) -> None:
        """Let some viewers of every honest instance like a few more videos, the same in any federation."""
        for daemon in self.honest:
            like_more(daemon.instance, week)
        require(await every(self.honest, "sync"))
        await self.train()

    async def sum(self) -> None:
        """Take a sum and learn from it."""
        await self.round_()
        await self.train()

    async def round_(self) -> None:
        # The window of the sum before is as long as this.
        await asyncio.sleep(1.1)
        require([await self.observer.job("round")])

    async def train(self) -> dict[str, Any]:
        outcome = await self.observer.job("train")
        require([outcome])
        return outcome.result

    def targets(self) -> NDArray[np.int64]:
        """Choose what is pushed: hardly watched videos of the head that serves."""
        model = self._model()
        items = model.items
        head = np.sort(items[: int(model.manifest["scalars"]["head_size"])]).astype(np.int64)
        counts = np.zeros(len(model.labels), np.int64)
        counts[items] = model.counts
        return poisoning.targets(counts, head, np.random.default_rng(SEED))

    async def let_in(self, pushed: NDArray[np.int64], *, copies: int) -> None:
        """Give the attacker its fake viewers, and have every admin approve it."""
        attacker = next(daemon for daemon in self.daemons if daemon.host == self.attacker)
        counts = counting.counts(self.everybody)
        users = attacker.instance.history.users
        fakes = poisoning.push(pushed, counts, users, FILLERS, np.random.default_rng(SEED)).fakes
        make_up(attacker.instance, self.setup.name, fakes, copies=copies)
        require([await attacker.job("sync")])
        for daemon in self.honest:
            require([await daemon.job("peers", add=self.attacker, url=attacker.url)])
            # What its NodeInfo would say: nobody stops it from counting its fakes there.
            _approve(daemon, self.attacker, 2 * users)

    async def overrule(self) -> None:
        """Serve what the acceptance test refused, as an admin can."""
        refused = next(
            (m for m in model_records.models(self.observer.engine) if m.state == "quarantined"), None
        )
        if refused is not None:
            acceptance.accept(self.observer.engine, self.config, refused.id, time.time())
        # The daemon looks once a second; only what it really serves can be taken out of service.
        await self._until_served(current_model.read(self.config.models_dir))

    async def take_out(self) -> float:
        """Take the attacker out of service; returns the seconds that it took."""
        began = time.monotonic()
        switch = await asyncio.to_thread(
            take_out_of_service, self.observer.engine, self.config, self.attacker, time.time()
        )
        await self._until_served(switch.now)
        return time.monotonic() - began

    async def _until_served(self, model: str | None) -> None:
        deadline = time.monotonic() + _SWITCH_SECONDS
        while await self.observer.serves() != model:
            if time.monotonic() > deadline:
                raise JobError(
                    f"the daemon still serves another model after {_SWITCH_SECONDS:g} seconds",
                    advice="Its log says why.",
                )
            await asyncio.sleep(0.02)

    async def finish(self) -> None:
        """Delete what the attacker was in, train without it, and prove it."""
        await carry_out(
            self.observer.engine, self.config, self.observer.instance.config_file, self.attacker, run_job
        )

    def served(self) -> dict[str, str]:
        """Return the hashes of what serves: the model's arrays and labels."""
        files = self._model().manifest["files"]
        return {name: entry["sha256"] for name, entry in files.items()}

    def exposure(self, pushed: NDArray[np.int64]) -> float:
        """Return the share of all honest viewers with one of the videos in their ten, by the served model."""
        histories = self.everybody.matrix
        scores = ServedScores.of(self._model()).scores(histories)
        lists = top(without(scores, histories), NDCG_AT)
        return float(np.isin(lists, pushed).any(axis=1).mean())

    def urls(self, positions: NDArray[np.int64]) -> tuple[str, ...]:
        urls = content_arrays.read_urls(self.observer.engine)
        return tuple(urls[place] for place in positions)

    def _model(self) -> ServedModel:
        name = current_model.read(self.config.models_dir)
        if name is None:
            raise JobError("the daemon serves no model", advice="Its log says why.")
        return artefact.load(self.config.models_dir / name)


def _approve(at: Daemon, host: str, max_users: int) -> None:
    now = time.time()
    commands.approve(at.engine, at.config, host, key=None, max_users=max_users, now=now, holds=artifacts_of)


def _verdict(case: Case) -> str:
    if case.verdict == "quarantined":
        return f"refused. {case.why}"
    return "accepted: it gains too little to be told from honest viewers."


def _short(host: str) -> str:
    return host.removesuffix(".example")
