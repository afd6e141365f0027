"""`shoal privacy` and the cost of a session, as people and programs see them, over a real store."""

from __future__ import annotations

import base64
import gzip
import json
import math
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.cli.privacy_view import show_plan, show_report
from daemon.cli.terminal import out
from daemon.config import Config, load
from daemon.config.types import KEY_PREFIX
from daemon.disclosure import formatting, privacy_plan
from daemon.disclosure.cost import Cost, cost, level_of
from daemon.disclosure.privacy_plan import PlannedCohort
from daemon.disclosure.privacy_report import gather
from daemon.group import repository
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.data_windows import open_windows, viewer_tags
from daemon.rounds.own_statistics import own_viewers
from daemon.store import sums
from daemon.store.activity import SessionRecord, save_session
from daemon.store.engine import open_checked
from daemon.store.viewers import forget_viewers, viewer_states
from federation.envelope import Stage
from federation.identity import Identity, PublicIdentity, format_key
from federation.proposal import BlobReference, Proposal, least_threshold
from policies.accounting import Relation, Release, detection, epsilon, guess
from policies.privacy import PROTECTION, Level, head_minimum
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set
from tests.daemon.stored_sums import EXACT_SUM

pytestmark = pytest.mark.slow

DAY = 86400.0
HOSTS = tuple(f"{name}.example" for name in ("five", "four", "one", "six", "three"))
"""Members of each sum, this instance among them; two.example and three.example take sums."""


def identity_of(host: str) -> Identity:
    return Identity(host, host.encode().ljust(32, b"\0"))


@dataclass
class World:
    """An instance that gives to others; time is kept by hand."""

    folder: Path
    now: float

    @property
    def config_file(self) -> Path:
        return self.folder / "shoal.toml"

    @property
    def config(self) -> Config:
        return load(self.config_file)

    def write(self, *, privacy: str = "", top: str = 'mode = "contribute"', peers: bool = True) -> World:
        self.folder.mkdir(exist_ok=True)
        lines = [
            top,
            '[instance]\nhost = "one.example"',
            f'[source]\npath = "{self.folder / "dataset"}"',
            "[listen]\napi_port = 0\nfederation_port = 0",
            "[schedule]\nenabled = false",
            f'[privacy]\nmin_video_age = "0s"\n{privacy}',
        ]
        for host in sorted({*HOSTS, "two.example"} - {"one.example"}) if peers else ():
            key = KEY_PREFIX + base64.b64encode(identity_of(host).public.key).decode()
            lines.append(f'[[peers]]\nhost = "{host}"\nurl = "https://{host}"\nkey = "{key}"')
        self.config_file.write_text("\n".join(lines) + "\n")
        return self

    def proposal(self, aggregator: str, level: Level, *, videos: int, round_: int = 0) -> Proposal:
        roster = HOSTS if aggregator not in HOSTS else ("five.example", "four.example", "six.example")
        hosts = sorted({*roster, *(() if aggregator == "one.example" else ("one.example",))})
        asked, threshold = PROTECTION[level], least_threshold(len(hosts))
        return Proposal(
            aggregator=aggregator,
            roster=tuple(
                PublicIdentity(host, identity_of(host).public.key) for host in hosts if host != aggregator
            ),
            threshold=threshold,
            trainer="gram/1",
            round=round_,
            length=videos * (videos - 1) // 2 if round_ else videos,
            entry_bound=1000,
            ring=32,
            nonce=bytes(16),
            created=int(self.now),
            expires=int(self.now) + 600,
            parent=bytes([1]) * 32 if round_ else b"",
            noise=asked.noise(round_),
            colluders=1,
            parameters={
                "vocabulary": videos,
                "min_users": 11,
                "max_head": 4096,
                "max_videos_per_user": asked.max_videos_per_user,
                "counts_noise": asked.counts_noise,
                "pairs_noise": asked.pairs_noise,
                "parts": 1,
                "publish": 0,
            },
            blobs={"vocabulary": BlobReference(bytes(32), 1)},
        )

    def give(self, aggregator: str, level: Level, *, videos: int, head: int = 0) -> str:
        """Give counts, and pairs of a head, on the instance's own records; returns the session's id."""
        config = self.config
        engine = open_checked(config.database)
        identity = open_identity(config.identity_file, config.instance.host)
        windows = open_windows(config, identity, engine, lambda: self.now)
        own = own_viewers(engine, config, now=time.time())  # Videos are settled since they were read.
        record = ContributionLog(windows, engine, lambda: self.now)
        session = f"{aggregator}-{self.now}".encode().ljust(32, b".")[:32]
        for round_, size in enumerate((videos, head) if head else (videos,)):
            proposal = self.proposal(aggregator, level, videos=size, round_=round_)
            if round_:
                proposal = replace(proposal, parent=session)
            length = proposal.length
            windows.contribution(proposal, own.digests, lambda n=length: np.zeros(n, np.int64))  # type: ignore[misc]
            record.check(session, proposal, Stage.SURVIVORS)
        save_session(
            engine,
            SessionRecord(
                id=session.hex(),
                role="aggregator" if aggregator == "one.example" else "member",
                aggregator=aggregator,
                started=self.now,
                ended=self.now + 9,
                outcome="done",
                roster=list(proposal.hosts),
                survivors=list(proposal.hosts),
            ),
        )
        engine.dispose()
        return session.hex()

    def show(self, *args: str) -> Any:
        return shoal("privacy", "show", "-c", self.config_file, "-o", "json", *args).json


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 viewers of 40 videos, read once."""
    folder = tmp_path_factory.mktemp("stored")
    write_set(folder / "dataset")
    made = World(folder, 0.0).write()
    assert shoal("sync", "-c", made.config_file).returncode == 0
    return folder


@pytest.fixture
def world(stored: Path, tmp_path: Path) -> World:
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    return World(tmp_path, time.time() - 30 * DAY).write()


def release_of(level: Level, head: int) -> Release:
    asked = PROTECTION[level]
    return Release(asked.counts_noise, asked.pairs_noise, asked.max_videos_per_user, head)


def assert_cost(shown: Any, releases: Sequence[Release], relation: Relation) -> None:
    """What is printed is what the accounting says, or, where guessing is certain anyway, not below it."""
    assert shown["epsilon"] == pytest.approx(epsilon(releases, relation), abs=1e-4)
    assert shown["guess"] == pytest.approx(guess(releases, relation), abs=2e-4)
    assert shown["detection"] == pytest.approx(detection(releases, 0.05, relation), abs=2e-4)


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
        # Members are shown the counts, and no pairs.
        counts = [replace(release, with_pairs=False) for release in everything]
        assert_cost(report["members"][relation.value], counts, relation)
    assert report["together"]["windows"] == 3
    spent = epsilon(everything, Relation.PAIR)
    assert report["budgets"]["pair"] == {"limit": 10.0, "left": pytest.approx(10.0 - spent, abs=1e-4)}
    assert report["budgets"]["view"] == {"limit": 1.5, "left": 0.0}
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert f"guesses right in {100 * guess(everything):.0f} of 100 cases instead of 50" in printed
    assert f"a pair of videos {spent:.2f}" in printed
    assert "spent" in printed


def test_windows_are_shown_with_both_noises_and_why_they_stay_open(world: World) -> None:
    world.now = time.time() - 2 * DAY
    world.give("two.example", Level.DEFAULT, videos=40, head=30)
    world.give("three.example", Level.DEFAULT, videos=40)
    world.now = time.time() - 8 * DAY
    world.give("one.example", Level.DEFAULT, videos=40)
    own, three, two = world.show()["windows"]
    assert [own["aggregator"], three["aggregator"], two["aggregator"]] == [
        "one.example",
        "three.example",
        "two.example",
    ]
    # Five members, threshold four, one of them an accomplice: three shares reach the declared variance.
    assert two["pairs"] == {
        "videos": 30,
        "members": 5,
        "noise_declared": 4.0,
        "noise_realised": round(math.sqrt(5 * 16 / 3), 4),
        "noise_of_own_share": round(math.sqrt(16 / 3), 4),
    }
    assert three["pairs"] is None
    assert own["ours"]
    assert own["ends"] < time.time()
    assert (two["changed"], two["needed"]) == (0, 5)
    assert (len(two["vectors"]), len(three["vectors"])) == (2, 1)
    printed = shoal("privacy", "show", "-c", world.config_file).said
    assert "each of 40 videos, and with each of 435 pairs of a head of 30 videos" in printed
    assert "off by about ±5.2 if no member is lost" in printed
    assert "±4.0 is left" in printed
    # Own sums have three members here: two of them are everybody else.
    assert "Only 2 of 3 members together with the aggregator could lift a mask" in printed
    assert "Its time is over, but it stays open: 0 viewers changed since, 5 are needed" in printed
    assert "Ends on " in printed


def test_a_withdrawal_shows_as_a_void_window(world: World) -> None:
    world.now = time.time() - DAY
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
    assert until == pytest.approx(time.time() + 7 * DAY, abs=60)
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


# -- plan ---------------------------------------------------------------------------------------------------


def test_a_plan_stands_beside_the_present(world: World) -> None:
    answer = shoal(
        *("privacy", "plan", "--level", "strict", "--window", "14d", "--members", "10"),
        *("--aggregators", "2", "-c", world.config_file, "-o", "json"),
    ).json
    now, then = answer["now"], answer["plan"]
    assert (now["level"], then["level"]) == ("default", "strict")
    assert (now["windows_per_year"], then["windows_per_year"]) == (52, 26)
    assert (then["members"], then["aggregators"]) == (10, 2)
    # Ten members, threshold seven, one accomplice: six shares reach 64, ten make 640/6.
    assert then["pairs_noise_declared"] == 8.0
    assert then["pairs_noise_realised"] == round(math.sqrt(640 / 6), 4)
    assert then["max_videos_per_user"] == 200
    assert then["head_minimum"] == head_minimum(5, 64) == 31
    one = release_of(Level.STRICT, 4096)
    for relation in Relation:
        assert_cost(then["one_sum"][relation.value], [one], relation)
        for name, times in (("year_of_one_aggregator", 26), ("year_of_all", 52)):
            assert then[name][relation.value]["epsilon"] == pytest.approx(
                epsilon([one] * times, relation), abs=1e-4
            )
    assert then["year_of_one_aggregator"]["pair"]["guess"] == pytest.approx(guess([one] * 26), abs=2e-4)
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
    assert now["year_of_all"] == now["year_of_one_aggregator"]
    # Two accomplices, as the noise of a group is laid out: nine shares of which five reach what is declared.
    assert now["pairs_noise_realised"] == round(math.sqrt(9 * 16 / (least_threshold(9) - 2)), 4)
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


def test_user_level_is_offered_by_the_audience_of_the_newest_sum(world: World) -> None:
    answer = shoal("privacy", "plan", "--level", "user-level", "-c", world.config_file, "-o", "json").json
    assert (answer["offered"], answer["audience"], answer["audience_needed"]) == (False, None, 10_000)
    session = world.give("one.example", Level.DEFAULT, videos=40)
    config = world.config
    for audience, offered in ((9_999, False), (10_000, True)):
        engine = open_checked(config.database)
        sums.prune(engine, config.sums_dir, keep=0)
        sums.save(
            engine,
            config.sums_dir,
            session_id=session,
            urls=("https://a.example/1", "https://a.example/2"),
            counts=np.array([audience, 3]),
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
    measured = {"data": "made-up", "ndcg10": {"none": 0.3, "default": 0.27, "strict": math.nan}}
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


# -- sessions -----------------------------------------------------------------------------------------------


def test_a_session_shows_its_noise_and_its_cost(world: World) -> None:
    session = world.give("two.example", Level.STRICT, videos=40, head=30)
    shown = shoal("sessions", "show", session, "-c", world.config_file, "-o", "json").json
    assert (shown["id"], shown["privacy"]["level"]) == (session, "strict")
    for relation in Relation:
        assert_cost(shown["privacy"]["cost"][relation.value], [release_of(Level.STRICT, 30)], relation)
    assert shown["privacy"]["given"]["pairs"]["noise_realised"] == round(math.sqrt(5 * 64 / 3), 4)
    printed = shoal("sessions", "show", session, "-c", world.config_file).said
    assert "level of its noise strict" in printed
    assert "435 numbers, ±10.3, everybody alive; counted on ±8.0" in printed
    assert "guessed right: 52 of 100" in printed
    # The same again within the window costs nothing, and says so.
    world.now += 60
    again = world.give("two.example", Level.STRICT, videos=40, head=30)
    assert "nothing new of own viewers" in shoal("sessions", "show", again, "-c", world.config_file).said


# -- parts --------------------------------------------------------------------------------------------------


def test_every_level_and_relation_is_described() -> None:
    assert set(formatting.LEVELS) == set(Level)
    assert set(formatting.NAMES) == set(formatting.QUESTIONS) == set(Relation)


@pytest.mark.parametrize("level", list(Level))
def test_a_level_is_known_by_its_noise(level: Level) -> None:
    asked = PROTECTION[level]
    assert level_of(asked.counts_noise, asked.pairs_noise, asked.max_videos_per_user) is level
    if asked.pairs_noise:
        below = level_of(asked.counts_noise, asked.pairs_noise - 1, asked.max_videos_per_user)
        assert PROTECTION[below].pairs_noise < asked.pairs_noise


@pytest.mark.parametrize("relation", list(Relation))
def test_shortcuts_never_say_less_than_the_accounting(relation: Relation) -> None:
    # From a few releases to so many that figures are certain; where the shortcut begins nothing jumps.
    one, before = Release(16, 16, 20, 4096), 0.0
    for times in (1, 4, 16, 64, 256):
        found = cost([one] * times, relation)
        assert found.guess >= guess([one] * times, relation) - 1e-9
        assert found.guess >= before
        before = found.guess
    assert cost([], relation) == Cost(0.0, 0.5, 0.05)
    assert cost([Release(0, 0, 20, 4096)], relation) == Cost(math.inf, 1.0, 1.0)


def test_numbers_in_words() -> None:
    assert formatting.guesses(Cost(1.7, 0.6035, 0.1)) == "60 of 100"
    assert formatting.guesses(Cost(0.0, 0.5, 0.05)) == "a coin"
    assert formatting.guesses(Cost(9.0, 0.997, 1.0)) == "99.7 of 100"
    assert formatting.guesses(Cost(99.0, 1.0, 1.0)) == "always"
    assert formatting.found(Cost(1.0, 0.6, 0.1216)) == "12 of 100"
    assert [formatting.epsilon(value) for value in (1.716, 23.79, 1569.3, math.inf)] == [
        "1.72",
        "23.8",
        "1,569",
        "∞",
    ]
    assert (formatting.span(7 * DAY), formatting.span(3600), formatting.span(0)) == (
        "7 days",
        "1 hour",
        "no time",
    )
    assert (formatting.off(4), formatting.off(0)) == ("±2.0", "exact")
