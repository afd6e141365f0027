"""A minute's requests may come at once, and no more: whoever else asks does not matter to a peer."""

from __future__ import annotations

import pytest

from federation.errors import Code, Refusal
from policies.rates import PREPARATIONS, RatePolicy


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
        assert (refused.code, refused.culprit) == (Code.TOO_MANY, host or None)
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


def test_large_answers_count_as_more_requests() -> None:
    clock = Clock()
    rates = RatePolicy(per_peer=600, strangers=6, clock=clock)
    rates.answered("a.example", 67_108_864)
    # The largest answer there is leaves a session what it needs; a second and third one do not.
    assert admitted(rates, "a.example", 600) == 332
    rates.answered("a.example", 67_108_864)
    clock.now += 26
    assert admitted(rates, "a.example", 600) == 0
    clock.now += 10
    assert admitted(rates, "a.example", 600) == pytest.approx(92, abs=2)
    assert admitted(rates, "b.example", 600) == 600


def test_answers_to_strangers_do_not_fill_their_bucket() -> None:
    clock = Clock()
    rates = RatePolicy(per_peer=600, strangers=6, clock=clock)
    for _ in range(6):
        rates.check()
        rates.answered("", 200)
        clock.now += 0.001
    assert admitted(rates, "", 10) == 0


def test_polling_four_times_a_second_is_never_too_much() -> None:
    clock = Clock()
    rates = RatePolicy(per_peer=600, strangers=6, clock=clock)
    for _ in range(4 * 3600):
        clock.now += 0.25
        rates.check("a.example")


def test_one_aggregator_prepares_so_many_sums_in_a_day() -> None:
    clock = Clock()
    rates = RatePolicy(per_peer=600, strangers=6, clock=clock)
    for _ in range(PREPARATIONS):
        rates.check_preparation("a.example")
    with pytest.raises(Refusal) as refused:
        rates.check_preparation("a.example")
    assert (refused.value.code, refused.value.culprit) == (Code.TOO_MANY, "a.example")
    rates.check_preparation("b.example")
    clock.now += 86400 / PREPARATIONS
    rates.check_preparation("a.example")
    with pytest.raises(Refusal):
        rates.check_preparation("a.example")
