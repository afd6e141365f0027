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
from daemon.lab.experiment import summed_over, without
from daemon.lab.simulate import costs, losses, sizes
from daemon.lab.simulate.costs import Videos
from daemon.lab.simulate.losses import NEVER, STAGES, TRIES, InProcessCohort
from daemon.lab.simulate.main import LARGE, SMALL
from daemon.lab.simulate.quality import GroupNoise, QualityOptions
from federation.aggregator import REQUESTS
from federation.envelope import Stage
from federation.flower.app.simulation import Measured
from federation.noise import share_variance
from federation.proposal import least_threshold
from models import counting
from models.interactions import Interactions, stack
from models.splits import LOG_SIZE_MEAN, LOG_SIZE_SD
from models.weights import UNIT
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
    found = losses.check(members, (0.1, 0.3, 0.5), 30, seed=2)
    assert found.agreed == found.runs == 30
    # And what was checked is no foregone conclusion.
    assert 0 < found.completed < found.runs
    lost = losses.draw((TRIES, 500, members), 0.3, np.random.default_rng(0))
    shares = losses.rule(lost, least_threshold(members)).mean(axis=1)
    assert 0.4 < shares[0] < shares[1] < shares[-1] < 1


@pytest.mark.parametrize("stage", range(STAGES))
def test_one_member_lost_at_each_stage_stops_nothing(stage: int) -> None:
    lost_at = np.full((TRIES, 8), NEVER, np.int8)
    lost_at[0, -1] = stage
    assert InProcessCohort(8, 1).round_(lost_at) == [True] * TRIES
    assert losses.rule(lost_at, least_threshold(8)).all()


CONFIRM, UNMASK = REQUESTS.index(Stage.SURVIVORS), REQUESTS.index(Stage.CONFIRMATIONS)


@pytest.mark.parametrize(
    ("tries", "complete"),
    [
        # Of five, four are needed. Too few confirm: everybody can be asked again.
        ([{0: CONFIRM, 1: CONFIRM}, {}], [False, True]),
        ([{0: 0, 1: CONFIRM}, {2: 1}], [False, True]),
        ([{0: 0, 1: 1}, {0: 0, 1: 1}, {}], [False, False, True]),
        # Four confirm and three reveal: who confirmed comes back, and one is enough.
        ([{0: CONFIRM, 1: UNMASK}, {0: 0, 2: 0, 3: 0, 4: 0}], [False, True]),
        # Who did not confirm is no help.
        ([{0: CONFIRM, 1: UNMASK}, {1: 0}, {1: UNMASK}], [False, False, False]),
        # What they reveal adds up, one at a time.
        ([{1: UNMASK, 2: UNMASK, 3: UNMASK}, {1: 0, 2: 0}, {2: 0}], [False, False, True]),
    ],
)
def test_rounds_are_retried_or_resumed(tries: list[dict[int, int]], complete: list[bool]) -> None:
    lost_at = np.full((TRIES, 5), NEVER, np.int8)
    for number, stages in enumerate(tries):
        for member, stage in stages.items():
            lost_at[number, member] = stage
    assert least_threshold(5) == 4
    assert losses.rule(lost_at, 4)[: len(tries)].tolist() == complete
    assert InProcessCohort(5, 1).round_(lost_at)[: len(tries)] == complete


def test_tries_are_as_many_as_said() -> None:
    away = [0, 0, NEVER, NEVER, NEVER]
    bound = [NEVER, UNMASK, UNMASK, NEVER, NEVER]
    there = [NEVER] * 5
    # Three attempts, or two resumptions after the attempt that needs them.
    for tries in ([away] * 3 + [there] * 2, [bound] * 3 + [there] * 2, [away] * 2 + [bound] * 3):
        lost_at = np.array(tries, np.int8)
        assert not losses.rule(lost_at, 4).any()
        assert not any(InProcessCohort(5, 1).round_(lost_at))
    late = np.array([away, away, bound, bound, there], np.int8)
    assert losses.rule(late, 4).tolist() == [False] * 4 + [True]
    assert InProcessCohort(5, 1).round_(late) == [False] * 4 + [True]


def test_first_attempts_follow_the_binomial_law() -> None:
    found = losses.completed((16, 16), 0.3, 1, draws=20_000)
    # P(at most 5 of 16 are lost), each with probability 0.3.
    assert found.rounds.first == pytest.approx(0.6598, abs=0.015)
    assert found.all_sub_cohorts.first == pytest.approx(found.rounds.first**2)
    assert found.any_sub_cohort.first == pytest.approx(1 - (1 - found.rounds.first) ** 2)
    assert found.rounds.end > 0.95


@pytest.mark.parametrize("members", SMALL)
def test_rounds_complete_as_often_as_promised(members: int) -> None:
    found = losses.completed((members,), 0.1, 1)
    assert found.rounds.first >= 0.88
    assert found.rounds.end >= 0.999


@pytest.mark.parametrize("members", LARGE)
def test_rounds_of_large_groups_complete_nearly_always(members: int) -> None:
    found = losses.completed(sizes.divide(members), 0.1, 1, draws=20_000)
    assert found.rounds.first >= 0.99
    assert found.rounds.end >= 0.999


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
    total = summed_over(np.arange(0, 12, 2), [stack(own)], noise.everybody)
    others = without(total, own[3], noise.of(3))
    rest = stack([one for number, one in enumerate(own) if number != 3])
    assert others.head.size == 6
    np.testing.assert_array_equal(others.counts, UNIT * counting.counts(rest, total.head))
    np.testing.assert_array_equal(others.triangle, counting.pair_counts(rest, total.head))
    assert not noise.variances(but=3)


def test_noise_has_the_law_of_the_shares_of_the_other_members() -> None:
    size = 40_000
    noise = GroupNoise((5, 5), (2, 7), QualityOptions(level=Level.DEFAULT))
    share = share_variance(PROTECTION[Level.DEFAULT].counts_noise, least_threshold(5), 1)
    assert noise.variances().counts == pytest.approx(float(10 * share))
    assert noise.variances(but=2).counts == pytest.approx(float(9 * share))
    total, own = noise.everybody(0, size) / UNIT, noise.of(2)(0, size) / UNIT
    # Standard error of a variance of so many draws: 0.7 per cent.
    assert total.var() == pytest.approx(float(10 * share), rel=0.04)
    assert (total - own).var() == pytest.approx(float(9 * share), rel=0.04)
    assert own.var() == pytest.approx(float(share), rel=0.04)
    assert isinstance(share, Fraction)


def test_what_one_contributed_is_in_the_total_as_it_contributed_it() -> None:
    own = [Interactions(csr_array(np.ones((30, 40), np.uint8))) for _ in range(10)]
    noise = GroupNoise((5, 5), (2, 7), QualityOptions(level=Level.DEFAULT))
    total = summed_over(np.arange(40), own, noise.everybody)
    for number in noise.chosen:
        others = without(total, own[number], noise.of(number))
        # Each viewer has 40 videos of the head, and counts for 24 of 32.
        counts = 30 * 24 + noise.of(number)(0, 40)
        pairs = 30 * 24 + noise.of(number)(1, 40 * 39 // 2)
        np.testing.assert_array_equal(others.counts + counts, total.counts)
        np.testing.assert_array_equal(others.triangle + pairs, total.triangle)


def _measured(length: int) -> Measured:
    return Measured(length, True, 20, 500 + 4 * length, 900, 1 + length / 1e6, 0.1 + length / 1e7, 2)


def test_costs_are_multiplied_and_extended_as_they_say() -> None:
    here = Videos(2000, 50)
    wanted = costs.lengths(20, here)
    assert wanted == [1000, 1000, 3225, 400_000]
    found = [replace(_measured(1000), up=1e9), *(_measured(length) for length in wanted[1:])]
    cost = costs.cost(found, here, instances=100, sub_cohorts=5)
    assert not cost.extrapolated
    # The first sum warms up and does not count.
    assert cost.instance_up == 500 + 4 * 3225
    assert cost.published == 50 * 75 + 5 * 4 * (50 + 1225)
    assert cost.instance_down == 900 + 2000 * 75 + 50 * 4 + cost.published
    assert cost.host_down == 99 * cost.instance_up
    assert cost.host_up == 99 * cost.instance_down
    assert cost.host_cpu == pytest.approx(5 * (1 + 3225 / 1e6))
    full = costs.cost(found, costs.FULL, instances=100, sub_cohorts=5)
    assert full.extrapolated
    entries = 100_000 + 4096 * 4095 // 2
    assert full.instance_up == pytest.approx(500 + 4 * entries)
    assert full.host_cpu == pytest.approx(5 * (1 + entries / 1e6))


def test_short_and_long_vectors_need_no_run_of_their_own() -> None:
    assert costs.lengths(20, Videos(700, 10)) == [1000, 1000, 400_000]
    assert costs.lengths(20, costs.FULL) == [1000, 1000, 400_000]


def shoal(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli.main", "simulate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
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
    completion = {one["members"]: one["losses"][0] for one in report["completion"]}
    assert set(completion) == {*SMALL, *LARGE}
    assert 0.9 < completion[7]["rounds"]["first"] < completion[7]["rounds"]["end"] < 1
    assert not group["here"]["extrapolated"]
    assert group["full"]["extrapolated"]
    assert group["full"]["instance_up"] > 4 * 4096 * 4095 / 2
    quality = group["quality"]
    assert (quality["accounts"], quality["viewers"], quality["empty"]) == (70, 70, 0)
    assert [band["name"] for band in quality["bands"]] == ["<20", "20-100"]
    assert [band["instances"] for band in quality["bands"]] == [6, 1]
    assert all(0 <= band[model] <= 1 for band in quality["bands"] for model in ("alone", "federated"))
    assert [one["viewers"] for one in report["alone"]] == [20, 50, 100, 300]
    assert all(one["videos"] > 0 for one in report["alone"])
    assert report["alone"][-1]["served"]["mean"] > report["alone"][-1]["popular_here"]["mean"]
    assert any("xtrapolated" in note for note in report["notes"])
