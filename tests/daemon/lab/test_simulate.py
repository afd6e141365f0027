"""`shoal simulate`: sizes, what completes, what is summed, what is reckoned, and the whole command once."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from daemon.errors import RequestError
from daemon.lab.experiment import summed, without
from daemon.lab.simulate import costs, losses, sizes
from daemon.lab.simulate.costs import Videos
from daemon.lab.simulate.losses import NEVER, STAGES, InProcessCohort
from daemon.lab.simulate.quality import GroupNoise, QualityOptions
from federation.flower.app.simulation import Measured
from federation.noise import share_variance
from federation.proposal import least_threshold
from models import statistics
from models.interactions import Interactions, stack
from models.splits import LOG_SIZE_MEAN, LOG_SIZE_SD
from policies.privacy import PROTECTION, Level

pytestmark = pytest.mark.flower


def test_sizes_are_log_normal_as_measured() -> None:
    found = np.log(sizes.drawn(40_000, 1).astype(np.float64))
    # Whole accounts, at least one: the median and the upper part are what was measured.
    assert np.median(found) == pytest.approx(LOG_SIZE_MEAN, abs=0.08)
    upper = np.quantile(found, 0.975) - np.median(found)
    assert upper == pytest.approx(1.96 * LOG_SIZE_SD, rel=0.05)
    assert (np.diff(sizes.drawn(50, 1)) <= 0).all()


def test_sizes_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sizes"
    file.write_text("12\n\n 3 \n500\n")
    found = sizes.read(file)
    assert found.tolist() == [12, 3, 500]
    assert sizes.resampled(found, 3, 1).tolist() == [500, 12, 3]
    assert set(sizes.resampled(found, 50, 1).tolist()) == {500, 12, 3}


@pytest.mark.parametrize("text", ["", "12\n-3\n", "12\n0\n", "1.5\n", "٣\n", "twelve"])
def test_a_file_without_sizes_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sizes"
    file.write_text(text)
    with pytest.raises(RequestError) as caught:
        sizes.read(file)
    assert caught.value.advice


@pytest.mark.parametrize("available", [3, 17, 500, 5000])
def test_viewers_are_shared_out_to_the_last(available: int) -> None:
    accounts = sizes.drawn(60, 4)
    found = sizes.viewers(accounts, available)
    assert found.sum() == min(available, accounts.sum())
    assert (found <= accounts).all()
    assert (np.diff(found[np.argsort(-accounts, kind="stable")]) <= 1).all()


@pytest.mark.parametrize("members", [5, 8])
def test_the_rule_is_what_the_state_machines_do(members: int) -> None:
    found = losses.check(members, (0.05, 0.1, 0.3), 24, seed=2)
    assert found.agreed == found.runs == 24
    # And what was checked is no foregone conclusion.
    rng = np.random.default_rng(0)
    lost = np.stack([losses.draw(members, 0.1, rng) for _ in range(500)])
    first, whole = losses.rule(lost, least_threshold(members))
    assert 0.5 < first.mean() < 1
    assert 0.2 < whole.mean() < first.mean()


@pytest.mark.parametrize("stage", range(2 * STAGES))
def test_one_member_lost_at_each_stage(stage: int) -> None:
    lost_at = np.array([NEVER] * 7 + [stage])
    expected = (True, not 3 <= stage < STAGES + 3)
    assert InProcessCohort(8, 1).session(lost_at) == expected
    assert tuple(bool(one) for one in losses.rule(lost_at, least_threshold(8))) == expected


def test_shares_follow_the_binomial_law_when_members_are_away_from_the_start() -> None:
    found = losses.completed((16,), 0.3, 20_000, 1, from_the_start=True)
    # P(at most 5 of 16 are away), each with probability 0.3.
    assert found.sub_cohorts == pytest.approx(0.6598, abs=0.015)
    assert found.counts == found.sub_cohorts == found.any_sub_cohort == found.all_sub_cohorts


def test_groups_are_divided_into_sub_cohorts_that_can_be_summed() -> None:
    for instances in range(5, 1001):
        sub_cohorts = sizes.divide(instances)
        assert sum(sub_cohorts) == instances
        assert max(sub_cohorts) - min(sub_cohorts) <= 1
        assert min(sub_cohorts) >= 5
        assert max(sub_cohorts) <= 128


def instances_of(seed: int) -> list[Interactions]:
    rng = np.random.default_rng(seed)
    matrices = [rng.random((users, 12)) < 0.5 for users in (4, 0, 9, 3, 6)]
    return [Interactions(csr_array(matrix.astype(np.uint8))) for matrix in matrices]


def test_without_noise_the_others_sum_is_that_of_the_others() -> None:
    own = instances_of(1)
    noise = GroupNoise((5,), (0, 3), QualityOptions(level=Level.NONE))
    total = summed([stack(own)], min_users=1, max_head=6, noise=noise.everybody)
    others = without(total, own[3], noise.of(3))
    rest = stack([one for number, one in enumerate(own) if number != 3])
    assert others.head.size == 6
    np.testing.assert_array_equal(others.counts, statistics.counts(rest, total.head))
    np.testing.assert_array_equal(others.triangle, statistics.pair_counts(rest, total.head))
    assert not noise.variances(but=3)


def test_noise_has_the_law_of_the_shares_of_the_other_members() -> None:
    size = 40_000
    noise = GroupNoise((5, 5), (2, 7), QualityOptions(level=Level.DEFAULT))
    share = share_variance(PROTECTION[Level.DEFAULT].counts_noise, least_threshold(5), 1)
    assert noise.variances().counts == pytest.approx(float(10 * share))
    assert noise.variances(but=2).counts == pytest.approx(float(9 * share))
    total, own = noise.everybody(0, size), noise.of(2)(0, size)
    # Standard error of a variance of so many draws: 0.7 per cent.
    assert total.var() == pytest.approx(float(10 * share), rel=0.04)
    assert (total - own).var() == pytest.approx(float(9 * share), rel=0.04)
    assert own.var() == pytest.approx(float(share), rel=0.04)
    assert isinstance(share, Fraction)


def test_what_one_contributed_is_in_the_total_as_it_contributed_it() -> None:
    own = [Interactions(csr_array(np.ones((30, 40), np.uint8))) for _ in range(10)]
    noise = GroupNoise((5, 5), (2, 7), QualityOptions(level=Level.DEFAULT))
    total = summed(own, min_users=1, max_head=40, noise=noise.everybody)
    for number in noise.chosen:
        others = without(total, own[number], noise.of(number))
        counts = 30 + noise.of(number)(0, 40)
        pairs = 30 + noise.of(number)(1, 40 * 39 // 2)
        np.testing.assert_array_equal(others.counts + counts, total.counts)
        np.testing.assert_array_equal(others.triangle + pairs, total.triangle)


def _measured(length: int) -> Measured:
    return Measured(length, True, 20, 500 + 4 * length, 900, 1 + length / 1e6, 0.1 + length / 1e7, 2)


def test_costs_are_multiplied_and_extended_as_they_say() -> None:
    here = Videos(2000, 50)
    wanted = costs.lengths(20, here)
    assert wanted == [1000, 1000, 1225, 2000, 400_000]
    found = [replace(_measured(1000), up=1e9), *(_measured(length) for length in wanted[1:])]
    cost = costs.cost(found, here, instances=100, sub_cohorts=5)
    assert not cost.extrapolated
    # The first sum warms up and does not count.
    assert cost.instance_up == 2 * 500 + 4 * (2000 + 1225)
    assert cost.published == 50 * 75 + 5 * 4 * (50 + 1225)
    assert cost.instance_down == 2 * 900 + 2000 * 79 + cost.published
    assert cost.host_down == 99 * cost.instance_up
    assert cost.host_up == 99 * cost.instance_down
    assert cost.host_cpu == pytest.approx(5 * (2 + 3225 / 1e6))
    full = costs.cost(found, costs.FULL, instances=100, sub_cohorts=5)
    assert full.extrapolated
    entries = 100_000 + 4096 * 4095 // 2
    assert full.instance_up == pytest.approx(2 * 500 + 4 * entries)
    assert full.host_cpu == pytest.approx(5 * (2 + entries / 1e6))


def shoal(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli.main", "simulate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--instances", "3"), "--instances"),
        (("--instances", "10,many"), "--instances"),
        (("--loss", "100"), "--loss"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: tuple[str, ...], named: str) -> None:
    done = shoal(*arguments, "-o", "json")
    assert done.returncode == 2, done.stderr
    assert named in json.loads(done.stdout)["message"]


def test_the_whole_command(tmp_path: Path) -> None:
    file = tmp_path / "sizes"
    file.write_text("30\n12\n9\n8\n5\n4\n2\n")
    done = shoal("--sizes", str(file), "--loss", "10", "--trained", "1", "--level", "none", "-o", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (group,) = report["groups"]
    assert (group["instances"], group["sub_cohorts"], group["threshold"]) == (7, [7], 5)
    assert group["exact"] == group["sums"] > 0
    assert group["checked"]["agreed"] == group["checked"]["runs"] > 0
    (loss,) = group["losses"]
    assert 0 < loss["underway"]["sub_cohorts"] < loss["underway"]["counts"] < 1
    assert not group["here"]["extrapolated"]
    assert group["full"]["extrapolated"]
    assert group["full"]["instance_up"] > 4 * 4096 * 4095 / 2
    quality = group["quality"]
    assert (quality["accounts"], quality["viewers"], quality["empty"]) == (70, 70, 0)
    assert [band["name"] for band in quality["bands"]] == ["<20", "20-100"]
    assert [band["instances"] for band in quality["bands"]] == [6, 1]
    assert all(0 <= band["federated"] <= 1 for band in quality["bands"])
    assert any("xtrapolated" in note for note in report["notes"])
