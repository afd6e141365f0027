"""What is due in a group and when, and under which name the reverse proxy of its host is reached."""

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
from daemon.group.schedule import GroupSchedule

NOW = 1_800_000_000.0
WEEK = 7 * 86400.0


def config(**group: Any) -> Config:
    settings = {"lead": timedelta(minutes=2), "stay": timedelta(minutes=15), **group}
    schedule = Schedule()
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


def test_rounds_are_announced_to_enough_members_once_the_window_allows_one() -> None:
    notice = 7200.0
    assert schedule.announce(config(), HOST, 5, 0.0, NOW) == NOW + notice
    assert schedule.announce(config(), HOST, 5, NOW + WEEK, NOW) == NOW + WEEK
    assert schedule.announce(config(), HOST, 5, NOW - WEEK, NOW) == NOW + notice
    assert schedule.announce(config(), HOST, 4, 0.0, NOW) == 0.0
    assert schedule.announce(config(), MEMBER, 5, 0.0, NOW) == 0.0
    assert schedule.announce(config(), replace(HOST, next_at=NOW), 5, 0.0, NOW) == 0.0
    quiet = config().model_copy(update={"schedule": Schedule(enabled=False)})
    assert schedule.announce(quiet, HOST, 5, 0.0, NOW) == 0.0


def test_what_was_announced_meanwhile_stays() -> None:
    assert schedule.after_round(MEMBER, NOW, "").next_at == 0.0
    assert schedule.after_round(MEMBER, NOW - 60, "why").next_at == NOW


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
def test_under_which_name_the_reverse_proxy_is_reached(
    settings: dict[str, Any], listens: str, for_members: str, for_host: str
) -> None:
    assert schedule.proxy_for_members(config(**settings), listens) == for_members
    assert schedule.proxy_for_host(config(**settings), listens) == for_host


class Play:
    """A schedule of one group, and what it says at times that a test sets."""

    def __init__(self, group: Membership, **settings: Any) -> None:
        self.schedule = GroupSchedule(config(**settings))
        self.group, self.now = group, NOW - 3600.0

    def due(self, *, ahead: float = 0.0, **seen: Any) -> tuple[set[str], set[str]]:
        """Return what should end and begin after some seconds."""
        self.now += ahead
        found = {"listens": "", "outdated": False, "unlearnt": False, "summing": False, **seen}
        end, begin = self.schedule.due(self.group, self.now, **found)
        return set(end), set(begin)

    def ended(self, task: Any, *, ok: bool = True) -> None:
        self.schedule.ended(task, self.group, self.now, ok=ok)


def test_a_member_polls_after_each_decision_and_then_now_and_then() -> None:
    play = Play(replace(MEMBER, state="asked", next_at=0.0))
    assert play.due() == ({"hosting", "link", "sum"}, {"poll"})
    answered = replace(play.group, state="member", polled=play.now)
    play.schedule.polled(play.group, answered, play.now, 1.0)
    play.group = answered
    # What the host decided is no decision of ours.
    assert "poll" not in play.due(ahead=3600 * 1.1 - 1)[1]
    assert "poll" in play.due(ahead=1)[1]
    # In vain: after a minute, then after two, then after four, by the jitter.
    for minutes in (1, 2, 4):
        play.schedule.polled(play.group, play.group, play.now, 0.0)
        assert "poll" not in play.due(ahead=60 * minutes - 1)[1]
        assert "poll" in play.due(ahead=1)[1]
    play.schedule.polled(play.group, play.group, play.now, 0.0)
    play.group = replace(play.group, state="left")
    assert "poll" in play.due()[1]


def test_a_member_polls_as_a_sum_comes_near_and_when_it_is_over() -> None:
    play = Play(replace(MEMBER, polled=1.0))
    play.due()
    play.schedule.polled(play.group, replace(play.group, polled=play.now), play.now, 0.0)
    assert "poll" not in play.due(ahead=3600 - 121)[1]
    assert "poll" in play.due(ahead=1)[1]
    play.schedule.polled(play.group, replace(play.group, polled=play.now), play.now, 0.0)
    assert "poll" not in play.due(ahead=120 + 899)[1]
    assert "poll" in play.due(ahead=1)[1]


def test_a_member_is_linked_until_it_has_the_sum() -> None:
    play = Play(replace(MEMBER, proxy="h.example:1", ca="ca"))
    assert "link" in play.due()[0]
    assert play.due(ahead=3600 - 120)[1] >= {"link"}
    assert play.schedule.proxy == "h.example:1"
    # Refused while its key is not registered: again after 20 seconds, and when the sum begins.
    play.ended("link")
    assert "link" not in play.due(ahead=19)[1]
    assert "link" in play.due(ahead=1)[1]
    play.ended("link")
    assert "link" not in play.due(ahead=39)[1]
    assert "link" in play.due(ahead=1)[1]
    # Elsewhere, or for another sum: the old one ends, and the new one begins at once.
    play.ended("link")
    play.group = replace(play.group, next_at=NOW + 30)
    end, begin = play.due()
    assert "link" in end & begin
    play.group = replace(play.group, run="taken")
    assert "link" in play.due(ahead=60)[1]
    assert "link" in play.due(ahead=29)[1]
    end, begin = play.due(ahead=1)
    assert "link" in end - begin


def test_what_a_host_does_follows_from_its_listener_and_the_announced_time() -> None:
    play = Play(HOST)
    assert play.due() == ({"link"}, {"hosting", "housekeeping", "announce"})
    play.ended("housekeeping")
    assert "housekeeping" not in play.due(ahead=3599)[1]
    assert "housekeeping" in play.due(ahead=1)[1]
    assert "nodes" not in play.due(outdated=True)[1]
    assert "nodes" in play.due(outdated=True, listens="127.0.0.1:1")[1]
    play.group, play.now = replace(HOST, next_at=NOW), NOW - 16
    assert not {"sum", "announce", "missed"} & play.due(listens="127.0.0.1:1")[1]
    assert "sum" not in play.due(ahead=1)[1]
    assert "sum" in play.due(listens="127.0.0.1:1")[1]
    # It is connected itself, too, and stays so until the listener is gone.
    assert "link" in play.due(listens="127.0.0.1:1")[1]
    assert "link" in play.due()[0]
    assert "missed" not in play.due(ahead=915, listens="127.0.0.1:1", summing=True)[1]
    assert "missed" in play.due()[1]
    # Closed, or in the group of somebody else: nothing of it goes on.
    play.group = replace(HOST, state="left")
    assert play.due()[0] >= {"hosting", "link"}
    play.group = replace(MEMBER, next_at=0.0)
    assert play.due()[0] == {"hosting", "link", "sum"}


def test_what_ended_begins_again_after_a_pause() -> None:
    play = Play(HOST)
    for task, ok, pause in (("hosting", True, 30), ("hosting", False, 30), ("announce", False, 30)):
        play.ended(task, ok=ok)
        assert task not in play.due(ahead=pause - 1)[1]
        assert task in play.due(ahead=1)[1]
    play.ended("announce")
    assert "announce" in play.due()[1]
    play.group = replace(MEMBER, next_at=0.0)
    assert "learn" in play.due(unlearnt=True)[1]
    play.ended("learn", ok=False)
    assert "learn" not in play.due(ahead=599, unlearnt=True)[1]
    assert "learn" in play.due(ahead=1, unlearnt=True)[1]
    # Published while this instance was not connected: it is fetched.
    play.group = replace(play.group, offered="newest")
    assert "learn" in play.due()[1]
