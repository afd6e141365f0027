"""Longer windows cost less privacy and fewer bytes, and more plays of videos that no sum counts yet."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Config, load
from daemon.disclosure.privacy_plan import planned_release
from daemon.disclosure.window_costs import FEWEST_PLAYS, LENGTHS, MEASURED, MEASURED_ON, gather, too_new
from daemon.lab.made_up import SHIPPED
from daemon.rounds import yearly_budget
from daemon.source.dataset_columns import positive_from
from daemon.source.dataset_files import read
from daemon.store import releases
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.releases import ReleaseRecord
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace
from daemon.store.viewers import Pseudonyms
from policies.accounting import Relation, epsilon
from policies.privacy import Level
from tests.daemon.running_daemon import instance

DAY = 86400.0
WEEK = 7 * DAY
NOW = 1_800_000_000.0


def test_a_play_is_too_new_until_a_window_opened_after_a_week() -> None:
    ages = np.array([0.0, WEEK, 1.5 * WEEK, 2 * WEEK, 90 * DAY])
    assert too_new(ages, WEEK, WEEK) == pytest.approx((1 + 1 + 0.5 + 0 + 0) / 5)
    assert too_new(np.array([]), WEEK, WEEK) == 0.0


@given(st.lists(st.floats(0, 1e8), min_size=1), st.floats(0, 1e7), st.floats(1, 1e7))
def test_longer_windows_miss_more_and_never_more_than_all(
    ages: list[float], min_age: float, window: float
) -> None:
    plays = np.array(ages)
    assert 0 <= too_new(plays, min_age, window) <= too_new(plays, min_age, 2 * window) <= 1


def test_the_figures_for_those_without_a_history_are_measured() -> None:
    data = read(SHIPPED)
    assert data.name == MEASURED_ON
    assert data.timestamps is not None
    first = np.full(len(data.item_ids), np.inf)
    np.minimum.at(first, data.items, data.timestamps)
    liked = data.values >= positive_from(data).from_value
    ages = data.timestamps[liked] - first[data.items[liked]]
    found = [too_new(ages, WEEK, length.total_seconds()) for length in LENGTHS]
    assert found == pytest.approx(MEASURED, abs=0.0006)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = load(instance(tmp_path / "one"))
    migrate(config.database)
    return config


def sync(config: Config, plays: int, *, kind: str = "peertube") -> None:
    """Store one video a week old and one of a year ago; half of the plays are of each."""
    videos = [
        VideoRow("https://v.example/new", "n", "New", stored=NOW - WEEK),
        VideoRow("https://v.example/old", "o", "Old", stored=NOW - 365 * DAY, published=0.0),
        VideoRow("https://v.example/undated", "u", "Undated"),
    ]
    with replace(open_checked(config.database), Pseudonyms(b"k" * 32)) as snapshot:
        snapshot.add_videos(videos)
        for viewer in range(plays // 2):
            snapshot.add_engagements(
                EngagementRow(f"v{viewer}", video.url, watched=1.0, at=NOW - WEEK + 1.0) for video in videos
            )
        snapshot.describe(SourceFacts(kind), now=NOW, participants=1)


def test_own_plays_are_used_where_there_are_enough(config: Config) -> None:
    engine, release = open_checked(config.database), planned_release(config, Level.DEFAULT)
    for plays, kind, measured_on in (
        (FEWEST_PLAYS - 2, "peertube", MEASURED_ON),
        (FEWEST_PLAYS, "dataset", MEASURED_ON),
        (FEWEST_PLAYS, "peertube", ""),
    ):
        sync(config, plays, kind=kind)
        found = gather(config, engine, release, 5)
        assert found.measured_on == measured_on
    # Half of the plays are of a video of a second; the others are of one that any window has counted.
    assert [one.too_new for one in found.found] == pytest.approx([0.5] * 3)


def test_longer_windows_are_fewer_cost_less_and_send_less(config: Config) -> None:
    engine, release = open_checked(config.database), planned_release(config, Level.DEFAULT)
    found = gather(config, engine, release, 5)
    for shorter, longer in zip(found.found, found.found[1:], strict=False):
        assert longer.windows < shorter.windows
        assert longer.pair < shorter.pair
        assert longer.pair_together < shorter.pair_together
        assert longer.too_new >= shorter.too_new
    four = found.found[-1]
    assert four.length == timedelta(weeks=4)
    assert four.windows == (20, 14)
    # A year of a pair, 20 and 14 windows; all together, our own release too.
    assert four.pair == tuple(epsilon([release] * n, Relation.PAIR) for n in (20, 14))
    assert four.pair_together == tuple(epsilon([release] * (6 * n), Relation.PAIR) for n in (20, 14))
    assert found.as_json()["lengths"][2]["windows"] == [20, 14]
    assert yearly_budget.yearly(timedelta(weeks=4), 5) == 100


def test_bytes_are_those_of_the_newest_vector_or_of_the_catalogue(config: Config) -> None:
    engine, release = open_checked(config.database), planned_release(config, Level.DEFAULT)
    sync(config, 2)
    month = 365 * DAY / 12
    expected = 4 * (3 + 3) * month / WEEK
    assert gather(config, engine, release, 1).found[0].bytes == pytest.approx(expected)
    record = ReleaseRecord("w", NOW, "p.example", "r", 16, 16, 0.5, 200, 100, 50, bytes=5_000)
    releases.save(engine, record, config.windows_dir)
    assert gather(config, engine, release, 1).found[0].bytes == pytest.approx(5_000 * month / WEEK)
