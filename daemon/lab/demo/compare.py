"""What each model is worth on one instance, and whether its sum is the plain one plus the noise drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sqlalchemy import Engine

from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.lab.demo.instances import DemoInstance
from daemon.lab.experiment import (
    Noise,
    exactly,
    relative_difference,
    same_integers,
    summed_over,
)
from daemon.lab.served_lists import ServedLists
from daemon.rounds import own_release
from daemon.rounds.data_windows import DataWindows, open_windows
from daemon.rounds.own_statistics import own_viewers
from daemon.store import activity, content_arrays, current_model, model_records, sums
from daemon.store.engine import connect
from daemon.store.model_inputs import features, noise_of, released
from daemon.store.releases import OWN
from daemon.store.sums import StoredSum, SumPrivacy
from daemon.training.job import recipe_of
from daemon.training.sum_selection import restricted
from federation.noise import share_variance
from models import artefact, counting
from models.baselines import Popularity
from models.evaluation import NDCG_AT, next_videos, top, without
from models.interactions import Interactions, stack
from models.item_scores import ItemScores
from models.problem import worth_learning
from models.recommender import Recommender, Scores, spread
from models.released import Released
from models.serving import ServedModel
from models.trained import TrainedModel, TrainingData
from models.training import train
from models.weights import UNIT

MODELS = ("popularity", "local", "local_exact", "federated", "pooled")
"""`local` is learnt from its own release alone; `local_exact` from own exact numbers and `pooled` from
everybody's, which nobody is shown."""


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
    """None where no round of this instance was finished; it then serves, and shows, its local model."""
    exact_own: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """NDCG@10 of the same viewers, had federated been learnt from own exact numbers; empty without a sum."""


def compare(instance: DemoInstance, everyone: Sequence[DemoInstance]) -> Compared:
    """Measure all models on what was held out."""
    config = instance.config
    with instance.database() as engine:
        catalogue = content_arrays.read(engine)
        stored = sums.newest(engine, config.sums_dir)
        aggregator = "" if stored is None else _aggregator(engine, stored)
        federated = any(model.kind == "federated" for model in model_records.models(engine))
    described = features(catalogue)
    windows = _windows(instance)
    release = own_release.known(config, windows)
    mine = None if release is None else release.released(catalogue.urls)
    recipe = recipe_of(config)
    if isinstance(chosen := windows.notes(OWN).get("ridge"), float):
        recipe = replace(recipe, ridge=chosen)
    counted = {one.host: _counted(one) for one in everyone}
    everybody = stack(list(counted.values()))
    least = config.sharing.min_users
    exact = exactly(counted[instance.host], min_users=least)
    known, wanted = instance.history.matrix, instance.relevant
    served = artefact.load(config.models_dir / (current_model.read(config.models_dir) or ""))

    def trained(own: Released | None, others: Released | None = None) -> TrainedModel:
        return train(TrainingData(described, worth_learning(own, others), others), recipe)

    def lists(own: Released | None, others: Released | None = None) -> ServedLists:
        return ServedLists(artefact.in_memory(trained(own, others), served.labels))

    models: dict[str, Recommender] = {
        "popularity": Popularity(counting.counts(everybody)),
        "local": lists(mine),
        "local_exact": lists(exactly(counted[instance.host])),
        "federated": ServedLists(served),
        "pooled": lists(exactly(everybody, min_users=least)),
    }
    equality, exact_own = None, np.zeros(0)
    if stored is not None and federated:
        ours = released(stored, catalogue)
        plain = summed_over(
            ours.statistic.head,
            [counted[host] for host in stored.survivors],
            members_noise(
                [one for one in everyone if one.host in stored.survivors], aggregator, stored.privacy
            ),
        )
        others = replace(ours, statistic=plain)
        at_least = stored.privacy.min_users
        equality = _equality(
            ServedScores.of(served),
            ServedScores.of(
                artefact.in_memory(trained(mine, restricted(others, mine, min_users=at_least)), served.labels)
            ),
            known,
            integers=same_integers(ours.statistic, plain),
        )
        with_exact = lists(exact, restricted(others, exact, min_users=at_least))
        exact_own = next_videos(with_exact, known, wanted).ndcg
    ndcg = {name: next_videos(model, known, wanted).ndcg for name, model in models.items()}
    return Compared(
        host=instance.host,
        users=instance.history.users,
        ndcg=ndcg,
        head=0 if stored is None else len(stored.urls),
        survivors=() if stored is None else stored.survivors,
        noise=(0.0, 0.0) if stored is None else _deviations(stored),
        equality=equality,
        exact_own=exact_own,
    )


class ServedScores:
    """The item model of a finished one, before reserved places and caps."""

    def __init__(self, items: NDArray[np.int32], scoring: ItemScores, videos: int) -> None:
        self._items, self._scoring, self._videos = items, scoring, videos
        self._row = np.full(videos, -1)
        self._row[items] = np.arange(len(items))

    @classmethod
    def of(cls, model: ServedModel) -> ServedScores:
        """Take a model as it is served."""
        return cls(model.items, model.scoring, len(model))

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`; in float64."""
        everything = np.arange(len(self._items))
        rows = [self._row[row] for row in np.split(history.indices, history.indptr[1:-1])]
        found = [self._scoring.parts(row[row >= 0], everything).sum(axis=0) for row in rows]
        return spread(np.array(found).reshape(len(rows), -1), self._items, self._videos)

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`."""
        ones = (np.ones(len(seeds), np.uint8), seeds, np.arange(len(seeds) + 1))
        return self.scores(csr_array(ones, shape=(len(seeds), self._videos)))


def members_noise(members: Iterable[DemoInstance], aggregator: str, privacy: SumPrivacy) -> Noise:
    """Return what these members added to the sum of an aggregator: all their folders are on this machine."""
    kept_by = (_windows(member).read(aggregator) for member in members)
    windows = [kept for kept in kept_by if kept is not None]

    def drawn(segment: int, size: int) -> NDArray[np.int64]:
        noise = UNIT**2 * (privacy.counts_noise, privacy.pairs_noise)[segment]
        share = share_variance(noise, privacy.threshold, privacy.colluders)
        return sum((kept.noise(segment, share, size) for kept in windows), np.zeros(size, np.int64))

    return drawn


def _windows(instance: DemoInstance) -> DataWindows:
    config = instance.config
    identity = open_identity(config.identity_file, config.instance.host)
    return open_windows(config, identity, connect(config.database), time.time)


def _counted(instance: DemoInstance) -> Interactions:
    """Return what counts of an instance's viewers in sums."""
    with instance.database() as engine:
        own = own_viewers(engine, instance.config, now=time.time())
    return own.limited(own.most)


def _deviations(stored: StoredSum) -> tuple[float, float]:
    return math.sqrt(stored.privacy.pairs_noise), math.sqrt(noise_of(stored).pairs)


def _aggregator(engine: Engine, stored: StoredSum) -> str:
    """Return who asked for a sum."""
    record = activity.round_(engine, stored.rounds[0])
    if record is None:
        raise JobError("a sum has no record of its round", advice="Run the demo again.")
    return record.aggregator


def _equality(
    federated: Recommender, reference: Recommender, history: csr_array, *, integers: bool
) -> Equality:
    one, other = (without(model.scores(history), history) for model in (federated, reference))
    difference = relative_difference(one, other)
    alike = math.isfinite(difference) and np.array_equal(top(one, NDCG_AT), top(other, NDCG_AT))
    return Equality(integers, difference, top10=alike)
