"""The demo's viewers split into six communities; own releases, and sums of some, with a level's noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab import experiment
from daemon.lab.experiment import active_users, by_address, by_taste, likes_of, poisson_noise, tags_of
from daemon.lab.made_up import SHIPPED
from daemon.source.dataset import addresses
from daemon.source.dataset_columns import positive_from, views
from daemon.source.dataset_files import read
from models.features import Features, unknown
from models.interactions import Interactions, stack
from models.labels import Labels
from models.noise import SumNoise
from models.released import Released
from policies.privacy import PROTECTION, Level, head_minimum

SIZES = (0.5, 0.24, 0.11, 0.057, 0.03)
"""Viewers of the five that look on, as parts of all; who joins takes the rest."""
_MIN_USERS, _MAX_HEAD, _LIMIT = 5, 4096, 200
_CHANNELS, _HOSTS = 400, 40


@dataclass(frozen=True)
class World:
    """A data set: who likes what, what is known of the videos, and their names.

    `channel` gives every video a made-up channel: the set has none, and training is not told of it.
    """

    everybody: Interactions
    features: Features
    labels: Labels
    channel: NDArray[np.int32]


@dataclass(frozen=True)
class Communities:
    """Viewers of five instances and of one that joins."""

    five: tuple[Interactions, ...]
    joining: Interactions


@cache
def load(folder: Path = SHIPPED) -> World:
    """Read a data set; videos are ordered by address, as daemons do."""
    found = by_address(read(folder))
    everybody = likes_of(found, positive_from(found)).limited(_LIMIT)
    urls = addresses(found)
    none = unknown(len(urls))
    numbers = np.random.default_rng(0).permutation(len(urls)).astype(np.int32)
    labels = Labels.pack(
        uuid=[f"v{number}" for number in range(len(urls))],
        url=urls,
        title=[""] * len(urls),
        channels=[f"channel {number}" for number in range(_CHANNELS)],
        host=numbers % _HOSTS,
        hosts=[f"{number}.example" for number in range(_HOSTS)],
    )
    published = np.full(len(urls), np.nan)
    features = Features(tags_of(found), found.tag_names, none, none, none, published, views(found))
    return World(everybody, features, labels, numbers % _CHANNELS)


def split(world: World, joining: int, seed: int) -> Communities:
    """Split the viewers by taste, so many of them into the instance that joins."""
    matrix = world.everybody.matrix
    active = active_users(world.everybody)
    rng = np.random.default_rng(seed)
    left = len(active) - joining
    sizes = [max(8, int(part * left / sum(SIZES))) for part in SIZES]
    groups = by_taste(csr_array(matrix[active]), world.features.tags, [*sizes, joining], rng)
    parts = [world.everybody.rows(active[group]) for group in groups]
    return Communities(tuple(parts[:5]), parts[5])


def released(own: Interactions, level: Level, views: NDArray[np.int64], rng: np.random.Generator) -> Released:
    """Release own numbers as a daemon at this level does."""
    least = PROTECTION[level]
    noise = SumNoise(least.counts_noise, least.pairs_noise)
    return experiment.released(own, noise, rng, views=views, max_head=_MAX_HEAD)


def summed(parts: Sequence[tuple[Interactions, int]], level: Level, rng: np.random.Generator) -> Released:
    """Return the sum that an aggregator gets of members' parts, each with a factor."""
    least, members = PROTECTION[level], len(parts)
    # As daemons propose it: a threshold of two thirds, one member that may collude.
    shares = members / (2 * members // 3)
    noise = SumNoise(shares * least.counts_noise, shares * least.pairs_noise)
    found = experiment.summed(
        [stack([part] * factor) for part, factor in parts],
        min_users=head_minimum(_MIN_USERS, least.counts_noise),
        max_head=_MAX_HEAD,
        noise=poisson_noise(noise, rng),
    )
    return Released(found, noise)
