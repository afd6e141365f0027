"""Seconds and memory of training: from a noisy head of 4,096 videos, and content lists for 100,000 videos.

Each runs in a process of its own, so that peak memory means something. The catalogue is made up after the
tags per video of a public crawl of a million early videos (median 6 tags, Zipf popularity); titles have six
words of equally skewed popularity.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
from scipy.sparse import csr_array

from models import counting, related, statistics
from models.feature_vectors import feature_vectors
from models.features import Features
from models.head import MAX_FIRST_HEAD
from models.interactions import Interactions
from models.noise import SumNoise
from models.released import Released
from models.training import Recipe, TrainingData, train
from models.words import title_words
from policies.privacy import PROTECTION, Level
from tests.models.worlds import summed, with_noise

HEAD, CATALOGUE, OTHER_USERS, OWN_USERS = 4_096, 12_000, 6_000, 500
LARGE_CATALOGUE = 100_000
WORDS = 6
THREADS = 2
_LEVEL = PROTECTION[Level.DEFAULT]
NOISE = SumNoise(_LEVEL.counts_noise, _LEVEL.pairs_noise)
LIMITS = {"head_seconds": 30.0, "head_peak_mib": 2048.0, "lists_seconds": 60.0, "lists_extra_mib": 1024.0}


def made_features(videos: int, rng: np.random.Generator) -> Features:
    """A catalogue with Zipf tags and title words, two videos per channel, 15 categories and 10 languages."""
    number = videos // 2
    per_video = np.clip(np.round(rng.lognormal(np.log(6), 0.75, videos)), 0, 60).astype(np.int64)
    popularity = 1.0 / (np.arange(number) + 3.0)
    tag = rng.choice(number, per_video.sum(), p=popularity / popularity.sum())
    rows = np.repeat(np.arange(videos), per_video)
    matrix = csr_array((np.ones(tag.size, np.float32), (rows, tag)), shape=(videos, number))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    word = rng.choice(number, (videos, WORDS), p=popularity / popularity.sum())
    titles = [" ".join(f"word{n}" for n in row) for row in word.tolist()]
    channel = (rng.pareto(1.0, videos) * videos / 40).astype(np.int64).clip(0, videos // 2).astype(np.int32)
    published = rng.uniform(1.4e9, 1.7e9, videos)
    return Features(
        tags=matrix,
        tag_names=tuple(f"tag{i}" for i in range(number)),
        channel=channel,
        category=rng.integers(-1, 15, videos).astype(np.int32),
        language=np.minimum(rng.geometric(0.5, videos) - 1, 9).astype(np.int32),
        published=published,
        views=rng.geometric(0.001, videos).astype(np.int64),
        words=title_words(titles, channel, published),
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
    released = _released(own, MAX_FIRST_HEAD), _released(others, HEAD)
    del own, others
    start, busy = time.perf_counter(), time.process_time()
    model = train(TrainingData(features, *released), Recipe(threads=THREADS, max_items=HEAD))
    seconds = {f"head_{name.replace(' ', '_')}_seconds": value for name, value in model.seconds.items()}
    return {
        "head_seconds": time.perf_counter() - start,
        "head_processor_seconds": time.process_time() - busy,
        "head_peak_mib": _peak(),
        **seconds,
    }


def _released(users: Interactions, most: int) -> Released:
    """What is released of users, over the videos with the most of them."""
    head = statistics.head(counting.counts(users), min_users=1, max_head=most)
    return Released(with_noise(summed(users, head), NOISE), NOISE)


def _lists() -> dict[str, float]:
    features = made_features(LARGE_CATALOGUE, np.random.default_rng(2))
    before = _peak()
    start = time.perf_counter()
    content = feature_vectors(features).rows
    lists = related.content_lists(
        content, features.published, features.channel, length=Recipe().content_length
    )
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
