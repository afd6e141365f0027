"""Pieces of work for a process of their own: one attack on one cohort at one level, and one quality."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from daemon.lab.experiment import Population
from models.noise import SumNoise
from models.trained import Recipe
from policies.privacy import Level
from tests.adversaries.privacy.cohorts import Cohort, cohort, load
from tests.adversaries.privacy.quality import measure
from tests.adversaries.privacy.release import REALISED
from tests.adversaries.privacy.runner import ATTACKS, Outcome, Scene
from tests.adversaries.privacy.settings import FULL, LEVELS, QUICK

_QUICK_RECIPE = Recipe(rank=32, lambdas=(10.0,), alphas=(0.3,))


def attack(number: int, level: Level, size: int, data: Path | None, seed: int, quick: bool) -> list[Outcome]:
    """Run an attack; its rows of the table."""
    scene = Scene(_population(data), _cohort(data, size, seed), level, QUICK if quick else FULL, seed)
    return list(ATTACKS[number](scene))


def judge(level: Level, data: Path | None, seed: int, quick: bool) -> float:
    """Mean NDCG@10 over `draws`, at the realised noise of a level, over the whole set."""
    chosen, population = LEVELS[level], _population(data)
    found = [
        measure(
            population,
            SumNoise(chosen.counts_noise * REALISED, chosen.pairs_noise * REALISED),
            chosen.max_videos_per_user,
            seed + draw,
            recipe=_QUICK_RECIPE if quick else None,
        ).served
        for draw in range(1 if quick else draws(population.likes.users))
    ]
    return sum(found) / len(found)


def draws(users: int) -> int:
    """Return how many draws, of noise and of who is an own user, quality is a mean of.

    With a few hundred users the choice of lambda rests on some sixty of them, and moves the result as much as
    the noise does.
    """
    return 8 if users < 1000 else 2


@lru_cache(maxsize=1)
def _population(data: Path | None) -> Population:
    return load(data)


@lru_cache(maxsize=2)
def _cohort(data: Path | None, size: int, seed: int) -> Cohort:
    return cohort(_population(data), size, seed)
