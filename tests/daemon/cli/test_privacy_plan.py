"""`shoal privacy plan`: what another level or cohort would cost and be worth."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from daemon.cli.privacy_view import show_plan
from daemon.cli.terminal import out
from daemon.disclosure import privacy_plan
from daemon.disclosure.privacy_plan import PlannedCohort
from daemon.group import repository
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.store import sums
from daemon.store.engine import open_checked
from federation.identity import Identity, format_key
from federation.proposal import least_threshold
from models.weights import UNIT
from policies.accounting import Relation, epsilon, guess
from policies.privacy import Level, head_minimum
from tests.daemon.cli.spending_instance import (
    DAY,
    DEFAULT,
    STRICT,
    World,
    assert_cost,
    release_of,
)
from tests.daemon.shoal_command import shoal
from tests.daemon.stored_sums import EXACT_SUM

pytestmark = pytest.mark.slow


def test_a_plan_stands_beside_the_present(world: World) -> None:
    answer = shoal(
        *("privacy", "plan", "--level", "strict", "--window", "14d", "--members", "10"),
        *("--aggregators", "2", "-c", world.config_file, "-o", "json"),
    ).json
    now, then = answer["now"], answer["plan"]
    assert (now["level"], then["level"]) == ("default", "strict")
    windows = [(p["windows_in_first_year"], p["windows_in_later_year"]) for p in (now, then)]
    assert windows == [(20, 14), (31, 27)]
    assert [one["windows"] for one in answer["windows"]["lengths"]] == [[56, 53], [31, 27], [20, 14]]
    assert (then["members"], then["aggregators"]) == (10, 2)
    # Ten members, threshold seven, one accomplice: six shares reach what is declared.
    assert then["pairs_noise_declared"] == round(math.sqrt(STRICT.pairs_noise), 4)
    assert then["pairs_noise_realised"] == round(math.sqrt(10 * STRICT.pairs_noise / 6), 4)
    assert then["max_videos_per_user"] == 200
    assert then["head_minimum"] == head_minimum(5, STRICT.counts_noise)
    one = release_of(Level.STRICT, 4096)
    for relation in Relation:
        assert_cost(then["one_sum"][relation.value], [one], relation)
        # Two aggregators, and our own release.
        of_all = [one] * 62 + [replace(one, viewers=True)] * 31
        for name, given in (("year_of_one_aggregator", [one] * 31), ("year_of_all", of_all)):
            assert then[name][relation.value]["epsilon"] == pytest.approx(epsilon(given, relation), abs=1e-4)
    assert then["year_of_one_aggregator"]["pair"]["guess"] == pytest.approx(guess([one] * 31), abs=2e-4)
    assert answer["offered"]


def test_a_plan_without_a_change_shows_one_column(world: World) -> None:
    printed = shoal("privacy", "plan", "-c", world.config_file)
    assert printed.returncode == 0
    assert "NOW: default" in printed.stdout
    assert "PLAN" not in printed.stdout


def test_in_a_group_one_instance_takes_the_sums(world: World) -> None:
    config = world.config
    apart = shoal("privacy", "plan", "-c", world.config_file, "-o", "json").json["now"]
    assert apart["aggregators"] == len(config.peers) > 1
    engine = open_checked(config.database)
    open_identity(config.identity_file, config.instance.host)
    joined = Membership("videos", "two.example", "https://t", "member", "member", since=world.now)
    repository.change(engine, lambda _one: joined)
    for number in range(1, 9):
        one = Identity(f"m{number}.example", number.to_bytes(32, "big")).public
        member = repository.GroupMember(one.host, format_key(one.key), state="member", since=world.now)
        repository.change_member(engine, one.host, lambda _one, member=member: member)  # type: ignore[misc]
    engine.dispose()
    now = shoal("privacy", "plan", "-c", world.config_file, "-o", "json").json["now"]
    assert (now["members"], now["aggregators"]) == (9, 1)
    given = release_of(Level.DEFAULT, 4096)
    both = [given] * 20 + [replace(given, viewers=True)] * 20
    assert now["year_of_all"]["user"]["epsilon"] == pytest.approx(epsilon(both, Relation.USER), abs=1e-4)
    # Two accomplices, as the noise of a group is laid out: nine shares of which five reach what is declared.
    shares = least_threshold(9) - 2
    assert now["pairs_noise_realised"] == round(math.sqrt(9 * DEFAULT.pairs_noise / shares), 4)
    text = shoal("privacy", "plan", "-c", world.config_file).said
    assert "For 9 members in a sum of the group videos, which its host takes once per window." in text
    assert "approved now" not in text


def test_a_budget_is_counted_in_windows(world: World) -> None:
    world.write(privacy="yearly_budget_pair = 10.0")
    answer = shoal("privacy", "plan", "--level", "strict", "-c", world.config_file, "-o", "json").json
    for name, level in (("now", Level.DEFAULT), ("plan", Level.STRICT)):
        lasts = answer[name]["windows_until_budget_is_spent"]["pair"]
        one = release_of(level, 4096)
        assert epsilon([one] * lasts, Relation.PAIR) <= 10.0 < epsilon([one] * (lasts + 1), Relation.PAIR)
    assert answer["now"]["windows_stretched_by"] > answer["plan"]["windows_stretched_by"] == 1
    assert answer["now"]["aggregators_within_budget"] < answer["plan"]["aggregators_within_budget"] == 5
    printed = shoal("privacy", "plan", "--level", "strict", "-c", world.config_file).said
    within, stretch = answer["now"]["aggregators_within_budget"], answer["now"]["windows_stretched_by"]
    assert (
        f'"default" the yearly budget for a pair, ε 10, makes windows last up to {stretch:.1f} times '
        f"as long, and has room for {within} of 5 aggregators and your own release."
    ) in printed
    assert 'At level "strict" the yearly budget for a pair, ε 10, has room for 5 aggregators' in printed
    assert "your own release and the oldest ones come last" in printed


def test_the_default_budget_has_room_for_five_peers(world: World) -> None:
    printed = shoal("privacy", "plan", "-c", world.config_file).said
    assert "has room for 5 aggregators and your own release in the first year" in printed
    more = shoal("privacy", "plan", "--aggregators", "8", "-c", world.config_file, "-o", "json").json["now"]
    assert 1 < more["windows_stretched_by"] < 2
    assert more["aggregators_within_budget"] == 8
    world.write(privacy='level = "none"')
    none = shoal("privacy", "plan", "--level", "default", "-c", world.config_file)
    assert "the yearly budget for a pair" in none.said


def test_a_budget_that_is_near_is_told(world: World) -> None:
    world.write(privacy="min_changed_users = 0\nyearly_budget_pair = 5.0")
    for aggregator in ("two.example", "three.example", "six.example", "four.example"):
        world.give(aggregator, Level.DEFAULT, videos=40, head=30)
        world.now += DAY
    report = world.show()
    assert report["windows_stretched_by"] == 3
    assert report["refused_for_the_budget"][-1] == "four.example"
    assert "two.example" not in report["refused_for_the_budget"]
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert "One that opens now lasts 3.0 times as long as usual." in printed
    assert "four.example: nothing new at present." in printed
    assert "A viewer with more than 30 of the videos whose pairs are asked for counts less" in printed


def test_user_level_is_offered_by_the_audience_of_the_newest_sum(world: World) -> None:
    answer = shoal("privacy", "plan", "--level", "user-level", "-c", world.config_file, "-o", "json").json
    assert (answer["offered"], answer["audience"], answer["audience_needed"]) == (False, None, 10_000)
    round_ = world.give("two.example", Level.DEFAULT, videos=40, head=30)
    config = world.config
    for audience, offered in ((9_999, False), (10_000, True)):
        engine = open_checked(config.database)
        sums.prune(engine, config.sums_dir, keep=0)
        sums.save(
            engine,
            config.sums_dir,
            round_id=round_,
            urls=("https://a.example/1", "https://a.example/2"),
            counts=UNIT * np.array([audience, 3]),
            triangle=np.array([2]),
            privacy=EXACT_SUM,
            now=time.time(),
        )
        found = privacy_plan.offer(config, engine, Level.USER_LEVEL)
        assert found == privacy_plan.Offer(offered=offered, audience=audience, needed=10_000)
        assert privacy_plan.offer(config, engine, Level.STRICT).offered
        setting = privacy_plan.plan_level(config, Level.DEFAULT, timedelta(days=7), PlannedCohort(5, 1))
        with out.capture() as captured:
            show_plan(config, (setting, setting), found, [], None, peers=0)
        assert ("NOT OFFERED HERE" in captured.get()) is not offered
        engine.dispose()


@pytest.mark.parametrize(
    ("words_", "hint"),
    [
        (["--window", "soon"], "not a length of a window"),
        (["--window", "400d"], "not a length of a window"),
        (["--members", "2"], "at least 3 members"),
        (["--level", "most"], "--level"),
    ],
)
def test_what_cannot_be_planned_is_wrong_usage(world: World, words_: list[str], hint: str) -> None:
    done = shoal("privacy", "plan", *words_, "-c", world.config_file)
    assert done.returncode == 2
    assert done.stdout == ""
    assert hint in done.stderr


def test_exit_status_where_nothing_is_stored(tmp_path: Path) -> None:
    made = World(tmp_path, time.time()).write()
    done = shoal("privacy", "show", "-c", made.config_file)
    assert done.returncode == 6
    assert done.stderr.startswith("Error: ")


def test_quality_comes_from_what_was_measured(tmp_path: Path) -> None:
    assert privacy_plan.measured_quality(tmp_path / "nowhere") == []
    measured = {
        "data": "made-up",
        "ndcg10": {
            name: {"next_videos": value, "related": value}
            for name, value in (("none", 0.3), ("default", 0.27), ("strict", None))
        },
    }
    (tmp_path / "made-up.json").write_text(json.dumps(measured))
    sets = privacy_plan.measured_quality(tmp_path)
    assert sets == [{"name": "made-up", "ndcg10": {"none": 0.3, "default": 0.27}}]
    config = World(tmp_path, 0.0).write().config
    setting = privacy_plan.plan_level(config, Level.DEFAULT, timedelta(days=7), PlannedCohort(5, 1))
    with out.capture() as captured:
        show_plan(
            config,
            (setting, setting),
            privacy_plan.Offer(offered=True, audience=None, needed=0),
            sets,
            None,
            peers=0,
        )
    assert "made-up 0.300 0.270 (-10 %)" in " ".join(captured.get().split())


def test_measuring_on_own_viewers(world: World) -> None:
    command = ("privacy", "plan", "--measure", "-c", world.config_file)
    measured = shoal(*command, "--level", "strict", "--members", "4", "-o", "json").json["measured"]
    assert measured["viewers"] == 60
    assert all(0 < value < 1 for value in measured["ndcg10"].values())
    # Noise of more than half of the largest counts cannot help.
    assert measured["ndcg10"]["plan"] < measured["ndcg10"]["none"]
    few = shoal(*command, "--members", "20")
    assert few.returncode == 5
    assert "105 are needed" in few.stderr
