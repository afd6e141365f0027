"""A head crafted to isolate a rare history: what few have seen is zero in what leaves, counts and pairs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config import load
from daemon.maintenance import sync
from daemon.process.job_context import JobContext
from daemon.rounds.own_statistics import over, own_viewers
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from models import counting
from models.head import LEAST_VIEWS
from models.statistics import to_matrix
from tests.daemon.running_daemon import instance

NOW = 1_800_000_000.0
VICTIM = "u7"
RARE, SEEN, COMMON = ([f"{kind}{n}" for n in range(6)] for kind in ("rare", "seen", "common"))


@pytest.fixture
def asked(tmp_path: Path) -> tuple[NDArray[np.float64], list[str]]:
    """Return what leaves an instance for a head of all videos, (videos, videos), and their titles."""
    data = tmp_path / "one" / "dataset"
    data.mkdir(parents=True)
    views = {**dict.fromkeys(RARE, LEAST_VIEWS - 1), **dict.fromkeys(SEEN, LEAST_VIEWS)}
    with (data / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "title", "views"])
        rows.writerows([item, item, views.get(item, 900)] for item in (*RARE, *SEEN, *COMMON))
    with (data / "interactions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "value"])
        rows.writerows([f"u{user}", item, 1] for user in range(30) for item in COMMON)
        rows.writerows([VICTIM, item, 1] for item in (*RARE, *SEEN))
    path = instance(tmp_path / "one", extra='mode = "contribute"')
    path.write_text(path.read_text() + '[privacy]\nmin_video_age = "0s"\n')
    config = load(path)
    migrate(config.database)
    engine = open_checked(config.database)
    try:
        sync.run(JobContext(config, engine, lambda _stage, _part: None, lambda: NOW))
        own = own_viewers(engine, config, now=NOW)
    finally:
        engine.dispose()
    users = over(own.catalogue.urls, own.catalogue, own.limited(200))
    everything = np.arange(users.videos)
    vector = counting.contribution(users, everything)
    counts, pairs = np.split(vector, [users.videos])
    return to_matrix(counts, pairs), list(own.catalogue.titles)


def block(asked: tuple[NDArray[np.float64], list[str]], rows: list[str], columns: list[str]) -> set[float]:
    matrix, titles = asked
    places = [[titles.index(name) for name in names] for names in (rows, columns)]
    return set(matrix[np.ix_(*places)].ravel().tolist())


def test_what_few_have_seen_is_not_counted(asked: tuple[NDArray[np.float64], list[str]]) -> None:
    for others in (RARE, SEEN, COMMON):
        assert block(asked, RARE, others) == {0.0}


def test_what_more_have_seen_is_left_to_the_noise(asked: tuple[NDArray[np.float64], list[str]]) -> None:
    # The victim's alone, and exact before the noise: `make privacy` shows what an attacker has of it.
    assert block(asked, SEEN, SEEN) == {1.0}
    assert block(asked, SEEN, COMMON) == {1.0}
    assert block(asked, COMMON, COMMON) == {30.0}
