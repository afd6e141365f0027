"""What may be in a list: exclusions, owners' scopes, NSFW and the caller's wishes, in every kind of list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import artefact
from models.labels import Labels
from models.serving import ServedModel
from models.visibility import SAME_ACCOUNT, SAME_CHANNEL, SAME_PLATFORM
from tests.models.made import made_labels, made_model

VIDEOS = 60
MODEL = made_model(VIDEOS)
RNG = np.random.default_rng(5)
HOSTS = RNG.integers(0, 3, VIDEOS).astype(np.int32)
ACCOUNTS = RNG.integers(-1, 4, VIDEOS).astype(np.int32)
SCOPES = RNG.integers(1, 5, VIDEOS).astype(np.uint8)
HISTORIES = st.lists(st.integers(0, VIDEOS - 1), max_size=8)
SEEDS = st.integers(0, VIDEOS - 1)


def served(*, scopes: bool = True) -> ServedModel:
    plain = made_labels(VIDEOS, nsfw=0.2)
    labels = Labels.pack(
        uuid=[plain.uuid[n] for n in range(VIDEOS)],
        url=[plain.url[n] for n in range(VIDEOS)],
        title=[plain.title[n] for n in range(VIDEOS)],
        nsfw=plain.nsfw > 0,
        channels=[plain.channels[n] for n in range(7)],
        categories=[plain.categories[n] for n in range(4)],
        languages=["de", "en", "fr"],
        host=HOSTS,
        account=ACCOUNTS,
        scope=SCOPES if scopes else None,
        hosts=["a.example", "b.example", "c.example"],
    )
    return artefact.in_memory(MODEL, labels)


SERVED = served()


@settings(deadline=None)
@given(SEEDS, HISTORIES, st.booleans())
def test_beside_a_video_comes_only_what_its_owner_wants(seed: int, history: list[int], nsfw: bool) -> None:
    wanted = {
        SAME_PLATFORM: HOSTS[seed] == HOSTS,
        SAME_ACCOUNT: ACCOUNTS[seed] == ACCOUNTS
        if ACCOUNTS[seed] >= 0
        else MODEL.channel == MODEL.channel[seed],
        SAME_CHANNEL: MODEL.channel == MODEL.channel[seed],
    }.get(int(SCOPES[seed]), np.ones(VIDEOS, np.bool_))
    if MODEL.channel[seed] < 0 and (SCOPES[seed] == 4 or (SCOPES[seed] == 3 and ACCOUNTS[seed] < 0)):
        wanted = np.zeros(VIDEOS, np.bool_)
    lists = [
        SERVED.related(seed, nsfw=nsfw, limit=60),
        SERVED.mixed(seed, history, nsfw=nsfw, limit=60),
        SERVED.recommend(history, nsfw=nsfw, limit=60, beside=seed),
    ]
    sensitive = nsfw and bool(SERVED.labels.nsfw[seed])
    for found in lists:
        assert all(wanted[item.video] for item in found)
        assert sensitive or not any(SERVED.labels.nsfw[item.video] for item in found)
    if SCOPES[seed] > 1:
        # A narrow choice is used up: there is no other reason to leave anything out.
        allowed = wanted & (sensitive | (SERVED.labels.nsfw == 0))
        allowed[seed] = False
        assert {item.video for item in lists[0]} == set(np.flatnonzero(allowed).tolist())


@settings(deadline=None)
@given(
    SEEDS,
    HISTORIES,
    st.sets(st.integers(0, 6), max_size=3),
    st.sets(st.sampled_from(["a.example", "b.example", "z.example"])),
    st.sets(SEEDS, max_size=20),
)
def test_what_is_excluded_is_in_no_list_and_in_no_reason(
    seed: int, history: list[int], channels: set[int], hosts: set[str], videos: set[int]
) -> None:
    model = served(scopes=False)
    names = [f"channel {number}" for number in channels]
    urls = [model.labels.url[video] for video in videos]
    count = model.visibility.exclude(channels=names, hosts=hosts, videos=[*urls, "unknown"])
    out = {
        video
        for video in range(VIDEOS)
        if video in videos
        or int(MODEL.channel[video]) in channels
        or ["a.example", "b.example", "c.example"][HOSTS[video]] in hosts
    }
    assert count == len(out)
    for found in (
        model.related(seed, nsfw=True),
        model.recommend(history, nsfw=True),
        model.mixed(seed, history, nsfw=True),
    ):
        assert not out & {item.video for item in found}
        assert not (out - {seed}) & {video for item in found for video in item.reason.via}
    model.visibility.exclude()
    assert model.visibility.shown.all()


@settings(deadline=None)
@given(SEEDS, HISTORIES, st.sets(SEEDS, max_size=20))
def test_a_mix_holds_neither_the_seed_nor_the_history_nor_what_the_caller_excludes(
    seed: int, history: list[int], exclude: set[int]
) -> None:
    model = served(scopes=False)
    found = [item.video for item in model.mixed(seed, history, exclude=exclude, nsfw=True)]
    assert len(set(found)) == len(found)
    assert not {seed, *history, *exclude} & set(found)
    if not history:
        assert model.mixed(seed, [], exclude=exclude) == model.related(seed, exclude=exclude)


@settings(deadline=None)
@given(SEEDS, HISTORIES, st.booleans(), st.booleans())
def test_nothing_sensitive_is_beside_a_safe_video_unless_the_admin_and_the_viewer_allow_it(
    seed: int, history: list[int], nsfw: bool, beside_safe: bool
) -> None:
    model = served(scopes=False)
    model.visibility.sensitive_beside_safe = beside_safe
    lists = [
        model.related(seed, nsfw=nsfw, limit=VIDEOS),
        model.mixed(seed, history, nsfw=nsfw, limit=VIDEOS),
        model.recommend(history, nsfw=nsfw, limit=VIDEOS, beside=seed),
    ]
    if not nsfw or (model.labels.nsfw[seed] == 0 and not beside_safe):
        assert not any(model.labels.nsfw[item.video] for found in lists for item in found)
    # Beside nothing in particular, the viewer's own wish counts.
    own = model.recommend(history, nsfw=nsfw, limit=VIDEOS)
    assert any(model.labels.nsfw[item.video] for item in own) == nsfw


def test_where_it_is_allowed_sensitive_videos_do_come_beside_safe_and_sensitive_ones() -> None:
    model = served(scopes=False)

    def sensitive(seed: int) -> bool:
        found = model.related(seed, nsfw=True, limit=VIDEOS)
        return any(model.labels.nsfw[item.video] for item in found)

    safe, other = (int(np.flatnonzero(model.labels.nsfw == flag)[0]) for flag in (0, 1))
    assert not sensitive(safe)
    assert sensitive(other)
    model.visibility.sensitive_beside_safe = True
    assert sensitive(safe)


def test_the_wanted_language_comes_first() -> None:
    model = served(scopes=False)
    seed = int(np.flatnonzero(MODEL.language == 0)[0])
    for language in (1, 2):
        found = [
            MODEL.language[item.video] for item in model.related(seed, language=language, nsfw=True, limit=9)
        ]
        usual = [MODEL.language[item.video] for item in model.related(seed, nsfw=True, limit=9)]
        assert found.count(language) > usual.count(language)


def test_labels_refuse_columns_of_another_length() -> None:
    for name in ("host", "account", "scope"):
        columns = {name: np.zeros(3, np.uint8 if name == "scope" else np.int32)}
        with pytest.raises(ValueError, match="one entry per video"):
            Labels.pack(uuid=["a"], url=["b"], title=["c"], **columns)  # type: ignore[arg-type]
