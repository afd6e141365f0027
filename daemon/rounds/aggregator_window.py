"""The aggregator's side of data windows: one question per window, and no second sum in it.

All attempts in a window have the proposals of the first: roster, threshold, vocabulary and head. Until masked
vectors are asked for the question can still be changed, as nothing has left anybody. Once
confirmations went out, members may have revealed shares for one set of survivors, and reveal none for
another: that set stays until the window ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from daemon.config import Config
from daemon.errors import PolicyRefusedError
from daemon.rounds import round_config
from federation import cbor, cbor_fields
from federation.errors import Refusal
from federation.journal import FileJournal
from federation.limits import Limits
from federation.proposal import Proposal
from policies.window_length import length

_KEY = bytes(32)
"""Folder of the journal for the present window."""
_ALWAYS = b"\x01" * 32
"""Folder for what outlives it."""
_FAILURES = "failures"
_FIRST = "first"
_EARLY = "early"
_FIRST_PAUSE: Final = 60.0
_LONGEST_PAUSE: Final = 24 * 3600.0
"""Seconds until a failed run is tried again: a minute, and twice as long each time. Peers that restart are
back within minutes, and an attempt can be resumed for hours. Where members contribute for longer than this
instance asks, their windows last weeks: then once a day is enough."""


@dataclass(frozen=True)
class Bound:
    """The survivors for whom some member of a sub-cohort may have revealed shares.

    `revealed` tells whether one of them did, as far as is known here: it answers no new attempt any more.
    """

    survivors: tuple[str, ...]
    revealed: bool


@dataclass(frozen=True)
class AggregatorWindow:
    """What is asked in the current window; `proposals` by sub-cohort, as the first attempt had them."""

    opened: float
    run: str
    proposals: tuple[Proposal, ...]
    vocabulary: bytes
    head: bytes
    left: bool
    """Whether masked vectors were asked for: from then on nothing is changed."""
    done: bool
    """Whether its sums are here."""
    bound: dict[int, Bound]
    """By number of the sub-cohort."""


class AggregatorWindows:
    """Keeps it in a journal of its own."""

    def __init__(
        self, journal: FileJournal, longest: timedelta, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._journal, self._longest = journal, longest.total_seconds()
        self._limits, self._clock = limits, clock

    def current(self) -> AggregatorWindow | None:
        """Return what is asked in a window that is not over; None where a new one may begin."""
        opened = self._journal.read(_KEY, "opened")
        if opened is None or self._clock() >= self._ends(float(opened)):
            return None
        names = self._journal.names(_KEY)
        try:
            proposals = tuple(
                Proposal.from_payload(self._journal.read(_KEY, name) or b"", self._limits)
                for name in names
                if name.startswith("proposal-")
            )
            bound = {int(name[6:]): self._bound(name) for name in names if name.startswith("bound-")}
        except Refusal:
            # Limits that were lowered since: what was asked cannot be asked any more.
            return None
        return AggregatorWindow(
            opened=float(opened),
            run=(self._journal.read(_KEY, "run") or b"").decode(),
            proposals=proposals,
            vocabulary=self._journal.read(_KEY, "vocabulary") or b"",
            head=self._journal.read(_KEY, "head") or b"",
            left="left" in names,
            done="done" in names,
            bound=bound,
        )

    def open(self, run: str, proposals: Sequence[Proposal], vocabulary: bytes, head: bytes) -> None:
        """Begin a window with this question."""
        self._journal.erase(_KEY)
        self._journal.write(_KEY, "run", run.encode())
        self._journal.write(_KEY, "vocabulary", vocabulary)
        self._journal.write(_KEY, "head", head)
        for number, proposal in enumerate(proposals):
            self._journal.write(_KEY, f"proposal-{number:03}", proposal.to_payload())
        # Last: without it the rest means nothing.
        self._journal.write(_KEY, "opened", repr(self._clock()).encode())

    def note_left(self) -> None:
        """Note that members are about to send their masked vectors."""
        if self._journal.read(_KEY, "left") is not None:
            return
        self._journal.write(_KEY, "left", b"")
        self._journal.erase(_ALWAYS, _EARLY)
        if self._journal.read(_ALWAYS, _FIRST) is None:
            self._journal.write(_ALWAYS, _FIRST, repr(self._clock()).encode())

    def bind(self, number: int, survivors: Sequence[str], *, revealed: bool) -> None:
        """Note that confirmations of these survivors go out, or that one of them revealed its shares."""
        content = cbor.encode([list(survivors), int(revealed)])
        if self._journal.read(_KEY, f"bound-{number:03}") != content:
            self._journal.write(_KEY, f"bound-{number:03}", content)

    def answered(self) -> None:
        """Note that this window has its sums."""
        self._journal.write(_KEY, "done", b"")
        self._journal.erase(_ALWAYS, _FAILURES)

    def failed(self) -> int:
        """Note that a run did not complete; where nothing left, the next one asks anew.

        Returns how often in a row it did not.
        """
        window = self.current()
        if window is not None and not window.left:
            self._journal.erase(_KEY)
        times = self._failures()[0] + 1
        self._journal.write(_ALWAYS, _FAILURES, f"{times} {self._clock()!r}".encode())
        return times

    def may_be_early(self) -> None:
        """Let the next window begin before this one is over: a peer of it was reverted."""
        self._journal.write(_ALWAYS, _EARLY, b"")

    @property
    def early(self) -> bool:
        """Whether the next window is an early one."""
        return self._journal.read(_ALWAYS, _EARLY) is not None

    @property
    def opens(self) -> bool:
        """Whether the next run begins a window, and asks something new."""
        return self.early or self.current() is None

    def next_at(self) -> float:
        """Return from when on something can be asked, Unix seconds; 0 where it can be now."""
        window = self.current()
        if window is not None and window.done:
            return 0.0 if self.early else self._ends(window.opened)
        times, at = self._failures()
        return at + min(_FIRST_PAUSE * 2 ** (times - 1), _LONGEST_PAUSE) if times else 0.0

    def next_after_now(self) -> float:
        """Return when a window ends that opens now, Unix seconds."""
        return self._ends(self._clock())

    def require_new(self) -> None:
        """Raise PolicyRefusedError when this window's sum is here already."""
        window = self.current()
        if window is not None and window.done and not self.early:
            day = f"{datetime.fromtimestamp(self._ends(window.opened), UTC):%Y-%m-%d %H:%M} UTC"
            raise PolicyRefusedError(
                f"the peers gave their sum for this data window; they give the next one from {day} on",
                advice="`shoal train` learns from it again, unless it was taken out. See privacy.window_max.",
            )

    def _ends(self, opened: float) -> float:
        first = self._journal.read(_ALWAYS, _FIRST)
        return opened + length(0.0 if first is None else max(0.0, opened - float(first)), self._longest)

    def _failures(self) -> tuple[int, float]:
        times, _, at = (self._journal.read(_ALWAYS, _FAILURES) or b"0 0").decode().partition(" ")
        return int(times), float(at)

    def _bound(self, name: str) -> Bound:
        content = cbor.decode(self._journal.read(_KEY, name) or b"")
        if not isinstance(content, list) or len(content) != 2:
            raise cbor_fields.malformed("survivors and whether they revealed")
        hosts = cbor_fields.sequence(content[0], cbor_fields.host, at_most=self._limits.max_members)
        return Bound(tuple(hosts), bool(content[1]))


def peer_windows(config: Config, clock: Callable[[], float]) -> AggregatorWindows:
    """Return the windows in which this instance asks its own peers."""
    return _open(config, clock, hosted=False)


def group_windows(config: Config, clock: Callable[[], float]) -> AggregatorWindows:
    """Return the windows in which this instance asks the group that it hosts."""
    return _open(config, clock, hosted=True)


def asked_before(config: Config, *, hosted: bool) -> bool:
    """Tell whether the hosted group, or this instance's peers, were ever asked; looking makes no folder."""
    return _folder(config, hosted=hosted).is_dir()


def _open(config: Config, clock: Callable[[], float], *, hosted: bool) -> AggregatorWindows:
    journal = FileJournal(_folder(config, hosted=hosted))
    return AggregatorWindows(journal, config.privacy.window_max, round_config.limits(config), clock)


def _folder(config: Config, *, hosted: bool) -> Path:
    return (config.group_dir / "host" if hosted else config.journal_dir) / "aggregator-window"
