"""Pages are seen and no list is filled: told once a day without any is over, and not for want of pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.doctor import silent_lists
from daemon.identity import open_identity
from daemon.ledger import chain
from daemon.ledger.chain import Kind
from daemon.sentences import english
from daemon.status import notices
from daemon.store import source_state
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from daemon.store.rows import DailyEffects, SourceFacts
from tests.daemon import fake_peertube as pt
from tests.daemon.running_daemon import put_model

DAY = 86400.0
NOW = 1_767_679_200.0  # 2026-01-06 06:00 UTC
TODAY, YESTERDAY = "2026-01-06", "2026-01-05"


@pytest.fixture
def store(tmp_path: Path) -> tuple[Engine, Config]:
    config = load(pt.configure(tmp_path, "https://one.example"))
    migrate(config.database)
    return open_checked(config.database), config


def serve(store: tuple[Engine, Config], *, since: float) -> None:
    engine, config = store
    put_model(config.data_dir, "m1")
    identity = open_identity(config.identity_file, config.instance.host)
    chain.append(engine, identity, Kind.MODEL, "m1", {}, now=since)


def put(
    store: tuple[Engine, Config], *days: DailyEffects, synced: float = NOW - 3600, fills: bool = True
) -> None:
    with writes(store[0]) as connection:
        facts = SourceFacts("peertube", effects=days, fills_lists=fills)
        source_state.write(connection, facts, now=synced, participants=0)


def told(store: tuple[Engine, Config], *days: DailyEffects, now: float = NOW) -> str:
    put(store, *days)
    found = silent_lists.find(*store, now)
    return "" if found is None else english(found.said)


def test_a_day_of_pages_without_a_list_is_told_everywhere(store: tuple[Engine, Config]) -> None:
    serve(store, since=NOW - 30 * DAY)
    before = DailyEffects("2026-01-04", pages=100, filled=80)
    said = told(store, before, DailyEffects(YESTERDAY, pages=40))
    assert said.startswith("No list was filled since 5 January")
    assert said.endswith("though 40 watch pages were seen: PeerTube asks the plugin for none.")
    [notice] = notices.current(*store, NOW)
    assert (notice.kind, notice.subject, notice.at) == ("lists-silent", pt.HOST, 1_767_657_600.0)
    assert "update the plugin" in english(notice.advice)

    assert "PeerTube asked for 30 lists" in told(store, before, DailyEffects(YESTERDAY, pages=40, stock=30))
    [same] = notices.current(*store, NOW)
    assert same.id == notice.id


def test_it_ends_with_the_first_list(store: tuple[Engine, Config]) -> None:
    serve(store, since=NOW - 30 * DAY)
    silent = DailyEffects(YESTERDAY, pages=40)
    assert told(store, silent, DailyEffects(TODAY, pages=5))
    assert not told(store, silent, DailyEffects(TODAY, pages=5, filled=1))
    assert not told(store, DailyEffects(YESTERDAY, pages=40, filled=1), DailyEffects(TODAY, pages=50))
    assert notices.current(*store, NOW) == []


def test_few_pages_tell_after_some_days(store: tuple[Engine, Config]) -> None:
    serve(store, since=NOW - 30 * DAY)
    days = [DailyEffects(f"2026-01-0{number}", pages=2) for number in range(1, 6)]
    said = told(store, *days)
    assert said.startswith("No list was filled since 1 January")
    assert "though 10 watch pages" in said
    assert not told(store, *days[1:])
    assert not told(store, DailyEffects("2025-12-20", pages=50)), "too long ago to say anything of today"


def test_nothing_is_told_where_nobody_can_know(store: tuple[Engine, Config]) -> None:
    silent = DailyEffects(YESTERDAY, pages=40)
    assert not told(store, silent), "no model"
    serve(store, since=NOW - DAY)
    assert not told(store, silent), "it came during that day"
    assert not told(store, silent, now=NOW + DAY), "the last sync saw nothing of the day after"

    put(store, silent, fills=False)
    assert silent_lists.find(*store, NOW) is None
    put(store, synced=NOW - 7 * 3600)
    assert silent_lists.find(*store, NOW) is None


def test_a_model_that_served_all_day_counts(store: tuple[Engine, Config]) -> None:
    serve(store, since=NOW - 2 * DAY)
    assert told(store, DailyEffects(YESTERDAY, pages=40))
