from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import counting, related, statistics
from models.closed_form import solve
from models.errors import TooLittleDataError
from models.feature_vectors import feature_vectors
from models.features import Features
from models.interactions import Interactions
from models.item_scores import FORMS, Factorized, Form, Sparse
from models.noise import NO_NOISE, SumNoise
from models.popularity import own_weight, popular, popularity
from models.problem import RIDGE_LARGE, RIDGE_SMALL, assemble, at_least, choose_items
from models.profile_weights import profile_weights
from models.recommender import ServedItems
from models.related_order import NEAR_CONTENT, NEAR_CONTENT_IN_NOISE
from models.released import Released
from models.sparse_weights import sparse_weights
from models.statistics import Statistic
from models.training import Recipe, TrainedModel, TrainingData, dense_threads, prepare, train
from tests.models.worlds import (
    GROUP,
    exactly,
    features,
    interactions,
    plain,
    population,
    summed,
    two_tastes,
    with_noise,
)

VIDEOS = 60
RECIPE = Recipe(rank=16, related_length=10, content_length=8, keep_closed_form=True)
SPARSE = dataclasses.replace(RECIPE, form="sparse", kept=12)
NOISE = SumNoise(8.0, 8.0)


def tagged(videos: int = VIDEOS, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    rows = [rng.choice(15, rng.integers(0, 4), replace=False).tolist() for _ in range(videos)]
    titles = [" ".join(f"word{n}" for n in rng.integers(0, 20, rng.integers(0, 4))) for _ in range(videos)]
    return features(
        rows,
        titles=titles,
        channel=rng.integers(-1, 8, videos).tolist(),
        published=rng.random(videos).tolist(),
    )


def own_part(users: int = 60, first: int = 10) -> Released:
    """Its own release: over another head than that of the others, which it overlaps."""
    return exactly(population(users, VIDEOS, 1), np.arange(first, 50))


def others_part(users: int = 200) -> Released:
    return exactly(population(users, VIDEOS, 2), np.arange(40))


def assert_same_bits(one: object, two: object) -> None:
    """Compare models, or parts of them."""
    assert type(one) is type(two)
    assert dataclasses.is_dataclass(one)
    for field in dataclasses.fields(one):
        if field.name == "seconds":
            continue
        left, right = getattr(one, field.name), getattr(two, field.name)
        if isinstance(left, np.ndarray):
            assert left.tobytes() == right.tobytes(), field.name
        elif dataclasses.is_dataclass(left):
            assert_same_bits(left, right)
        else:
            assert left == right, field.name


def dense(model: TrainedModel) -> NDArray[np.float64]:
    """What each item says about each, (m, m)."""
    every = np.arange(model.items.size)
    return model.scoring.parts(every, every)


def beside(model: TrainedModel, video: int) -> list[int]:
    """What is listed beside a video, best first."""
    scores = ServedItems(model).related_scores(np.array([video]))[0]
    return [int(other) for other in np.argsort(-scores, kind="stable") if scores[other] > -np.inf]


def secure_sum(instances: list[Interactions], head: NDArray[np.int64]) -> Statistic:
    total = np.sum([counting.contribution(one, head) for one in instances], axis=0)
    return statistics.of_sum(total[:VIDEOS], head, total[VIDEOS:], NO_NOISE)


@settings(deadline=None, max_examples=5)
@given(st.lists(st.integers(1, 4), min_size=200, max_size=200), st.booleans())
def test_equal_sums_give_equal_models_however_the_viewers_are_split(instance: list[int], noisy: bool) -> None:
    rest, head, noise = population(200, VIDEOS, 2), np.arange(40), NOISE if noisy else NO_NOISE
    spread = [rest.rows(np.flatnonzero(np.array(instance) == i)) for i in range(1, 5)]
    one, two = (
        train(TrainingData(tagged(), own_part(), Released(with_noise(sum_, noise), noise)), RECIPE)
        for sum_ in (secure_sum(spread, head), secure_sum([rest], head))
    )
    assert_same_bits(one, two)


@pytest.mark.parametrize("recipe", [RECIPE, SPARSE], ids=["factorized", "sparse"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_data_give_the_same_bits_and_threads_are_restored(threads: int, recipe: Recipe) -> None:
    before = torch.get_num_threads()
    noisy = [
        Released(with_noise(part.statistic, NOISE, seed), NOISE)
        for seed, part in enumerate((own_part(), others_part()))
    ]
    recipe = dataclasses.replace(recipe, threads=threads)
    one, two = (train(TrainingData(tagged(), *noisy), recipe) for _ in range(2))
    assert_same_bits(one, two)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("ridge", [0.0, 30.0])
def test_in_two_steps_it_is_the_same_model(ridge: float) -> None:
    data, chosen = TrainingData(tagged(), own_part(), others_part()), dataclasses.replace(RECIPE, ridge=ridge)
    assert_same_bits(train(prepare(data, RECIPE), chosen), train(data, chosen))


def test_the_ridge_of_the_recipe_is_used_and_else_one_by_the_number_of_viewers() -> None:
    data = TrainingData(tagged(), own_part(), None)
    problem = assemble(data, choose_items(data, RECIPE))
    side = feature_vectors(data.features).similarity(problem.items.positions)

    def exact(ridge: float) -> NDArray[np.float32]:
        unit = problem.unit
        solved = solve(problem.gram, ridge * unit, side=side, side_weight=RECIPE.alpha * unit)
        return solved.weights().float().numpy()

    for given_, used in ((0.0, RIDGE_SMALL), (0.5, 0.5), (30.0, 30.0)):
        model = train(data, dataclasses.replace(RECIPE, ridge=given_))
        assert model.ridge == used
        np.testing.assert_array_equal(model.closed_form, exact(used))
    assert data.own is not None
    many = dataclasses.replace(data, own=dataclasses.replace(data.own, viewers=1000.0))
    assert train(many, RECIPE).ridge == RIDGE_LARGE


def test_the_form_of_the_recipe_is_used_and_else_one_by_the_number_of_viewers() -> None:
    few = TrainingData(tagged(), own_part(), None)
    assert few.own is not None
    many = dataclasses.replace(few, own=dataclasses.replace(few.own, viewers=1000.0))
    for data, usual in ((few, Factorized), (many, Sparse)):
        assert isinstance(train(data, RECIPE).scoring, usual)
        for form in FORMS:
            chosen = train(data, dataclasses.replace(RECIPE, form=form)).scoring
            assert isinstance(chosen, Sparse if form == "sparse" else Factorized)


def test_what_is_popular_is_stored_with_its_weight() -> None:
    views = np.arange(VIDEOS) % 7
    data = TrainingData(dataclasses.replace(tagged(), views=views), own_part(), others_part())
    model, problem = train(data, RECIPE), assemble(data, choose_items(data, RECIPE))
    np.testing.assert_array_equal(model.popularity, popularity(problem, data))
    np.testing.assert_array_equal(model.popular, popular(model.popularity, problem.items.positions))
    assert model.own_popularity == own_weight(data)


def test_content_weighs_more_beside_what_noise_blurs() -> None:
    data = TrainingData(tagged(), own_part(), others_part())
    assert train(data, RECIPE).near_content == NEAR_CONTENT
    blurred = dataclasses.replace(data, others=dataclasses.replace(others_part(), noise=NOISE))
    assert train(blurred, RECIPE).near_content == NEAR_CONTENT_IN_NOISE > NEAR_CONTENT


def test_what_is_judged_is_the_closed_form_that_a_model_comes_from() -> None:
    ready = prepare(TrainingData(tagged(), own_part(), others_part()), RECIPE)
    history = csr_array(population(30, VIDEOS, 3).matrix)
    scores = ready.candidate(10.0).scores(history)
    model = train(ready, dataclasses.replace(RECIPE, ridge=10.0))
    assert model.closed_form is not None
    expected = history[:, model.items].astype(np.float64) @ model.closed_form.astype(np.float64)
    np.testing.assert_allclose(scores[:, model.items], expected, atol=1e-4)
    outside = np.setdiff1d(np.arange(VIDEOS), model.items)
    assert outside.size
    assert (scores[:, outside] == -np.inf).all()


@pytest.mark.parametrize("form", FORMS)
def test_two_tastes_are_recommended_and_related_among_themselves(form: Form) -> None:
    own = exactly(two_tastes(), np.arange(2 * GROUP))
    recipe = dataclasses.replace(RECIPE, rank=2, form=form)
    model = train(TrainingData(plain(2 * GROUP), own, None), recipe)
    assert model.items.tolist() == list(range(2 * GROUP))
    scores = model.scoring.scores(np.array([0, 1]))
    scores[[0, 1]] = -np.inf
    assert set(np.argsort(-scores)[: GROUP - 2]) == set(range(2, GROUP))
    for video in range(2 * GROUP):
        listed = beside(model, video)[: GROUP - 1]
        assert {other // GROUP for other in listed} == {video // GROUP}


def test_the_sparse_form_is_the_closed_form_cut_to_its_largest_weights() -> None:
    data = TrainingData(tagged(), own_part(), others_part())
    model = train(data, SPARSE)
    assert model.closed_form is not None
    expected = sparse_weights(model.closed_form, SPARSE.kept)
    assert isinstance(model.scoring, Sparse)
    assert_same_bits(model.scoring, expected)
    assert (np.count_nonzero(dense(model), axis=0) <= SPARSE.kept).all()
    whole = train(data, dataclasses.replace(SPARSE, kept=99))
    np.testing.assert_array_equal(dense(whole).astype(np.float32), model.closed_form)
    assert list(model.seconds) == [
        "denoise",
        "closed form",
        "sparse",
        "content lists",
        "profiles",
        "related",
    ]


def test_arrays_have_the_promised_shapes_and_types() -> None:
    own, others = own_part(), others_part()
    model = train(TrainingData(tagged(), own, others), RECIPE)
    m = model.items.size
    assert model.items.tolist() == list(range(50))
    assert model.head_size == 40
    assert isinstance(model.scoring, Factorized)
    assert model.scoring.U.shape == model.scoring.V.shape == (m, 16)
    assert model.content_lists.videos.shape == model.content_lists.scores.shape == (VIDEOS, 8)
    lists = model.related
    for part in (lists.videos, lists.near, lists.broad, lists.content, lists.users):
        assert part.shape == (m, 10)
    content, profiles = model.content, model.profiles
    assert content.offsets[-1] == content.ids.size == content.weights.size
    assert profiles.offsets.size == m + 1
    assert profiles.offsets[-1] == profiles.ids.size == profiles.weights.size
    assert np.diff(content.starts)[:2].tolist() == [len(model.tag_names), model.word_hashes.size]
    assert model.word_hashes.size > 0
    floats = (model.scoring.U, model.scoring.V, content.weights, profiles.weights)
    assert {one.dtype for one in (*floats, lists.near, lists.broad, lists.content)} == {np.dtype(np.float32)}
    whole = (model.items, model.counts, model.audience, model.channel, model.popular)
    also = (lists.videos, lists.users, content.offsets, content.ids, profiles.offsets, profiles.ids)
    assert {one.dtype for one in (*whole, *also)} == {np.dtype(np.int32)}
    assert model.word_hashes.dtype == content.starts.dtype == np.int64
    counts = np.zeros(m)
    counts[:40] += others.statistic.counts / 32
    counts[10:] += own.statistic.counts / 32
    np.testing.assert_array_equal(model.counts, np.rint(counts))
    np.testing.assert_array_equal(model.audience, np.floor(counts))
    assert model.closed_form is not None
    assert not np.diagonal(model.closed_form).any()


def test_the_audience_is_told_as_far_as_the_noise_allows() -> None:
    noise = SumNoise(16.0, 8.0)
    others = Released(with_noise(others_part().statistic, noise), noise)
    own = Released(with_noise(own_part().statistic, noise, 1), noise)
    model = train(TrainingData(tagged(), own, others), RECIPE)
    counts = np.zeros(50)
    counts[:40] += others.statistic.counts / 32
    counts[10:] += own.statistic.counts / 32
    deviation = np.where((np.arange(50) >= 10) & (np.arange(50) < 40), np.sqrt(32.0), 4.0)
    np.testing.assert_array_equal(model.audience, at_least(counts, deviation))
    assert (model.audience > 0).any()
    assert (model.audience[deviation == 4] % 5 == 0).all()
    assert (model.audience[deviation > 5] % 10 == 0).all()


def test_related_videos_are_what_the_two_solves_and_the_features_say() -> None:
    data = TrainingData(tagged(), exactly(population(200, VIDEOS), np.arange(0, VIDEOS, 2)), None)
    model, problem = train(data, RECIPE), assemble(data, choose_items(data, RECIPE))
    content = feature_vectors(data.features).similarity(np.arange(VIDEOS))
    every = np.arange(model.items.size)
    near, broad = (
        related.co_engagement(
            solve(problem.gram, ridge * problem.unit).weights().numpy(),
            problem.gram,
            every,
            RECIPE.min_pair_users,
        )
        for ridge in (RECIPE.related_near, RECIPE.related_broad)
    )
    place = np.full(VIDEOS, -1)
    place[model.items] = every
    lists, reasons = model.related, 0
    for row, seed in enumerate(model.items.tolist()):
        for k, other in enumerate(lists.videos[row][lists.videos[row] >= 0].tolist()):
            column = place[other]
            expected = (near[row, column], broad[row, column]) if column >= 0 else (0.0, 0.0)
            assert (lists.near[row, k], lists.broad[row, k]) == pytest.approx(expected, abs=1e-6)
            assert lists.content[row, k] == pytest.approx(content[seed, other], abs=1e-5)
            reasons += max(expected) > 0
    assert reasons > VIDEOS
    assert (lists.near != lists.broad).any()
    for video in range(VIDEOS):
        listed = model.content_lists.videos[video]
        scores = model.content_lists.scores[video][listed >= 0]
        np.testing.assert_allclose(scores, content[video, listed[listed >= 0]], atol=1e-5)


def test_profiles_are_the_regression_over_the_items() -> None:
    data = TrainingData(tagged(), own_part(), others_part())
    model, problem = train(data, RECIPE), assemble(data, choose_items(data, RECIPE))
    rows = feature_vectors(data.features).rows
    with dense_threads(RECIPE.threads):
        expected = profile_weights(rows, problem.items.positions, problem.counts)
    assert_same_bits(model.profiles, expected)


@pytest.mark.parametrize("federated", [False, True])
def test_listed_pairs_rest_on_enough_viewers_and_say_how_many(federated: bool) -> None:
    own, others = own_part(), others_part() if federated else None
    data, recipe = TrainingData(tagged(), own, others), dataclasses.replace(RECIPE, min_pair_users=5.0)
    model, true = train(data, recipe), assemble(data, choose_items(data, recipe)).gram
    place = np.full(VIDEOS, -1)
    place[model.items] = np.arange(model.items.size)
    engaged = together(model)
    for row, k in zip(*np.nonzero(engaged), strict=True):
        pair = true[row, place[model.related.videos[row, k]]]
        assert pair >= recipe.min_pair_users
        assert model.related.users[row, k] == int(pair)
    assert not model.related.users[~engaged].any()
    assert model.related.users.any()


def together(model: TrainedModel) -> NDArray[np.bool_]:
    """Which candidates viewers engaged with together, (m, k)."""
    return np.asarray((model.related.near > 0) | (model.related.broad > 0))


def test_behind_noise_pairs_are_told_of_in_steps_or_not_at_all() -> None:
    noise = SumNoise(8.0, 64.0)
    others = Released(with_noise(others_part().statistic, noise), noise)
    model = train(TrainingData(tagged(), None, others), RECIPE)
    users = model.related.users[together(model)]
    assert (users % 10 == 0).all()
    assert (users == 0).any()
    assert (users > 0).any()
    assert (model.related.users <= model.counts[:, None]).all()


def test_a_new_instance_serves_from_content_alone() -> None:
    model = train(TrainingData(tagged(), None, None), RECIPE)
    assert model.items.size == dense(model).size == 0
    assert (model.content_lists.videos >= 0).any()
    assert model.related.videos.shape == (0, 10)
    assert model.popular.size == 0


def test_a_new_instance_without_tags_serves_by_public_views() -> None:
    model = train(TrainingData(features([[]] * 4, views=[5, 0, 900, 7]), None, None), RECIPE)
    assert model.items.size == 0
    assert (model.content_lists.videos == -1).all()
    assert model.popular.tolist() == [2, 3, 0]


def test_a_member_without_viewers_learns_from_the_others() -> None:
    model = train(TrainingData(plain(VIDEOS), None, others_part()), RECIPE)
    assert model.items.tolist() == list(range(40))
    assert model.head_size == 40
    assert together(model).any()


def test_what_is_all_noise_trains_and_recommends_nothing() -> None:
    below = Statistic(np.arange(3), np.array([-40, 0, -1]), np.array([-2, 1, 0]))
    model = train(TrainingData(plain(4), Released(below, NOISE), None), RECIPE)
    assert not model.counts.any()
    assert not model.audience.any()
    np.testing.assert_allclose(dense(model), np.zeros((3, 3)), atol=1e-6)
    assert (model.related.videos == -1).all()
    assert (model.content_lists.videos == -1).all()


def test_nothing_at_all_says_what_to_do() -> None:
    nothing = exactly(interactions([[0, 1]], 5), np.zeros(0, np.int64))
    for own in (None, nothing):
        for step in (prepare, train):
            with pytest.raises(TooLittleDataError, match="wait for more viewers"):
                step(TrainingData(plain(5), own, None), RECIPE)


def test_progress_passes_through_every_phase() -> None:
    seen: list[tuple[str, float]] = []
    model = train(
        TrainingData(tagged(), own_part(), None), RECIPE, lambda phase, part: seen.append((phase, part))
    )
    finished = [phase for phase, part in seen if part == 1.0]
    assert finished == list(model.seconds)
    assert finished[0] == "denoise"
    assert all(0.0 <= part <= 1.0 for _, part in seen)


def test_a_single_item_has_nothing_to_say() -> None:
    own = Released(summed(interactions([[1]] * 6, 3), np.array([1])))
    model = train(TrainingData(plain(3), own, None), RECIPE)
    assert model.items.tolist() == [1]
    np.testing.assert_allclose(dense(model), [[0.0]], atol=1e-6)
    assert (model.related.videos == -1).all()


def test_with_hardly_any_ridge_training_still_succeeds() -> None:
    """Both estimates have eigenvalues at 0, to single precision."""
    recipe = dataclasses.replace(RECIPE, ridge=0.3, alpha=0.0, related_near=0.3)
    own = Released(with_noise(own_part().statistic, NOISE), NOISE)
    model = train(TrainingData(plain(VIDEOS), own, None), recipe)
    assert np.isfinite(dense(model)).all()
    assert np.isfinite(model.related.near).all()


def test_a_variance_of_zero_changes_no_bit() -> None:
    part = others_part()
    assert_same_bits(
        train(TrainingData(tagged(), own_part(), part), RECIPE),
        train(
            TrainingData(tagged(), own_part(), dataclasses.replace(part, noise=SumNoise(0.0, 0.0))), RECIPE
        ),
    )
