"""`shoal rounds` as people and programs see it, over a store that is filled by hand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from daemon.config import load
from daemon.store.activity import Outcome, RoundRecord, save_round
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from tests.daemon.running_daemon import instance
from tests.daemon.shoal_command import shoal

MEMBERS = [f"{name}.example" for name in "abcd"]
ENDS: dict[str, tuple[Outcome, str]] = {
    "a1": ("running", ""),
    "b1": ("waiting", "2 of 4 members answered"),
    "b2": ("done", ""),
    "c1": ("abandoned", "3 of 4 members are approved here"),
}
"""By the first characters of a round's id: its outcome, and why."""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = instance(tmp_path)
    config = load(path)
    migrate(config.database)
    engine = open_checked(config.database)
    for age, (name, (outcome, reason)) in enumerate(ENDS.items()):
        done = outcome == "done"
        save_round(
            engine,
            RoundRecord(
                id=name.ljust(64, "0"),
                role="aggregator",
                aggregator="one.example",
                started=time.time() - 60 * age,
                outcome=outcome,
                reason=reason,
                roster=MEMBERS,
                survivors=MEMBERS[:3] if done else [],
                bytes_in=2_000,
                bytes_out=3_000,
                seconds={"mask": 1.25} if done else {},
            ),
        )
    engine.dispose()
    return path


def test_a_list_tells_how_each_round_ended(config_file: Path) -> None:
    listed: Any = shoal("rounds", "list", "-c", config_file, "-o", "json").json
    assert [(one["id"][:2], one["outcome"], one["reason"]) for one in listed] == [
        (name, *end) for name, end in ENDS.items()
    ]
    told = shoal("rounds", "list", "-c", config_file, columns=160).said
    assert "ROUND ROLE AGGREGATOR STARTED OUTCOME SUMMED SENT" in told
    assert "waiting, to be resumed (2 of 4 members answered)" in told
    assert "abandoned (3 of 4 members are approved here)" in told
    assert "done 3 of 4 3.0 kB" in told
    assert [
        one["id"][:2] for one in shoal("rounds", "list", "--limit", "1", "-c", config_file, "-o", "json").json
    ] == ["a1"]


def test_one_round_is_shown_by_how_its_id_begins(config_file: Path) -> None:
    shown = shoal("rounds", "show", "b2", "-c", config_file)
    assert shown.returncode == 0, shown
    assert "role aggregator: our own sum" in shown.said
    assert "in the sum a.example, b.example, c.example" in shown.said
    assert "given nothing new of own viewers" in shown.said
    assert "mask 1.25 s" in shown.said
    several = shoal("rounds", "show", "b", "-c", config_file)
    assert (several.returncode, '2 rounds begin with "b"' in several.stderr) == (2, True), several
    none = shoal("rounds", "show", "9", "-c", config_file)
    assert (none.returncode, "shoal rounds list" in none.stderr) == (2, True), none


def test_what_left_in_a_round_is_asked_for_by_its_id(config_file: Path) -> None:
    found = shoal("share", "show", "--round", "b2", "-c", config_file, "-o", "json").json
    assert found == {"round": "b2".ljust(64, "0"), "left": []}


def test_without_any_round_the_next_step_is_told(tmp_path: Path) -> None:
    path = instance(tmp_path)
    migrate(load(path).database)
    assert "No round yet. Approve peers first: shoal peers list" in shoal("rounds", "list", "-c", path).said
