"""When what is due in a group: windows, pauses, announcements, and under which name the fence is reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Config
from daemon.config.schema import DatasetSource, Group, Instance, Schedule
from daemon.group import schedule
from daemon.group.repository import Membership

NOW = 1_800_000_000.0
WEEK = 7 * 86400.0


def config(**group: Any) -> Config:
    settings = {"lead": timedelta(minutes=2), "stay": timedelta(minutes=15), **group}
    schedule = Schedule(session=timedelta(days=7))
    return Config(
        instance=Instance(host="one.example:9001"),
        source=DatasetSource(kind="dataset", path=Path("nowhere")),
        schedule=schedule,
        group=Group(**settings),
    )


MEMBER = Membership("g", "host.example", "https://host.example", "member", "member", next_at=NOW)
HOST = replace(MEMBER, role="host", next_at=0.0)


def test_a_member_is_connected_around_the_announced_time() -> None:
    window = schedule.window(config(), MEMBER)
    assert window == schedule.Window(NOW - 120, NOW, NOW + 900)
    assert [window.holds(NOW + seconds) for seconds in (-121, -120, 0, 899, 900)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert schedule.window(config(), replace(MEMBER, next_at=0.0)) is None
    for state in ("asked", "refused", "ejected", "left"):
        assert schedule.window(config(), replace(MEMBER, state=state)) is None


@given(failures=st.integers(0, 40), state=st.sampled_from(["asked", "member", "refused", "ejected"]))
def test_a_host_is_asked_less_often_than_settings_say_only_by_who_is_out(failures: int, state: Any) -> None:
    every = schedule.poll_every(config(), replace(MEMBER, state=state), failures)
    out = state in ("refused", "ejected")
    assert every == (
        86400.0
        if out and not failures
        else min(3600.0, 60.0 * 2 ** max(failures - 1, 0))
        if failures
        else 3600.0
    )


@given(failures=st.integers(0, 40), ahead=st.floats(-900, 120))
def test_a_link_is_made_again_soon_when_the_sum_begins(failures: int, ahead: float) -> None:
    pause = schedule.link_again(NOW, NOW - ahead, failures)
    assert 2.0 <= pause <= 120.0
    if ahead > 0:
        # It never sleeps through the beginning.
        assert pause <= max(ahead, 2.0) + 1e-6
    elif -59 < ahead < 0:
        assert pause == 2.0


def test_sums_are_announced_by_the_schedule_to_enough_members() -> None:
    notice = 7200.0
    assert schedule.announce(config(), HOST, 5, 0.0, NOW) == NOW + notice
    assert schedule.announce(config(), HOST, 5, NOW - 86400, NOW) == NOW - 86400 + WEEK
    assert schedule.announce(config(), HOST, 5, NOW - 2 * WEEK, NOW) == NOW + notice
    assert schedule.announce(config(), HOST, 4, 0.0, NOW) == 0.0
    assert schedule.announce(config(), MEMBER, 5, 0.0, NOW) == 0.0
    assert schedule.announce(config(), replace(HOST, next_at=NOW), 5, 0.0, NOW) == 0.0
    quiet = config().model_copy(update={"schedule": Schedule(enabled=False)})
    assert schedule.announce(quiet, HOST, 5, 0.0, NOW) == 0.0


def test_what_was_announced_meanwhile_stays() -> None:
    assert schedule.after_session(MEMBER, NOW, "").next_at == 0.0
    assert schedule.after_session(MEMBER, NOW - 60, "why").next_at == NOW


@pytest.mark.parametrize(
    ("settings", "listens", "for_members", "for_host"),
    [
        ({}, "127.0.0.1:9743", "127.0.0.1:9743", "127.0.0.1:9743"),
        ({"listen_host": "0.0.0.0"}, "0.0.0.0:9743", "one.example:9743", "127.0.0.1:9743"),
        ({"listen_host": "192.0.2.7"}, "192.0.2.7:1", "192.0.2.7:1", "192.0.2.7:1"),
        (
            {"public_url": "https://video.example.org:9743"},
            "127.0.0.1:5",
            "video.example.org:9743",
            "127.0.0.1:5",
        ),
        ({"public_url": "https://video.example.org"}, "127.0.0.1:5", "video.example.org:443", "127.0.0.1:5"),
        (
            {
                "public_url": "https://video.example.org",
                "certificate": "c",
                "certificate_key": "k",
            },
            "0.0.0.0:5",
            "video.example.org:443",
            "video.example.org:443",
        ),
    ],
)
def test_under_which_name_the_fence_is_reached(
    settings: dict[str, Any], listens: str, for_members: str, for_host: str
) -> None:
    assert schedule.fence_for_members(config(**settings), listens) == for_members
    assert schedule.fence_for_host(config(**settings), listens) == for_host
