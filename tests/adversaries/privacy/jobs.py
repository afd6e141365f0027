"""Pieces of work for a process of their own: one attack on one cohort at one level, and one quality."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from models.trained import Recipe
from policies.privacy import Level
from tests.adversaries.privacy.quality import ndcg_by_noise
from tests.adversaries.privacy.release import REALISED
from tests.adversaries.privacy.runner import ATTACKS, Outcome, Scene
from tests.adversaries.privacy.settings import FULL, LEVELS, QUICK
from tests.adversaries.privacy.worlds import Cohort, World, cohort, load

_QUICK_RECIPE = Recipe(rank=32, lambdas=(10.0,), alphas=(0.3,))


def attack(number: int, level: Level, size: int, data: Path | None, seed: int, quick: bool) -> list[Outcome]:
    """Run an attack; its rows of the table."""
    scene = Scene(_world(data), _cohort(data, size, seed), level, QUICK if quick else FULL, seed)
    return list(ATTACKS[number](scene))


def judge(level: Level, data: Path | None, seed: int, quick: bool) -> float:
    """NDCG@10 at the realised noise of a level, over the whole set."""
    chosen = LEVELS[level]
    return ndcg_by_noise(
        _world(data),
        chosen.counts_noise * REALISED,
        chosen.pairs_noise * REALISED,
        chosen.max_videos_per_user,
        seed,
        recipe=_QUICK_RECIPE if quick else None,
    )


@lru_cache(maxsize=1)
def _world(data: Path | None) -> World:
    return load(data)


@lru_cache(maxsize=2)
def _cohort(data: Path | None, size: int, seed: int) -> Cohort:
    return cohort(_world(data), size, seed)
