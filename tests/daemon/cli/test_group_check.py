"""`shoal group check`: the host is asked and nothing is joined; this machine does a member's part."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.cli import terminal
from daemon.errors import JobError
from daemon.group import repository
from daemon.lab import group_check_process
from daemon.lab.group_check import GroupCheck
from daemon.ledger import chain as ledger
from federation.flower import installed
from federation.flower.app.laboratory import Laboratory
from models import statistics
from tests.daemon.peer_instances import neighbours
from tests.daemon.running_daemon import instance
from tests.daemon.shoal_command import shoal

pytestmark = [pytest.mark.slow, pytest.mark.daemon]

GROUP = "video-cooperative"


@pytest.mark.parametrize("columns", [80, 120])
def test_it_says_what_a_round_of_that_size_takes_here(
    tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "_width", columns)
    config = instance(tmp_path / "one")
    done = shoal("group", "check", "--members", "20", "-c", config)
    assert done.returncode == 0, done.stderr
    assert "can carry a round" in done.said
    assert all(len(line) <= columns for line in done.stdout.splitlines())
    found = shoal("group", "check", "--members", "20", "-c", config, "-o", "json").json
    assert (found["members"], found["sub_cohort"], found["threshold"]) == (20, 7, 5)
    assert list(found["seconds"]) == ["advertise", "share", "mask", "confirm", "unmask"]
    assert all(seconds >= 0 for seconds in found["seconds"].values())
    # Four bytes an entry, and little more.
    vector = 4 * (found["videos"] + statistics.pairs(found["head"]))
    assert vector < found["sent"] < vector + 20_000
    assert vector / 2**20 < found["memory_mb"] < found["memory_limit_mb"]
    assert not list((tmp_path / "one").glob("journal/*"))


async def test_the_host_is_asked_and_nothing_is_joined(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 2) as (host, a):

        async def typed(who: Any, *words: str) -> Any:
            return await asyncio.to_thread(shoal, *words, "-c", who.config_file)

        assert (await typed(host, "group", "host", GROUP)).returncode == 0
        before = [ledger.head(one.engine) for one in (host, a)]
        done = await typed(a, "group", "check", host.url, "--group", GROUP, "-o", "json")
        assert done.returncode == 0, done.stderr
        assert (done.json["offer"]["group"], done.json["members"]) == (GROUP, 5)
        assert repository.current(a.engine) is None
        assert [one.host for one in repository.members(host.engine)] in ([], [host.host])
        assert [ledger.head(one.engine) for one in (host, a)] == before
        other = await typed(a, "group", "check", host.url, "--group", "another", "-o", "json")
        assert other.returncode != 0


def test_a_wrong_sum_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: Laboratory, _hosts: tuple[str, ...], length: int) -> Any:
        return self.vector(0, length)

    assert set(group_check_process._complete(Laboratory(5, 1)).up) == {
        "advertise",
        "share",
        "mask",
        "confirm",
        "unmask",
    }
    monkeypatch.setattr(Laboratory, "total", wrong)
    with pytest.raises(JobError, match="wrong"):
        group_check_process._complete(Laboratory(5, 1))
    assert np.any(Laboratory(5, 1).vector(0, 9) != Laboratory(5, 1).vector(1, 9))


def test_what_is_missing_is_said_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = instance(tmp_path / "one")
    done = shoal("group", "check", "-c", config)
    assert (done.returncode, "--members" in done.stderr) == (2, True)
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == "flwr" else object())
    done = shoal("group", "check", "--members", "9", "-c", config)
    assert (done.returncode, "pip install 'shoal[group]'" in done.stderr, "Flower" in done.stderr) == (
        2,
        True,
        True,
    )


def test_a_stage_may_take_half_of_what_a_host_waits() -> None:
    def check(mask: float) -> bool:
        return GroupCheck(9, 9, 7, 9, 9, {"share": 0.1, "mask": mask}, 1, 1, 1.0, 2, 120.0).in_time

    assert check(60.0)
    assert not check(60.1)
