"""Who counts in rounds, and of whom a change counts towards a new data window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from daemon.config import Config
from daemon.rounds.own_statistics import OwnStatistics, own_viewers
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.viewers import viewers_since
from models.head import LEAST_VIEWS
from policies.window import SETTLED_AFTER
from tests.daemon.rounds.small_instance import NOW, SECRET, URLS, configured, filled, sync

KEY = b"k" * 32


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path / "one")


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    with filled(config) as engine:
        yield engine


def read_viewers(engine: Engine, now: float, *viewers: str) -> None:
    """Sync these viewers and nobody else."""
    with snapshot(engine, SECRET) as content:
        content.add_videos(VideoRow(url, url, "", views=LEAST_VIEWS) for url in URLS)
        content.add_engagements(EngagementRow(one, URLS[0], liked=True, at=1.0) for one in viewers)
        content.describe(SourceFacts("dataset"), now=now, participants=len(viewers))


def settled(own: OwnStatistics, *viewers: str) -> list[bool]:
    return [SECRET.of(one) in own.settled_pseudonyms for one in viewers]


def test_those_of_the_first_sync_are_settled_and_later_ones_after_a_week(
    config: Config, engine: Engine
) -> None:
    read_viewers(engine, NOW, "viewer 1", "new")
    assert settled(own_viewers(engine, config, now=NOW), "viewer 1", "new") == [True, False]
    # Each sync replaces every row; since when somebody is known stays.
    read_viewers(engine, NOW + SETTLED_AFTER - 1, "viewer 1", "new", "newer")
    late = NOW + SETTLED_AFTER
    assert settled(own_viewers(engine, config, now=late - 1), "viewer 1", "new") == [True, False]
    own = own_viewers(engine, config, now=late)
    assert settled(own, "viewer 1", "new", "newer") == [True, True, False]
    assert own.settled(KEY) < own.digests(KEY).keys()
    assert len(own.settled(KEY)) == 2


def test_who_leaves_and_comes_back_is_new_again(config: Config, engine: Engine) -> None:
    read_viewers(engine, NOW, "viewer 1")
    read_viewers(engine, NOW + 1, "viewer 1", "viewer 2")
    assert settled(own_viewers(engine, config, now=NOW + 1), "viewer 1", "viewer 2") == [True, False]
    assert viewers_since(engine, before=NOW) == {SECRET.of("viewer 1")}


def test_a_video_counts_with_as_many_views_as_hide_one_viewer(config: Config, engine: Engine) -> None:
    sync(engine, NOW, views=LEAST_VIEWS - 2)  # the third video has just enough
    own = own_viewers(engine, config, now=NOW)
    watched = own.interactions.matrix.sum(axis=0)
    assert [int(watched[own.catalogue.urls.index(url)]) for url in URLS] == [0, 0, 2, 2, 2, 2]
    # Who watched nothing else counts with nothing, and is in no window.
    assert len(own.digests(KEY)) == 8
