"""What each model is worth on one instance, and whether its sum is the plain one plus the noise drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sqlalchemy import Engine

from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.lab.demo.instances import DemoInstance
from daemon.lab.experiment import (
    Noise,
    last_liked,
    local_recipe,
    relative_difference,
    same_integers,
    summed,
)
from daemon.rounds import round_config
from daemon.rounds.data_windows import open_windows
from daemon.store import activity, content_arrays, current_model, model_records, sums
from daemon.store.engine import connect
from daemon.store.model_inputs import features, interactions, noise_of, statistic
from daemon.store.sums import StoredSum
from daemon.training.job import recipe_of
from federation.noise import skellam
from models import artefact, statistics
from models.baselines import Newest, PeerTubeRule, Popularity
from models.evaluation import NDCG_AT, next_videos, top, without
from models.interactions import Interactions, stack
from models.recommender import Recommender, Scores, spread
from models.trained import Recipe, TrainingData
from models.training import train

MODELS = ("popularity", "peertube_rule", "local", "federated", "pooled")


@dataclass(frozen=True)
class Equality:
    """The secure sum against the plain one plus the noise that its members drew.

    Compared are the integers, and of the models trained from both the scores, relative to the largest one,
    and the lists of ten.
    """

    integers: bool
    difference: float
    top10: bool


@dataclass(frozen=True)
class Compared:
    """One instance's numbers. `ndcg` maps each model to NDCG@10 per viewer with something to find."""

    host: str
    users: int
    ndcg: dict[str, NDArray[np.float64]]
    head: int
    survivors: tuple[str, ...]
    noise: tuple[float, float]
    """Standard deviation of a pair count: declared, and of the noise in the sum."""
    equality: Equality | None
    """None where no session of this instance was finished; it then serves, and shows, its local model."""


def compare(instance: DemoInstance, everyone: Sequence[DemoInstance], order: Newest) -> Compared:
    """Measure all models on what was held out; `order` is what newest-first means."""
    config = instance.config
    with instance.database() as engine:
        catalogue, engagements = content_arrays.read(engine)
        stored = sums.newest(engine, config.sums_dir)
        asked = None if stored is None else _asked(engine, stored)
        federated = any(model.kind == "federated" for model in model_records.models(engine))
    described = features(catalogue)
    own = interactions(engagements, len(catalogue), limit=config.sharing.max_videos_per_user)
    counted = {one.host: _counted(one) for one in everyone}
    known, wanted = instance.history.matrix, instance.relevant
    everybody = statistics.counts(stack(list(counted.values())))
    recipe = recipe_of(config)
    served = artefact.load(config.models_dir / (current_model.read(config.models_dir) or ""))
    models: dict[str, Recommender] = {
        "popularity": Popularity(everybody),
        "local": _trained(TrainingData(described, own, None), local_recipe(recipe)),
        "federated": ServedFactors(*served.factors, len(catalogue)),
    }
    equality = None
    if stored is not None and asked is not None and federated:
        aggregator, own_in_head = asked
        others = [counted[host] for host in stored.survivors]
        mine = statistics.counts(counted[instance.host])
        pooled = summed(others, min_users=config.sharing.min_users, max_head=config.model.max_head, own=mine)
        models["pooled"] = _trained(TrainingData(described, own, pooled), recipe)
        members = [one for one in everyone if one.host in stored.survivors]
        asking = mine + members_noise([instance], aggregator)(0, mine.size) if own_in_head else None
        noisy = summed(
            others,
            min_users=stored.privacy.min_users,
            max_head=config.model.max_head,
            noise=members_noise(members, aggregator),
            own=asking,
        )
        reference = _trained(TrainingData(described, own, noisy, noise_of(stored)), recipe)
        equality = _equality(
            models["federated"],
            reference,
            known,
            integers=same_integers(statistic(stored, catalogue), noisy),
        )
    ndcg = {name: next_videos(model, known, wanted).ndcg for name, model in models.items()}
    rule = PeerTubeRule(described.tags, order)
    ndcg["peertube_rule"] = next_videos(rule, last_liked(instance.history), wanted, seen=known).ndcg
    return Compared(
        host=instance.host,
        users=own.users,
        ndcg=ndcg,
        head=0 if stored is None else len(stored.urls),
        survivors=() if stored is None else stored.survivors,
        noise=(0.0, 0.0) if stored is None else _deviations(stored),
        equality=equality,
    )


class ServedFactors:
    """The factorization of a model, before reserved slots and channel caps: `x @ U @ V.T` over its items."""

    def __init__(
        self, items: NDArray[np.int32], U: NDArray[np.float32], V: NDArray[np.float32], videos: int
    ) -> None:
        self._items, self._U, self._V, self._videos = items, U, V, videos

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`; float64."""
        rows = history[:, self._items].astype(np.float64)
        return spread(
            (rows @ self._U.astype(np.float64)) @ self._V.T.astype(np.float64), self._items, self._videos
        )

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`."""
        ones = (np.ones(len(seeds), np.uint8), seeds, np.arange(len(seeds) + 1))
        return self.scores(csr_array(ones, shape=(len(seeds), self._videos)))


def members_noise(members: Iterable[DemoInstance], aggregator: str) -> Noise:
    """Return what these members added to the sum of an aggregator: all their folders are on this machine."""
    windows = []
    for member in members:
        config = member.config
        identity = open_identity(config.identity_file, config.instance.host)
        kept = open_windows(config, identity, connect(config.database), time.time).read(aggregator)
        if kept is not None:
            windows.append(kept)

    def drawn(round_: int, size: int) -> NDArray[np.int64]:
        total = np.zeros(size, np.int64)
        for kept in windows:
            if len(kept.window.given) > round_:
                total += skellam(kept.window.given[round_].variance, size, kept.noise_key(round_))
        return total

    return drawn


def _trained(data: TrainingData, recipe: Recipe) -> ServedFactors:
    model = train(data, recipe)
    return ServedFactors(model.items, model.U, model.V, data.features.videos)


def _counted(instance: DemoInstance) -> Interactions:
    """Return what counts of an instance's viewers in sums."""
    with instance.database() as engine:
        catalogue, engagements = content_arrays.read(engine)
    return interactions(engagements, len(catalogue), limit=round_config.videos_per_user(instance.config))


def _deviations(stored: StoredSum) -> tuple[float, float]:
    return math.sqrt(stored.privacy.pairs_noise), math.sqrt(noise_of(stored).pairs)


def _asked(engine: Engine, stored: StoredSum) -> tuple[str, bool]:
    """Return who asked for a sum, and whether the head was chosen with this instance's own viewers."""
    record = activity.session(engine, stored.sessions[0])
    if record is None:
        raise JobError("a sum has no record of its session", advice="Run the demo again.")
    took_part = any(one.role == "member" and one.outcome == "done" for one in activity.sessions(engine))
    return record.aggregator, record.role != "group" or took_part


def _equality(
    federated: Recommender, reference: Recommender, history: csr_array, *, integers: bool
) -> Equality:
    one, other = (without(model.scores(history), history) for model in (federated, reference))
    difference = relative_difference(one, other)
    alike = math.isfinite(difference) and np.array_equal(top(one, NDCG_AT), top(other, NDCG_AT))
    return Equality(integers, difference, top10=alike)
