"""Privacy levels: how much noise a sum must carry before this instance is counted in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.proposal import Proposal, Segment
from policies.allowlist import Allowlist
from policies.cohort import strangers
from policies.sharing import counts_and_pairs


class Level(StrEnum):
    """What an admin chooses; the numbers behind it are in `PROTECTION`."""

    NONE = "none"
    DEFAULT = "default"
    STRICT = "strict"
    USER_LEVEL = "user-level"


@dataclass(frozen=True)
class Protection:
    """What a level requires of a sum at least. Noise is a variance per entry, in viewers squared."""

    counts_noise: int
    pairs_noise: int
    max_videos_per_user: int
    least_audience: int = 0
    """Viewers that the cohort's most watched video must have; with fewer, the noise drowns everything."""


PROTECTION: Mapping[Level, Protection] = MappingProxyType(
    {
        Level.NONE: Protection(0, 0, 200),
        Level.DEFAULT: Protection(16, 8, 200),
        Level.STRICT: Protection(16, 64, 200),
        Level.USER_LEVEL: Protection(400, 400, 20, least_audience=10_000),
    }
)
"""Noise is declared for the whole sum; its honest survivors reach it even when only a threshold is left."""


_MOST_VIDEOS = 100_000
_MOST_SHARES = 2.5
"""The most that realised variance can be over the declared one, for four or more members and at most two
colluders: five of them, with a threshold of four, each add half of it."""


def noise_of(segment: Segment) -> float:
    """Return the declared variance of a segment, in viewers squared."""
    return segment.noise / segment.unit**2


def head_minimum(min_users: int, noise: float) -> int:
    """Return the noisy count from which pairs of a video are used, for counts with this declared variance.

    Both are in viewers. That is two standard deviations of everybody's noise above `min_users`: a video of
    few users then rarely passes by luck. Its pairs were summed all the same; the noise in them is what
    protects them.
    """
    return min_users + math.ceil(2 * math.sqrt(_MOST_SHARES * noise))


@dataclass(frozen=True)
class PrivacyPolicy:
    """Refuses sums with less noise than this instance's level, or published without its consent."""

    name: ClassVar[str] = "privacy"
    reason: ClassVar[str] = (
        "A sum has at least the noise of your privacy level, so that it says little about single people."
    )

    me: str
    allowlist: Allowlist
    level: Level
    min_users: int = 5
    allow_publication: bool = False
    """Whether vectors of videos computed from the sum may be shown to everybody."""

    def check(self, proposal: Proposal) -> None:
        """Raise `noise-too-low` or `parameters-refused`."""
        needed, terms = PROTECTION[self.level], proposal.parameters
        counts, pairs = map(noise_of, counts_and_pairs(proposal))
        if not 1 <= terms["max_videos_per_user"] <= _MOST_VIDEOS:
            raise Refusal(Code.PARAMETERS_REFUSED, "the proposal's videos per user are out of range")
        if counts < needed.counts_noise or pairs < needed.pairs_noise:
            raise Refusal(
                Code.NOISE_TOO_LOW,
                f"noise of variance {counts:g} and {pairs:g} is proposed; this instance's level "
                f'"{self.level}" needs {needed.counts_noise} and {needed.pairs_noise}',
            )
        # Who reads the sum, in a group or after it was passed on, may have added noise to it that it knows.
        read = proposal.of_group or bool(terms["pass_on"])
        unknown = strangers(proposal, self.me, self.allowlist) + read
        if proposal.colluders < unknown:
            raise Refusal(
                Code.NOISE_TOO_LOW,
                f"the noise protects against {proposal.colluders} members that work together; the "
                f"aggregator, {'whoever reads the sum ' if read else ''}and the members that "
                f"this instance did not approve are {unknown}",
            )
        least = head_minimum(self.min_users, terms["sub_cohorts"] * counts)
        if terms["min_users"] < least:
            raise Refusal(
                Code.PARAMETERS_REFUSED,
                f"pairs would be used of videos with a noisy count of {terms['min_users']}; this instance "
                f"requires at least {least}",
            )
        if terms["publish"] and not (self.allow_publication and pairs):
            raise Refusal(
                Code.PARAMETERS_REFUSED,
                "vectors of videos from this sum would be published, which this instance does not allow "
                "(privacy.allow_published_vectors)",
            )
