"""The vectors that browsers rank from: their cost in quality, their size, and ranking in headless Chromium.

Quality is NDCG@10 of a viewer's next videos, on the split of `shoal evaluate`, beside the full closed form
with the same head and ridge; then the same behind the default noise, as four members realise it.
The shipped set is measured; further folders of data sets can be named in SHOAL_BENCH_DATA.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import load, split
from daemon.lab.made_up import SHIPPED
from daemon.source.dataset_files import read
from federation.noise import share_variance, skellam
from models import counting, statistics, vectors
from models.closed_form import solve
from models.denoise import denoise
from models.evaluation import next_videos
from models.noise import SumNoise
from models.problem import LARGE_COHORT, RIDGE_LARGE, RIDGE_SMALL
from models.recommender import ItemWeights, Scores, spread
from models.released import Released
from models.statistics import Statistic
from models.vector_file import MAX_HISTORY, MAX_VIDEOS, VideoVectors, rank
from models.weights import UNIT
from policies.privacy import PROTECTION, Level, head_minimum
from tests import ROOT
from tests.models.made_vectors import made_vectors
from tests.models.worlds import summed

CHROMIUM = Path(os.environ.get("SHOAL_CHROMIUM", "/usr/bin/chromium"))
RANKING = ROOT / "tests" / "plugin" / "bench" / "ranking.js"
MIN_USERS, MEMBERS, THRESHOLD, COLLUDERS = 5, 4, 3, 1
ROUNDS, COLD_PAGES = 200, 15
Names = list[str]


class Ranking:
    """Scores of all users at once; a product of matrices, so equal to `rank` but for the last bits."""

    def __init__(self, found: VideoVectors, positions: NDArray[np.int64], videos: int) -> None:
        self._found, self._positions, self._videos = found, positions, videos

    def scores(self, history: csr_array) -> Scores:
        """See `models.recommender.Recommender`."""
        found = self._found
        matrix = found.vectors.astype(np.float64)
        rows = history[:, self._positions] * found.history_weights[None, :].astype(np.float64)
        return spread((rows @ matrix) @ matrix.T * found.ranked_weights, self._positions, self._videos)

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """Not measured here."""
        raise NotImplementedError


def run() -> dict[str, float]:
    """Measure.

    Returns:
        per set: NDCG@10 of the closed form and of the vectors, the share that they cost, both without and
        with noise; bytes of a full file; lists that Chromium and Python rank differently, out of all, and
        its milliseconds for 5,000 videos and a history of 200, on fresh pages and again and again.
    """
    measured: dict[str, float] = {}
    cases: list[tuple[VideoVectors, list[list[int]]]] = []
    folders = [Path(name) for name in os.environ.get("SHOAL_BENCH_DATA", "").split(os.pathsep) if name]
    for folder in [SHIPPED, *folders]:
        quality, case = _quality(folder)
        measured |= {f"{folder.name.replace('-', '_')}_{name}": value for name, value in quality.items()}
        cases.append(case)
    full = made_vectors(MAX_VIDEOS)
    rng = np.random.default_rng(7)
    histories = [rng.choice(MAX_VIDEOS, MAX_HISTORY, replace=False).tolist() for _ in range(ROUNDS)]
    measured["bytes"] = float(len(full.to_bytes()))
    cold = [(full, [history]) for history in histories[:COLD_PAGES]]
    return measured | _chromium([*cases, (full, histories), *cold])


def _quality(folder: Path) -> tuple[dict[str, float], tuple[VideoVectors, list[list[int]]]]:
    parts = split(load(read(folder)), seed=1)
    train = parts.train.limited(PROTECTION[Level.DEFAULT].max_videos_per_user)
    videos = train.videos
    names = [str(uuid.UUID(int=number)) for number in range(videos)]
    counts = counting.counts(train)

    def ndcg(model: Any) -> float:
        return next_videos(model, train.matrix, parts.test, seen=parts.train.matrix).summary().ndcg10

    def both(found: VideoVectors, head: NDArray[np.int64], gram: NDArray[np.float64]) -> tuple[float, float]:
        # Uuids are numbers of videos, so rows are in the order of positions.
        positions = np.array([uuid.UUID(name).int for name in found.names()], np.int64)
        closed = solve(gram, _ridge(gram) * float(np.diagonal(gram).mean())).weights().numpy()
        return ndcg(ItemWeights(head, closed, videos)), ndcg(Ranking(found, positions, videos))

    head = statistics.head(counts, min_users=MIN_USERS, max_head=MAX_VIDEOS)
    exactly = summed(train, head)
    gram = statistics.to_matrix(exactly.counts, exactly.triangle)
    plain = _vectors(gram, [names[position] for position in head])
    exact, small = both(plain, head, gram)

    declared = PROTECTION[Level.DEFAULT]
    declared_noise = (declared.counts_noise, declared.pairs_noise)
    shares = [share_variance(noise, THRESHOLD, COLLUDERS) * MEMBERS for noise in declared_noise]
    drawn = skellam(shares[0] * UNIT**2, videos, bytes([1]) * 32)
    least = UNIT * head_minimum(MIN_USERS, declared.counts_noise)
    head = statistics.head(UNIT * counts + drawn, min_users=least, max_head=MAX_VIDEOS)
    plain_sum = summed(train, head)
    pairs = plain_sum.triangle + skellam(shares[1] * UNIT**2, plain_sum.triangle.size, bytes([2]) * 32)
    noise = SumNoise(float(shares[0]), float(shares[1]))
    others = Released(Statistic(head, plain_sum.counts + drawn[head], pairs), noise)
    estimate = denoise(others.statistic, noise)
    built = vectors.build(others, names, created=datetime(2026, 1, 1, tzinfo=UTC), gram=estimate)
    noisy_exact, noisy_small = both(built, head, estimate)
    quality = {
        "ndcg10": exact,
        "vectors_ndcg10": small,
        "cost": 1 - small / exact,
        "noisy_ndcg10": noisy_exact,
        "noisy_vectors_ndcg10": noisy_small,
        "noisy_cost": 1 - noisy_small / noisy_exact,
        "videos": float(len(built)),
        "file_bytes": float(len(built.to_bytes())),
    }
    return quality, (built, _histories(built, train.matrix))


def _ridge(gram: NDArray[np.float64]) -> float:
    return RIDGE_LARGE if np.diagonal(gram).max() >= LARGE_COHORT else RIDGE_SMALL


def _vectors(gram: NDArray[np.float64], names: Names) -> VideoVectors:
    """Vectors of a sum without noise, which `build` refuses to make."""
    solved = solve(gram, _ridge(gram) * float(np.diagonal(gram).mean()))
    return vectors.quantised(names, *vectors.symmetric_factor(solved), 0)


def _histories(found: VideoVectors, matrix: csr_array) -> list[list[int]]:
    """Rows of what each of some users has engaged with."""
    rows = {uuid.UUID(name).int: row for row, name in enumerate(found.names())}
    chosen = np.random.default_rng(3).choice(matrix.shape[0], min(ROUNDS, matrix.shape[0]), replace=False)
    parts = [matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]] for user in chosen]
    return [[rows[video] for video in part.tolist() if video in rows][:MAX_HISTORY] for part in parts]


def _chromium(cases: list[tuple[VideoVectors, list[list[int]]]]) -> dict[str, float]:
    if not CHROMIUM.exists():
        print(f"no browser at {CHROMIUM}: install Chromium or set SHOAL_CHROMIUM")
        return {}
    asked = [
        {"file": base64.b64encode(found.to_bytes()).decode(), "histories": histories}
        for found, histories in cases
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.json"
        path.write_text(json.dumps(asked), "utf-8")
        done = subprocess.run(["node", str(RANKING), str(path)], check=True, capture_output=True, text=True)
    answers = json.loads(done.stdout)
    different, lists = 0, 0
    for (found, histories), answer in zip(cases, answers, strict=True):
        for history, listed in zip(histories, answer["lists"], strict=True):
            expected = [[item.row, item.score, item.via] for item in rank(found, history, 10)]
            different += expected != listed
            lists += 1
    times = np.array(answers[-COLD_PAGES - 1]["times"])
    # On a fresh page nothing is compiled yet, and that is how a viewer's browser ranks.
    cold = np.array([answer["times"][0] for answer in answers[-COLD_PAGES:]])
    return {
        "lists": float(lists),
        "different_lists": float(different),
        "chromium_cold_ms_median": float(np.median(cold)),
        "chromium_ms_median": float(np.median(times)),
        "chromium_ms_p95": float(np.percentile(times, 95)),
    }


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:40} {value:10.4f}")
