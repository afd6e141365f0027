"""Data windows: per window an aggregator gets one contribution, or the same one again.

Two sums over the same data that differ in one member, or in one viewer, give that member or viewer away. So
what was given to an aggregator is frozen, noise and all, until its window is over: after about a week, and
only when enough viewers changed. A change of the cohort ends no window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction

from federation.errors import Code, Refusal


class Closed(StrEnum):
    """Why a window gives nothing."""

    NO = ""
    VOID = "void"
    """A viewer in it withdrew."""
    SERVED = "served"
    """What was given is not known any more, so it counts as given: a backup was restored."""


@dataclass(frozen=True)
class Given:
    """What was frozen for one sum: to which terms (their hash), and the variance of the noise in it."""

    terms: bytes
    variance: Fraction


@dataclass(frozen=True)
class Window:
    """One aggregator's window; times in Unix seconds."""

    opened: float
    ends: float
    closed: Closed = Closed.NO
    given: tuple[Given, ...] = ()
    """By round: counts, then pairs."""
    survivors: tuple[str, ...] = ()
    """Whom a sum was opened with; no other set may be."""

    def over(self, now: float, *, changed: int, least: int) -> bool:
        """Tell whether a new window may open: time has passed, and `least` viewers changed since."""
        return now >= self.ends and changed >= least

    def repeats(self, round_: int, terms: bytes, variance: Fraction) -> bool:
        """Tell whether what was frozen answers a sum again; False where the round has not been given yet.

        Raises:
            Refusal: `window-open`: the window gives nothing, or something else was given in it.

        """
        self.require_open()
        if round_ > len(self.given):
            raise Refusal(Code.WINDOW_OPEN, "in this window no first sum was given that this could follow")
        if round_ == len(self.given):
            return False
        given = self.given[round_]
        if given.terms != terms or given.variance < variance:
            raise Refusal(
                Code.WINDOW_OPEN,
                "another sum was given in this data window; propose the same vocabulary and terms, or wait "
                f"{self._until()}",
            )
        return True

    def require_open(self) -> None:
        """Raise `Refusal` (`window-open`) when nothing may be given in this window any more."""
        if self.closed is Closed.VOID:
            raise Refusal(
                Code.WINDOW_OPEN, f"what was given in this data window is withdrawn; wait {self._until()}"
            )
        if self.closed is Closed.SERVED:
            raise Refusal(
                Code.WINDOW_OPEN, f"this data window counts as served after a restore; wait {self._until()}"
            )

    def require_given(self, round_: int, terms: bytes) -> None:
        """Check that a sum under way is the one that was given in this window.

        Raises:
            Refusal: `window-open`.

        """
        self.require_open()
        if round_ >= len(self.given) or self.given[round_].terms != terms:
            raise Refusal(Code.WINDOW_OPEN, "what was given to this sum belongs to a window that is over")

    def give(self, given: Given) -> Window:
        """Return the window with one more round given."""
        return replace(self, given=(*self.given, given))

    def release(self, survivors: tuple[str, ...]) -> Window:
        """Return the window with a sum opened over these survivors.

        Raises:
            Refusal: `window-open`, when another set was opened before.

        """
        if self.survivors and self.survivors != survivors:
            raise Refusal(
                Code.WINDOW_OPEN,
                "in this data window a sum was opened with other survivors, and the two would differ by "
                "single "
                f"members; wait for the same ones, or {self._until()}",
            )
        return replace(self, survivors=survivors)

    def _until(self) -> str:
        day = f"{datetime.fromtimestamp(self.ends, UTC):%Y-%m-%d %H:%M} UTC"
        return f"until {day}, and until enough viewers changed"
