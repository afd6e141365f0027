"""A member that reveals false shares at the end, or other shares than it was asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from federation.envelope import Stage
from federation.errors import Code
from federation.messages import Revealed
from tests.adversaries.members import Played, play
from tests.simulator.table import Table

LIAR, GONE = "m002.example", "m005.example"
MEMBERS = 7


def played(change: Callable[[dict[str, bytes], dict[str, bytes]], None], *, liars: int = 1) -> Played:
    """Return a sum that loses GONE after sharing, with `change` made to what LIAR reveals."""
    table = Table(MEMBERS)
    lying = [LIAR, "m006.example"][:liars]

    def corrupt(stage: Stage, host: str, payload: bytes) -> bytes:
        if stage is not Stage.CONFIRMATIONS or host not in lying:
            return payload
        honest = Revealed.from_payload(payload, table.cohort.limits)
        seeds, keys = dict(honest.self_seeds), dict(honest.mask_keys)
        change(seeds, keys)
        return Revealed(seeds, keys).to_payload()

    result = play(table, corrupt, lost=lambda at, host: (at, host) == (Stage.SHARES, GONE))
    result.check_sum_of(set(table.hosts) - {GONE})
    return result


def all_seeds(seeds: dict[str, bytes], _keys: dict[str, bytes]) -> None:
    seeds.update(dict.fromkeys(seeds, bytes(33)))


def swapped(seeds: dict[str, bytes], _keys: dict[str, bytes]) -> None:
    hosts = sorted(seeds)
    seeds.update(zip(hosts, [seeds[host] for host in hosts[1:] + hosts[:1]], strict=True))


def nothing(seeds: dict[str, bytes], keys: dict[str, bytes]) -> None:
    seeds.clear()
    keys.clear()


def mask_key_of_a_survivor(_seeds: dict[str, bytes], keys: dict[str, bytes]) -> None:
    keys["m000.example"] = bytes(33)


def seed_of_the_vanished(seeds: dict[str, bytes], _keys: dict[str, bytes]) -> None:
    seeds[GONE] = bytes(33)


def of_a_stranger(seeds: dict[str, bytes], _keys: dict[str, bytes]) -> None:
    seeds["stranger.example"] = bytes(33)


@pytest.mark.parametrize(
    "change", [all_seeds, swapped, nothing, mask_key_of_a_survivor, seed_of_the_vanished, of_a_stranger]
)
def test_the_sum_completes_without_it_and_it_is_named(
    change: Callable[[dict[str, bytes], dict[str, bytes]], None],
) -> None:
    result = played(change)
    assert [(r.code, r.culprit) for r in result.refusals] == [(Code.SHARE_INVALID, LIAR)]
    assert result.aggregator.result.lost[LIAR] == "share-invalid"


def test_one_false_share_leaves_the_others_of_use_and_two_in_doubt() -> None:
    def one(seeds: dict[str, bytes], _keys: dict[str, bytes]) -> None:
        seeds["m000.example"] = bytes(33)

    result = played(one)
    assert result.refusals == []
    assert result.aggregator.result.doubts == (("m000.example", LIAR),)


def test_a_false_share_of_the_vanished_does_not_hide() -> None:
    def one(_seeds: dict[str, bytes], keys: dict[str, bytes]) -> None:
        keys[GONE] = bytes(33)

    assert played(one).aggregator.result.doubts == ((GONE, LIAR),)
