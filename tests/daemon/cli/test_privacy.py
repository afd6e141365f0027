"""`shoal privacy` and the cost of a round, as people and programs see them, over a real store."""

from __future__ import annotations

import gzip
import math
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest

from daemon.cli.privacy_view import show_report
from daemon.cli.terminal import out
from daemon.disclosure import formatting
from daemon.disclosure.privacy_report import gather
from daemon.identity import open_identity
from daemon.rounds.data_windows import open_windows
from daemon.rounds.own_statistics import own_viewers
from daemon.rounds.viewer_digests import viewer_tags
from daemon.store.engine import open_checked
from daemon.store.releases import OWN
from daemon.store.viewers import forget_viewers, viewer_states
from policies.accounting import Relation, epsilon, guess
from policies.privacy import Level
from tests.daemon.cli.spending_instance import (
    DAY,
    DEFAULT,
    STRICT,
    World,
    assert_cost,
    release_of,
)
from tests.daemon.shoal_command import shoal

pytestmark = pytest.mark.slow


def test_nothing_given_is_said_plainly(world: World) -> None:
    world.write(top='mode = "off"', peers=False)
    done = shoal("privacy", "show", "-c", world.config_file).said
    assert "Nothing was given to anybody in the past 365 days" in done
    assert 'With mode = "off" none of them is in any new sum' in done
    report = world.show()
    assert (report["windows"], report["aggregators"], report["together"]["windows"]) == ([], {}, 0)
    assert report["together"]["user"] == {"epsilon": 0.0, "guess": 0.5, "detection": 0.05}
    assert report["viewers"] == {
        "stored": 60,
        "counted": 60,
        "videos": 40,
        "settled": 40,
        "limit": 200,
        "too_long": 0,
        "left_out": 0,
    }


def test_the_numbers_are_those_of_the_accounting(world: World) -> None:
    world.write(privacy="min_changed_users = 0")
    for aggregator, level, head in (
        ("two.example", Level.DEFAULT, 30),
        ("two.example", Level.DEFAULT, 20),
        ("three.example", Level.STRICT, 30),
    ):
        world.give(aggregator, level, videos=40, head=head)
        world.now += 9 * DAY
    world.write(privacy="yearly_budget_pair = 10.0\nyearly_budget_view = 1.5")
    two = [release_of(Level.DEFAULT, 30), release_of(Level.DEFAULT, 20)]
    everything = [*two, release_of(Level.STRICT, 30)]
    report = world.show()
    for relation in Relation:
        assert_cost(report["aggregators"]["two.example"][relation.value], two, relation)
        assert_cost(report["aggregators"]["three.example"][relation.value], everything[2:], relation)
        assert_cost(report["together"][relation.value], everything, relation)
    assert report["together"]["windows"] == 3
    spent = epsilon(everything, Relation.PAIR)
    assert report["budgets"]["pair"] == {"limit": 10.0, "left": pytest.approx(10.0 - spent, abs=1e-4)}
    assert report["budgets"]["view"] == {"limit": 1.5, "left": 0.0}
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert f"guesses right in {100 * guess(everything):.0f} of 100 cases instead of 50" in printed
    assert f"a pair of videos {spent:.2f}" in printed
    assert "spent" in printed


def test_windows_are_shown_with_both_noises_and_why_they_stay_open(world: World) -> None:
    # The first windows last less than a day.
    world.now = time.time() - DAY
    world.give("one-more.example", Level.DEFAULT, videos=40, head=30)
    world.now = time.time() - 3600
    world.give("two.example", Level.DEFAULT, videos=40, head=30)
    world.give("three.example", Level.DEFAULT, videos=40, head=30, opened=False)
    over, three, two = world.show()["windows"]
    assert [one["aggregator"] for one in (over, three, two)] == [
        "one-more.example",
        "three.example",
        "two.example",
    ]

    # Five members, threshold four, one of them an accomplice: three shares reach the declared variance.
    def noise(variance: int) -> dict[str, float]:
        return {
            "members": 5,
            "noise_declared": round(math.sqrt(variance), 4),
            "noise_realised": round(math.sqrt(5 * variance / 3), 4),
            "noise_of_own_share": round(math.sqrt(variance / 3), 4),
        }

    assert two["given"] == {
        "counts": {"videos": 40, **noise(DEFAULT.counts_noise)},
        "pairs": {"videos": 30, **noise(DEFAULT.pairs_noise)},
    }
    assert [one["state"] for one in (over, three, two)] == ["over", "open", "given"]
    assert over["ends"] < time.time()
    assert (two["changed"], two["enough"]) == (0, False)
    assert two["vector"]["entries"] == 40 + 435
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert "each of 40 videos, and with both videos of each of 435 pairs of a head of 30 videos" in printed
    noises = (DEFAULT.counts_noise, DEFAULT.pairs_noise)
    usual = [formatting.off(5 * noise / 3) for noise in noises]
    assert f"is off by about {usual[0]}, a pair by about {usual[1]} if no member is lost" in printed
    assert " and ".join(formatting.off(noise) for noise in noises) + " are left" in printed
    # Two views of who survived need 2 * 4 - 5 of five members in both.
    assert "Only 3 of 5 members together with the aggregator could lift a mask" in printed
    assert "it stays open: 0 viewers changed since, and about 5 must." in printed
    assert "it gets only the same again" in printed
    assert "it gets nothing more" in printed
    # What exactly is needed is drawn, and nobody should plan with it.
    assert "0 viewers changed since, and about 5 must, give or take some noise." in printed


def test_its_own_release_costs_and_is_no_aggregator(world: World) -> None:
    world.release()
    report = world.show()
    one = replace(release_of(Level.DEFAULT, 40), viewers=True)
    (window,) = report["windows"]
    drawn = {part: found["noise_of_own_share"] for part, found in window["given"].items()}
    assert (window["aggregator"], drawn) == (OWN, {"counts": 4.0, "pairs": round(math.sqrt(8), 4)})
    for relation in Relation:
        assert_cost(report["aggregators"][OWN][relation.value], [one], relation)
        assert_cost(report["together"][relation.value], [one], relation)
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert "A count in it is off by about ±4.0, a pair by about ±2.8." in printed
    # Drawn a month ago, for a window of a day.
    assert "It is over. The next training draws it anew." in printed
    assert "The head of your first rounds is chosen from it" in printed
    assert "the aggregator that knows most" not in printed
    assert "ALL TOGETHER" in printed
    world.give("two.example", Level.DEFAULT, videos=40, head=30)
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert "two.example, the aggregator that knows most (1 data window in the past year)" in printed
    assert "All 1 aggregator" not in printed


def test_what_has_not_left_is_given_to_nobody(world: World) -> None:
    world.now = time.time()
    config = world.config
    engine = open_checked(config.database)
    identity = open_identity(config.identity_file, config.instance.host)
    windows = open_windows(config, identity, engine, lambda: world.now)
    proposal = world.proposal("two.example", Level.DEFAULT, videos=40, head=30)
    own = own_viewers(engine, config, now=time.time())
    windows.contribution(proposal, own, lambda: np.zeros(proposal.length, np.int64))
    engine.dispose()
    report = world.show()
    (window,) = report["windows"]
    assert (window["state"], window["given"], report["together"]["windows"]) == ("prepared", {}, 0)
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert "Nothing has left in it so far." in printed
    assert "may get a fresh vector" in printed


def test_a_withdrawal_shows_as_a_void_window(world: World) -> None:
    world.now = time.time() - 3600
    world.give("two.example", Level.DEFAULT, videos=40, head=30)
    config = world.config
    engine = open_checked(config.database)
    leaving = sorted(viewer_states(engine))[:1]
    forget_viewers(engine, leaving)
    identity = open_identity(config.identity_file, config.instance.host)
    windows = open_windows(config, identity, engine, time.time)
    stored = viewer_states(engine)
    assert windows.withdraw(lambda key: viewer_tags(key, stored)) == 1
    engine.dispose()
    report = world.show()
    assert [window["state"] for window in report["windows"]] == ["void"]
    assert report["viewers"]["stored"] == 59
    # What was given stays on the account.
    assert report["together"]["windows"] == 1
    assert "VOID: a viewer who was counted withdrew" in shoal("privacy", "show", "-c", world.config_file).said


def test_a_restored_backup_is_told(world: World) -> None:
    world.now = time.time() - DAY
    world.give("two.example", Level.DEFAULT, videos=40, head=30)
    folder = world.config.windows_dir
    copy = folder.with_name("copied")
    subprocess.run(["cp", "-a", folder, copy], check=True)
    subprocess.run(["rm", "-r", folder], check=True)
    copy.rename(folder)
    until = world.show()["restored_backup_counts_as_served_until"]
    assert until == pytest.approx(time.time() + 28 * DAY, abs=60)
    assert "A backup was restored" in shoal("privacy", "show", "-c", world.config_file).said


def test_level_none_is_called_unsafe_and_infinite(world: World) -> None:
    world.write(top='mode = "contribute"', privacy='level = "none"')
    world.give("two.example", Level.NONE, videos=40, head=30)
    report = world.show()
    assert report["unsafe"]
    assert report["together"]["pair"] == {"epsilon": "infinite", "guess": 1.0, "detection": 1.0}
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert "UNSAFE with real viewers" in printed
    assert "No noise: every number in the sum is exact." in printed


def test_no_viewer_and_no_video_is_ever_named(world: World) -> None:
    world.give("two.example", Level.DEFAULT, videos=40, head=30)
    engine = open_checked(world.config.database)
    pseudonyms = list(viewer_states(engine))
    engine.dispose()
    with gzip.open(world.folder / "dataset" / "items.csv.gz", "rt") as file:
        titles = [line.split(",")[1] for line in file.read().splitlines()[1:]]
    assert len(pseudonyms) == 60
    assert len(titles) == 40
    for words_ in (["show"], ["plan"]):
        for output in ("human", "json"):
            done = shoal("privacy", *words_, "-c", world.config_file, "-o", output)
            assert done.returncode == 0, done
            for secret in (*titles, *(p.hex() for p in pseudonyms), "Private title"):
                assert secret not in done.stdout


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_fit_the_terminal(world: World, width: int) -> None:
    world.give("two.example", Level.DEFAULT, videos=40, head=30)
    engine = open_checked(world.config.database)
    report = gather(world.config, engine, time.time())
    engine.dispose()
    known = out.width
    out.width = width
    try:
        with out.capture() as captured:
            show_report(report)
    finally:
        out.width = known
    assert max(map(len, captured.get().splitlines())) <= width


# -- rounds -----------------------------------------------------------------------------------------------


def test_a_round_shows_its_noise_and_its_cost(world: World) -> None:
    round_ = world.give("two.example", Level.STRICT, videos=40, head=30, opened=False)
    shown = shoal("rounds", "show", round_, "-c", world.config_file, "-o", "json").json
    assert (shown["id"], shown["privacy"]["level"]) == (round_, "strict")
    for relation in Relation:
        assert_cost(shown["privacy"]["cost"][relation.value], [release_of(Level.STRICT, 30)], relation)
    assert shown["privacy"]["given"]["pairs"]["noise_realised"] == round(
        math.sqrt(5 * STRICT.pairs_noise / 3), 4
    )
    printed = shoal("rounds", "show", round_, "-c", world.config_file).said
    assert "level of its noise strict" in printed
    off = [formatting.off(variance) for variance in (5 * STRICT.pairs_noise / 3, STRICT.pairs_noise)]
    assert f"435 numbers, {off[0]}, everybody alive; counted on {off[1]}" in printed
    assert "guessed right: 52 of 100" in printed
    # The same again within the window costs nothing, and says so.
    world.now += 60
    again = world.give("two.example", Level.STRICT, videos=40, head=30)
    assert "nothing new of own viewers" in shoal("rounds", "show", again, "-c", world.config_file).said
