"""What is new is really new to what is measured: videos, viewers and instances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab import evaluate_cold as cold
from daemon.lab.evaluate_cold import KNOWN, NEW_INSTANCES, NEW_VIDEO_DRAWS, NEW_VIDEOS, NEW_VIEWERS, ColdStart
from daemon.lab.experiment import Population, load, split
from models.evaluation import Measured, next_videos
from models.recommender import ColdVideos, Recommender
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train
from tests.daemon.lab.four_tastes import USERS, write_set

LIMIT = 8


@dataclass(frozen=True, eq=False)
class Asked:
    """What one model was asked, and what the model trained last was learnt from."""

    model: Recommender
    history: csr_array
    wanted: csr_array
    seen: csr_array | None
    among: NDArray[np.int64] | None
    learnt: TrainingData


@dataclass(frozen=True)
class Run:
    """A comparison, and all that was asked in it."""

    population: Population
    found: ColdStart
    asked: tuple[Asked, ...]
    progress: tuple[float, ...]

    @property
    def videos(self) -> list[Asked]:
        return [one for one in self.asked if one.among is not None]

    @property
    def viewers(self) -> list[Asked]:
        """Newcomers: fewer than all users, from exact numbers."""
        number = int(USERS * NEW_VIEWERS)
        return [one for one in self.asked if one.among is None and one.history.shape[0] == number]


def run(folder: Path, *, times: bool = True) -> Run:
    asked: list[Asked] = []
    learnt: list[TrainingData] = []
    parts: list[float] = []

    def trained(data: TrainingData, recipe: Recipe) -> TrainedModel:
        learnt.append(data)
        return train(data, recipe)

    def measured(
        model: Recommender,
        history: csr_array,
        relevant: csr_array,
        *,
        seen: csr_array | None = None,
        among: NDArray[np.int64] | None = None,
    ) -> Measured:
        asked.append(Asked(model, history, relevant, seen, among, learnt[-1]))
        return next_videos(model, history, relevant, seen=seen, among=among)

    population = load(write_set(folder, times=times))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cold, "train", trained)
        patched.setattr(cold, "next_videos", measured)
        found = cold.compare_cold(
            population,
            split(population, seed=1),
            Recipe(rank=16),
            seed=1,
            limit=LIMIT,
            progress=parts.append,
        )
    return Run(population, found, tuple(asked), tuple(parts))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("made-up"))


def columns(matrix: csr_array) -> set[int]:
    return set(matrix.indices.tolist())


def test_new_videos_are_in_nothing_that_is_learnt_from(done: Run) -> None:
    asked = done.videos
    assert len(asked) == 2 * NEW_VIDEO_DRAWS
    for one in asked:
        assert one.among is not None
        new = set(one.among.tolist())
        assert len(new) == int(done.population.likes.videos * NEW_VIDEOS)
        assert one.seen is not None
        assert not new & (columns(one.history) | columns(one.seen))
        assert one.learnt.own is not None
        assert not new & set(one.learnt.own.statistic.head.tolist())
        assert not one.learnt.features.views[one.among].any()
        # What is looked for is exactly what was taken out.
        assert columns(one.wanted) <= new
        assert one.seen.nnz + one.wanted.nnz == done.population.likes.matrix.nnz


def test_new_videos_are_ranked_among_themselves(done: Run) -> None:
    models = [one for one in done.videos if isinstance(one.model, ColdVideos)]
    assert len(models) == NEW_VIDEO_DRAWS
    for one in models:
        assert one.among is not None
        # Whole histories: what PeerTube's rule gets is a single video.
        scores = one.model.scores(csr_array(one.history[[0]]))
        assert set(np.flatnonzero(np.isfinite(scores[0])).tolist()) <= set(one.among.tolist())
    single = [one for one in done.videos if not isinstance(one.model, ColdVideos)]
    assert {int(number) for one in single for number in np.diff(one.history.indptr)} == {1}


def test_draws_of_new_videos_are_different_and_measured_together(done: Run) -> None:
    draws = {tuple(one.among.tolist()) for one in done.videos if one.among is not None}
    assert len(draws) == NEW_VIDEO_DRAWS
    for _, measured in done.found.videos:
        assert measured.videos == NEW_VIDEO_DRAWS * int(done.population.likes.videos * NEW_VIDEOS)
        assert len(measured.viewers) == len(measured.ndcg) == len(measured.lists)


def test_what_a_new_viewer_has_watched_is_not_looked_for(done: Run) -> None:
    asked = done.viewers
    assert len(asked) == 2 * len(KNOWN)
    for number, one in zip(sorted(2 * KNOWN), asked, strict=True):
        assert (np.diff(one.history.indptr) == number).all()
        assert one.history.multiply(one.wanted).nnz == 0
        assert (np.diff(one.wanted.indptr) > 0).all()
    # The same viewers each time, with all that they like.
    whole = [(one.history + one.wanted).toarray() for one in asked]
    assert all((one == whole[0]).all() for one in whole)


def test_a_model_is_new_to_its_new_viewers(done: Run) -> None:
    one = done.viewers[0]
    newcomers = np.asarray((one.history + one.wanted).sum(axis=0))
    everybody = np.asarray(done.population.likes.matrix.sum(axis=0))
    assert (one.learnt.features.views == everybody - newcomers).all()
    assert one.learnt.own is not None
    assert one.learnt.own.most == USERS - int(USERS * NEW_VIEWERS)


def test_a_new_viewer_is_known_by_what_was_watched_first(done: Run) -> None:
    likes = done.population.likes
    assert likes.recency is not None
    # By their likes, all of which are distinct: this is what newcomers are told from others by.
    rows = {tuple(row): number for number, row in enumerate(likes.matrix.toarray().tolist())}
    one = done.viewers[-1]
    for row, whole in enumerate((one.history + one.wanted).toarray().tolist()):
        viewer = rows[tuple(whole)]
        span = slice(likes.matrix.indptr[viewer], likes.matrix.indptr[viewer + 1])
        watched = likes.matrix.indices[span][np.argsort(likes.recency[span], kind="stable")]
        known = one.history.indices[one.history.indptr[row] : one.history.indptr[row + 1]]
        assert set(known.tolist()) == set(watched[: max(KNOWN)].tolist())


def test_without_times_any_videos_are_known(tmp_path: Path) -> None:
    for number, one in zip(sorted(2 * KNOWN), run(tmp_path, times=False).viewers, strict=True):
        assert (np.diff(one.history.indptr) == number).all()
        assert one.history.multiply(one.wanted).nnz == 0


def test_a_new_instance_learns_alone_and_from_noisy_numbers(done: Run) -> None:
    possible = [number for number in NEW_INSTANCES if 2 * number <= USERS]
    assert 0 < len(possible) < len(NEW_INSTANCES)
    expected = [f"{name}, {number} viewers" for number in possible for name in ("public views", "served")]
    assert [name for name, _ in done.found.instances] == expected
    asked = [one for one in done.asked if one not in done.videos and one not in done.viewers]
    assert [one.history.shape[0] for one in asked] == [number for number in possible for _ in range(2)]
    for one in asked:
        assert one.learnt.others is None
        assert one.learnt.own is None or one.learnt.own.noise.counts > 0
        assert one.history.multiply(one.wanted).nnz == 0


def test_progress_only_rises(done: Run) -> None:
    assert list(done.progress) == sorted(done.progress)
    assert all(0 <= part <= 1 for part in done.progress)
