"""Everything that waits has a cause, and a date where there is one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import load
from daemon.disclosure.waiting import Situation, Waiting, gather, waiting
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.rounds.aggregator_window import peer_windows
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as replace_snapshot
from daemon.store.viewers import Pseudonyms
from federation.identity import Identity, format_key
from tests.daemon.running_daemon import instance

DAY = 86400.0
WEEK = 7 * DAY
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC).timestamp()
DATES = tuple(NOW - DAY for _ in range(60)) + tuple(NOW + n * 60 for n in range(1, 281))
READY = Situation("contribute", tuple(NOW - 30 * DAY for _ in range(340)), WEEK, 4, 4)


@pytest.fixture(autouse=True)
def _in_2026(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.sentences.this_year", lambda: 2026)


def causes(found: Waiting) -> list[str]:
    return [wait.cause for wait in found.waits]


def test_the_first_suggestions_with_dates_and_decisions() -> None:
    situation = replace(READY, dates=DATES, mutual=3, unanswered=("slow.example",))
    found = waiting(situation, NOW)
    assert found.english == (
        "First shared suggestions about 7 December. 60 of 340 videos are old enough on 7 December. "
        "1 of 4 approvals is missing. Not yet given by slow.example."
    )
    assert causes(found) == ["videos", "approvals"]
    # Nobody can say when an admin decides.
    assert found.at is None
    assert waiting(replace(situation, mutual=4), NOW).at == NOW + 6 * DAY


def test_nothing_is_missing() -> None:
    found = waiting(READY, NOW)
    assert (found.at, found.waits) == (NOW, ())
    assert found.english == "First shared suggestions now: nothing is missing."


def test_some_videos_are_enough_to_begin_with() -> None:
    found = waiting(replace(READY, dates=DATES, min_age=DAY), NOW)
    assert found.english == (
        "First shared suggestions now: nothing is missing. 60 of 340 videos are old enough, all of them "
        "on 2 December."
    )
    assert found.at == NOW


@pytest.mark.parametrize(
    ("change", "cause", "says"),
    [
        ({"mode": "off"}, "mode", "Mode is “off”, so nobody is asked."),
        ({"mode": "simulate"}, "mode", "Mode is “simulate”, so nobody is asked."),
        ({"dates": ()}, "sync", "No video has been read yet."),
        (
            {"mutual": 0, "needed": 4},
            "approvals",
            "as soon as somebody decides. 4 of 4 approvals are missing.",
        ),
        (
            {"mutual": 2, "asking": ("a.example", "b.example")},
            "approvals",
            "2 of 4 approvals are missing. a.example and b.example wait for yours.",
        ),
        (
            {"next_at": NOW + 20 * DAY, "first": False},
            "window",
            "Next shared round about 21 December. The peers gave their sum, and give the next one on 21",
        ),
        (
            {"next_at": NOW + 40 * DAY, "first": False},
            "window",
            "about 10 January 2027",
        ),
        (
            {"next_at": NOW + 3600, "failed": True},
            "retry",
            "The last round failed, and is tried again on 1 December at 13:00 UTC.",
        ),
        (
            {"viewers_from": NOW + DAY},
            "viewers",
            "now: nothing is missing. What viewers do begins new data",
        ),
        ({"scheduled": False}, "schedule", "Rounds start only when you start them"),
        ({"group": "coast", "group_at": NOW + DAY}, "group", "takes its next sum on 2 December"),
        ({"group": "coast", "mutual": 0}, "group", "The group coast has announced no sum yet."),
        ({"untrained": True, "mutual": 0}, "training", "the next training learns from it"),
        (
            {"awaiting": True, "next_at": NOW + DAY},
            "confirm",
            "A model learnt with others waits for your approval.",
        ),
    ],
)
def test_each_cause_is_named(change: dict[str, object], cause: str, says: str) -> None:
    found = waiting(replace(READY, **change), NOW)  # type: ignore[arg-type]
    assert causes(found) == [cause]
    assert says in found.english


@given(
    st.lists(st.floats(0, 3e9), max_size=5).map(sorted).map(tuple),
    st.integers(0, 6),
    st.integers(3, 6),
    st.floats(0, 3e9),
    st.booleans(),
    st.sampled_from(["off", "simulate", "consume", "contribute"]),
)
def test_a_date_is_there_exactly_where_nobody_has_to_decide(
    dates: tuple[float, ...], mutual: int, needed: int, next_at: float, failed: bool, mode: str
) -> None:
    situation = Situation(mode, dates, WEEK, mutual, needed, next_at=next_at, failed=failed)  # type: ignore[arg-type]
    found = waiting(situation, NOW)
    decisions = mutual < needed or not dates or mode in {"off", "simulate"}
    assert (found.at is None) == decisions
    if found.at is not None:
        assert found.at >= NOW
        # Then nothing is in the way any more.
        assert not [wait for wait in waiting(situation, found.at).waits if wait.blocks]
    assert all(found.sentences)


def test_what_is_read_decides(tmp_path: Path) -> None:
    path = instance(tmp_path / "one", extra='mode = "contribute"')
    path.write_text(path.read_text().replace("enabled = false", "enabled = true"))
    config = load(path)
    migrate(config.database)
    engine = open_checked(config.database)
    assert causes(gather(config, engine, NOW)) == ["sync", "approvals"]
    with replace_snapshot(engine, Pseudonyms(b"k" * 32)) as snapshot:
        snapshot.add_videos(
            VideoRow(f"https://v.example/{n}", f"uuid-{n}", "Title", stored=NOW - n * DAY) for n in range(5)
        )
        snapshot.describe(SourceFacts("peertube"), now=NOW, participants=0)
    for n in range(4):
        key = format_key(Identity(f"p{n}.example", bytes([n + 1]) * 32).public.key)
        theirs = "approved" if n else "unknown"
        repository.save(engine, Peer(f"p{n}.example", key=key, state="approved", theirs=theirs))  # type: ignore[arg-type]
    repository.save(engine, Peer("asks.example", theirs="asked"))
    found = gather(config, engine, NOW)
    assert found.english == (
        "First shared suggestions about 4 December. 2 of 5 videos are old enough on 4 December. 1 of 4 "
        "approvals is missing. Not yet given by p0.example. asks.example waits for yours."
    )
    key = format_key(Identity("p0.example", bytes([1]) * 32).public.key)
    introduced = Peer(
        "p0.example", key=key, state="approved", theirs="approved", introduced_by=("p1.example",)
    )
    repository.save(engine, introduced)
    assert "approvals" in causes(gather(config, engine, NOW))
    repository.save(engine, replace(introduced, introduced_by=()))
    then = NOW + 3 * DAY
    assert causes(gather(config, engine, then)) == ["videos"]
    assert gather(config, engine, then).at == then
    # A failed attempt pauses; a finished one is over with its window.
    windows = peer_windows(config, lambda: then)
    windows.failed()
    assert causes(gather(config, engine, then)) == ["videos", "retry"]
    windows.open("run", (), b"", b"")
    windows.note_left()
    windows.answered()
    found = gather(config, engine, then)
    assert causes(found) == ["videos", "window"]
    assert found.at == then + DAY
    # Viewers of a first sync have agreed before; of those who come later none counts for a week.
    for at, who in ((then, "late"), (then, "early")):
        with replace_snapshot(engine, Pseudonyms(b"k" * 32)) as snapshot:
            snapshot.add_videos([VideoRow("https://v.example/0", "uuid-0", "Title", stored=NOW - 9 * DAY)])
            snapshot.add_engagements([EngagementRow(who, "https://v.example/0", liked=True, at=at)])
            snapshot.describe(SourceFacts("peertube"), now=at, participants=1)
    assert [wait.at for wait in gather(config, engine, then).waits if wait.cause == "viewers"] == [
        then + WEEK
    ]
    assert "viewers" not in causes(gather(config, engine, then + WEEK))
