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
from typing import ClassVar

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
    sum: bytes = b""
    """Hash of the latest proposal it was given to; a sum proposed before that has no part in it any more."""


@dataclass(frozen=True)
class Window:
    """One aggregator's window; times in Unix seconds."""

    name: ClassVar[str] = "window"
    reason: ClassVar[str] = (
        "An aggregator gets the same numbers until its window ends: the difference of two sums shows people."
    )

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
        self._require_open()
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

    def require_given(self, round_: int, sum_: bytes) -> None:
        """Check that a sum under way is the one that what was frozen in this window was last given to.

        Raises:
            Refusal: `window-open`.

        """
        self._require_open()
        if round_ >= len(self.given) or self.given[round_].sum != sum_:
            raise Refusal(
                Code.WINDOW_OPEN, "what was given to this sum belongs to a window that is over, or to another"
            )

    def require_room(self, hosts: tuple[str, ...]) -> None:
        """Check that a sum among these members can be opened at all: whom one was opened with is among them.

        Else this instance would send its vector to a sum that it will not open, but that others might.

        Raises:
            Refusal: `window-open`.

        """
        if not set(self.survivors) <= set(hosts):
            raise self._other_survivors()

    def give(self, given: Given) -> Window:
        """Return the window with one more round given."""
        return replace(self, given=(*self.given, given))

    def repeat(self, round_: int, sum_: bytes) -> Window:
        """Return the window with what was frozen for a round given to another sum."""
        again = replace(self.given[round_], sum=sum_)
        return replace(self, given=(*self.given[:round_], again, *self.given[round_ + 1 :]))

    def release(self, survivors: tuple[str, ...]) -> Window:
        """Return the window with a sum opened over these survivors.

        Raises:
            Refusal: `window-open`, when another set was opened before.

        """
        if self.survivors and self.survivors != survivors:
            raise self._other_survivors()
        return replace(self, survivors=survivors)

    def _require_open(self) -> None:
        if self.closed is not Closed.NO:
            # The peer is not told which: that a viewer left is not its business.
            raise Refusal(
                Code.WINDOW_OPEN, f"nothing more is given in this data window; wait {self._until()}"
            )

    def _other_survivors(self) -> Refusal:
        return Refusal(
            Code.WINDOW_OPEN,
            "in this data window a sum was opened with other survivors, and the two would differ by single "
            f"members; wait for the same ones, or {self._until()}",
        )

    def _until(self) -> str:
        day = f"{datetime.fromtimestamp(self.ends, UTC):%Y-%m-%d %H:%M} UTC"
        return f"until {day}, and until enough viewers changed"
