"""Pieces of work for a process of their own: one attack on one cohort at one setting, and one quality."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from daemon.lab.experiment import Population
from models.trained import Recipe
from tests.adversaries.privacy.cohorts import Cohort, cohort, load
from tests.adversaries.privacy.quality import Quality, measure
from tests.adversaries.privacy.runner import ATTACKS, Outcome, Scene
from tests.adversaries.privacy.settings import Effort, Setting


def attack(
    number: int, setting: Setting, size: int, data: Path | None, seed: int, effort: Effort
) -> list[Outcome]:
    """Run an attack; its rows of the table."""
    scene = Scene(_population(data), _cohort(data, size, seed), setting, effort, seed)
    return list(ATTACKS[number](scene))


def judge(setting: Setting, data: Path | None, seed: int, effort: Effort) -> Quality:
    """Mean quality over `draws` at a setting, over the whole set."""
    population = _population(data)
    number, recipe = draws(population.likes.users, effort), Recipe(rank=effort.rank)
    found = [measure(population, setting.protection, seed + draw, recipe) for draw in range(number)]
    return Quality(
        next_videos=float(np.mean([one.next_videos for one in found])),
        related=float(np.mean([one.related for one in found])),
    )


def draws(users: int, effort: Effort) -> int:
    """Return how many draws, of noise and of who is an own user, quality is a mean of."""
    return effort.draws if users < 1000 else min(effort.draws, 2)


@lru_cache(maxsize=1)
def _population(data: Path | None) -> Population:
    return load(data)


@lru_cache(maxsize=2)
def _cohort(data: Path | None, size: int, seed: int) -> Cohort:
    return cohort(_population(data), size, seed)
