"""The aggregator's side of data windows: one vocabulary per window, and no second sum in it.

Members answer the same question with the same numbers until their windows are over, and refuse another one.
So a session that failed is tried again with its vocabulary, and one that succeeded is not repeated before the
length of a window has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daemon.config import Config
from daemon.errors import PolicyRefusedError
from federation.journal import FileJournal

_KEY = bytes(32)
"""The one folder of this journal."""


@dataclass(frozen=True)
class AggregatorWindow:
    """What is asked about in the current window; `done` is the session that has the answer, or empty."""

    opened: float
    vocabulary: bytes
    done: str


class AggregatorWindows:
    """Keeps it in a journal of its own."""

    def __init__(self, journal: FileJournal, length: timedelta, clock: Callable[[], float]) -> None:
        self._journal, self._length, self._clock = journal, length.total_seconds(), clock

    def current(self) -> AggregatorWindow | None:
        """Return what is asked in a window that is not over; None where a new one may begin."""
        opened = self._journal.read(_KEY, "opened")
        vocabulary = self._journal.read(_KEY, "vocabulary")
        if opened is None or vocabulary is None or self._clock() >= float(opened) + self._length:
            return None
        return AggregatorWindow(float(opened), vocabulary, (self._journal.read(_KEY, "done") or b"").decode())

    def open(self, vocabulary: bytes) -> None:
        """Begin a window with this question."""
        self._journal.erase(_KEY)
        self._journal.write(_KEY, "vocabulary", vocabulary)
        self._journal.write(_KEY, "opened", repr(self._clock()).encode())

    def answered(self, session_id: str) -> None:
        """Note that this window has its sum."""
        self._journal.write(_KEY, "done", session_id.encode())

    def next_at(self) -> float:
        """Return from when on a new sum may be asked for, Unix seconds; 0 where it may be now."""
        window = self.current()
        return window.opened + self._length if window is not None and window.done else 0.0

    def require_new(self) -> None:
        """Raise PolicyRefusedError when this window's sum is here already."""
        until = self.next_at()
        if until:
            day = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
            raise PolicyRefusedError(
                f"the peers gave their sum for this data window; they give the next one from {day} on",
                advice="`shoal train` learns from it again, unless it was taken out. See privacy.window.",
            )


def peer_windows(config: Config, clock: Callable[[], float]) -> AggregatorWindows:
    """Return the windows in which this instance asks its own peers."""
    return AggregatorWindows(FileJournal(_folder(config)), config.privacy.window, clock)


def group_windows(config: Config, clock: Callable[[], float]) -> AggregatorWindows:
    """Return the windows in which this instance asks the group that it hosts."""
    return AggregatorWindows(FileJournal(_folder(config, hosted=True)), config.privacy.window, clock)


def asked_before(config: Config, *, hosted: bool) -> bool:
    """Tell whether the hosted group, or this instance's peers, were ever asked; looking makes no folder."""
    return _folder(config, hosted=hosted).is_dir()


def _folder(config: Config, *, hosted: bool = False) -> Path:
    return (config.group_dir / "host" if hosted else config.journal_dir) / "aggregator-window"
