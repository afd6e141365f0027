"""The sum is the plain sum of the survivors, bit for bit, or nothing at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.aggregator import REQUESTS
from federation.errors import CohortLost
from federation.proposal import least_threshold
from tests.simulator.cohort import Cohort

pytestmark = pytest.mark.slow

STAGES = [stage.value for stage in REQUESTS]
FAULTS = ["", "", "", "lost", "deaf", "crash"]


def inputs(members: int, length: int, seed: int = 0, bound: int = 1000) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, bound + 1, length) for _ in range(members)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_losses_give_the_sum_of_the_survivors_or_nothing(data: st.DataObject) -> None:
    members = data.draw(st.integers(3, 9))
    values = inputs(members, data.draw(st.integers(1, 50)), data.draw(st.integers(0, 99)))
    cohort = Cohort.of(values)
    plan = {(stage, host): data.draw(st.sampled_from(FAULTS)) for stage in STAGES for host in cohort.members}
    # Who does not answer a request is not asked again, so the plan alone says who is left.
    left, survivors = set(cohort.members), set(cohort.members)
    enough = True
    for stage in STAGES:
        left = {host for host in left if plan[stage, host] in ("", "crash")}
        enough = enough and len(left) >= least_threshold(members)
        if stage == "shares":
            survivors = set(left)
    signed = cohort.propose()
    if not enough:
        with pytest.raises(CohortLost):
            cohort.run(signed, lambda stage, host: plan[stage, host])
        return
    result = cohort.run(signed, lambda stage, host: plan[stage, host]).result
    assert set(result.survivors) == survivors
    np.testing.assert_array_equal(
        result.total, sum(member.values for host, member in cohort.members.items() if host in survivors)
    )


@pytest.mark.parametrize("ring", [32, 64])
@pytest.mark.parametrize("length", [1, 32_767, 32_768, 100_001])
def test_every_ring_and_block_boundary(ring: int, length: int) -> None:
    values = inputs(4, length)
    cohort = Cohort.of(values)
    result = cohort.run(cohort.propose(ring=ring)).result
    np.testing.assert_array_equal(result.total, sum(values))


@pytest.mark.parametrize("stage", STAGES)
def test_a_crashed_aggregator_comes_to_the_same_sum(stage: str) -> None:
    values = inputs(5, 10)
    cohort = Cohort.of(values)
    result = cohort.run(
        cohort.propose(),
        lambda at, host: "lost" if (at, host) == ("shares", "m001.example") else "",
        crash_aggregator_at=frozenset({stage}),
    ).result
    assert result.lost == {"m001.example": "no answer in time"}
    np.testing.assert_array_equal(result.total, sum(v for n, v in enumerate(values) if n != 1))


def test_a_masked_vector_looks_nothing_like_its_input() -> None:
    cohort = Cohort.of([np.zeros(50_000, dtype=np.int64)] * 4)
    cohort.run(cohort.propose())
    round_id = cohort.journal.ids()[0]
    sent = cohort.journal.read(round_id, "shares.m000.example")
    assert sent is not None
    octets = np.frombuffer(sent[-200_000:], dtype=np.uint8)
    frequency = np.bincount(octets, minlength=256)
    # Chi-squared with 255 degrees of freedom: mean 255, standard deviation 22.6; six of them is one in 10^8.
    assert ((frequency - 781.25) ** 2 / 781.25).sum() < 255 + 6 * 22.6


def test_the_largest_cohort_fits_every_limit() -> None:
    values = inputs(128, 3)
    cohort = Cohort.of(values)
    result = cohort.run(cohort.propose()).result
    assert len(result.survivors) == 128
    np.testing.assert_array_equal(result.total, sum(values))
