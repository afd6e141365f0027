from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import artefact, related
from models.content import Content, ProfileWeights
from models.feature_vectors import feature_vectors
from models.features import Features
from models.item_scores import FORMS, Form
from models.labels import Labels
from models.ranking import RESERVED, ListRules, history_weight, reserved_places
from models.related_order import (
    DISCOVERY,
    POPULARITY_WEIGHTS,
    ContentLists,
    Discovery,
    ItemLists,
    related_to,
)
from models.serving import ServedModel, Suggestion
from models.trained import TrainedModel
from models.words import words
from tests.models import made
from tests.models.made import made_labels, made_model
from tests.models.worlds import features

VIDEOS = 60
MODEL = made_model(VIDEOS)
SERVED = artefact.in_memory(MODEL, made_labels(VIDEOS, nsfw=0.15))
SAFE = artefact.in_memory(MODEL, made_labels(VIDEOS))
UNSEEN = dataclasses.replace(MODEL, popular=MODEL.popular[: len(MODEL.items)])
"""The model without public views: what is no item, nobody is known to have seen."""
PLAIN = ListRules(window=0, language_penalty=0, reserve=False)
ITEMS = set(MODEL.items.tolist())
HISTORIES = st.lists(st.integers(0, VIDEOS - 1), max_size=12)
EXCLUDED = st.sets(st.integers(0, VIDEOS - 1), max_size=30)
EACH_DISCOVERY = pytest.mark.parametrize("discovery", DISCOVERY)


def arranged(model: TrainedModel, rules: ListRules, labels: Labels | None = None) -> ServedModel:
    served = artefact.in_memory(model, labels or made_labels(VIDEOS))
    served.rules = rules
    return served


def described(model: TrainedModel, known: Features) -> TrainedModel:
    """The model with other features, of which items say nothing more than they have."""
    vectors = feature_vectors(known)
    rows = vectors.rows
    return dataclasses.replace(
        model,
        content=Content(
            rows.indptr.astype(np.int32), rows.indices.astype(np.int32), rows.data, vectors.starts
        ),
        content_lists=related.content_lists(rows, known.published, known.channel, length=2),
        tag_names=known.tag_names,
        word_hashes=vectors.word_hashes,
        profiles=ProfileWeights(
            np.zeros(len(model.items) + 1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
        ),
        channel=known.channel,
        category=known.category,
        language=known.language,
        published=known.published,
    )


@settings(deadline=None)
@given(HISTORIES, st.integers(0, VIDEOS - 1))
def test_explanations_add_up_to_the_score(history: list[int], video: int) -> None:
    explained = SERVED.explain(history, video)
    by_video = [part for _, part in explained.by_video]
    assert math.fsum([*by_video, explained.popularity]) == pytest.approx(explained.score, abs=1e-12)
    assert [past for past, _ in explained.by_video] == list(dict.fromkeys(history))
    if explained.by_feature:
        assert math.fsum(part for _, part in explained.by_feature) == pytest.approx(
            explained.score, rel=1e-6, abs=1e-9
        )
        assert explained.popularity == 0


@settings(deadline=None)
@given(HISTORIES, st.integers(0, VIDEOS - 1))
def test_an_explanation_names_features_that_the_video_has(history: list[int], video: int) -> None:
    label, explained = SERVED.label(video), SERVED.explain(history, video)
    has = {
        "tag": set(SERVED.tags(video)),
        "word": set(words(label.title)),
        "channel": {label.channel},
        "category": {label.category},
        "language": {label.language},
    }
    for (kind, name), part in explained.by_feature:
        assert name in has[kind]
        assert part != 0


@pytest.mark.parametrize("form", FORMS)
def test_item_scores_are_those_of_the_form_that_is_served(form: Form) -> None:
    model = made_model(VIDEOS, form=form)
    served = arranged(model, PLAIN)
    history = model.items[:4].tolist()
    scores = model.scoring.scores(np.arange(4))
    # The best score, weighed by how popular each video is, and by how little is known of the viewer.
    weight = model.own_popularity + float(history_weight(np.array(4)))
    popular = weight * float(scores[4:].max()) * model.popularity[model.items]
    for row, video in enumerate(model.items.tolist()):
        explained = served.explain(history, video)
        assert explained.score - explained.popularity == pytest.approx(float(scores[row]), abs=1e-5)
        assert explained.popularity == pytest.approx(float(popular[row]), abs=1e-5)
        assert explained.by_feature == ()
    scores += popular
    scores[:4] = -np.inf
    expected = model.items[np.argsort(-scores, kind="stable")[:10]].tolist()
    assert [suggestion.video for suggestion in served.recommend(history, limit=10)] == expected


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(ITEMS)), min_size=1, max_size=8, unique=True))
def test_lists_are_ordered_by_the_scores_that_are_explained(history: list[int]) -> None:
    found = arranged(MODEL, PLAIN).recommend(history)
    scores = [SERVED.explain(history, one.video).score for one in found if one.video in ITEMS]
    assert scores == sorted(scores, reverse=True)


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


@EACH_DISCOVERY
def test_reasons_for_related_videos(discovery: Discovery) -> None:
    kinds = set()
    for row, seed in enumerate(MODEL.items.tolist()):
        listed = related_to(
            MODEL.related,
            MODEL.content_lists,
            row,
            seed,
            MODEL.popularity,
            content_weight=MODEL.content_weight,
            near_content=MODEL.near_content,
            popularity_weight=POPULARITY_WEIGHTS[discovery],
        )
        found = {one.video: one.reason for one in SERVED.related(seed, nsfw=True, discovery=discovery)}
        parts = zip(
            *(listed.videos, listed.together, listed.content, listed.popularity, listed.users), strict=True
        )
        for video, together, alike, known, users in parts:
            reason = found.get(int(video))
            if reason is None or reason.kind == "popular":
                continue
            kinds.add(reason.kind)
            assert reason.via == (seed,)
            if together > 0 and together >= alike:
                assert (reason.kind, reason.users) == ("co-engagement", int(users) or None)
                assert reason.share == pytest.approx(together / (together + alike + known))
            else:
                assert reason.kind not in ("co-engagement", "history")
                assert reason.users is None
    assert {"co-engagement", "tags", "words", "channel"} <= kinds


def test_a_reason_names_tags_and_words_that_both_videos_have() -> None:
    named: set[str] = set()
    for seed in range(VIDEOS):
        for one in SERVED.related(seed, nsfw=True):
            reason = one.reason
            tags = set(SERVED.tags(seed)) & set(SERVED.tags(one.video))
            both = set(words(SERVED.label(seed).title)) & set(words(SERVED.label(one.video).title))
            assert set(reason.tags) <= tags
            assert set(reason.words) <= both
            assert reason.tags or reason.kind != "tags"
            assert reason.words or reason.kind != "words"
            assert len(reason.tags) <= 3
            assert len(reason.words) <= 3
            assert not reason.tags or reason.kind in ("tags", "new")
            assert not reason.words or reason.kind in ("words", "new")
            named |= set(reason.words)
    assert any(word.startswith("subject") for word in named)


def test_words_that_tell_nothing_are_named_only_where_nothing_else_is_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def titles(videos: int) -> list[str]:
        return [f"In a storm {number}" if number % 2 else f"In a {number}" for number in range(videos)]

    monkeypatch.setattr(made, "made_titles", titles)
    served = artefact.in_memory(made_model(VIDEOS), made_labels(VIDEOS))
    named = [
        (seed % 2 and one.video % 2, one.reason.words)
        for seed in range(VIDEOS)
        for one in served.related(seed, nsfw=True)
        if one.reason.words
    ]
    assert {words for both_storm, words in named if both_storm} == {("storm",)}
    assert all(set(words) <= {"in", "a"} for both_storm, words in named if not both_storm)


def test_words_are_named_as_they_are_written_today_or_not_at_all() -> None:
    """Titles change after training; a hash alone says no word."""
    labels = made_labels(VIDEOS)
    titles = [f"Neu {number}" for number in range(VIDEOS)]
    changed = artefact.in_memory(MODEL, dataclasses.replace(labels, title=type(labels.title).pack(titles)))
    reasons = [one.reason for seed in range(VIDEOS) for one in changed.related(seed)]
    assert any(reason.kind == "words" for reason in reasons)
    assert not any(reason.words for reason in reasons)


@settings(deadline=None)
@given(HISTORIES, st.integers(0, VIDEOS - 1), st.sampled_from(DISCOVERY))
def test_shares_are_shares(history: list[int], seed: int, discovery: Discovery) -> None:
    for found in (
        SERVED.related(seed, discovery=discovery),
        SERVED.recommend(history, discovery=discovery),
        SERVED.mixed(seed, history, discovery=discovery),
    ):
        assert all(0 <= one.reason.share <= 1 for one in found)


def test_reasons_for_a_viewer_name_the_videos_that_count_most() -> None:
    history = MODEL.items[:6].tolist()
    for suggestion in SERVED.recommend(history):
        if suggestion.reason.kind == "history":
            explained = SERVED.explain(history, suggestion.video)
            parts = dict(explained.by_video)
            assert suggestion.reason.via[0] == max(parts, key=lambda video: parts[video])
            assert all(parts[video] > 0 for video in suggestion.reason.via)
            assert len(suggestion.reason.via) <= 3
            speaking = sum(part for part in parts.values() if part > 0)
            named = sum(parts[video] for video in suggestion.reason.via)
            whole = speaking + max(explained.popularity, 0.0)
            assert suggestion.reason.share == pytest.approx(named / whole)
            assert speaking >= explained.popularity


@EACH_DISCOVERY
def test_new_videos_get_their_places_when_the_viewer_has_a_profile(discovery: Discovery) -> None:
    free = ListRules(window=0, language_penalty=0)
    history = [video for video in MODEL.items.tolist() if len(SERVED.tags(video)) > 3][:5]
    found = arranged(UNSEEN, free).recommend(history, limit=10, discovery=discovery)
    unknown = [place for place, suggestion in enumerate(found) if suggestion.video not in ITEMS]
    assert unknown == reserved_places(10, RESERVED[discovery][1])
    for place in unknown:
        reason = found[place].reason
        assert reason.kind == "new"
        assert reason.tags or reason.words
        assert set(reason.tags) <= set(SERVED.tags(found[place].video))
        assert set(reason.words) <= set(words(SERVED.label(found[place].video).title))


@EACH_DISCOVERY
def test_beside_a_video_what_is_there_for_being_new_says_so(discovery: Discovery) -> None:
    """Candidates are items alone here: what nobody has seen came through a reserved place."""
    order = np.argsort(~np.isin(MODEL.related.videos, MODEL.items), axis=1, kind="stable")
    parts = {
        part: np.take_along_axis(getattr(MODEL.related, part), order, axis=1) for part in artefact.RELATED
    }
    parts["videos"][~np.isin(parts["videos"], MODEL.items)] = -1
    rules = ListRules(window=0, language_penalty=0, discovery=discovery)
    served = arranged(dataclasses.replace(UNSEEN, related=ItemLists(**parts)), rules)
    for seed in MODEL.items.tolist():
        found = served.related(seed, limit=10)
        for place in reserved_places(10, RESERVED[discovery][0]):
            assert found[place].video not in ITEMS
            assert found[place].reason.kind == "new"
            assert found[place].reason.tags or found[place].reason.words
            assert found[place].reason.via == (seed,)
        if discovery == "familiar":
            known = [one.video in ITEMS for one in found]
            assert known == sorted(known, reverse=True)


@pytest.mark.parametrize("discovery", ["balanced", "explore"])
def test_beside_a_video_the_reserved_places_say_that_they_are_new(discovery: Discovery) -> None:
    """Nobody is known to have seen what lies there, whatever it has in common with the seed."""
    served = arranged(UNSEEN, ListRules(window=0, language_penalty=0, discovery=discovery))
    found = [served.related(seed, limit=10) for seed in MODEL.items.tolist()]
    at = reserved_places(10, RESERVED[discovery][0])
    assert {suggestions[place].reason.kind for suggestions in found for place in at} == {"new"}


def test_without_reserved_places_new_videos_come_by_their_score_alone() -> None:
    served = arranged(MODEL, PLAIN)
    history = MODEL.items[:5].tolist()
    for discovery in DISCOVERY:
        found = [one.video in ITEMS for one in served.recommend(history, limit=30, discovery=discovery)]
        assert found[: len(ITEMS) - 5] == [True] * (len(ITEMS) - 5)


def test_who_has_not_chosen_gets_what_the_rules_say() -> None:
    history = MODEL.items[:5].tolist()
    for discovery in DISCOVERY:
        served = arranged(MODEL, ListRules(discovery=discovery))
        for video in (*MODEL.items[:3].tolist(), 2):
            assert served.related(video) == SAFE.related(video, discovery=discovery)
            assert served.mixed(video, history) == SAFE.mixed(video, history, discovery=discovery)
        assert served.recommend(history) == SAFE.recommend(history, discovery=discovery)
    lists = [SAFE.related(int(MODEL.items[0]), discovery=discovery) for discovery in DISCOVERY]
    assert lists[0] != lists[2]


def test_who_explores_gets_less_popular_videos() -> None:
    served = arranged(MODEL, PLAIN)

    def mean(discovery: Discovery) -> float:
        lists = [
            served.recommend(MODEL.items[[row, row - 3]].tolist(), limit=8, discovery=discovery)
            for row in range(len(MODEL.items))
        ]
        return float(np.mean([MODEL.popularity[one.video] for found in lists for one in found]))

    means = [mean(discovery) for discovery in DISCOVERY]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[2]


@EACH_DISCOVERY
def test_a_history_that_fits_no_item_is_served_whatever_the_viewer_chose(discovery: Discovery) -> None:
    """The last video has a tag of its own, so that all scores of items are nothing."""
    known = features([[0], [0], [0], [1], [1]])
    model = described(made_model(5, 3, tags=2, related=2), known)
    model = dataclasses.replace(
        model,
        items=numbers(0, 1, 2),
        popular=numbers(2, 0, 1),
        popularity=np.array([0.5, 0.25, 1, 0, 0], np.float32),
        own_popularity=1.0,
    )
    served = arranged(model, PLAIN, unnamed(5))
    assert listed(served.recommend([4], discovery=discovery)) == [
        (2, "popular"),
        (0, "popular"),
        (1, "popular"),
        (3, "new"),
    ]


def test_a_viewer_without_history_gets_what_is_popular() -> None:
    found = SERVED.recommend([], limit=3, nsfw=True)
    assert {suggestion.reason.kind for suggestion in found} == {"popular"}
    place = int(np.argmax(MODEL.counts))
    top = next(suggestion for suggestion in found if suggestion.video == MODEL.items[place])
    assert top.reason.users == MODEL.audience[place] < MODEL.counts[place]


def test_viewers_are_told_of_only_where_the_noise_allows() -> None:
    audience = np.where(np.arange(len(MODEL.items)) % 2, 10, 0).astype(np.int32)
    served = artefact.in_memory(dataclasses.replace(MODEL, audience=audience), made_labels(VIDEOS))
    found = {one.video: one.reason.users for one in served.recommend([], limit=VIDEOS)}
    told = dict(zip(MODEL.items.tolist(), audience.tolist(), strict=True))
    assert set(found) >= ITEMS
    assert all(found[video] == (told[video] or None) for video in ITEMS)
    assert {found[video] for video in ITEMS} == {10, None}


def test_pairs_are_told_of_only_where_the_noise_allows() -> None:
    untold = dataclasses.replace(MODEL.related, users=np.zeros_like(MODEL.related.users))
    served = artefact.in_memory(dataclasses.replace(MODEL, related=untold), made_labels(VIDEOS))
    reasons = [one.reason for video in ITEMS for one in served.related(video)]
    together = [reason for reason in reasons if reason.kind == "co-engagement"]
    assert together
    assert {reason.users for reason in together} == {None}


def test_what_has_public_views_alone_is_popular_without_a_number() -> None:
    viewed = [video for video in MODEL.popular.tolist() if video not in ITEMS]
    found = {one.video: one.reason for one in SERVED.recommend([], limit=VIDEOS, nsfw=True)}
    assert viewed
    for video in viewed:
        assert (found[video].kind, found[video].users) == ("popular", None)
    assert [video for video in found if video not in ITEMS] == viewed


def test_what_fits_is_new_only_where_nobody_is_known_to_have_seen_it() -> None:
    history = [video for video in MODEL.items.tolist() if len(SERVED.tags(video)) > 3][:5]
    popular = dataclasses.replace(MODEL, popular=np.concatenate((MODEL.popular, _rest())).astype(np.int32))
    for model, new in ((MODEL, True), (popular, False)):
        found = arranged(model, PLAIN).recommend(history, limit=VIDEOS)
        fresh = [one.reason.kind for one in found if one.video in set(_rest().tolist())]
        assert fresh
        assert all((kind == "new") == new for kind in fresh)


def _rest() -> NDArray[np.int64]:
    """Videos with neither viewers nor public views."""
    return np.setdiff1d(np.arange(VIDEOS), MODEL.popular)


def test_a_viewer_who_saw_only_new_videos_is_served_by_features() -> None:
    history = [video for video in range(VIDEOS) if video not in ITEMS and len(SERVED.tags(video)) > 3][:3]
    kinds = {suggestion.reason.kind for suggestion in SERVED.recommend(history, limit=10)}
    assert {"tags", "words"} & kinds
    assert "history" not in kinds


def test_lists_keep_to_the_seed_channel_cap_and_language() -> None:
    """Without items, so that popularity has no say."""
    channel = np.zeros(VIDEOS, np.int32)
    channel[44:] = np.arange(VIDEOS - 44) % 6 + 1
    lists = ContentLists(
        np.tile(np.arange(40, 52, dtype=np.int32), (VIDEOS, 1)),
        np.tile(np.linspace(1, 0.5, 12, dtype=np.float32), (VIDEOS, 1)),
    )
    model = dataclasses.replace(
        made_model(VIDEOS, 0),
        channel=channel,
        language=(np.arange(VIDEOS) % 2).astype(np.int32),
        content_lists=lists,
    )
    rules = ListRules(reserve=False, language_penalty=100)
    videos = [suggestion.video for suggestion in arranged(model, rules).related(0, limit=6)]
    assert videos == [40, 42, 44, 46, 48, 50]
    plain = dataclasses.replace(rules, language_penalty=0)
    videos = [suggestion.video for suggestion in arranged(model, plain).related(0, limit=6)]
    assert videos == [40, 41, 44, 45, 46, 42]


def test_no_instance_has_more_than_two_of_the_first_five_while_others_have_something() -> None:
    host = (np.arange(VIDEOS) % 3 == 0).astype(np.int32)
    labels = dataclasses.replace(SAFE.labels, host=host, hosts=SAFE.labels.languages)
    served = artefact.in_memory(MODEL, labels)
    for seed in MODEL.items.tolist():
        found = [host[one.video] for one in served.related(seed, limit=VIDEOS)][:5]
        # Both instances are at their cap after four, so that the fifth place is for either.
        assert sorted(np.bincount(found, minlength=2).tolist()) == [2, 3]


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


def numbers(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def unnamed(size: int) -> Labels:
    """Labels without titles."""
    return Labels.pack(
        uuid=[f"v{number}" for number in range(size)],
        url=[""] * size,
        title=[""] * size,
        channels=[f"channel {number}" for number in range(7)],
    )


def test_equal_tags_beat_different_ones_for_new_videos() -> None:
    """Two items with tag 0, one with tag 1; new videos carry one tag each."""
    model = dataclasses.replace(
        made_model(5, 3, tags=2, related=2), items=numbers(0, 1, 2), popular=numbers(0, 1, 2)
    )
    served = arranged(described(model, features([[0], [0], [1], [1], [0]])), ListRules(), unnamed(5))
    # Ridge with a diagonal Gram matrix: two known videos carry tag 0, so it scores 1 / (2 + 10).
    assert served.explain([0], 4).score == pytest.approx(1 / 12)
    ((feature, part),) = served.explain([0], 4).by_feature
    assert feature == ("tag", "tag0")
    assert part == pytest.approx(1 / 12)
    assert served.explain([0], 3).score == 0
    new = [suggestion.video for suggestion in served.recommend([0]) if suggestion.reason.kind == "new"]
    assert new == [4]


def unwatched(views: list[int]) -> ServedModel:
    """Five videos, no items: 0 and 1 share a tag, 2 and 3 a channel; `views` are popular, in order."""
    known = features([[0], [0], [], [], []], channel=[-1, -1, 4, 4, -1])
    popularity = np.zeros(5, np.float32)
    popularity[views] = 0.5 * 0.5 ** np.arange(len(views))
    model = dataclasses.replace(
        described(made_model(5, 0, tags=2, related=2), known),
        popular=numbers(*views),
        popularity=popularity,
    )
    return artefact.in_memory(model, unnamed(5))


def listed(found: list[Suggestion]) -> list[tuple[int, str]]:
    return [(one.video, one.reason.kind) for one in found]


def test_a_small_instance_serves_from_content_and_public_views() -> None:
    """Where no video has enough viewers there are no items at all."""
    served = unwatched([4, 3, 1])
    assert listed(served.recommend([])) == [(4, "popular"), (3, "popular"), (1, "popular")]
    assert listed(served.recommend([0])) == [(1, "tags"), (4, "popular"), (3, "popular")]
    assert listed(served.recommend([2], limit=2)) == [(3, "channel"), (4, "popular")]
    assert listed(served.related(0)) == [(1, "tags"), (4, "popular"), (3, "popular")]
    assert listed(served.related(2)) == [(3, "channel"), (4, "popular"), (1, "popular")]
    assert listed(served.related(4)) == [(3, "popular"), (1, "popular")]
    assert all(one.reason.users is None for one in served.recommend([]))
    assert listed(served.mixed(4, [0])) == [(3, "popular"), (1, "tags")]


def test_without_items_and_views_content_is_all_there_is() -> None:
    served = unwatched([])
    assert served.recommend([]) == []
    assert listed(served.recommend([0])) == [(1, "new")]
    assert listed(served.related(0)) == [(1, "tags")]
    assert served.related(4) == []


def test_items_that_do_not_fit_come_after_those_that_do_by_viewers() -> None:
    """The history is no item and shares its tag with item 2 alone; item 1 has the most viewers."""
    model = described(made_model(4, 3, tags=1, related=2), features([[], [], [0], [0]]))
    by_viewers = np.array([0.2, 0.4, 0.1, 0.0], np.float32)
    model = dataclasses.replace(
        model, items=numbers(0, 1, 2), popular=numbers(1, 0, 2), popularity=by_viewers
    )
    served = artefact.in_memory(model, unnamed(4))
    assert listed(served.recommend([3])) == [(2, "tags"), (1, "popular"), (0, "popular")]


def test_what_only_a_word_connects_is_said_to_share_it() -> None:
    titles = ["Пчёлы зимой", "Пчёлы летом", "Honey", "Wax"]
    model = described(made_model(4, 0, tags=1, related=2), features([[]] * 4, titles=titles))
    labels = Labels.pack(uuid=list("abcd"), url=[""] * 4, title=titles)
    served = artefact.in_memory(dataclasses.replace(model, popular=numbers(1)), labels)
    (one,) = served.related(0)
    assert (one.video, one.reason.kind, one.reason.words) == (1, "words", ("пчёлы",))
    assert one.reason.share == 1.0
    (own,) = served.recommend([0])
    assert (own.video, own.reason.kind, own.reason.words) == (1, "words", ("пчёлы",))


def test_a_model_that_nobody_engaged_enough_for_still_answers() -> None:
    """On a small instance no video may have enough viewers: then there are no items at all."""
    served = artefact.in_memory(made_model(20, 0), made_labels(20))
    histories: list[list[int]] = [[], [3], [3, 4, 5]]
    for history in histories:
        for found in (served.recommend(history), served.mixed(1, history)):
            assert not {*history} & {item.video for item in found}
    assert served.related(1)
    assert served.recommend([3])
