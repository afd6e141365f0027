"""A minute's requests may come at once, and no more: whoever else asks does not matter to a peer."""

from __future__ import annotations

import pytest

from federation.errors import Code, Refusal
from policies.rates import RatePolicy


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(rates: RatePolicy, host: str, times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            rates.check(host)
        except Refusal as refusal:
            refused = refusal
        else:
            count += 1
    if count < times:
        assert (refused.code, refused.culprit) == (Code.BUSY, host or None)
    return count


def test_a_minute_s_worth_and_then_as_time_goes_by() -> None:
    clock = Clock()
    rates = RatePolicy(per_peer=120, strangers=6, clock=clock)
    assert admitted(rates, "a.example", 200) == 120
    clock.now += 1
    assert admitted(rates, "a.example", 200) == 2
    clock.now += 3600
    assert admitted(rates, "a.example", 200) == 120


def test_asking_too_often_does_not_put_off_the_next_time() -> None:
    clock = Clock()
    rates = RatePolicy(per_peer=60, strangers=6, clock=clock)
    assert admitted(rates, "a.example", 60) == 60
    count = 0
    for _ in range(100):
        clock.now += 0.1
        count += admitted(rates, "a.example", 1)
    assert count == pytest.approx(10, abs=1)


def test_strangers_share_one_bucket_and_no_peer_notices() -> None:
    rates = RatePolicy(per_peer=120, strangers=6, clock=Clock())
    assert admitted(rates, "", 1000) == 6
    assert admitted(rates, "a.example", 1000) == 120
    assert admitted(rates, "b.example", 1000) == 120
