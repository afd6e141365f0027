"""What suggestions achieved: totals by week, and rates only where there are enough clicks to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.errors import SourceError
from daemon.sentences import english
from daemon.source import peertube_rows
from daemon.status import effects
from daemon.store import effects as stored
from daemon.store import source_state
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from daemon.store.rows import DailyEffects, SourceFacts
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import peertube, small_world
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import instance

MONDAY = 1_764_547_200.0  # 2025-12-01
DAY = 86400.0


def day(name: str, **more: int) -> DailyEffects:
    return DailyEffects(name, **more)


@pytest.fixture
def store(tmp_path: Path) -> tuple[Engine, Config]:
    config = load(pt.configure(tmp_path, "https://one.example"))
    migrate(config.database)
    return open_checked(config.database), config


def put(engine: Engine, *days: DailyEffects) -> None:
    with writes(engine) as connection:
        source_state.write(connection, SourceFacts("peertube", effects=days), now=MONDAY, participants=0)


def found(store: tuple[Engine, Config], *days: DailyEffects, now: float = MONDAY) -> effects.Effects:
    put(store[0], *days)
    return TypeAdapter(effects.Effects).validate_python(effects.gather(*store, now), strict=True)


def test_weeks_begin_on_monday_and_hold_what_was_counted(store: tuple[Engine, Config]) -> None:
    answer = found(
        store,
        day("2025-11-30", pages=7),
        day("2025-12-01", pages=100, explained=60, clicked=6, stock_clicked=2, hidden=1, filled=90),
        day("2025-12-07", pages=10, explained=5),
        day("2025-12-08", pages=1),
    )
    assert [week["at"] for week in answer["weeks"]] == [MONDAY - 7 * DAY, MONDAY, MONDAY + 7 * DAY]
    assert answer["weeks"][1] == {
        "at": MONDAY,
        "pages": 110,
        "explained": 65,
        "clicked": 6,
        "stock_clicked": 2,
        "hidden": 1,
    }
    assert answer["why"] is None


def test_a_rate_is_told_from_twenty_clicks_on(store: tuple[Engine, Config]) -> None:
    many = day("2025-12-01", pages=3000, explained=1000, clicked=20, stock_clicked=19)
    comparison = found(store, many)["comparison"]
    assert comparison is not None
    ours, stock = comparison["ours"], comparison["stock"]
    assert (ours["pages"], ours["clicks"], ours["per_1000"], ours["why"]) == (1000, 20, 20.0, None)
    assert ours["low"] == pytest.approx(12.98, abs=0.01)
    assert ours["high"] == pytest.approx(30.69, abs=0.01)
    assert (stock["pages"], stock["clicks"]) == (2000, 19)
    assert stock["per_1000"] is stock["low"] is stock["high"] is None
    assert stock["why"] is not None
    assert english(stock["why"]) == "Too few to say: 19 clicks. From 20 on there is a rate."


@pytest.mark.parametrize(("clicks", "pages"), [(0, 10), (10, 10), (1, 1), (37, 1000), (5, 8)])
def test_the_interval_is_where_the_score_test_ends(clicks: int, pages: int) -> None:
    """At both ends the share that was seen lies 1.96 standard deviations off."""
    low, high = effects.wilson(clicks, pages)
    assert 0.0 <= low <= clicks / pages <= high <= 1.0
    for end in (low, high):
        if 0.0 < end < 1.0:
            off = abs(clicks / pages - end) / (end * (1 - end) / pages) ** 0.5
            assert off == pytest.approx(effects.Z)


def test_only_the_last_twelve_weeks_are_compared(store: tuple[Engine, Config]) -> None:
    old = day("2025-09-08", pages=500, explained=500, clicked=50)
    comparison = found(store, old, day("2025-09-09", pages=9, explained=9, clicked=3))["comparison"]
    assert comparison is not None
    assert (comparison["ours"]["pages"], comparison["ours"]["clicks"]) == (9, 3)
    assert comparison["since"] == MONDAY - 83 * DAY
    assert comparison["stock"]["why"] == {"code": "effectsNoPages", "params": {}}


def test_made_up_totals_give_no_impossible_rate(store: tuple[Engine, Config]) -> None:
    comparison = found(store, day("2025-12-01", pages=10, explained=30, clicked=99, stock_clicked=50))[
        "comparison"
    ]
    assert comparison is not None
    assert comparison["ours"]["per_1000"] == 1000.0
    assert comparison["ours"]["high"] == pytest.approx(1000.0)
    assert (comparison["stock"]["pages"], comparison["stock"]["clicks"]) == (0, 0)


def test_it_says_why_nothing_is_known(store: tuple[Engine, Config], tmp_path: Path) -> None:
    assert found(store)["why"] == {"code": "effectsNotYet", "params": {}}
    config = load(instance(tmp_path / "data set"))
    assert effects.gather(store[0], config, MONDAY)["why"] == {"code": "effectsNoPlugin", "params": {}}


def counted(name: str, **more: Any) -> dict[str, Any]:
    zero = dict.fromkeys(
        (
            "pages",
            "explained",
            "clicked",
            "stockClicked",
            "hidden",
            "filled",
            "stock",
            "late",
            "withoutVideo",
        ),
        0,
    )
    return {"day": name, **zero, **more}


def test_a_sync_mirrors_what_the_plugin_counted(tmp_path: Path) -> None:
    world = small_world()
    world.effects = [counted("2026-01-02", pages=3, stockClicked=1), counted("2026-01-01", filled=2)]
    with peertube(world) as server:
        config = load(pt.configure(tmp_path, server.url))
        assert run_here("sync", tmp_path / "shoal.toml").ok
        engine = open_checked(config.database)
        first = [day("2026-01-01", filled=2), day("2026-01-02", pages=3, stock_clicked=1)]
        assert stored.read(engine) == first
        assert stored.read(engine, since="2026-01-02") == first[1:]
        known = source_state.read(engine)
        assert known is not None
        assert known.fills_lists

        world.effects = []
        assert run_here("sync", tmp_path / "shoal.toml").ok
        assert stored.read(engine) == []
        engine.dispose()


@pytest.mark.parametrize(
    "days",
    [
        [7],
        [counted("2026-01-01", pages="3")],
        [counted("2026-1-1")],
        [counted("20260101")],
        [counted("2026-02-30")],
        [counted("2026-01-01"), counted("2026-01-01")],
        [counted(f"2{n:03}-01-01") for n in range(1000)] + [counted("2026-01-02")],
    ],
)
def test_what_is_no_total_is_refused(days: list[Any]) -> None:
    with pytest.raises(SourceError, match="does not fit"):
        peertube_rows.effects({"fills": True, "days": days})


def test_numbers_without_end_are_bounded() -> None:
    _, [one] = peertube_rows.effects({"fills": False, "days": [counted("2026-01-01", pages=10**30, late=-1)]})
    assert (one.pages, one.late) == (2**53, 0)
