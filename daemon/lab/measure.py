"""What a level costs in quality on this instance's own viewers, as if they were a whole cohort.

They are split into the members of a sum and ourselves; a fifth of everybody's videos is held out. Each
setting is trained once, from own viewers exactly and a sum of the others with the noise of the setting, and
judged for everybody. A cohort of real instances has more viewers than one of them alone, and noise costs it
less: what is measured here is on the side of caution. Nothing leaves, nothing is kept.

Runs as a process of its own, `python -m daemon.lab.measure`, that writes one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daemon.errors import JobError, ShoalError

if TYPE_CHECKING:
    from models.features import Features
    from models.interactions import Interactions
    from models.trained import Recipe

FEWEST_VIEWERS_PER_PART = 5
_TEST = 0.2
_SEED = 1


@dataclass(frozen=True)
class Noise:
    """What is tried: variances in the sum with everybody alive, and videos per viewer."""

    counts: float
    pairs: float
    limit: int


def measured(
    config_file: Path, settings: list[Noise], members: int, *, time_limit: float
) -> tuple[int, list[float]]:
    """Return how many viewers were judged, and the NDCG@10 of each setting; in a child process.

    Raises:
        JobError: there are too few viewers, or the process failed.

    """
    from daemon.process.child import python_module

    asked = json.dumps([vars(one) for one in settings])
    command, environment = python_module(
        "daemon.lab.measure",
        *("--config", str(config_file), "--members", str(members)),
        *("--settings", asked, "--parent", str(os.getpid())),
    )
    try:
        done = subprocess.run(  # noqa: S603 (our own module, with arguments as a list)
            command, env=environment, capture_output=True, text=True, check=False, timeout=time_limit
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise JobError(
            "the measurement did not come to its end",
            advice="Raise limits.job_time or limits.job_memory_mb in shoal.toml; nothing was changed.",
        ) from error
    if done.returncode:
        raise JobError(answer["message"], advice=answer["advice"])
    return answer["viewers"], answer["ndcg10"]


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m daemon.lab.measure", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--parent", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        found = _run(
            options.config, [Noise(**one) for one in options.settings], options.members, options.parent
        )
    except ShoalError as error:
        found = error.as_json()
        sys.stdout.write(json.dumps(found))
        return error.exit_code
    sys.stdout.write(json.dumps(found))
    return 0


def _run(config_file: Path, settings: list[Noise], members: int, parent: int) -> dict[str, Any]:
    import time

    from daemon.config import load
    from daemon.process import limits
    from daemon.rounds.own_statistics import own_viewers
    from daemon.store.engine import open_checked
    from daemon.store.model_inputs import features
    from daemon.training.job import recipe_of
    from models.errors import ModelError

    if parent:
        limits.end_with(parent)
    config = load(config_file)
    limits.be_modest(config.limits.job_memory_mb)
    own = own_viewers(open_checked(config.database), config, now=time.time())
    active = np.flatnonzero(np.diff(own.interactions.matrix.indptr) > 1).astype(np.int64)
    if active.size < FEWEST_VIEWERS_PER_PART * (members + 1):
        raise JobError(
            f"{active.size} viewers have two or more videos that count; to play a cohort of {members + 1}, "
            f"{FEWEST_VIEWERS_PER_PART * (members + 1)} are needed",
            advice="Measure when there are more viewers, or with fewer --members.",
        )
    viewers = own.interactions.rows(active)
    try:
        values = [
            _ndcg(features(own.catalogue), viewers, one, members, recipe_of(config)) for one in settings
        ]
    except ModelError as error:
        raise JobError(
            f"no model could be trained: {error}", advice="Measure when there are more viewers."
        ) from None
    return {"viewers": int(active.size), "ndcg10": [round(value, 4) for value in values]}


def _ndcg(features: Features, viewers: Interactions, noise: Noise, members: int, recipe: Recipe) -> float:
    """Train once and judge for all viewers; the same parts and draws for every setting."""
    from models import statistics
    from models.evaluation import next_videos
    from models.noise import SumNoise
    from models.recommender import Factorization
    from models.statistics import Statistic
    from models.trained import TrainingData
    from models.training import train

    rng = np.random.default_rng(_SEED)
    hidden = rng.random(viewers.matrix.nnz) < _TEST
    history, test = viewers.where(~hidden), viewers.where(hidden)
    order = rng.permutation(viewers.users).astype(np.int64)
    cut = viewers.users // (members + 1)
    summed = history.limited(noise.limit)
    own, rest = summed.rows(np.sort(order[:cut])), summed.rows(np.sort(order[cut:]))
    counts = statistics.counts(rest) + _draw(noise.counts, rest.videos, rng)
    least = recipe.min_users + ceil(2 * sqrt(noise.counts))
    head = statistics.head(counts + statistics.counts(own), min_users=least, max_head=recipe.max_head)
    pairs = statistics.pair_counts(rest, head)
    others = Statistic(head, counts[head], pairs + _draw(noise.pairs, pairs.size, rng))
    data = TrainingData(features, own, others, SumNoise(noise.counts, noise.pairs))
    model = train(data, replace(recipe, keep_closed_form=False))
    return next_videos(Factorization(model), history.matrix, test.matrix).summary().ndcg10


def _draw(variance: float, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw noise of the law that sessions use, quickly: nothing here is secret."""
    return rng.poisson(variance / 2, size) - rng.poisson(variance / 2, size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
