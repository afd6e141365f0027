"""From what was released to a finished model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models import related
from models.closed_form import Solved, solve
from models.content import Content
from models.errors import TooLittleDataError
from models.factorization import factorize
from models.feature_vectors import FeatureVectors, feature_vectors
from models.item_scores import Factorized, Sparse
from models.popularity import own_weight, popular, popularity
from models.problem import GramProblem, assemble, at_least, choose_items, default_form, default_ridge
from models.profile_weights import profile_weights
from models.recommender import ItemWeights
from models.related_order import NEAR_CONTENT, NEAR_CONTENT_IN_NOISE, ContentLists, ItemLists
from models.sparse_weights import sparse_weights
from models.trained import Recipe, TrainedModel, TrainingData

__all__ = ["Assembled", "Progress", "Recipe", "TrainedModel", "TrainingData", "prepare", "train"]

Progress = Callable[[str, float], None]
"""Called with the name of a phase and the part of it that is done, in [0, 1]."""


JUDGED_ITEMS: Final = 2048
"""Items of a candidate, at most."""


@dataclass(frozen=True)
class Assembled:
    """What a model is solved from; several candidates can be, for one estimate of the noise."""

    data: TrainingData
    recipe: Recipe
    problem: GramProblem
    vectors: FeatureVectors
    side: NDArray[np.float64]
    """(m, m) Gram matrix of the pseudo-viewers."""
    seconds: Mapping[str, float]
    """Wall time per phase, so far."""

    def solve(self, ridge: float) -> Solved:
        """Solve the closed form; `ridge` in multiples of the mean diagonal."""
        unit = self.problem.unit
        return solve(
            self.problem.gram,
            ridge * unit,
            side=self.side,
            side_weight=self.recipe.alpha * unit,
        )

    def candidate(self, ridge: float) -> ItemWeights:
        """Return the closed form for judging: of the most watched items, in single precision.

        Which ridge is best is the same for these, at a tenth of the time.
        """
        problem, unit = self.problem, self.problem.unit
        chosen = np.sort(np.argsort(-problem.counts, kind="stable")[:JUDGED_ITEMS])
        part = np.ix_(chosen, chosen)
        with dense_threads(self.recipe.threads):
            solved = solve(
                problem.gram[part],
                ridge * unit,
                side=self.side[part],
                side_weight=self.recipe.alpha * unit,
                dtype=torch.float32,
            )
        return ItemWeights(
            problem.items.positions[chosen], solved.weights().numpy(), self.data.features.videos
        )


def prepare(data: TrainingData, recipe: Recipe, progress: Progress = lambda _phase, _part: None) -> Assembled:
    """Take the noise out and put the Gram matrix together.

    Raises:
        TooLittleDataError: there are neither items nor content nor public counters.
    """
    clock = _Clock(progress)
    with dense_threads(recipe.threads):
        items = choose_items(data, recipe)
        vectors = feature_vectors(data.features)
        if not items.positions.size and not vectors.rows.nnz and not data.features.views.any():
            raise TooLittleDataError(
                "nothing stands out of the noise yet, and no video has views, or a title word, tag, channel, "
                "category or language in common with another: wait for more viewers, or synchronise the "
                "catalogue"
            )
        with clock.phase("denoise"):
            problem = assemble(data, items)
        side = vectors.similarity(items.positions)
        return Assembled(data, recipe, problem, vectors, side, clock.seconds)


def train(
    data: TrainingData | Assembled, recipe: Recipe, progress: Progress = lambda _phase, _part: None
) -> TrainedModel:
    """Train everything that is served; float64 inside, float32 in the result.

    Depends on what was released and `recipe` alone, to the last bit on one machine: equal sums give equal
    models however the viewers behind them were split. Where `data` is assembled already, `recipe` holds for
    all that comes after.

    Raises:
        TooLittleDataError: as `prepare`.
    """
    ready = replace(data, recipe=recipe) if isinstance(data, Assembled) else prepare(data, recipe, progress)
    problem, features = ready.problem, ready.data.features
    ridge = recipe.ridge or default_ridge(ready.data)
    clock = _Clock(progress, ready.seconds)
    with dense_threads(recipe.threads):
        with clock.phase("closed form"):
            solved = ready.solve(ridge)
            closed_form = solved.weights().float().numpy() if recipe.keep_closed_form else None
        form = recipe.form or default_form(ready.data)
        with clock.phase(form):
            scoring = _served_form(solved, replace(recipe, form=form))
        del solved
        rows = ready.vectors.rows
        with clock.phase("content lists"):
            lists = related.content_lists(
                rows, features.published, features.channel, length=recipe.content_length
            )
        with clock.phase("profiles"):
            profiles = profile_weights(rows, problem.items.positions, problem.counts)
        known = popularity(problem, ready.data)
        with clock.phase("related"):
            together = _relate(ready, lists, known[problem.items.positions])
    return TrainedModel(
        items=problem.items.positions.astype(np.int32),
        head_size=problem.items.head_size,
        counts=np.rint(problem.counts).astype(np.int32),
        audience=at_least(problem.counts, problem.count_deviation),
        scoring=scoring,
        content_lists=lists,
        related=together,
        content_weight=recipe.related_content_weight,
        near_content=near_content(ready.data),
        content=Content(
            offsets=rows.indptr.astype(np.int32),
            ids=rows.indices.astype(np.int32),
            weights=rows.data.astype(np.float32),
            starts=ready.vectors.starts,
        ),
        tag_names=features.tag_names,
        word_hashes=ready.vectors.word_hashes,
        profiles=profiles,
        channel=features.channel,
        category=features.category,
        language=features.language,
        published=features.published,
        popularity=known,
        own_popularity=own_weight(ready.data),
        popular=popular(known, problem.items.positions),
        recipe=recipe,
        ridge=ridge,
        seconds=clock.seconds,
        closed_form=closed_form,
    )


def near_content(data: TrainingData) -> float:
    """Return how much more content weighs for what is near a video."""
    noisy = any(one.noise for one in (data.own, data.others) if one is not None)
    return NEAR_CONTENT_IN_NOISE if noisy else NEAR_CONTENT


def _served_form(solved: Solved, recipe: Recipe) -> Factorized | Sparse:
    if recipe.form == "sparse":
        return sparse_weights(solved.weights().float().numpy(), recipe.kept)
    if not solved.A.shape[0]:
        return Factorized(np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32))
    factors = factorize(solved, recipe.rank, seed=recipe.seed)
    return Factorized(factors.U.float().contiguous().numpy(), factors.V.float().contiguous().numpy())


def _relate(ready: Assembled, lists: ContentLists, known: NDArray[np.float32]) -> ItemLists:
    problem, recipe = ready.problem, ready.recipe
    near, broad = (
        # An order of at most some dozen videos: half the time and memory are worth more than the last digits.
        solve(problem.gram, ridge * problem.unit, dtype=torch.float32).weights()
        for ridge in (recipe.related_near, recipe.related_broad)
    )
    return related.item_lists(
        lists,
        problem.items.positions,
        near,
        broad,
        problem.gram,
        problem.pair_deviation,
        known,
        ready.vectors.rows,
        ready.data.features.published,
        min_users=recipe.min_pair_users,
        content_weight=recipe.related_content_weight,
        near_content=near_content(ready.data),
        length=recipe.related_length,
    )


class _Clock:
    """Wall time per phase, and the progress that goes with it."""

    def __init__(self, progress: Progress, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self._progress = progress

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._progress(name, 0.0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self._progress(name, 1.0)


@contextmanager
def dense_threads(number: int) -> Iterator[None]:
    """Fix the threads of dense algebra: sums are split by thread, so their number decides the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
