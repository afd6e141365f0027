"""Why a video is in a list: the score split into exact parts, and the one sentence's worth that is shown.

Scores are linear in the viewer's history, so the split is exact and needs no approximation such as LIME:
every video of the history contributes a number, and these numbers add up to the score. Imports nothing but
the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "co-engagement", "tags", "words", "channel", "category", "language", "history", "popular", "new"
]
SHOWN_TERMS = 3
SHOWN_VIDEOS = 3


@dataclass(frozen=True)
class Reason:
    """The main reason for a video, as data; wording is up to whoever shows it.

    Attributes:
        kind: "co-engagement" (the same people engaged with both), "history" (what this viewer engaged with),
            "tags", "words" (of the title), "channel", "category", "language" (in common with the seed, or
            with what this viewer engaged with), "new" (nobody is known to have seen it; tags and words say
            why it is here), "popular" (nothing more is known).
        users: at least about so many viewers engaged with both videos, for "co-engagement"; with this one,
            for "popular"; None where the noise leaves the number open, and for every other kind.
        tags: tags in common, weightiest first.
        words: title words in common, likewise.
        share: of what speaks for the video, the part that this reason explains, in [0, 1].
        via: catalogue positions of the seed or of the videos of the history that count most, weightiest
            first.
    """

    kind: Kind
    users: int | None = None
    tags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    share: float = 1.0
    via: tuple[int, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A score and its parts.

    Attributes:
        video: catalogue position.
        score: the sum of `by_video` and `popularity`.
        by_video: (position, part) of every video of the history, in its order.
        by_feature: (name, part), such as ("tag", "jazz"), where the score comes from what is known of the
            videos; these add up to the score as well. Empty where it comes from what people engaged with.
        popularity: the part that is the same for every viewer but for its scale.
    """

    video: int
    score: float
    by_video: tuple[tuple[int, float], ...]
    by_feature: tuple[tuple[tuple[str, str], float], ...] = ()
    popularity: float = 0.0


def total(parts: Sequence[float]) -> float:
    """Exactly rounded sum, the same in whatever order the parts come."""
    return math.fsum(parts)


def share(part: float, whole: float) -> float:
    """Return a part as a share of what speaks for something, in [0, 1]; 1 where nothing does."""
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 1.0


def weightiest(parts: Mapping[int, float], k: int, *, without: Collection[int] = ()) -> tuple[int, ...]:
    """Keys of the k largest positive parts, largest first; equal ones: lower key first."""
    chosen = [key for key, part in parts.items() if part > 0 and key not in without]
    return tuple(sorted(chosen, key=lambda key: (-parts[key], key))[:k])
