"""The rounds that `make chaos` tries: they run, and what may not happen would be seen."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from daemon.store.tables import SumVideo
from tests.chaos import faults, load
from tests.chaos.__main__ import report, report_faults, report_kills
from tests.chaos.killed_rounds import MEMBERS, TRIES, Rounds, Row, running, wrong
from tests.chaos.random_kills import Kills
from tests.chaos.witness import Given, Witness, given_by

NOBODY: frozenset[tuple[str, ...]] = frozenset()
FIRST = Given("reef.example", "w1", 100.0, 160.0, 101.0, "aa", ("aa",), NOBODY)
HOUR = 3600


@pytest.mark.daemon
@pytest.mark.asyncio
async def test_rounds_with_members_killed_give_plain_sums(tmp_path: Path) -> None:
    told: list[str] = []
    # With this seed two members die at `survivors` when all vectors have left, which are then given again.
    # Windows that no slow machine reaches the end of: each of the two asks once.
    async with running(tmp_path, window_seconds=HOUR) as daemons:
        row = await Rounds(daemons, random.Random(1), told.append).run(2, 0.5)
        assert row.holds, [*row.wrong_sums, *row.given_twice]
        assert row.rounds == len(told) == 2
        assert row.killed == 6
        assert row.tries == [0, 2, 0], told
        assert all(daemon.alive for daemon in daemons)

        aggregator, members = daemons[0], daemons[1:]
        found = [one for member in members if (one := given_by(member, aggregator.host)) is not None]
        (survivors,) = {names for one in found for names in one.survivors}
        assert len(survivors) >= MEMBERS - 1
        assert wrong(aggregator, members, survivors, found, since=0.0) == []
        with aggregator.engine.begin() as connection:
            connection.execute(update(SumVideo).values(count=SumVideo.count + 1))
        assert "another sum" in wrong(aggregator, members, survivors, found, since=0.0)[0]
        assert "gave nothing" in wrong(aggregator, members, survivors, [], since=0.0)[0]


def test_the_same_vector_again_and_another_in_the_next_window_are_right() -> None:
    witness = Witness()
    assert witness.look([FIRST], since=90.0) == []
    assert witness.look([FIRST], since=90.0) == []
    assert witness.look([replace(FIRST, survivors=frozenset({("a", "b")}))], since=90.0) == []
    later = replace(FIRST, window="w2", opened=160.0, ends=220.0, left=161.0, frozen="bb", released=("bb",))
    assert witness.look([replace(later, survivors=frozenset({("a", "c")}))], since=160.0) == []


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        (replace(FIRST, frozen="bb", released=("bb",)), "a second vector"),
        (replace(FIRST, window="w2", opened=159.0, frozen="bb", released=("bb",)), "before the last one"),
        (replace(FIRST, released=()), "on record"),
        (replace(FIRST, released=("bb",)), "on record"),
        (replace(FIRST, survivors=frozenset({("a", "b"), ("a", "c")})), "several sets"),
    ],
)
def test_whoever_gives_twice_is_named(then: Given, sentence: str) -> None:
    witness = Witness()
    assert witness.look([FIRST], since=90.0) == []
    (found,) = witness.look([then], since=90.0)
    assert sentence in found


def test_members_that_open_for_different_survivors_are_seen_but_not_across_windows() -> None:
    one = replace(FIRST, survivors=frozenset({("a", "b")}))
    other = replace(one, member="cove.example", left=110.0, survivors=frozenset({("a", "c")}))
    assert "several sets" in Witness().look([one, other], since=90.0)[0]
    # The first one was away since then: its window is of a round before.
    assert Witness().look([one, other], since=105.0) == []


def test_the_report_fails_where_something_happened_that_never_may(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row(0.3, rounds=4, tries=[2, 1, *[0] * (TRIES - 2)], killed=5, seconds=61.4)
    # What does not complete is no failure: nothing was learned.
    assert report([row]) == 0
    assert "2 (50%)" in (shown := capsys.readouterr().out)
    assert "3 (75%)" in shown
    assert report([row, replace(row, wrong_sums=["another sum"])]) == 1
    assert "at 30%: another sum" in capsys.readouterr().err
    assert report([replace(row, given_twice=["a second vector"])]) == 1


def test_kills_and_other_faults_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    kills = Kills(killed=200, rounds=61, completed=55, answered=12_345, away=678, orders=90, seconds=1200.0)
    assert report_kills(kills) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("200", "12,345", "55 of 61"))
    assert report_kills(replace(kills, lost=["an entry"])) == report_kills(replace(kills, wrong=["x"])) == 1
    row = faults.Row("full disk", times=5, answered=1_000, said={"disk-full"})
    assert report_faults([row, faults.Row("clock jumps")]) == 0
    assert "not tried" in capsys.readouterr().out
    assert report_faults([replace(row, lost=["an entry"])]) == 1


def test_a_list_that_cannot_be_right_is_called_wrong() -> None:
    known = {"a": "https://x/a", "b": "https://x/b"}
    item = {"uuid": "a", "url": "https://x/a"}
    assert load._wrong("b", 200, {"videos": [item]}, known) == ""
    assert "status 500" in load._wrong("b", 500, {}, known)
    assert load._wrong("a", 200, {"videos": [item]}, known)
    assert load._wrong("b", 200, {"videos": [item, item]}, known)
    assert "unknown" in load._wrong("b", 200, {"videos": [{**item, "url": "https://y/a"}]}, known)
