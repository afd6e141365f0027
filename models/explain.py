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

Kind = Literal["co-engagement", "tags", "channel", "category", "language", "history", "popular", "new"]
SHOWN_TAGS = 3
SHOWN_VIDEOS = 3


@dataclass(frozen=True)
class Reason:
    """The main reason for a video, as data; wording is up to whoever shows it.

    Attributes:
        kind: "co-engagement" (the same people engaged with both), "history" (what this viewer engaged with),
            "tags", "channel", "category", "language" (in common with the seed), "new" (nobody has seen it
            yet, it fits the viewer's tags), "popular" (nothing more is known).
        users: people who engaged with both videos, for "co-engagement"; with this one, for "popular"; else
            None.
        tags: tags in common, weightiest first.
        via: catalogue positions of the seed or of the videos of the history that count most, weightiest
            first.
    """

    kind: Kind
    users: int | None = None
    tags: tuple[str, ...] = ()
    via: tuple[int, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A score and its parts.

    Attributes:
        video: catalogue position.
        score: the sum of `by_video`.
        by_video: (position, part) of every video of the history, in its order.
        by_feature: (name, part), such as ("tag", "jazz"), where the score comes from what is known of the
            videos; these add up to the score as well. Empty where it comes from what people engaged with.
    """

    video: int
    score: float
    by_video: tuple[tuple[int, float], ...]
    by_feature: tuple[tuple[tuple[str, str], float], ...] = ()


def total(parts: Sequence[float]) -> float:
    """Exactly rounded sum, the same in whatever order the parts come."""
    return math.fsum(parts)


def weightiest(parts: Mapping[int, float], k: int, *, without: Collection[int] = ()) -> tuple[int, ...]:
    """Keys of the k largest positive parts, largest first; equal ones: lower key first."""
    chosen = [key for key, part in parts.items() if part > 0 and key not in without]
    return tuple(sorted(chosen, key=lambda key: (-parts[key], key))[:k])
