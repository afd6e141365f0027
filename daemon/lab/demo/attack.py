"""`shoal demo --attack push`: one instance pushes five videos, is refused, overruled, and taken out again.

Five instances sum; a sixth asks to be approved, and everybody does. It attacks twice: with as many fake
viewers as it has real ones, then with all of them counted twentyfold. Each time the acceptance test has its
say; then the admin serves what it refused, to see what that does, and takes the instance out. Beside it lives
a twin federation in which the sixth never was: what serves is compared with what serves there, byte by byte.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.sparse import csr_array, vstack

from daemon.config import load
from daemon.errors import JobError
from daemon.jobs.run import run_job
from daemon.lab.demo import attack_parts
from daemon.lab.demo.change_histories import like_more, make_up
from daemon.lab.demo.instances import NAMES, World, build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.peers import commands
from daemon.revert.artifacts import artifacts_of
from daemon.revert.orchestrate import carry_out
from daemon.revert.out_of_service import take_out_of_service
from daemon.store import content_arrays, current_model, model_records
from daemon.store.engine import open_checked
from daemon.training.acceptance import decisions as acceptance
from models import artefact, statistics
from models.evaluation import NDCG_AT, top, without
from models.interactions import Interactions
from models.recommender import spread
from models.serving import ServedModel

SIZES = (302, 145, 66, 34, 18, 39)
"""Users per instance of the shipped set; the last one attacks."""
OBSERVER = 1
CASES = ("fakes", "scaled")
FILLERS = 3
"""Of popular videos per fake viewer: fewer push harder."""
SEED = 5
WINDOW: dict[str, str | int] = {"level": "none", "window": "1s", "min_changed_users": 0}
"""No noise, so that models can be compared byte by byte; windows as long as the demo has patience."""


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
class Story:
    """Everything that the attack showed."""

    attacker: str
    observer: str
    targets: tuple[str, ...]
    cases: list[Case] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return {
            "attacker": self.attacker,
            "observer": self.observer,
            "targets": list(self.targets),
            "exposure10": {
                case.name: {
                    "before": case.before,
                    "without_guards": case.without_guards,
                    "with_guards": case.with_guards,
                    "after_revert": case.after_revert,
                    "equal_to_never": case.equal_to_never,
                }
                for case in self.cases
            },
            "equal_to_never": all(case.equal_to_never for case in self.cases),
            "verdicts": {case.name: {"verdict": case.verdict, "why": case.why} for case in self.cases},
            "seconds_out_of_service": {case.name: case.seconds_out_of_service for case in self.cases},
            "seconds": self.seconds,
        }


async def run(folder: Path, data: Path | None, console: Console) -> Story:
    """Play it, and the twin beside it.

    Raises:
        ShoalError: a step failed.

    """
    began = time.monotonic()
    attacker = f"inlet-{len(NAMES) + 1}.example"
    console.print(f"Five instances, and {attacker.removesuffix('.example')}, which will attack")
    world = build(folder / "attacked", data, len(SIZES), WINDOW, sizes=SIZES, stranger=attacker)
    never = build(folder / "twin", data, len(SIZES), WINDOW, sizes=SIZES, without=attacker)
    attacked, twin = _Federation(world, attacker), _Federation(never, attacker)
    try:
        await attacked.start()
        await twin.start()
        story = await _play(attacked, twin, console)
    finally:
        await asyncio.gather(attacked.stop(), twin.stop())
    story.seconds = round(time.monotonic() - began, 1)
    return story


async def _play(attacked: _Federation, twin: _Federation, console: Console) -> Story:
    both = (attacked, twin)
    for federation in both:
        await federation.sum()
    pushed = attacked.targets()
    story = Story(attacked.attacker, attacked.observer.community.host, attacked.urls(pushed))
    for number, name in enumerate(CASES):
        case = Case(name)
        console.print(f"Attack with {_WORDS[name]}")
        for federation in both:
            # A week passes.
            await federation.change(2 * number)
        case.before = attacked.exposure(pushed)
        await attacked.let_in(pushed, copies=attack_parts.SCALE if name == "scaled" else 1)
        await attacked.session()
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
        story.cases.append(case)
    return story


_WORDS = {"fakes": "fake viewers", "scaled": "its part counted twentyfold"}


class _Federation:
    """Daemons of one world; one of them, the observer, asks and learns."""

    def __init__(self, world: World, attacker: str) -> None:
        self.attacker = attacker
        self.world = world
        for community in world.communities:
            with community.config_file.open("a") as file:
                # The story is told by the demo; jobs would speak in between.
                file.write('[log]\nlevel = "warning"\n')
        self.daemons = [Daemon(community) for community in world.communities]
        self.honest = [d for d in self.daemons if d.community.host != attacker]
        self.observer = self.honest[OBSERVER]
        self.config = load(self.observer.community.config_file)

    async def start(self) -> None:
        require(await every(self.daemons, "sync"))
        await asyncio.gather(*(daemon.start() for daemon in self.daemons))
        engine = open_checked(self.config.database)
        for daemon in self.honest:
            # What their NodeInfo says on a PeerTube: how many accounts there are.
            if daemon is not self.observer:
                users, host = daemon.community.history.users, daemon.community.host
                commands.approve(
                    engine, self.config, host, key=None, max_users=users, now=time.time(), holds=artifacts_of
                )
        engine.dispose()

    async def stop(self) -> None:
        await asyncio.gather(*(daemon.stop() for daemon in self.daemons))

    # -- what passes in a week ------------------------------------------------------------------------------

    async def change(self, week: int) -> None:
        """Let some viewers of every honest instance like a few more videos, the same in any federation."""
        for daemon in self.honest:
            like_more(daemon.community, week)
        require(await every(self.honest, "sync"))
        await self.train()

    async def sum(self) -> None:
        """Take a sum and learn from it."""
        await self.session()
        await self.train()

    async def session(self) -> None:
        # The window of the sum before is as long as this.
        await asyncio.sleep(1.1)
        require([await self.observer.job("session")])

    async def train(self) -> dict[str, Any]:
        outcome = await self.observer.job("train")
        require([outcome])
        return outcome.result

    # -- the attack -----------------------------------------------------------------------------------------

    def targets(self) -> NDArray[np.int64]:
        """Choose what is pushed: hardly watched videos of the head that serves."""
        model = self._model()
        items = model.factors[0]
        head = np.sort(items[: int(model.manifest["scalars"]["head_size"])]).astype(np.int64)
        counts = np.zeros(len(model.labels), np.int64)
        counts[items] = model.counts
        return attack_parts.targets(counts, head, np.random.default_rng(SEED))

    async def let_in(self, pushed: NDArray[np.int64], *, copies: int) -> None:
        """Give the attacker its fake viewers, and have every admin approve it."""
        attacker = next(d for d in self.daemons if d.community.host == self.attacker)
        counts = statistics.counts(_together(self.honest))
        users = attacker.community.history.users
        fakes = attack_parts.push(pushed, counts, users, FILLERS, np.random.default_rng(SEED)).fakes
        make_up(attacker.community, self.world.name, fakes, copies=copies)
        require([await attacker.job("sync")])
        # What its NodeInfo would say: nobody stops it from counting its fakes there.
        at_most = 2 * users
        url = f"http://{attacker.federation}"
        for daemon in self.honest:
            require([await daemon.job("peers", add=self.attacker, url=url)])
            config = load(daemon.community.config_file)
            engine = open_checked(config.database)
            commands.approve(
                engine,
                config,
                self.attacker,
                key=None,
                max_users=at_most,
                now=time.time(),
                holds=artifacts_of,
            )
            engine.dispose()

    async def overrule(self) -> None:
        """Serve what the acceptance test refused, as an admin can."""
        engine = open_checked(self.config.database)
        refused = next((m for m in model_records.models(engine) if m.state == "quarantined"), None)
        if refused is not None:
            acceptance.accept(engine, self.config, refused.id, time.time())
        engine.dispose()
        # The daemon looks once a second; only what it really serves can be taken out of service.
        await self._until_served(current_model.read(self.config.models_dir))

    async def take_out(self) -> float:
        """Take the attacker out of service; returns the seconds that it took."""
        engine = open_checked(self.config.database)
        began = time.monotonic()
        switch = await asyncio.to_thread(take_out_of_service, engine, self.config, self.attacker, time.time())
        await self._until_served(switch.now)
        engine.dispose()
        return time.monotonic() - began

    async def _until_served(self, model: str | None) -> None:
        deadline = time.monotonic() + 30
        while await self.observer.serves() != model:
            if time.monotonic() > deadline:
                raise JobError("the daemon did not change over", advice="See its log.")
            await asyncio.sleep(0.02)

    async def finish(self) -> None:
        """Delete what the attacker was in, train without it, and prove it."""
        engine = open_checked(self.config.database)
        await carry_out(engine, self.config, self.observer.community.config_file, self.attacker, run_job)
        engine.dispose()

    # -- what is seen ---------------------------------------------------------------------------------------

    def served(self) -> dict[str, str]:
        """Return the hashes of what serves: the model's arrays and labels."""
        files = self._model().manifest["files"]
        return {name: entry["sha256"] for name, entry in files.items()}

    def exposure(self, pushed: NDArray[np.int64]) -> float:
        """Return the share of all honest viewers with one of the videos in their ten, by the served model."""
        model = self._model()
        items, U, V = model.factors
        histories = _together(self.honest).matrix
        rows = histories[:, items].astype(np.float64)
        scores = spread((rows @ U.astype(np.float64)) @ V.T.astype(np.float64), items, histories.shape[1])
        lists = top(without(scores, histories), NDCG_AT)
        return float(np.isin(lists, pushed).any(axis=1).mean())

    def urls(self, positions: NDArray[np.int64]) -> tuple[str, ...]:
        known = self._urls()
        return tuple(known[place] for place in positions)

    def _urls(self) -> tuple[str, ...]:
        engine = open_checked(self.config.database)
        catalogue, _ = content_arrays.read(engine)
        engine.dispose()
        return catalogue.urls

    def _model(self) -> ServedModel:
        name = current_model.read(self.config.models_dir)
        if name is None:
            raise JobError("no model serves", advice="See the daemon's log.")
        return artefact.load(self.config.models_dir / name)


def _together(daemons: Sequence[Daemon]) -> Interactions:
    return Interactions(csr_array(vstack([d.community.history.matrix for d in daemons], format="csr")))
