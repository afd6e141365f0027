from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import artefact
from models.labels import Labels
from models.ranking import ListRules
from models.serving import ServedModel
from tests.models.made import made_labels, made_model

VIDEOS = 60
MODEL = made_model(VIDEOS)
SERVED = artefact.in_memory(MODEL, made_labels(VIDEOS, nsfw=0.15))
ITEMS = set(MODEL.items.tolist())
HISTORIES = st.lists(st.integers(0, VIDEOS - 1), max_size=12)
EXCLUDED = st.sets(st.integers(0, VIDEOS - 1), max_size=30)


@settings(deadline=None)
@given(HISTORIES, st.integers(0, VIDEOS - 1))
def test_explanations_add_up_to_the_score(history: list[int], video: int) -> None:
    explained = SERVED.explain(history, video)
    assert math.fsum(part for _, part in explained.by_video) == pytest.approx(explained.score, abs=1e-12)
    assert [past for past, _ in explained.by_video] == list(dict.fromkeys(history))
    if explained.by_feature:
        assert math.fsum(part for _, part in explained.by_feature) == pytest.approx(
            explained.score, rel=1e-6, abs=1e-9
        )


@settings(deadline=None)
@given(HISTORIES)
def test_explanations_explain_the_scores_that_are_shown(history: list[int]) -> None:
    for suggestion in SERVED.recommend(history, nsfw=True):
        explained = SERVED.explain(history, suggestion.video)
        assert explained.score == pytest.approx(suggestion.score, rel=1e-6, abs=1e-9)


def test_item_scores_are_those_of_the_factorization() -> None:
    history = MODEL.items[:4].tolist()
    x = np.isin(MODEL.items, history).astype(np.float32)
    scores = x @ MODEL.U @ MODEL.V.T
    explained = SERVED.explain(history, int(MODEL.items[9]))
    assert explained.score == pytest.approx(float(scores[9]), abs=1e-5)
    assert explained.by_feature == ()


def test_best_items_come_first() -> None:
    plain = ServedModel(
        artefact.model_arrays(MODEL),
        made_labels(VIDEOS),
        SERVED.manifest,
        ListRules(channel_window=0, language_penalty=0, new_per_ten=0),
    )
    history = MODEL.items[:4].tolist()
    x = np.isin(MODEL.items, history).astype(np.float32)
    scores = np.where(x > 0, -np.inf, x @ MODEL.U @ MODEL.V.T)
    expected = MODEL.items[np.argsort(-scores)[:10]].tolist()
    assert [suggestion.video for suggestion in plain.recommend(history, limit=10)] == expected


@settings(deadline=None)
@given(st.integers(0, VIDEOS - 1), EXCLUDED, st.integers(1, 30), st.booleans())
def test_related_lists_leak_nothing(seed: int, excluded: set[int], limit: int, nsfw: bool) -> None:
    found = SERVED.related(seed, limit=limit, exclude=excluded, nsfw=nsfw)
    videos = [suggestion.video for suggestion in found]
    assert len(videos) == len(set(videos)) <= limit
    assert not {seed, *excluded} & set(videos)
    left = [v for v in ITEMS - {seed, *excluded} if nsfw or not SERVED.label(v).nsfw]
    assert len(videos) >= min(limit, len(left))
    for suggestion in found:
        assert not excluded & set(suggestion.reason.via)
        assert nsfw or not SERVED.label(suggestion.video).nsfw


@settings(deadline=None)
@given(HISTORIES, EXCLUDED, st.integers(1, 30), st.booleans())
def test_recommendations_leak_nothing_and_stay_full(
    history: list[int], excluded: set[int], limit: int, nsfw: bool
) -> None:
    found = SERVED.recommend(history, limit=limit, exclude=excluded, nsfw=nsfw)
    videos = [suggestion.video for suggestion in found]
    forbidden = {*history, *excluded}
    assert len(videos) == len(set(videos))
    assert not forbidden & set(videos)
    for suggestion in found:
        assert set(suggestion.reason.via) <= set(history) - excluded
    left = [v for v in ITEMS - forbidden if nsfw or not SERVED.label(v).nsfw]
    assert len(videos) >= min(limit, len(left))


def test_excluding_the_best_brings_up_the_next() -> None:
    first = SERVED.related(3, limit=5)
    second = SERVED.related(3, limit=5, exclude=[first[0].video])
    assert len(second) == 5
    assert first[0].video not in {suggestion.video for suggestion in second}


def test_reasons_for_related_videos() -> None:
    seed = int(MODEL.items[0])
    by_video = {suggestion.video: suggestion for suggestion in SERVED.related(seed, nsfw=True)}
    for place, video in enumerate(MODEL.related_videos[seed].tolist()):
        together = MODEL.related_coengagement[0, place]
        suggestion = by_video[video]
        if together > 0 and together >= MODEL.related_scores[seed, place] / 2:
            assert suggestion.reason.kind == "co-engagement"
            assert suggestion.reason.users == MODEL.related_users[0, place]
            assert suggestion.reason.via == (seed,)
        else:
            assert suggestion.reason.kind != "co-engagement"
        if suggestion.reason.kind == "tags":
            shared = set(SERVED.tags(seed)) & set(SERVED.tags(video))
            assert suggestion.reason.tags
            assert set(suggestion.reason.tags) <= shared


def test_reasons_for_a_viewer_name_the_videos_that_count_most() -> None:
    history = MODEL.items[:6].tolist()
    for suggestion in SERVED.recommend(history):
        if suggestion.reason.kind == "history":
            parts = dict(SERVED.explain(history, suggestion.video).by_video)
            assert suggestion.reason.via[0] == max(parts, key=lambda video: parts[video])
            assert all(parts[video] > 0 for video in suggestion.reason.via)
            assert len(suggestion.reason.via) <= 3


def test_new_videos_get_their_places_when_the_viewer_has_a_profile() -> None:
    history = [video for video in MODEL.items.tolist() if len(SERVED.tags(video)) > 3][:5]
    found = SERVED.recommend(history, limit=10)
    new = [place for place, suggestion in enumerate(found) if suggestion.video not in ITEMS]
    assert new == [2, 7]
    for place in new:
        reason = found[place].reason
        assert reason.kind == "new"
        assert set(reason.tags) <= set(SERVED.tags(found[place].video))


def test_a_viewer_without_history_gets_what_is_popular() -> None:
    found = SERVED.recommend([], limit=3, nsfw=True)
    assert {suggestion.reason.kind for suggestion in found} == {"popular"}
    top = MODEL.counts.max()
    assert top in {suggestion.reason.users for suggestion in found}


def test_a_viewer_who_saw_only_new_videos_is_served_by_tags() -> None:
    history = [video for video in range(VIDEOS) if video not in ITEMS and len(SERVED.tags(video)) > 3][:3]
    kinds = {suggestion.reason.kind for suggestion in SERVED.recommend(history, limit=10)}
    assert "tags" in kinds
    assert "history" not in kinds


def test_lists_keep_to_the_seed_channel_cap_and_language() -> None:
    model = dataclasses.replace(
        MODEL,
        channel=np.zeros(VIDEOS, np.int32),
        language=(np.arange(VIDEOS) % 2).astype(np.int32),
        related_videos=np.tile(np.arange(12, dtype=np.int32) + 40, (VIDEOS, 1)),
    )
    model.channel[44:] = np.arange(VIDEOS - 44) % 6 + 1
    rules = ListRules(new_per_ten_related=0, language_penalty=100)
    served = ServedModel(artefact.model_arrays(model), made_labels(VIDEOS), SERVED.manifest, rules)
    videos = [suggestion.video for suggestion in served.related(0, limit=6)]
    assert videos == [40, 42, 44, 46, 48, 50]
    plain = dataclasses.replace(rules, language_penalty=0)
    served = ServedModel(artefact.model_arrays(model), made_labels(VIDEOS), SERVED.manifest, plain)
    videos = [suggestion.video for suggestion in served.related(0, limit=6)]
    assert videos == [40, 41, 44, 45, 46, 42]


def test_lookup_by_uuid_and_url() -> None:
    label = SERVED.label(17)
    assert SERVED.index(label.uuid) == SERVED.index(label.url) == 17
    assert SERVED.index("https://elsewhere.example/w/1") is None


@pytest.mark.parametrize("video", [-1, VIDEOS])
def test_positions_outside_the_catalogue_are_our_bug(video: int) -> None:
    for call in (
        SERVED.related,
        SERVED.label,
        lambda v: SERVED.recommend([v]),
        lambda v: SERVED.explain([], v),
    ):
        with pytest.raises(IndexError):
            call(video)


def test_equal_tags_beat_different_ones_for_new_videos() -> None:
    """Two items with tag 0, one with tag 1; new videos carry one tag each."""
    model = dataclasses.replace(
        made_model(5, 3, tags=2, related=2),
        items=np.array([0, 1, 2], np.int32),
        tag_offsets=np.arange(6, dtype=np.int32),
        tag_ids=np.array([0, 0, 1, 1, 0], np.int32),
        tag_weights=np.ones(5, np.float32),
        channel=np.full(5, -1, np.int32),
        category=np.full(5, -1, np.int32),
        language=np.full(5, -1, np.int32),
        published=np.full(5, np.nan),
    )
    labels = Labels.pack(uuid=list("abcde"), url=[""] * 5, title=[""] * 5)
    served = artefact.in_memory(model, labels)
    # Ridge with a diagonal Gram matrix: two known videos carry tag 0, so it scores 1 / (2 + 10).
    assert served.explain([0], 4).score == pytest.approx(1 / 12)
    ((feature, part),) = served.explain([0], 4).by_feature
    assert feature == ("tag", "tag0")
    assert part == pytest.approx(1 / 12)
    assert served.explain([0], 3).score == 0
    assert [suggestion.video for suggestion in served.recommend([0]) if suggestion.reason.kind == "new"] == [
        4
    ]


def test_a_model_that_nobody_engaged_enough_for_still_answers() -> None:
    """On a small instance no video may have enough viewers: then there are no items at all."""
    served = artefact.in_memory(made_model(20, 0), made_labels(20))
    histories: list[list[int]] = [[], [3], [3, 4, 5]]
    for history in histories:
        for found in (served.recommend(history), served.mixed(1, history)):
            assert not {*history} & {item.video for item in found}
    assert served.related(1)
    assert served.recommend([3])
