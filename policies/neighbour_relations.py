"""What may differ between two inputs that must look alike, and what a release changes by it: plain types.

The arithmetic is in `policies.accounting`, which takes most of a second to load.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

YEAR = 365 * 24 * 3600.0


class Relation(StrEnum):
    """What is added or removed between two inputs that must look alike."""

    PAIR = "pair"
    VIEW = "view"
    USER = "user"


@dataclass(frozen=True)
class Release:
    """One aggregator's window: the counts of a member, and its pairs if it went on to them.

    Noise is the declared variance per entry. The same contribution given again is the same release.
    """

    counts_noise: float
    pairs_noise: float
    max_videos_per_user: int
    head: int
    with_pairs: bool = True

    def entries(self, relation: Relation) -> Counter[float]:
        """Return how many entries change by 1, by the variance of their noise."""
        videos = self.max_videos_per_user
        paired = min(videos, self.head) if self.with_pairs else 0
        counts, pairs = {
            Relation.PAIR: (0, min(1, max(paired - 1, 0))),
            Relation.VIEW: (min(1, videos), max(paired - 1, 0)),
            Relation.USER: (videos, paired * (paired - 1) // 2),
        }[relation]
        return Counter({self.counts_noise: counts}) + Counter({self.pairs_noise: pairs})
