"""Related lists are measured on viewers who are in no fit, each once, and a viewer counts as one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate import RelatedSummary
from daemon.lab.experiment import load
from daemon.lab.related_quality import FOLDS, FOLLOWING, SEEDS, RelatedRow, measure_related
from models.evaluation import NDCG_AT
from models.interactions import Interactions
from models.recommender import Recommender, Scores
from tests.daemon.lab.four_tastes import USERS, write_set

LENGTHS = (1, 2, 3, 6, 7, 8, 12, 14, 2, 9, 25)
"""Likes of viewers who have nothing in common, so that a seed tells whose it is."""


@pytest.fixture(scope="module")
def likes(tmp_path_factory: pytest.TempPathFactory) -> Interactions:
    return load(write_set(tmp_path_factory.mktemp("made-up"))).likes


def apart(*, times: bool = True) -> Interactions:
    """Viewers without a video in common; what has a higher number was watched earlier."""
    offsets = np.concatenate(([0], np.cumsum(LENGTHS)))
    videos = int(offsets[-1])
    matrix = csr_array((np.ones(videos, np.uint8), np.arange(videos), offsets), shape=(len(LENGTHS), videos))
    return Interactions(matrix, -np.arange(videos, dtype=np.float64) if times else None)


@dataclass
class Ranks:
    """A recommender that is told what to score, and remembers what it is asked."""

    videos: int
    rank: Callable[[int], NDArray[np.float64]]
    asked: list[int] = field(default_factory=list)

    def scores(self, history: csr_array) -> Scores:
        raise AssertionError("related lists need no history")

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        self.asked += seeds.tolist()
        return np.array([self.rank(seed) for seed in seeds.tolist()]).reshape(-1, self.videos)


def owner(seed: int) -> NDArray[np.int64]:
    """Videos of the only viewer who likes the seed, in the order in which they were watched."""
    end = np.cumsum(LENGTHS)
    viewer = int(np.searchsorted(end, seed, "right"))
    return np.arange(end[viewer] - LENGTHS[viewer], end[viewer])[::-1]


def knows_all(seed: int) -> NDArray[np.float64]:
    """Rank all that the viewer likes before everything else: first what follows, then what was before."""
    found = np.zeros(sum(LENGTHS))
    mine = owner(seed)
    place = mine.tolist().index(seed)
    order = np.concatenate((mine[place:], mine[:place]))
    found[order] = np.arange(order.size, 0, -1)
    return found


def measured(likes: Interactions, rank: Callable[[int], NDArray[np.float64]]) -> tuple[RelatedRow, Ranks]:
    model = Ranks(likes.videos, rank)
    (row,) = measure_related(likes, {"one": lambda _: model}, seed=1)
    return row, model


def test_who_knows_the_answer_finds_all_there_is() -> None:
    row, _ = measured(apart(), knows_all)
    # Who likes one video alone has nothing else to find.
    several = np.array(LENGTHS) > 1
    for found in (row.following, row.anything, row.less_seen):
        assert found[several] == pytest.approx(1.0)
        assert np.isnan(found[~several]).all()
    assert row.viewers.tolist() == list(range(len(LENGTHS)))


def test_what_comes_next_is_the_few_videos_after_the_seed() -> None:
    # The same lists, but what was watched before the seed is first.
    def backwards(seed: int) -> NDArray[np.float64]:
        found = knows_all(seed)
        return np.where(found > 0, found.max() - found + 1, 0.0)

    row, _ = measured(apart(), backwards)
    long = np.array(LENGTHS) > FOLLOWING + 1
    assert row.anything[long] == pytest.approx(1.0)
    assert (row.following[long] < 1).all()


def test_what_everybody_likes_is_no_less_seen_video() -> None:
    alone = apart()
    # With one video that everybody likes, the first of a catalogue of which one in fifty is the most seen.
    likes = Interactions(
        csr_array(np.hstack((np.ones((alone.users, 1), np.uint8), alone.matrix.toarray()))),
    )
    row, _ = measured(likes, lambda _: np.where(np.arange(likes.videos) == 0, 1.0, -np.inf))
    assert (row.anything > 0).all()
    assert (row.less_seen[np.isfinite(row.less_seen)] == 0).all()
    assert np.isfinite(row.less_seen).any()


def test_a_viewer_counts_as_one_however_many_seeds_there_are() -> None:
    likes = apart()
    answers = np.random.default_rng(3).random((likes.videos, likes.videos))
    row, model = measured(likes, lambda seed: answers[seed])
    of_viewer: dict[int, list[float]] = {viewer: [] for viewer in range(likes.users)}
    for seed in model.asked:
        wanted = np.setdiff1d(owner(seed), [seed])
        listed = [video for video in np.argsort(-answers[seed]) if video != seed][:NDCG_AT]
        gains = [math.log2(2) / math.log2(place + 2) for place in range(NDCG_AT)]
        found = sum(gain for gain, video in zip(gains, listed, strict=True) if video in wanted)
        if wanted.size:
            of_viewer[int(np.searchsorted(np.cumsum(LENGTHS), seed, "right"))].append(
                found / sum(gains[: wanted.size])
            )
    expected = [float(np.mean(values)) if values else math.nan for values in of_viewer.values()]
    assert row.anything == pytest.approx(expected, nan_ok=True)
    # Not the mean over seeds, of which some viewers have five and some have two.
    summary = RelatedSummary.of(row)
    assert summary.anything == pytest.approx(np.nanmean(expected))
    of_seeds = [one for values in of_viewer.values() for one in values]
    assert summary.anything != pytest.approx(np.mean(of_seeds))
    assert summary.viewers == likes.users


def test_everybody_is_asked_once_for_a_few_distinct_seeds() -> None:
    row, model = measured(apart(), knows_all)
    assert len(set(model.asked)) == len(model.asked)
    ends = np.cumsum(LENGTHS)
    number = np.bincount(np.searchsorted(ends, model.asked, "right"), minlength=len(LENGTHS))
    assert number.tolist() == [min(SEEDS, length) for length in LENGTHS]
    assert row.viewers.tolist() == list(range(len(LENGTHS)))


def test_no_model_is_asked_about_a_viewer_whom_it_was_fitted_on() -> None:
    likes = apart()
    models: list[tuple[NDArray[np.int64], Ranks]] = []

    def fit(known: Interactions) -> Recommender:
        counted = np.asarray(known.matrix.sum(axis=0), np.int64)
        models.append((counted, Ranks(likes.videos, knows_all)))
        return models[-1][1]

    measure_related(likes, {"one": fit}, seed=1)
    assert len(models) == FOLDS
    for counted, model in models:
        assert model.asked
        # Nobody else likes these videos, so the fit would know them from the viewer alone.
        assert counted[model.asked].sum() == 0
    # Each viewer is left out once.
    assert (np.sum([counted for counted, _ in models], axis=0) == FOLDS - 1).all()


def test_every_viewer_of_a_data_set_is_left_out_once(likes: Interactions) -> None:
    everybody = {tuple(row) for row in likes.matrix.toarray().tolist()}
    assert len(everybody) == USERS
    left_out: list[set[tuple[int, ...]]] = []

    def fit(known: Interactions) -> Recommender:
        left_out.append(everybody - {tuple(row) for row in known.matrix.toarray().tolist()})
        return Ranks(likes.videos, lambda _: np.arange(likes.videos, dtype=np.float64))

    (row,) = measure_related(likes, {"one": fit}, seed=1)
    assert [len(one) for one in left_out] == [USERS // FOLDS] * FOLDS
    assert set().union(*left_out) == everybody
    assert row.viewers.tolist() == list(range(USERS))
    # Everybody sees the last ten videos, or eleven where the seed is one of them.
    assert row.coverage == pytest.approx((NDCG_AT + 1) / likes.videos)


def test_ways_are_asked_for_the_same_seeds_and_draws_repeat(likes: Interactions) -> None:
    models = {name: Ranks(likes.videos, lambda seed: np.roll(np.arange(119.0), seed)) for name in "ab"}
    fits = {name: (lambda _, model=model: model) for name, model in models.items()}
    one, other = measure_related(likes, fits, seed=1)
    assert models["a"].asked == models["b"].asked
    assert one.anything == pytest.approx(other.anything)
    (again,) = measure_related(likes, {"a": fits["a"]}, seed=1)
    assert again.anything == pytest.approx(one.anything)
    (otherwise,) = measure_related(likes, {"a": fits["a"]}, seed=2)
    assert otherwise.anything != pytest.approx(one.anything)


def test_without_times_nothing_follows(tmp_path: Path) -> None:
    likes = load(write_set(tmp_path, times=False)).likes
    row, _ = measured(likes, lambda _: np.arange(likes.videos, dtype=np.float64))
    assert np.isnan(row.following).all()
    assert np.isfinite(row.anything).all()
    summary = RelatedSummary.of(row)
    assert math.isnan(summary.following)
    assert math.isnan(summary.following_se)


def test_what_a_model_cannot_list_is_missed(likes: Interactions) -> None:
    row, _ = measured(likes, lambda _: np.full(likes.videos, -np.inf))
    assert (row.anything == 0).all()
    assert row.coverage == 0


def test_progress_ends_at_all_of_it(likes: Interactions) -> None:
    parts: list[float] = []
    model = Ranks(likes.videos, lambda _: np.arange(likes.videos, dtype=np.float64))
    measure_related(likes, {"one": lambda _: model}, seed=1, folds=4, progress=parts.append)
    assert parts == [0.25, 0.5, 0.75, 1.0]
