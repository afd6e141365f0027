"""Privacy levels: how much noise a sum must carry before this instance is counted in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.limits import Limits
from federation.proposal import Proposal
from policies.allowlist import Allowlist
from policies.cohort import strangers


class Level(StrEnum):
    """What an admin chooses; the numbers behind it are in `PROTECTION`."""

    NONE = "none"
    DEFAULT = "default"
    STRICT = "strict"
    USER_LEVEL = "user-level"


@dataclass(frozen=True)
class Protection:
    """What a level requires of a sum at least. Noise is a variance per entry, in users squared."""

    counts_noise: int
    pairs_noise: int
    max_videos_per_user: int
    least_audience: int = 0
    """Viewers that the cohort's most watched video must have; with fewer, the noise drowns everything."""

    def noise(self, round_: int) -> int:
        """Return the variance of the counts (round 0) or of the pairs."""
        return self.pairs_noise if round_ else self.counts_noise


PROTECTION: Mapping[Level, Protection] = MappingProxyType(
    {
        Level.NONE: Protection(0, 0, 200),
        Level.DEFAULT: Protection(16, 16, 200),
        Level.STRICT: Protection(64, 64, 200),
        Level.USER_LEVEL: Protection(400, 400, 20, least_audience=10_000),
    }
)
"""Noise is declared for the whole sum; its honest survivors reach it even when only a threshold is left."""


_MOST_NOISE = Limits().max_noise
_MOST_VIDEOS = 100_000
_MOST_SHARES = 2.5
"""The most that realised variance can be over the declared one, with one colluder: four members and the
aggregator, whose own contribution is in the counts that members are shown, each add half of it."""


def head_minimum(min_users: int, noise: int) -> int:
    """Return the noisy count from which a video enters the head, for counts with this declared variance.

    That is two standard deviations of everybody's noise above `min_users`: a video of few users then rarely
    enters by luck, and its pairs, which could show a single history, stay out. It does not depend on the size
    of the cohort, so that a retry with one more member asks the same question.
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
        declared = Protection(
            terms["counts_noise"], terms["pairs_noise"], terms["max_videos_per_user"], needed.least_audience
        )
        if not 1 <= declared.max_videos_per_user <= _MOST_VIDEOS or not all(
            0 <= noise <= _MOST_NOISE for noise in (declared.counts_noise, declared.pairs_noise)
        ):
            # Both rounds are checked at once: accounting needs both before the second is proposed.
            raise Refusal(Code.PARAMETERS_REFUSED, "the proposal's noise or videos per user are out of range")
        if declared.noise(proposal.round) != proposal.noise:
            raise Refusal(
                Code.PARAMETERS_REFUSED, "the proposal's noise is not the one that its terms declare"
            )
        if declared.counts_noise < needed.counts_noise or declared.pairs_noise < needed.pairs_noise:
            raise Refusal(
                Code.NOISE_TOO_LOW,
                f"noise of variance {declared.counts_noise} and {declared.pairs_noise} is proposed; this "
                f'instance\'s level "{self.level}" needs {needed.counts_noise} and {needed.pairs_noise}',
            )
        # Every member of a group sees its sum, and knows the noise that it added itself.
        unknown = strangers(proposal, self.me, self.allowlist) + proposal.of_group
        if proposal.colluders < unknown:
            raise Refusal(
                Code.NOISE_TOO_LOW,
                f"the noise protects against {proposal.colluders} members that work together; the "
                f"aggregator, {'whoever reads the sum ' if proposal.of_group else ''}and the members that "
                f"this instance did not approve are {unknown}",
            )
        least = head_minimum(self.min_users, terms["parts"] * terms["counts_noise"])
        if terms["min_users"] < least:
            raise Refusal(
                Code.PARAMETERS_REFUSED,
                f"pairs would be summed for videos with a noisy count of {terms['min_users']}; this instance "
                f"requires at least {least}",
            )
        if terms["publish"] and not (self.allow_publication and declared.pairs_noise):
            raise Refusal(
                Code.PARAMETERS_REFUSED,
                "vectors of videos from this sum would be published, which this instance does not allow "
                "(privacy.allow_published_vectors)",
            )
