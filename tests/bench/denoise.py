"""What denoising is worth: NDCG@10 after `denoise` and after its yardstick, on the same noisy sums.

`python -m tests.bench.denoise [FOLDER ...]` prints the comparison for data sets, by default the shipped one.
The yardstick is empirical Bayes with classes of equal popularity, `models.denoise.popularity_alone`.
Everybody is in one sum with the noise that five members of the default level really add; both get the same
draws.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import t as student

from daemon.lab.experiment import load, poisson_noise, split
from daemon.lab.made_up import SHIPPED
from daemon.source.dataset_files import read
from models import statistics
from models.closed_form import solve
from models.denoise import denoise, popularity_alone
from models.evaluation import next_videos
from models.feature_vectors import feature_vectors
from models.noise import NO_NOISE, SumNoise
from models.recommender import ItemWeights
from models.statistics import Statistic
from models.weights import UNIT, weights
from policies.privacy import head_minimum

COUNTS, PAIRS = 16, 8
"""Variance that the default level declares, in viewers squared."""
REALISED = 5 / 3
"""Of five members, of whom three honest ones must reach it."""
MIN_USERS, MAX_VIDEOS, MAX_HEAD = 5, 200, 4096
DRAWS = 8
RIDGES = (1.0, 3.0, 10.0)
TAGS = 0.3
"""Weight of the pseudo-viewers made of tags and title words."""
MODELS = {"popularity": popularity_alone, "denoise": denoise}


@dataclass(frozen=True)
class Row:
    """NDCG@10 per draw at one lambda, without or with tags; `exact` is without noise, on the first head."""

    ridge: float
    tags: bool
    exact: float
    popularity: NDArray[np.float64]
    denoise: NDArray[np.float64]

    def gain(self) -> tuple[float, float]:
        """Return the mean difference, relative to the yardstick, and half of its 95 % interval."""
        difference = self.denoise - self.popularity
        half = student.ppf(0.975, DRAWS - 1) * difference.std(ddof=1) / np.sqrt(DRAWS)
        base = float(self.popularity.mean())
        return float(difference.mean()) / base, float(half) / base


def compare(folder: Path, *, seed: int = 2) -> list[Row]:
    """Compare on one data set, at every lambda, without and with tags."""
    population = load(read(folder))
    parts = split(population, seed=seed)
    engaged = parts.train.limited(MAX_VIDEOS).matrix.astype(np.int64)
    vectors = feature_vectors(population.features)
    least = head_minimum(MIN_USERS, COUNTS)
    often = np.flatnonzero(np.asarray(engaged.sum(axis=0)).ravel() >= least)
    weight = weights(np.asarray(engaged[:, often].sum(axis=1)).ravel())
    weighted = csr_array(engaged.multiply(weight[:, None]))
    counts = np.asarray(weighted.sum(axis=0)).ravel().astype(np.int64)
    noise = SumNoise(COUNTS * REALISED, PAIRS * REALISED)

    def quality(head: NDArray[np.int64], gram: NDArray[np.float64]) -> list[float]:
        side, unit = vectors.similarity(head), float(np.diagonal(gram).mean())
        found = []
        for ridge in RIDGES:
            for alpha in (0.0, TAGS):
                solved = solve(gram, ridge * unit, side=side, side_weight=alpha * unit, dtype=torch.float32)
                model = ItemWeights(head, solved.weights().numpy(), engaged.shape[1])
                judged = next_videos(model, parts.train.matrix, parts.test)
                found.append(judged.summary().ndcg10)
        return found

    found: dict[str, list[list[float]]] = {name: [] for name in ("exact", *MODELS)}
    for draw in range(DRAWS):
        rng = np.random.default_rng([seed, draw])
        drawn = poisson_noise(noise, rng)
        noisy = counts + drawn(0, counts.size)
        head = statistics.head(noisy, min_users=least * UNIT, max_head=MAX_HEAD)
        gram = (engaged[:, head].T @ weighted[:, head]).toarray()
        pairs = gram[np.triu_indices(head.size, 1)]
        total = Statistic(head, noisy[head], pairs + drawn(1, pairs.size))
        for name, model in MODELS.items():
            found[name].append(quality(head, model(total, noise)))
        if not draw:
            # The head hardly differs between draws.
            found["exact"].append(quality(head, denoise(Statistic(head, counts[head], pairs), NO_NOISE)))
    cases = [(ridge, with_tags) for ridge in RIDGES for with_tags in (False, True)]
    values = {name: np.array(rows).T for name, rows in found.items()}
    return [
        Row(ridge, with_tags, float(values["exact"][k].mean()), values["popularity"][k], values["denoise"][k])
        for k, (ridge, with_tags) in enumerate(cases)
    ]


def run() -> dict[str, float]:
    """Measure the shipped data set and those of `SHOAL_BENCH_DATA`.

    Returns:
        per set: the yardstick's NDCG@10 over that of `denoise`, each at its best lambda, with tags.
    """
    folders = [Path(name) for name in os.environ.get("SHOAL_BENCH_DATA", "").split(os.pathsep) if name]
    measured = {}
    for folder in [SHIPPED, *folders]:
        rows = [row for row in _printed(folder) if row.tags]
        best = max(row.popularity.mean() for row in rows) / max(row.denoise.mean() for row in rows)
        measured[f"{folder.name.replace('-', '_')}_popularity_vs_denoise"] = float(best)
    return measured


def _printed(folder: Path) -> list[Row]:
    print(f"{folder.name}, {DRAWS} draws: NDCG@10, and the gain with its 95 % interval")
    print("lambda  tags  no noise  popularity  denoise  gain", flush=True)
    rows = compare(folder)
    for row in rows:
        gain, half = row.gain()
        scores = f"{row.exact:8.4f}  {row.popularity.mean():10.4f}  {row.denoise.mean():7.4f}"
        print(f"{row.ridge:6g}  {'yes' if row.tags else 'no':4}  {scores}  {gain:+.1%} ± {half:.1%}")
    return rows


if __name__ == "__main__":
    for name in sys.argv[1:] or [str(SHIPPED)]:
        _printed(Path(name))
