"""From the store to the models: sums find their videos again, strangers' sums are not used."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.maintenance.sync import run as sync
from daemon.maintenance.training import run as train
from daemon.process.job_context import JobContext
from daemon.store import activity, engagement_arrays, model_records, sums
from daemon.store.content_arrays import Catalogue
from daemon.store.engagement_arrays import interactions
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.model_inputs import features, placed
from daemon.store.sums import StoredSum, SumPrivacy
from models import vector_file
from models.counting import counts, pair_counts, weighted_counts
from models.statistics import head as head_of
from models.statistics import to_matrix
from models.weights import UNIT
from models.words import title_words
from tests.daemon.running_daemon import instance
from tests.daemon.small_dataset import write_set
from tests.daemon.stored_sums import EXACT_SUM

KEY = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def catalogue(urls: list[str]) -> Catalogue:
    size = len(urls)
    nothing = np.full(size, -1, np.int32)
    return Catalogue(
        urls=tuple(urls),
        uuids=tuple(urls),
        titles=tuple(urls),
        hosts=tuple(urls),
        channel=nothing,
        channel_names=(),
        category=nothing,
        category_names=(),
        language=nothing,
        language_names=(),
        published=np.full(size, np.nan),
        nsfw=np.zeros(size, np.bool_),
        views=np.zeros(size, np.int64),
        likes=np.zeros(size, np.int64),
        account=nothing,
        scope=np.ones(size, np.uint8),
        tag_offsets=np.zeros(size + 1, np.int64),
        tag_ids=np.zeros(0, np.int32),
        tag_names=(),
        ids=np.arange(size),
    )


@given(st.lists(st.integers(0, 30), unique=True, max_size=12).map(sorted), st.sets(st.integers(0, 30)))
def test_a_stored_sum_keeps_its_meaning_in_another_catalogue(head: list[int], known: set[int]) -> None:
    size = len(head)
    diagonal = np.array([100 + video for video in head], np.int64)
    pairs = [
        min(head[i], head[j]) * 31 + max(head[i], head[j]) for i in range(size) for j in range(i + 1, size)
    ]
    urls = tuple(f"https://v.example/{video:02}" for video in head)
    stored = StoredSum("s", 0.0, urls, diagonal, np.array(pairs, np.int64), (), EXACT_SUM)
    now = catalogue([f"https://v.example/{video:02}" for video in sorted(known)])
    found = placed(stored.urls, stored.counts, stored.triangle, now.urls)
    videos = [int(now.urls[position][-2:]) for position in found.head]
    assert videos == sorted(set(head) & known)
    matrix = to_matrix(found.counts, found.triangle)
    for i, one in enumerate(videos):
        assert found.counts[i] == 100 + one
        for j, other in enumerate(videos):
            if i != j:
                assert UNIT * matrix[i, j] == min(one, other) * 31 + max(one, other)


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    from daemon.config import load

    write_set(tmp_path / "dataset", seed=1)
    config = instance(tmp_path, extra='mode = "consume"')
    peer = f'[[peers]]\nhost = "two.example"\nurl = "https://two.example"\nkey = "{KEY}"\n'
    config.write_text(config.read_text() + peer)
    migrate(tmp_path / "shoal.db")
    context = JobContext(load(config, {}), open_checked(tmp_path / "shoal.db"), lambda *_: None, lambda: 1e9)
    sync(context)
    return context


def add_sum(context: JobContext, *survivors: str, privacy: SumPrivacy = EXACT_SUM) -> None:
    stored, engagements = engagement_arrays.read(context.engine)
    own = interactions(engagements, len(stored), limit=None)
    head = head_of(counts(own), min_users=5, max_head=99)
    record = activity.RoundRecord("round", "aggregator", "one.example", 1.0, survivors=list(survivors))
    activity.save_round(context.engine, record)
    sums.save(
        context.engine,
        context.config.sums_dir,
        round_id="round",
        urls=tuple(stored.urls[video] for video in head),
        counts=weighted_counts(own, head)[head],
        triangle=pair_counts(own, head),
        privacy=privacy,
        now=2.0,
        verdict="accepted",
    )


def test_the_columns_of_the_store_become_the_models_types(context: JobContext) -> None:
    stored, engagements = engagement_arrays.read(context.engine)
    own = interactions(engagements, len(stored), limit=3)
    assert own.matrix.shape == (60, 40)
    assert own.matrix.sum(axis=1).tolist() == [3] * 60
    known = features(stored)
    assert known.tags.sum(axis=0).tolist() == [20.0, 20.0]
    assert known.words is not None
    expected = title_words(stored.titles, stored.channel, stored.published)
    assert known.words.hashes.tolist() == expected.hashes.tolist()
    np.testing.assert_array_equal(known.words.rows.toarray(), expected.rows.toarray())
    assert known.words.hashes.size > 0


def test_a_sum_gives_a_federated_model_beside_a_local_one(context: JobContext) -> None:
    add_sum(context, "two.example")
    result = train(context)
    assert result["kind"] == "federated"
    known = model_records.models(context.engine)
    assert sorted((model.kind, model.state, model.round_id) for model in known) == [
        ("federated", "current", "round"),
        ("local", "ready", None),
    ]


NOISY = replace(
    EXACT_SUM,
    counts_noise=16,
    pairs_noise=16,
    counts_noise_realised=30.0,
    pairs_noise_realised=0.5,
    publish=True,
)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "published"),
        ({"publish": False}, "without it"),
        ({"counts_noise": 15}, "less noise"),
        ({"pairs_noise": 4}, "less noise"),
    ],
)
def test_vectors_come_with_a_model_only_if_the_sum_may_be_published(
    context: JobContext, changed: dict[str, Any], told: str
) -> None:
    add_sum(context, "two.example", privacy=replace(NOISY, **changed))
    privacy = context.config.privacy.model_copy(update={"publish_vectors": True})
    result = train(replace(context, config=context.config.model_copy(update={"privacy": privacy})))
    assert told in result["vectors"]
    file = context.config.models_dir / result["model"] / vector_file.NAME
    assert file.exists() == (told == "published")


def test_without_the_admins_wish_there_are_no_vectors(context: JobContext) -> None:
    add_sum(context, "two.example", privacy=NOISY)
    result = train(context)
    assert "vectors" not in result
    assert not (context.config.models_dir / result["model"] / vector_file.NAME).exists()


def test_a_model_says_which_noise_it_was_trained_with(context: JobContext) -> None:
    add_sum(context, "two.example", privacy=NOISY)
    result = train(context)
    manifest = json.loads((context.config.models_dir / result["model"] / "manifest.json").read_text())
    assert manifest["provenance"]["privacy"] == asdict(NOISY)


def test_a_sum_with_an_instance_that_is_no_peer_any_more_is_not_used(context: JobContext) -> None:
    add_sum(context, "two.example", "former.example")
    result = train(context)
    assert result["kind"] == "local"
    assert "former.example" in result["sum_not_used"]
