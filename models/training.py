"""From an instance's data and the others' sum to a finished model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import related, tags
from models.closed_form import Solved, solve
from models.denoise import denoise
from models.errors import TooLittleDataError
from models.factorization import Factors, factorize
from models.problem import GramProblem, assemble, choose_items
from models.trained import Recipe, TrainedModel, TrainingData
from models.validation import Choice, choose

__all__ = ["Progress", "Recipe", "TrainedModel", "TrainingData", "train"]

Progress = Callable[[str, float], None]
"""Called with the name of a phase and the part of it that is done, in [0, 1]."""


def train(
    data: TrainingData, recipe: Recipe, progress: Progress = lambda _phase, _part: None
) -> TrainedModel:
    """Train everything that is served; float64 inside, float32 in the result.

    Depends on `data` and `recipe` alone, to the last bit on one machine: equal sums give equal models
    however the users behind them were split. Raises TooLittleDataError when there are neither items nor
    content.
    """
    clock = _Clock(progress)
    with dense_threads(recipe.threads):
        items = choose_items(data, recipe)
        vectors = tags.tag_vectors(data.features)
        content = tags.content_vectors(data.features, vectors)
        if not items.positions.size and not content.nnz:
            raise TooLittleDataError(
                f"no video has {recipe.min_users} users yet and none has a tag, channel, category or "
                "language: wait for more viewers, or synchronise the catalogue"
            )
        others = None
        if data.others is not None and data.noise:
            with clock.phase("denoise"):
                others = denoise(data.others, data.noise)
        with clock.phase("choose"):
            side = tags.similarity(content, items.positions)
            choice = choose(data, items, side, recipe, lambda part: progress("choose", part), others=others)
        with clock.phase("gram"):
            problem = assemble(data, items, recipe, others=others)
        del others
        with clock.phase("closed form"):
            solved = _solve(problem, choice, side)
            closed_form = solved.weights().float().numpy() if recipe.keep_closed_form else None
        del side
        with clock.phase("factorization"):
            factors = _factorize(solved, recipe)
        del solved
        with clock.phase("content lists"):
            lists = related.content_lists(content, data.features.published, length=recipe.related_length)
        with clock.phase("related"):
            lists, together = _relate(problem, lists, content, data, recipe)
    features = data.features
    return TrainedModel(
        items=problem.items.positions.astype(np.int32),
        head_size=problem.items.head_size,
        counts=problem.counts.astype(np.int32),
        U=factors.U.float().contiguous().numpy(),
        V=factors.V.float().contiguous().numpy(),
        diagonal=factors.diagonal.float().numpy(),
        related_videos=lists.videos,
        related_scores=lists.scores,
        related_coengagement=together.scores,
        related_users=together.users,
        content_weight=recipe.related_tag_weight,
        tag_offsets=vectors.indptr.astype(np.int32),
        tag_ids=vectors.indices.astype(np.int32),
        tag_weights=vectors.data.astype(np.float32),
        tag_names=features.tag_names,
        channel=features.channel,
        category=features.category,
        language=features.language,
        same_channel=tags.SAME_CHANNEL,
        same_category=tags.SAME_CATEGORY,
        same_language=tags.SAME_LANGUAGE,
        published=features.published,
        recipe=recipe,
        chosen_lambda=choice.ridge,
        chosen_alpha=choice.alpha,
        quality=choice.tried,
        seconds=clock.seconds,
        noise=data.noise,
        closed_form=closed_form,
    )


def _solve(problem: GramProblem, choice: Choice, side: NDArray[np.float64]) -> Solved:
    ridge = choice.ridge * problem.unit + problem.shift
    return solve(problem.gram, ridge, side=side, side_weight=choice.alpha * problem.unit)


def _factorize(solved: Solved, recipe: Recipe) -> Factors:
    if not solved.A.shape[0]:
        empty = torch.zeros(0, 1, dtype=torch.float64)
        return Factors(empty, empty, empty[:, 0])
    return factorize(solved, recipe.rank, seed=recipe.seed)


def _relate(
    problem: GramProblem, lists: related.Lists, content: csr_array, data: TrainingData, recipe: Recipe
) -> tuple[related.Lists, related.CoEngagement]:
    weights = solve(problem.gram, recipe.related_lambda * problem.unit + problem.shift).weights()
    return related.mix(
        lists,
        problem.items.positions,
        weights,
        problem.users(),
        content,
        data.features.published,
        min_users=recipe.min_pair_users,
        content_weight=recipe.related_tag_weight,
    )


class _Clock:
    """Wall time per phase, and the progress that goes with it."""

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
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
