"""A minute's requests may come at once, and no more: whoever else asks does not matter to a peer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from policies.rates import PREPARATIONS, RatePolicy, TokenBuckets


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
    # The largest answer there is leaves a round what it needs; a second and third one do not.
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


def test_only_the_latest_used_buckets_are_remembered() -> None:
    buckets = TokenBuckets(2, 1.0, Clock(), keys=2)
    assert [buckets.take(key) for key in "aabba"] == [True, True, True, True, False]
    assert buckets.take("c")
    # b was used longest ago: it is forgotten and begins anew, while a still has to wait.
    assert buckets.wait("a") == 1.0
    assert buckets.wait("b") == 0.0


def test_what_is_owed_has_to_fill_up_first() -> None:
    clock = Clock()
    bucket = TokenBuckets(4, 2.0, clock)
    bucket.owe(7)
    assert (bucket.left(), bucket.wait()) == (-3.0, 2.0)
    clock.now += 1.9
    assert not bucket.take()
    clock.now += 0.1
    assert bucket.take()
    clock.now += 1000
    assert bucket.left() == 4.0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=80), st.floats(0.1, 10), st.integers(1, 10))
def test_nobody_gets_more_than_burst_and_rate(gaps: list[float], per_second: float, burst: int) -> None:
    clock = Clock()
    buckets = TokenBuckets(burst, per_second, clock)
    passed, began = 0, clock.now + gaps[0]
    for gap in gaps:
        clock.now += gap
        passed += buckets.take("one")
        assert passed <= burst + (clock.now - began) * per_second + 1e-6
    assert passed >= min(burst, len(gaps))


def test_a_bucket_fills_again_and_is_not_shared() -> None:
    clock = Clock()
    buckets = TokenBuckets(2, 1.0, clock)
    assert [buckets.take("one") for _ in range(3)] == [True, True, False]
    assert buckets.take("other")
    clock.now += 0.5
    assert not buckets.take("one")
    clock.now += 1.0
    assert buckets.take("one")
