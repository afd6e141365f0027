"""Into which sub-cohorts a cohort is divided."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.rounds.sub_cohorts import divide
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from tests.daemon.running_daemon import instance

NOW = 1_800_000_000.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(instance(tmp_path / "one"))


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    migrate(config.database)
    engine = open_checked(config.database)
    yield engine
    engine.dispose()


def hosts(number: int) -> tuple[str, ...]:
    return tuple(f"peer-{n:03}.example" for n in range(number))


def drawn(
    engine: Engine, config: Config, among: tuple[str, ...], now: float = NOW, seed: int = 0
) -> tuple[tuple[str, ...], ...]:
    return divide(engine, config, among, now=now, shuffle=random.Random(seed).shuffle)


def sides(groups: tuple[tuple[str, ...], ...], among: set[str]) -> set[frozenset[str]]:
    return {kept for group in groups if (kept := frozenset(group) & among)}


def test_a_small_cohort_is_not_divided(engine: Engine, config: Config) -> None:
    assert drawn(engine, config, hosts(7)) == (hosts(7),)


@pytest.mark.parametrize(("number", "parts"), [(8, 2), (11, 2), (12, 3), (192, 3), (193, 4)])
def test_every_part_is_large_enough(engine: Engine, config: Config, number: int, parts: int) -> None:
    groups = drawn(engine, config, hosts(number))
    assert sorted(host for group in groups for host in group) == list(hosts(number))
    assert len(groups) == parts
    assert min(map(len, groups)) >= config.cohort.min_cohort


def test_the_division_stays_for_an_epoch_and_is_drawn_anew_after_it(engine: Engine, config: Config) -> None:
    first = drawn(engine, config, hosts(12))
    assert drawn(engine, config, hosts(12), NOW + 86400, seed=1) == first
    later = NOW + config.cohort.epoch.total_seconds() + 1
    assert drawn(engine, config, hosts(12), later, seed=1) != first


def test_who_joins_or_leaves_does_not_move_the_others(engine: Engine, config: Config) -> None:
    first = drawn(engine, config, hosts(12))
    grown = drawn(engine, config, hosts(14), NOW + 1, seed=1)
    assert sides(grown, set(hosts(12))) == sides(first, set(hosts(12)))
    assert sorted(map(len, grown)) == [4, 5, 5]
    left = drawn(engine, config, hosts(14)[1:], NOW + 2, seed=2)
    assert sides(left, set(hosts(14)[1:])) == sides(grown, set(hosts(14)[1:]))


def test_peers_for_whom_there_is_no_room_wait_for_the_next_epoch(engine: Engine, config: Config) -> None:
    drawn(engine, config, hosts(8))
    grown = drawn(engine, config, hosts(300), NOW + 1)
    assert [len(group) for group in grown] == [128, 128]
    # Who left keeps its room, so that nobody is pushed out when it returns.
    short = drawn(engine, config, hosts(300)[1:], NOW + 2)
    assert sorted(map(len, short)) == [127, 128]
    assert drawn(engine, config, hosts(300), NOW + 3) == grown


def test_a_small_part_is_not_added_to_a_full_one(engine: Engine, config: Config) -> None:
    drawn(engine, config, hosts(8))
    small, full = drawn(engine, config, hosts(300), NOW + 1)
    assert drawn(engine, config, (*small[:2], *full), NOW + 2) == (full,)
    assert drawn(engine, config, (*small[:2], *full[2:]), NOW + 3) == (
        tuple(sorted((*small[:2], *full[2:]))),
    )


def test_a_part_that_became_too_small_joins_another_for_as_long(engine: Engine, config: Config) -> None:
    first = drawn(engine, config, hosts(12))
    short = tuple(host for host in hosts(12) if host not in first[0][:2])
    groups = drawn(engine, config, short, NOW + 1)
    assert len(groups) == 2
    assert min(map(len, groups)) >= config.cohort.min_cohort
    assert drawn(engine, config, hosts(12), NOW + 2) == first
