"""What is run how often, and the levels as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies.privacy import PROTECTION, Level, Protection

LEVELS: Mapping[Level, Protection] = PROTECTION
SIZES = (100, 600, 4000)


@dataclass(frozen=True)
class Effort:
    """How many targets every attack gets, at most.

    Attributes:
        groups: of two users, in attack 1.
        completions: targets of attack 2, half of them to choose the way.
        members: targets of attack 3.
        windows: viewers in attack 4; members likewise.
        inversions: short histories in attack 5.
        honeypots: targets of attack 6.
        lists: targets of attack 7, each takes two trainings.
        largest: videos of the head that the slow ones (4, 7) look at.
    """

    groups: int
    completions: int
    members: int
    windows: int
    inversions: int
    honeypots: int
    lists: int
    largest: int


FULL = Effort(
    groups=72, completions=300, members=150, windows=60, inversions=200, honeypots=150, lists=48, largest=1200
)
QUICK = Effort(
    groups=18, completions=60, members=40, windows=12, inversions=40, honeypots=40, lists=8, largest=400
)
