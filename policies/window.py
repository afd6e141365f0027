"""Data windows: per window an aggregator gets one contribution, and opens it with one set of survivors.

Two sums over the same data that differ in one member, or in one viewer, give that member or viewer away. So
what leaves for an aggregator is frozen, noise and all, until its window is over: after a while, and only when
enough viewers changed. Until something has left, nothing is frozen: an attempt that fails early costs
nobody anything. A change of the cohort ends no window.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from federation.errors import Code, Refusal, silence


class Closed(StrEnum):
    """Why a window gives nothing."""

    NO = ""
    VOID = "void"
    """A viewer in it withdrew."""
    SERVED = "served"
    """What was given is not known any more, so it counts as given: a backup was restored."""


CHANGE_EPSILON = 0.5
"""Of each of two noises: whether and when a new window opens shifts the odds that one viewer changed by at
most exp(2 * 0.5)."""

BETWEEN_LOOKS = 24 * 3600.0
"""Seconds between two looks at how many viewers changed, once a window's time is over."""

SETTLED_AFTER = 7 * 24 * 3600.0
"""Seconds after which a viewer's changes count towards a new data window: accounts that are made to bring one
about, and then watch who else changed, take a week each."""

BETWEEN_EARLY = 90 * 24 * 3600.0
"""Seconds between two early windows of one aggregator: each is one more release of the year."""

BETWEEN_REDRAWS = 7 * 24 * 3600.0
"""Seconds from the draw of an own release until it may be drawn anew because somebody in it left."""


def noisy_threshold(least: int, draw: random.Random) -> int:
    """Return how many viewers must change before the next window: `least` plus discrete Laplace noise.

    Whoever controls least - 1 accounts would otherwise learn from an answer that somebody else changed.
    `least` of 0 stays 0, for tests without privacy; else at least one viewer has to change.
    """
    return max(1, least + _laplace(draw)) if least else 0


def noisy_change(changed: int, draw: random.Random) -> int:
    """Return how many viewers changed plus discrete Laplace noise, drawn anew for each look.

    With a noisy threshold alone, who is told "no" on one day and "yes" on the next, while its own accounts
    do nothing, knows that somebody changed in between. The sparse vector technique noises both (Dwork & Roth
    2014, section 3.6); counts that one viewer can only raise need half of what others do (Lyu, Su & Li 2017).
    """
    return changed + _laplace(draw)


def _laplace(draw: random.Random) -> int:
    def geometric() -> int:
        return math.floor(-math.log(1 - draw.random()) / CHANGE_EPSILON)

    return geometric() - geometric()


@dataclass(frozen=True)
class Window:
    """One aggregator's window; times in Unix seconds."""

    name: ClassVar[str] = "window"
    reason: ClassVar[str] = (
        "An aggregator gets one set of numbers in a window: the difference of two sums would show people."
    )

    opened: float
    ends: float
    least_changed: int
    """How many viewers must change before the next one, drawn with noise when it opened; 0 once they did."""
    closed: Closed = Closed.NO
    terms: bytes = b""
    """Hash of all that the frozen contribution depends on; empty as long as nothing is frozen."""
    proposal: bytes = b""
    """Hash of the latest proposal it was given to; an attempt before that has no part in it any more."""
    left: bool = False
    """Whether the masked vector may have left."""
    survivors: tuple[str, ...] = ()
    """Whom a sum was opened with: shares were revealed for this set, and are for no other."""
    early: float = 0.0
    """When this aggregator last got a window before its time."""
    looked: float = 0.0
    """When it was last looked at how many viewers changed, to no avail."""

    def over(self, now: float) -> bool:
        """Tell whether a new window may open: time has passed, and enough viewers changed since."""
        return now >= self.ends and self.least_changed <= 0

    def look(self, now: float, changed: int, draw: random.Random) -> Window:
        """Return the window after a look at how many viewers changed; where they are enough, it stays over.

        Nobody looks before its time is over, nor twice a day.
        """
        if now < max(self.ends, self.looked + BETWEEN_LOOKS) or self.over(now):
            return self
        enough = noisy_change(changed, draw) >= self.least_changed
        return replace(self, looked=now, least_changed=0 if enough else self.least_changed)

    def may_be_early(self, now: float) -> bool:
        """Tell whether a new window may open before this one is over, because a peer was reverted.

        Whether one was, only the aggregator knows; so once a quarter, whatever it says.
        """
        return self.closed is not Closed.SERVED and now >= self.early + BETWEEN_EARLY

    def may_be_redrawn(self, now: float) -> bool:
        """Tell whether what somebody left may be drawn anew without them; not more than once a week."""
        return self.closed is Closed.VOID and now >= self.opened + BETWEEN_REDRAWS

    @property
    def replaceable(self) -> bool:
        """Whether what is frozen may be counted again, as nothing of it has left."""
        return self.closed is not Closed.SERVED and not self.left

    def repeats(self, terms: bytes) -> bool:
        """Tell whether what was frozen answers a proposal again; False where it may be counted afresh.

        Raises:
            Refusal: `window-open`: what this window gives was given, or to other terms; `busy`: it gives
                nothing any more, which must look like the silence of a member that is away.

        """
        if self.replaceable:
            return self.closed is Closed.NO and self.terms == terms
        if self.survivors or self.closed is Closed.SERVED:
            # Always, so that nobody can ask again and again until somebody withdraws.
            raise Refusal(Code.WINDOW_OPEN, f"what this data window gives was given; wait {self._until()}")
        if self.closed is not Closed.NO:
            raise silence()
        if self.terms != terms:
            raise Refusal(
                Code.WINDOW_OPEN,
                "another contribution was given in this data window; propose the same roster, vocabulary, "
                f"head and terms, or wait {self._until()}",
            )
        return True

    def require_given(self, proposal: bytes) -> None:
        """Check that an attempt under way is the one that what was frozen was last given to.

        Raises:
            Refusal: `busy` when a viewer left, `window-open`.

        """
        if self.closed is Closed.VOID:
            raise silence()
        if self.closed is not Closed.NO or self.proposal != proposal:
            raise Refusal(
                Code.WINDOW_OPEN,
                "what was given to this round belongs to a window that is over, or to another attempt",
            )

    def give(self, terms: bytes, proposal: bytes) -> Window:
        """Return the window with a contribution frozen, or given again, for an attempt."""
        return replace(self, closed=Closed.NO, terms=terms, proposal=proposal)

    def release(self, survivors: tuple[str, ...]) -> Window:
        """Return the window with a sum opened over these survivors.

        Raises:
            Refusal: `window-open`, when another set was opened before.

        """
        if self.survivors and self.survivors != survivors:
            raise Refusal(
                Code.WINDOW_OPEN,
                "in this data window a sum was opened with other survivors, and the two would differ by "
                f"single members; wait {self._until()}",
            )
        return replace(self, survivors=survivors)

    def _until(self) -> str:
        day = f"{datetime.fromtimestamp(self.ends, UTC):%Y-%m-%d %H:%M} UTC"
        return f"until {day}, and until enough viewers changed"
