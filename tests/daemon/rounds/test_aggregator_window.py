"""One question per window at its aggregator: what stays, what is asked anew, and when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.errors import PolicyRefusedError
from daemon.rounds.aggregator_window import AggregatorWindow, AggregatorWindows, Bound
from federation.identity import Identity
from federation.journal import FileJournal
from federation.limits import Limits
from federation.masks import RING
from federation.proposal import Proposal, Segment
from policies.window_length import SHORTEST
from tests.simulator.cohort import NOW, Clock

LONGEST = timedelta(days=28)
MEMBERS = tuple(sorted(Identity(f"m{n}.example", bytes([n + 2]) * 32).public for n in range(4)))
HOSTS = tuple(member.host for member in MEMBERS)
RUN = "a" * 64


def proposal(members: int = 4) -> Proposal:
    return Proposal(
        aggregator="me.example",
        roster=MEMBERS[:members],
        threshold=3,
        trainer="gram/2",
        segments=(Segment(5, 1, 4), Segment(3, 1, 4)),
        entry_bound=100,
        ring=RING,
        nonce=bytes(16),
        created=0,
        expires=0,
    )


@dataclass
class Asking:
    """An aggregator's windows, read from disk again each time."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    limits: Limits = field(default_factory=Limits)

    def windows(self) -> AggregatorWindows:
        return AggregatorWindows(FileJournal(self.folder), LONGEST, self.limits, self.clock)

    def current(self) -> AggregatorWindow | None:
        return self.windows().current()

    def open(self, run: str = RUN) -> None:
        self.windows().open(run, [proposal(), proposal(3)], b"vocabulary", b"head")

    def done(self, run: str = RUN) -> None:
        """Ask, and get the sums."""
        self.open(run)
        self.windows().note_left()
        self.windows().answered()


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    return Asking(tmp_path / "aggregator-window")


def test_all_attempts_of_a_window_have_its_question(asking: Asking) -> None:
    assert asking.current() is None
    asking.open()
    found = asking.current()
    assert found is not None
    assert found == AggregatorWindow(
        NOW, RUN, (proposal(), proposal(3)), b"vocabulary", b"head", left=False, done=False, bound={}
    )
    asking.windows().note_left()
    asking.clock.now += 3600
    assert asking.current() == replace(found, left=True)


def test_where_nothing_left_the_next_run_asks_anew(asking: Asking) -> None:
    asking.open()
    assert asking.windows().failed() == 1
    assert asking.current() is None
    asking.open("b" * 64)
    asking.windows().note_left()
    assert asking.windows().failed() == 2
    found = asking.current()
    assert found is not None
    assert found.run == "b" * 64


def test_a_window_that_never_left_makes_no_age(asking: Asking) -> None:
    asking.open()
    asking.clock.now += 100 * SHORTEST
    asking.done()
    assert asking.windows().next_at() == asking.clock.now + SHORTEST


def test_windows_grow_from_a_day_to_the_longest(asking: Asking) -> None:
    lengths = []
    for _ in range(9):
        asking.done()
        ends = asking.windows().next_at()
        lengths.append((ends - asking.clock.now) / SHORTEST)
        asking.clock.now = ends - 1
        assert asking.current() is not None
        asking.clock.now = ends
        assert asking.current() is None
    assert lengths[:4] == pytest.approx([1.0, 1.5, 2.25, 3.375])
    assert lengths[-1] == pytest.approx(1.5**8)
    asking.clock.now += 1000 * SHORTEST
    asking.done()
    assert asking.windows().next_at() == asking.clock.now + LONGEST.total_seconds()


# -- survivors that are bound ------------------------------------------------------------------------------


def test_survivors_are_bound_by_sub_cohort_and_stay_so(asking: Asking) -> None:
    asking.open()
    asking.windows().note_left()
    asking.windows().bind(1, HOSTS[:3], revealed=False)
    found = asking.current()
    assert found is not None
    assert found.bound == {1: Bound(HOSTS[:3], revealed=False)}
    asking.windows().bind(1, HOSTS[:3], revealed=True)
    asking.windows().bind(0, HOSTS, revealed=False)
    asking.windows().failed()
    found = asking.current()
    assert found is not None
    assert found.bound == {0: Bound(HOSTS, revealed=False), 1: Bound(HOSTS[:3], revealed=True)}
    # The next window knows nothing of it.
    asking.clock.now += 2 * SHORTEST
    asking.open("b" * 64)
    found = asking.current()
    assert found is not None
    assert found.bound == {}
    assert not found.left


# -- when it is asked --------------------------------------------------------------------------------------


def test_a_failed_run_is_tried_again_after_a_minute_and_twice_as_long_each_time(asking: Asking) -> None:
    assert asking.windows().next_at() == 0
    pauses = []
    for _ in range(13):
        asking.open()
        asking.windows().failed()
        pauses.append(asking.windows().next_at() - asking.clock.now)
        asking.clock.now += pauses[-1]
    assert pauses == [60 * 2**n for n in range(11)] + [24 * 3600] * 2
    # A sum ends it.
    asking.done()
    asking.clock.now += 40 * SHORTEST
    asking.open()
    assert asking.windows().failed() == 1
    assert asking.windows().next_at() == asking.clock.now + 60


def test_a_window_that_has_its_sums_says_when_the_next_ones_come(asking: Asking) -> None:
    asking.windows().require_new()
    asking.open()
    asking.windows().require_new()
    asking.done()
    with pytest.raises(PolicyRefusedError, match="gave their sum for this data window") as refused:
        asking.windows().require_new()
    assert "2027-01-16 08:00 UTC" in refused.value.message
    assert "shoal train" in refused.value.advice
    asking.clock.now = asking.windows().next_at()
    asking.windows().require_new()


# -- early windows -----------------------------------------------------------------------------------------


def test_after_a_revert_the_next_one_may_begin_at_once_until_something_left(asking: Asking) -> None:
    asking.done()
    assert not asking.windows().early
    asking.windows().may_be_early()
    assert asking.windows().early
    assert asking.windows().next_at() == 0
    asking.windows().require_new()
    # It stays the next one as long as nothing left.
    asking.open("b" * 64)
    asking.windows().failed()
    assert asking.windows().early
    asking.open("b" * 64)
    asking.windows().note_left()
    assert not asking.windows().early
    asking.windows().answered()
    with pytest.raises(PolicyRefusedError):
        asking.windows().require_new()


# -- damage ------------------------------------------------------------------------------------------------


def test_limits_that_were_lowered_since_begin_a_new_window(asking: Asking) -> None:
    asking.open()
    asking.limits = replace(asking.limits, max_segments=1)
    assert asking.current() is None


def test_a_crash_before_it_is_whole_leaves_no_window(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    asking.done()
    asking.clock.now += 2 * SHORTEST
    journal = FileJournal(asking.folder)
    whole = journal.write

    class Crash(Exception):
        pass

    names = ("run", "vocabulary", "head", "proposal-000", "proposal-001", "opened")
    for name in names:

        def write(round_id: bytes, what: str, data: bytes, name: str = name) -> None:
            if what == name:
                raise Crash
            whole(round_id, what, data)

        journal.write = write  # type: ignore[method-assign, assignment]
        windows = AggregatorWindows(journal, LONGEST, asking.limits, asking.clock)
        with pytest.raises(Crash):
            windows.open("b" * 64, [proposal(), proposal(3)], b"vocabulary", b"head")
        assert asking.current() is None
