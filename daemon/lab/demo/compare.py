"""What each model is worth on one instance, and whether its sum is the plain one plus the noise drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.errors import JobError
from daemon.lab.demo.drawn_noise import drawn
from daemon.lab.demo.instances import DemoInstance
from daemon.rounds import round_config
from daemon.store import activity, content_arrays, current_model, model_records, sums
from daemon.store.engine import open_checked
from daemon.store.model_inputs import features, interactions, noise_of, statistic
from daemon.store.sums import StoredSum
from daemon.training.job import recipe_of
from models import artefact, statistics
from models.baselines import Newest, PeerTubeRule, Popularity
from models.evaluation import NDCG_AT, latest, next_videos, top, without
from models.interactions import Interactions
from models.recommender import Recommender, Scores, spread
from models.statistics import Statistic
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


def compare(
    community: DemoInstance, everyone: Sequence[DemoInstance], order: NDArray[np.float64]
) -> Compared:
    """Measure all models on what was held back; `order` is what newest-first means, (videos,)."""
    config = load(community.config_file)
    engine = open_checked(config.database)
    catalogue, engagements = content_arrays.read(engine)
    described = features(catalogue)
    own = interactions(engagements, len(catalogue), limit=config.sharing.max_videos_per_user)
    crowd = {c.host: _counted(c) for c in everyone}
    stored = sums.newest(engine, config.sums_dir)
    asked = None if stored is None else _asked(engine, stored)
    federated = any(model.kind == "federated" for model in model_records.models(engine))
    engine.dispose()

    everybody = sum(statistics.counts(x) for x in crowd.values())
    # A yardstick that is served to nobody needs no minimum of users per pair; videos of one user cost it more
    # than they give (measured on this set).
    alone = replace(recipe_of(config), min_users=2, min_pair_users=1)
    served = artefact.load(config.models_dir / (current_model.read(config.models_dir) or ""))
    models: dict[str, Recommender] = {
        "popularity": Popularity(np.asarray(everybody, np.int64)),
        "local": _trained(TrainingData(described, own, None), alone),
        "federated": _Factors(*served.factors, len(catalogue)),
    }
    equality = None
    if stored is not None and asked is not None and federated:
        recipe = recipe_of(config)
        alike = [crowd[host] for host in stored.survivors]
        pooled = _pooled(alike, crowd[community.host], config)
        models["pooled"] = _trained(TrainingData(described, own, pooled), recipe)
        again = _noisy(stored, alike, crowd[community.host], community, everyone, asked)
        reference = _trained(TrainingData(described, own, again, noise_of(stored)), recipe)
        equality = _equality(
            statistic(stored, catalogue), again, models["federated"], reference, community.history.matrix
        )
    known, wanted = community.history.matrix, community.relevant
    ndcg = {name: next_videos(model, known, wanted).ndcg for name, model in models.items()}
    when = community.history.recency
    watching = latest(known, np.zeros(known.nnz) if when is None else when)
    rule = PeerTubeRule(described.tags, Newest(order, ""))
    ndcg["peertube_rule"] = next_videos(rule, watching, wanted, seen=known).ndcg
    return Compared(
        community.host,
        own.users,
        ndcg,
        0 if stored is None else len(stored.urls),
        () if stored is None else stored.survivors,
        (0.0, 0.0) if stored is None else _deviations(stored),
        equality,
    )


class _Factors:
    """The factorization of a model, before reserved places and channel caps: `x @ U @ V.T` over its items."""

    def __init__(
        self, items: NDArray[np.int32], U: NDArray[np.float32], V: NDArray[np.float32], videos: int
    ) -> None:
        self._items, self._U, self._V, self._videos = items, U, V, videos

    def scores(self, history: csr_array) -> Scores:
        rows = history[:, self._items].astype(np.float64)
        return spread(
            (rows @ self._U.astype(np.float64)) @ self._V.T.astype(np.float64), self._items, self._videos
        )

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        ones = (np.ones(len(seeds), np.uint8), seeds, np.arange(len(seeds) + 1))
        return self.scores(csr_array(ones, shape=(len(seeds), self._videos)))


def _trained(data: TrainingData, recipe: Recipe) -> _Factors:
    model = train(data, recipe)
    return _Factors(model.items, model.U, model.V, data.features.videos)


def _counted(community: DemoInstance) -> Interactions:
    """Return what counts of an instance's viewers in sums."""
    config = load(community.config_file)
    engine = open_checked(config.database)
    catalogue, engagements = content_arrays.read(engine)
    engine.dispose()
    return interactions(engagements, len(catalogue), limit=round_config.videos_per_user(config))


def _deviations(stored: StoredSum) -> tuple[float, float]:
    return math.sqrt(stored.privacy.pairs_noise), math.sqrt(noise_of(stored).pairs)


@dataclass(frozen=True)
class _Asked:
    """Who asked for a sum, and whether the head was chosen with this instance's own viewers."""

    aggregator: str
    own_in_head: bool


def _asked(engine: Engine, stored: StoredSum) -> _Asked:
    record = activity.session(engine, stored.sessions[0])
    if record is None:
        raise JobError("a sum has no record of its session", advice="Run the demo again.")
    if record.role != "group":
        return _Asked(record.aggregator, own_in_head=True)
    mine = [one for one in activity.sessions(engine) if one.role == "member" and one.outcome == "done"]
    return _Asked(record.aggregator, own_in_head=bool(mine))


def _noisy(
    stored: StoredSum,
    others: Sequence[Interactions],
    own: Interactions,
    community: DemoInstance,
    everyone: Sequence[DemoInstance],
    asked: _Asked,
) -> Statistic:
    """Return what simply putting the others' users together gives, plus the noise that everybody drew."""
    together = Interactions(csr_array(vstack([x.matrix for x in others], format="csr")))
    members = [one for one in everyone if one.host in stored.survivors]
    counts = statistics.counts(together) + drawn(members, asked.aggregator, 0, together.videos)
    total = counts
    if asked.own_in_head:
        total = counts + statistics.counts(own) + drawn([community], asked.aggregator, 0, counts.size)
    head = statistics.head(
        total, min_users=stored.privacy.min_users, max_head=load(community.config_file).model.max_head
    )
    pairs = statistics.pair_counts(together, head)
    return Statistic(head, counts[head], pairs + drawn(members, asked.aggregator, 1, pairs.size))


def _pooled(others: Sequence[Interactions], own: Interactions, config: Config) -> Statistic:
    """Return what the others' users give when simply put together, over the head of everybody."""
    together = Interactions(csr_array(vstack([x.matrix for x in others], format="csr")))
    total = statistics.counts(together) + statistics.counts(own)
    head = statistics.head(total, min_users=config.sharing.min_users, max_head=config.model.max_head)
    return Statistic(head, statistics.counts(together, head), statistics.pair_counts(together, head))


def _equality(
    summed: Statistic,
    pooled: Statistic,
    federated: Recommender,
    reference: Recommender,
    history: csr_array,
) -> Equality:
    integers = all(
        np.array_equal(getattr(summed, name), getattr(pooled, name))
        for name in ("head", "counts", "triangle")
    )
    one, other = (without(np.array(m.scores(history), np.float64), history) for m in (federated, reference))
    finite = np.isfinite(other)
    if not np.array_equal(finite, np.isfinite(one)):
        return Equality(integers, float("inf"), top10=False)
    scale = float(np.abs(other[finite]).max(initial=0.0)) or 1.0
    difference = float(np.abs(one[finite] - other[finite]).max(initial=0.0)) / scale
    same = np.array_equal(top(one, NDCG_AT), top(other, NDCG_AT))
    return Equality(integers, difference, top10=same)
