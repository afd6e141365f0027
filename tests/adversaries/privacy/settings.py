"""What is run how often, and what is attacked: the levels as they are, or a front to choose them from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policies.privacy import PROTECTION, Level, Protection
from tests.adversaries.privacy import sock_puppets

SIZES = (100, 600, 4000)
FRONT_SIZES = (600,)
FRONT_ATTACKS = (1, 2, 4, 7, 8)
_FRONT_PAIRS = (4, 8, 12, 16, 32, 64)
_FRONT_COUNTS = 16


@dataclass(frozen=True)
class Setting:
    """A column of the table."""

    name: str
    protection: Protection


LEVELS = tuple(Setting(level.value, PROTECTION[level]) for level in Level)
FRONT = (
    Setting(Level.NONE.value, PROTECTION[Level.NONE]),
    *(Setting(f"pairs {pairs}", Protection(_FRONT_COUNTS, pairs, 200)) for pairs in _FRONT_PAIRS),
)


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
        puppets: targets of attack 8, by the number of accounts.
        largest: videos of the head that the slow one (4) looks at.
        rare: videos that attack 9 asks for.
        draws: of noise and of who is an own user, that quality is a mean of; on large sets two at most.
        rank: of the model whose quality is measured.
    """

    groups: int
    completions: int
    members: int
    windows: int
    inversions: int
    honeypots: int
    lists: int
    puppets: dict[int, sock_puppets.Effort]
    largest: int
    rare: int
    draws: int = 10
    rank: int = 256


FULL = Effort(
    groups=72,
    completions=300,
    members=150,
    windows=60,
    inversions=200,
    honeypots=150,
    lists=150,
    puppets={
        4: sock_puppets.Effort(choice=80, measured=345, windows=96),
        10: sock_puppets.Effort(choice=60, measured=160, windows=96),
        25: sock_puppets.Effort(choice=48, measured=120, windows=48),
        50: sock_puppets.Effort(choice=48, measured=120, windows=48),
    },
    largest=1200,
    rare=2000,
)
FOR_FRONT = replace(
    FULL,
    lists=100,
    puppets={
        4: sock_puppets.Effort(choice=96, measured=320, windows=48),
        25: sock_puppets.Effort(choice=48, measured=120, windows=0),
    },
    draws=5,
)
QUICK = Effort(
    groups=18,
    completions=60,
    members=40,
    windows=12,
    inversions=40,
    honeypots=40,
    lists=8,
    puppets={10: sock_puppets.Effort(choice=8, measured=32, windows=8)},
    largest=400,
    rare=800,
    draws=1,
    rank=32,
)
