from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import statistics
from models.errors import TooLittleDataError
from models.interactions import Interactions, stack
from models.noise import SumNoise
from models.statistics import Statistic
from models.trainer import GramTrainer, Summed
from models.training import Recipe, TrainedModel, TrainingData, train
from tests.models.worlds import (
    GROUP,
    features,
    interactions,
    plain,
    population,
    summed,
    two_tastes,
    with_noise,
)

VIDEOS = 60
RECIPE = Recipe(rank=16, lambdas=(3.0, 10.0), max_head=40, related_length=10, keep_closed_form=True)


def tagged(videos: int = VIDEOS, seed: int = 0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    rows = [rng.choice(15, rng.integers(0, 4), replace=False).tolist() for _ in range(videos)]
    return features(rows, channel=rng.integers(-1, 8, videos).tolist(), published=rng.random(videos).tolist())


def assert_same_bits(one: TrainedModel, two: TrainedModel) -> None:
    for field in dataclasses.fields(TrainedModel):
        if field.name == "seconds":
            continue
        left, right = getattr(one, field.name), getattr(two, field.name)
        if isinstance(left, np.ndarray):
            assert left.tobytes() == right.tobytes(), field.name
        else:
            assert left == right, field.name


def session(instances: list[Interactions]) -> Statistic:
    trainer = GramTrainer(min_users=5, max_head=40)
    state = trainer.start(instances[0].videos)
    while not trainer.done(state):
        state = trainer.advance(state, np.sum([trainer.contribution(state, i) for i in instances], axis=0))
    assert isinstance(state, Summed)
    return state.statistic


def minus(whole: Statistic, own: Interactions) -> Statistic:
    part = summed(own, whole.head)
    return Statistic(whole.head, whole.counts - part.counts, whole.triangle - part.triangle)


@settings(deadline=None, max_examples=5)
@given(st.lists(st.integers(1, 4), min_size=200, max_size=200))
def test_federated_equals_pooled_to_the_last_bit(instance: list[int]) -> None:
    """However the others' users are spread over instances, the model is that of their pooled users."""
    own, rest = population(60, VIDEOS, 1), population(200, VIDEOS, 2)
    spread = [own] + [rest.rows(np.flatnonzero(np.array(instance) == i)) for i in range(1, 5)]
    federated = minus(session(spread), own)
    pooled = minus(session([stack([own, rest])]), own)
    known = tagged()
    assert_same_bits(
        train(TrainingData(known, own, federated), RECIPE), train(TrainingData(known, own, pooled), RECIPE)
    )


def test_the_same_seed_gives_the_same_bits_and_threads_are_restored() -> None:
    import torch

    before = torch.get_num_threads()
    data = TrainingData(tagged(), population(120, VIDEOS), None)
    assert_same_bits(train(data, RECIPE), train(data, RECIPE))
    assert torch.get_num_threads() == before


def test_two_tastes_are_recommended_and_related_among_themselves() -> None:
    model = train(TrainingData(plain(2 * GROUP), two_tastes(), None), dataclasses.replace(RECIPE, rank=2))
    assert model.items.tolist() == list(range(2 * GROUP))
    history = np.zeros(2 * GROUP)
    history[[0, 1]] = 1
    scores = history @ model.U @ model.V.T
    scores[[0, 1]] = -np.inf
    assert set(np.argsort(-scores)[: GROUP - 2]) == set(range(2, GROUP))
    for video in range(2 * GROUP):
        listed = model.related_videos[video]
        assert {int(v) // GROUP for v in listed[listed >= 0]} == {video // GROUP}


def test_arrays_have_the_promised_shapes_and_types() -> None:
    own, rest = population(60, VIDEOS, 1), population(200, VIDEOS, 2)
    head = np.arange(20)
    model = train(TrainingData(tagged(), own, summed(rest, head)), RECIPE)
    m = model.items.size
    assert m > model.head_size == 20
    assert model.U.shape == model.V.shape == (m, 16)
    assert model.related_videos.shape == model.related_scores.shape == (VIDEOS, 10)
    assert model.related_coengagement.shape == model.related_users.shape == (m, 10)
    assert model.tag_offsets[-1] == model.tag_ids.size == model.tag_weights.size
    for name in ("U", "V", "diagonal", "related_scores", "related_coengagement", "tag_weights"):
        assert getattr(model, name).dtype == np.float32
    for name in ("items", "counts", "related_videos", "related_users", "tag_offsets", "tag_ids", "channel"):
        assert getattr(model, name).dtype == np.int32
    np.testing.assert_allclose(model.diagonal, np.einsum("ik,ik->i", model.U, model.V), atol=1e-5)
    np.testing.assert_array_equal(
        model.counts,
        np.concatenate(
            (
                statistics.counts(stack([own, rest]))[:20],
                statistics.counts(own)[model.items[20:]],
            )
        ),
    )
    assert model.closed_form is not None
    assert not np.diagonal(model.closed_form).any()


def test_related_scores_are_exactly_co_engagement_plus_content() -> None:
    model = train(TrainingData(tagged(), population(200, VIDEOS), None), RECIPE)
    width = int(model.tag_ids.max()) + 1
    vectors = np.zeros((VIDEOS, width))
    for video in range(VIDEOS):
        span = slice(model.tag_offsets[video], model.tag_offsets[video + 1])
        vectors[video, model.tag_ids[span]] = model.tag_weights[span]
    same = (model.channel[:, None] == model.channel) & (model.channel >= 0)
    content = vectors @ vectors.T + model.same_channel * same
    place = np.full(VIDEOS, -1)
    place[model.items] = np.arange(model.items.size)
    reasons = 0
    for video in range(VIDEOS):
        for k, other in enumerate(model.related_videos[video]):
            if other < 0:
                continue
            weight = 1.0 if place[video] < 0 else model.content_weight
            together = 0.0 if place[video] < 0 else model.related_coengagement[place[video], k]
            assert model.related_scores[video, k] == pytest.approx(
                together + weight * content[video, other], abs=1e-5
            )
            reasons += together > 0
    assert reasons > VIDEOS


@pytest.mark.parametrize("federated", [False, True])
def test_listed_pairs_rest_on_enough_users_and_say_how_many(federated: bool) -> None:
    own, rest = population(60, VIDEOS, 1), population(200, VIDEOS, 2)
    head = statistics.head(statistics.counts(stack([own, rest])), min_users=5, max_head=20)
    model = train(TrainingData(tagged(), own, summed(rest, head) if federated else None), RECIPE)
    alone = statistics.gram(own.matrix, model.items.astype(np.int64))
    true = alone.copy()
    if federated:
        true[:20, :20] += statistics.gram(rest.matrix, head)
    place = np.full(VIDEOS, -1)
    place[model.items] = np.arange(model.items.size)
    for row, video in enumerate(model.items):
        for k in np.flatnonzero(model.related_coengagement[row]):
            pair = true[row, place[model.related_videos[video, k]]]
            assert model.related_users[row, k] == pair >= 5
    assert (model.related_users[model.related_coengagement == 0] == 0).all()
    assert model.related_users.any()


def test_one_viewers_rare_pair_reaches_nobody() -> None:
    """Whether one viewer combined 0 with 2 or with 3 changes nothing that others can see."""
    base = [[0, 1]] * 9 + [[2, 3]] * 9
    models = [
        train(TrainingData(plain(4), interactions([*base, *swapped], 4), None), RECIPE)
        for swapped in ([[0, 2], [1, 3]], [[0, 3], [1, 2]])
    ]
    assert_same_bits(*models)


def test_a_new_instance_serves_from_content_alone() -> None:
    nobody = Interactions(interactions([[0]], VIDEOS).matrix[:0])
    model = train(TrainingData(tagged(), nobody, None), RECIPE)
    assert model.items.size == model.U.size == 0
    assert (model.related_videos >= 0).any()
    assert model.related_coengagement.shape == (0, 10)


def test_a_member_without_users_learns_from_the_others() -> None:
    nobody = Interactions(interactions([[0]], VIDEOS).matrix[:0])
    model = train(TrainingData(plain(VIDEOS), nobody, summed(population(200, VIDEOS), np.arange(30))), RECIPE)
    assert model.items.tolist() == list(range(30))
    assert model.quality == {}
    assert (model.related_coengagement > 0).any()


def test_nothing_at_all_says_what_to_do() -> None:
    with pytest.raises(TooLittleDataError, match="wait for more viewers"):
        train(TrainingData(plain(5), interactions([[0, 1]], 5), None), RECIPE)


def test_progress_passes_through_every_phase() -> None:
    seen: list[tuple[str, float]] = []
    model = train(
        TrainingData(tagged(), population(120, VIDEOS), None),
        RECIPE,
        lambda phase, part: seen.append((phase, part)),
    )
    finished = [phase for phase, part in seen if part == 1.0]
    assert list(dict.fromkeys(finished)) == list(model.seconds)
    assert all(0.0 <= part <= 1.0 for _, part in seen)


def test_a_single_item_has_nothing_to_say() -> None:
    model = train(TrainingData(plain(3), interactions([[1]] * 6, 3), None), RECIPE)
    assert model.items.tolist() == [1]
    np.testing.assert_allclose(model.U @ model.V.T, [[0.0]], atol=1e-6)
    assert (model.related_videos == -1).all()


def test_hidden_pairs_never_make_training_fail() -> None:
    """With hardly any ridge, only the shift keeps a matrix with hidden pairs solvable."""
    recipe = dataclasses.replace(RECIPE, lambdas=(1e-6,), alphas=(0.0,), related_lambda=1e-6)
    model = train(TrainingData(plain(VIDEOS), population(60, VIDEOS), None), recipe)
    assert np.isfinite(model.U).all()
    assert np.isfinite(model.related_scores).all()


def test_a_noisy_sum_gives_the_same_bytes_twice_and_sensible_numbers() -> None:
    noise = SumNoise(8.0, 8.0)
    head = np.arange(40)
    others = with_noise(summed(population(200, VIDEOS, 2), head), noise)
    data = TrainingData(tagged(), population(60, VIDEOS, 1), others, noise)
    one, two = (train(data, dataclasses.replace(RECIPE, threads=2)) for _ in range(2))
    assert_same_bits(one, two)
    assert one.noise == noise
    assert (one.counts >= 0).all()
    together = one.related_users[one.related_coengagement > 0]
    assert together.size
    assert (together >= RECIPE.min_pair_users).all()
    assert (one.related_users <= one.counts[:, None]).all()


def test_a_variance_of_zero_changes_no_bit() -> None:
    others = summed(population(200, VIDEOS, 2), np.arange(40))
    own = population(60, VIDEOS, 1)
    assert_same_bits(
        train(TrainingData(tagged(), own, others), RECIPE),
        train(TrainingData(tagged(), own, others, SumNoise(0.0, 0.0)), RECIPE),
    )
