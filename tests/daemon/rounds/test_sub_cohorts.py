"""Into which parts a cohort is summed, and which stored parts may be learnt from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.peers.repository import KnownPeers, Peer, State
from daemon.rounds.sub_cohorts import MOST_SUB_COHORTS, divide
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.sums import SumRecord, Verdict
from daemon.training import sum_selection
from models.statistics import Statistic
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
    return tuple(f"peer-{n:02}.example" for n in range(number))


def drawn(
    engine: Engine, config: Config, among: tuple[str, ...], now: float = NOW, seed: int = 0
) -> tuple[tuple[str, ...], ...]:
    return divide(engine, config, among, now=now, shuffle=random.Random(seed).shuffle)


def sides(groups: tuple[tuple[str, ...], ...], among: set[str]) -> set[frozenset[str]]:
    return {kept for group in groups if (kept := frozenset(group) & among)}


def test_a_small_cohort_is_one_part(engine: Engine, config: Config) -> None:
    assert drawn(engine, config, hosts(7)) == (hosts(7),)


@pytest.mark.parametrize(("number", "parts"), [(8, 2), (11, 2), (12, 3), (40, MOST_SUB_COHORTS)])
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


def test_a_part_that_became_too_small_joins_another_for_as_long(engine: Engine, config: Config) -> None:
    first = drawn(engine, config, hosts(12))
    short = tuple(host for host in hosts(12) if host not in first[0][:2])
    groups = drawn(engine, config, short, NOW + 1)
    assert len(groups) == 2
    assert min(map(len, groups)) >= config.cohort.min_cohort
    assert drawn(engine, config, hosts(12), NOW + 2) == first


# -- what may be learnt from -------------------------------------------------------------------------------


def part(batch: str, number: int, verdict: Verdict, *survivors: str) -> SumRecord:
    return SumRecord(f"{batch}-{number}", NOW, batch, number, verdict, {}, survivors)


def book(**states: State) -> KnownPeers:
    hosts = {f"{name}.example": state for name, state in states.items()}
    return KnownPeers({host: Peer(host, state=state) for host, state in hosts.items()})


def test_a_new_sum_waits_for_its_verdict_while_the_accepted_one_is_learnt_from() -> None:
    stored = [part("new", 0, "new", "a.example"), part("old", 0, "accepted", "a.example")]
    found = sum_selection.choose(stored, book(a="approved"))
    assert [p.run for p in found.fresh] == ["new"]
    assert [p.run for p in found.accepted] == ["old"]
    assert found.complete(found.accepted)


@pytest.mark.parametrize("verdict", ["awaiting", "quarantined"])
def test_what_did_not_pass_is_passed_over_and_said(verdict: Verdict) -> None:
    stored = [part("new", 0, verdict, "a.example"), part("old", 0, "accepted", "a.example")]
    found = sum_selection.choose(stored, book(a="approved"))
    assert not found.fresh
    assert [p.run for p in found.accepted] == ["old"]
    assert "models list" in found.refused


@pytest.mark.parametrize("state", ["removed", "reverted", "candidate"])
def test_a_part_with_somebody_who_is_no_peer_is_left_out_and_the_others_stay(state: State) -> None:
    stored = [
        part("one", 0, "accepted", "a.example"),
        part("one", 1, "accepted", "b.example"),
        part("older", 0, "accepted", "b.example"),
    ]
    found = sum_selection.choose(stored, book(a="approved", b=state))
    assert [p.session_id for p in found.accepted] == ["one-0"]
    assert not found.complete(found.accepted)
    everybody = sum_selection.choose(stored, book(a=state, b=state))
    assert not everybody.accepted
    assert "a.example" in everybody.refused


def test_what_a_paused_peer_gave_is_still_learnt_from() -> None:
    found = sum_selection.choose([part("one", 0, "accepted", "a.example")], book(a="paused"))
    assert found.accepted


def test_an_older_new_sum_is_not_taken_for_newer_than_the_accepted_one() -> None:
    stored = [part("new", 0, "accepted", "a.example"), part("old", 0, "new", "a.example")]
    assert not sum_selection.choose(stored, book(a="approved")).fresh


@given(st.lists(st.integers(0, 12), min_size=2, max_size=9, unique=False), st.integers(1, 10))
def test_only_videos_that_others_stand_behind_stay_in_the_head(counts: list[int], least: int) -> None:
    size = len(counts)
    rng = np.random.default_rng(0)
    triangle = rng.integers(0, 5, size * (size - 1) // 2)
    whole = Statistic(np.arange(size) * 2, np.array(counts, np.int64), triangle.astype(np.int64))
    own = np.arange(2 * size) % 3
    found = sum_selection.restricted(whole, lambda places: own[places], min_users=least)
    kept = [n for n in range(size) if counts[n] + own[2 * n] >= least]
    assert found.head.tolist() == [2 * n for n in kept]
    assert found.counts.tolist() == [counts[n] for n in kept]
    places = {pair: at for at, pair in enumerate((i, j) for i in range(size) for j in range(i + 1, size))}
    expected = [int(triangle[places[i, j]]) for a, i in enumerate(kept) for j in kept[a + 1 :]]
    assert found.triangle.tolist() == expected
