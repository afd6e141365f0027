"""Which stored sums may be learnt from, and which videos of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.peers.repository import KnownPeers, Peer, State
from daemon.store.sums import SumRecord, Verdict
from daemon.training import sum_selection
from models.released import Released
from models.statistics import Statistic
from models.weights import UNIT

NOW = 1_800_000_000.0


def stored_sum(run: str, number: int, verdict: Verdict, *survivors: str) -> SumRecord:
    return SumRecord(f"{run}-{number}", NOW, run, number, verdict, {}, survivors)


def book(**states: State) -> KnownPeers:
    hosts = {f"{name}.example": state for name, state in states.items()}
    return KnownPeers({host: Peer(host, state=state) for host, state in hosts.items()})


def test_a_new_sum_waits_for_its_verdict_while_the_accepted_one_is_learnt_from() -> None:
    stored = [stored_sum("new", 0, "new", "a.example"), stored_sum("old", 0, "accepted", "a.example")]
    found = sum_selection.choose(stored, book(a="approved"))
    assert [one.run for one in found.fresh] == ["new"]
    assert [one.run for one in found.accepted] == ["old"]


@pytest.mark.parametrize("verdict", ["awaiting", "quarantined"])
def test_what_did_not_pass_is_passed_over_and_said(verdict: Verdict) -> None:
    stored = [stored_sum("new", 0, verdict, "a.example"), stored_sum("old", 0, "accepted", "a.example")]
    found = sum_selection.choose(stored, book(a="approved"))
    assert not found.fresh
    assert [one.run for one in found.accepted] == ["old"]
    assert "models list" in found.refused


@pytest.mark.parametrize("state", ["removed", "reverted", "candidate"])
def test_a_sum_with_somebody_who_is_no_peer_is_left_out_and_the_others_stay(state: State) -> None:
    stored = [
        stored_sum("one", 0, "accepted", "a.example"),
        stored_sum("one", 1, "accepted", "b.example"),
        stored_sum("older", 0, "accepted", "b.example"),
    ]
    found = sum_selection.choose(stored, book(a="approved", b=state))
    assert [one.round_id for one in found.accepted] == ["one-0"]
    everybody = sum_selection.choose(stored, book(a=state, b=state))
    assert not everybody.accepted
    assert "a.example" in everybody.refused


def test_what_a_paused_peer_gave_is_still_learnt_from() -> None:
    found = sum_selection.choose([stored_sum("one", 0, "accepted", "a.example")], book(a="paused"))
    assert found.accepted


def test_an_older_new_sum_is_not_taken_for_newer_than_the_accepted_one() -> None:
    stored = [stored_sum("new", 0, "accepted", "a.example"), stored_sum("old", 0, "new", "a.example")]
    assert not sum_selection.choose(stored, book(a="approved")).fresh


def passed_on(one: SumRecord, by: str) -> SumRecord:
    return replace(one, role="newcomer", passed_on_by=by)


def test_a_sum_of_our_own_comes_before_one_that_was_passed_on_and_is_never_added_to_it() -> None:
    later = passed_on(stored_sum("theirs", 0, "accepted", "a.example"), "p.example")
    known = book(a="approved", p="approved")
    alone = sum_selection.choose([later], known)
    assert [one.run for one in alone.accepted] == ["theirs"]
    fresh = stored_sum("own", 0, "new", "a.example")
    waiting = sum_selection.choose([later, fresh], known)
    assert [one.run for one in waiting.fresh] == ["own"]
    assert [one.run for one in waiting.accepted] == ["theirs"]
    own = stored_sum("own", 0, "accepted", "a.example")
    for stored in ([later, own], [own, later]):
        assert [one.run for one in sum_selection.choose(stored, known).accepted] == ["own"]
    # Another one that is passed on later is no reason to judge anything.
    newer = passed_on(stored_sum("newer", 0, "new", "a.example"), "p.example")
    assert not sum_selection.choose([newer, own], known).fresh


@pytest.mark.parametrize("gone", ["a", "p"])
def test_what_was_passed_on_needs_its_survivors_and_whoever_passed_it_on(gone: str) -> None:
    one = passed_on(stored_sum("theirs", 0, "accepted", "a.example"), "p.example")
    states: dict[str, State] = {"a": "approved", "p": "paused", gone: "removed"}
    found = sum_selection.choose([one], book(**states))
    assert not found.accepted
    assert f"{gone}.example" in found.refused


@given(st.lists(st.integers(0, 12), min_size=2, max_size=9, unique=False), st.integers(1, 10))
def test_only_videos_that_others_stand_behind_stay_in_the_head(counts: list[int], least: int) -> None:
    size = len(counts)
    rng = np.random.default_rng(0)
    triangle = rng.integers(0, 5, size * (size - 1) // 2)
    entries = UNIT * np.array(counts, np.int64)
    whole = Released(Statistic(np.arange(size) * 2, entries, triangle.astype(np.int64)))
    own = np.arange(2 * size) % 3
    mine = Statistic(np.arange(2 * size), UNIT * own, np.zeros(size * (2 * size - 1), np.int64))
    found = sum_selection.restricted(whole, Released(mine), min_users=least).statistic
    kept = [n for n in range(size) if counts[n] + own[2 * n] >= least]
    assert found.head.tolist() == [2 * n for n in kept]
    assert found.counts.tolist() == [UNIT * counts[n] for n in kept]
    places = {pair: at for at, pair in enumerate((i, j) for i in range(size) for j in range(i + 1, size))}
    expected = [int(triangle[places[i, j]]) for a, i in enumerate(kept) for j in kept[a + 1 :]]
    assert found.triangle.tolist() == expected
