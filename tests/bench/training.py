"""Seconds and memory of training: from a summed head of 4,096 videos, and content lists for 100,000 videos.

Each runs in a process of its own, so that peak memory means something. The catalogue is made up after the
tags per video of a public crawl of a million early videos (median 6 tags, Zipf popularity).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
from scipy.sparse import csr_array

from models import related, statistics, tags
from models.features import Features
from models.interactions import Interactions
from models.statistics import Statistic
from models.training import Recipe, TrainingData, train

HEAD, CATALOGUE, OTHER_USERS, OWN_USERS = 4_096, 12_000, 6_000, 500
LARGE_CATALOGUE = 100_000
THREADS = 2
LIMITS = {"head_seconds": 30.0, "head_peak_mib": 2048.0, "lists_seconds": 60.0, "lists_extra_mib": 1024.0}


def made_features(videos: int, rng: np.random.Generator) -> Features:
    """A catalogue with Zipf tags, about two videos per channel, 15 categories and 10 languages."""
    number = videos // 2
    per_video = np.clip(np.round(rng.lognormal(np.log(6), 0.75, videos)), 0, 60).astype(np.int64)
    popularity = 1.0 / (np.arange(number) + 3.0)
    tag = rng.choice(number, per_video.sum(), p=popularity / popularity.sum())
    rows = np.repeat(np.arange(videos), per_video)
    matrix = csr_array((np.ones(tag.size, np.float32), (rows, tag)), shape=(videos, number))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return Features(
        tags=matrix,
        tag_names=tuple(f"tag{i}" for i in range(number)),
        channel=(rng.pareto(1.0, videos) * videos / 40)
        .astype(np.int64)
        .clip(0, videos // 2)
        .astype(np.int32),
        category=rng.integers(-1, 15, videos).astype(np.int32),
        language=np.minimum(rng.geometric(0.5, videos) - 1, 9).astype(np.int32),
        published=rng.uniform(1.4e9, 1.7e9, videos),
    )


def made_users(users: int, videos: int, rng: np.random.Generator) -> Interactions:
    """Users with three tastes out of fifty and Zipf popularity, a median of 30 videos each."""
    popularity = 1.0 / (np.arange(videos) + 20.0)
    taste = rng.integers(0, 50, videos)
    chance = np.stack([popularity * np.where(taste == t, 1.0, 0.02) for t in range(50)])
    steps = np.cumsum(chance / chance.sum(axis=1, keepdims=True), axis=1)
    length = np.clip(rng.lognormal(np.log(30), 0.9, users), 3, 400).astype(np.int64)
    row = np.repeat(np.arange(users), length)
    which = rng.integers(0, 50, (users, 3))[row, rng.integers(0, 3, row.size)]
    place = rng.random(row.size)
    column = np.empty(row.size, np.int64)
    for t in range(50):
        column[which == t] = np.searchsorted(steps[t], place[which == t])
    column = np.minimum(column, videos - 1)
    matrix = csr_array((np.ones(row.size, np.uint8), (row, column)), shape=(users, videos))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return Interactions(matrix)


def _head() -> dict[str, float]:
    rng = np.random.default_rng(1)
    features = made_features(CATALOGUE, rng)
    others, own = made_users(OTHER_USERS, CATALOGUE, rng), made_users(OWN_USERS, CATALOGUE, rng)
    counts = statistics.counts(others)
    head = statistics.head(counts, min_users=1, max_head=HEAD)
    summed = Statistic(head, counts[head], statistics.pair_counts(others, head))
    del others
    start = time.perf_counter()
    model = train(TrainingData(features, own, summed), Recipe(threads=THREADS, max_items=HEAD))
    seconds = {f"head_{name.replace(' ', '_')}_seconds": value for name, value in model.seconds.items()}
    return {"head_seconds": time.perf_counter() - start, "head_peak_mib": _peak(), **seconds}


def _lists() -> dict[str, float]:
    features = made_features(LARGE_CATALOGUE, np.random.default_rng(2))
    before = _peak()
    start = time.perf_counter()
    content = tags.content_vectors(features, tags.tag_vectors(features))
    lists = related.content_lists(content, features.published, length=40)
    seconds = time.perf_counter() - start
    return {
        "lists_seconds": seconds,
        "lists_extra_mib": _peak() - before,
        "lists_filled": float((lists.videos >= 0).mean()),
    }


def run() -> dict[str, float]:
    """Measure both, each in its own process; print what was measured beside its limit."""
    measured: dict[str, float] = {}
    for part in ("head", "lists"):
        command = [sys.executable, "-m", "tests.bench.training", part]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        measured |= json.loads(done.stdout)
    for name, value in measured.items():
        limit = f"   (limit {LIMITS[name]:g})" if name in LIMITS else ""
        print(f"{name:32} {value:10.2f}{limit}")
    return measured


def _peak() -> float:
    """Peak resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps({"head": _head, "lists": _lists}[sys.argv[1]]()))
    else:
        run()
