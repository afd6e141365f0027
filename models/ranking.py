"""From scores to a list that people like to see: variety, language, room for new videos. Pure.

The order in which the rules apply:

1. candidates come best first, without anything forbidden;
2. a video in a language other than the wanted one loses some places (soft: it still appears, further down);
3. every so many places one is reserved for a video that nobody has seen yet;
4. within the first places, no channel takes more than its share, as long as there is anything else to show,
   and no instance, as long as something nearly as good comes from another one;
5. what is forbidden is removed once more, at the very end, so that no rule above can let it through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.related_order import Discovery

RESERVED: Final[Mapping[Discovery, tuple[int, int]]] = {
    "familiar": (0, 1),
    "balanced": (1, 2),
    "explore": (2, 4),
}
"""Places out of ten kept for new videos: in a list of related videos, and in a viewer's own."""
OWN_POPULARITY: Final[Mapping[Discovery, float]] = {"familiar": 0.1, "balanced": 0.0, "explore": -0.1}
"""Weight of popularity in a viewer's own list, where the best score is 1."""
_FOR_ONE, _MOST_FOR_ONE, _NEGLIGIBLE = 2.0, 1.5, 0.1
_NEARLY_AS_GOOD = 3
"""Windows within which a video of another instance is looked for."""


@dataclass(frozen=True)
class ListRules:
    """How lists are arranged.

    Attributes:
        window: length of the first part of a list, in which channels and instances are capped.
        channel_cap: videos of one channel in that part.
        host_cap: videos of one instance in that part.
        language_penalty: places that a video in another language loses; 0 switches the rule off.
        discovery: where a viewer has not chosen.
        reserve: whether places are kept for new videos.
    """

    window: int = 5
    channel_cap: int = 2
    host_cap: int = 2
    language_penalty: int = 10
    discovery: Discovery = "balanced"
    reserve: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that make no list."""
        if min(self.window, self.language_penalty) < 0 or min(self.channel_cap, self.host_cap) < 1:
            raise ValueError("window and language_penalty must not be negative, caps at least 1")


def history_weight(videos: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return what is added to the weight of popularity in a viewer's own list, by the videos that are known.

    NDCG@10 with exact numbers on ml-latest-small and steam-200k, by the weight:

        videos       0             0.4           0.8           1.6
        1            .300 .248     .325 .283     .352 .315     .361 .334
        3            .304 .346     .325 .378     .346 .389     .344 .372
        10           .328 .388     .332 .395     .336 .389     .320 .369
    """
    found: NDArray[np.float64] = np.clip(_FOR_ONE / np.maximum(videos, 1) - _NEGLIGIBLE, 0.0, _MOST_FOR_ONE)
    return found


def best(scores: NDArray[np.float32] | NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Positions of the k best scores, best first; equal ones: lower position first; -inf is never listed.

    Args:
        scores: (n,).
        k: how many at most.
    """
    cut = scores.size - k
    if 0 < cut < scores.size:
        least = np.partition(scores, cut)[cut]
        found = np.flatnonzero(scores >= least)
    else:
        found = np.arange(scores.size)
    found = found[scores[found] > -np.inf]
    return found[np.lexsort((found, -scores[found]))][:k]


def prefer_language(
    videos: Sequence[int], language: NDArray[np.int32], wanted: int, penalty: int
) -> list[int]:
    """Move videos in another language down by `penalty` places; unknown languages stay.

    Args:
        videos: best first.
        language: (videos of the catalogue,) -1 unknown.
        wanted: language number, -1 for no wish.
        penalty: places.
    """
    if wanted < 0 or penalty == 0:
        return list(videos)
    key = [
        place + (penalty if language[video] not in (-1, wanted) else 0) for place, video in enumerate(videos)
    ]
    return [videos[place] for place in sorted(range(len(videos)), key=lambda place: (key[place], place))]


def reserved_places(limit: int, per_ten: int) -> list[int]:
    """0-based places for new videos, evenly spread: one in ten is the fifth, two the third and eighth."""
    # The middle of each of `per_ten` equal parts of the ten, rounded up, counted from 0.
    middles = [-(-(2 * part + 1) * 10 // (2 * per_ten)) - 1 for part in range(per_ten)]
    places = [ten + middle for ten in range(0, limit, 10) for middle in middles]
    return [place for place in places if place < limit]


def interleave(familiar: Sequence[int], new: Sequence[int], per_ten: int) -> tuple[list[int], set[int]]:
    """Put new videos into their reserved places; each list fills the other's gaps; no video occurs twice.

    Returns the list, and which of its videos have a reserved place.
    """
    merged: list[int] = []
    seen: set[int] = set()
    reserved: set[int] = set()
    places = set(reserved_places(len(familiar) + len(new), per_ten)) if per_ten else set()
    queues = (iter(familiar), iter(new))
    while True:
        turn = len(merged) in places
        first, second = queues[::-1] if turn else queues
        video = _next(first, seen)
        if video is not None and turn:
            reserved.add(video)
        if video is None:
            video = _next(second, seen)
        if video is None:
            return merged, reserved
        seen.add(video)
        merged.append(video)


def vary(
    videos: Sequence[int], rules: ListRules, channel: NDArray[np.int32], host: NDArray[np.int32]
) -> list[int]:
    """Defer further videos of a channel, or of an instance, until the first `rules.window` places are taken.

    Where there is not enough else to show, these videos fill the places after all. For another instance only
    the next best are looked at: most of a good list may come from one.

    Args:
        videos: best first.
        rules: window and caps.
        channel: (videos of the catalogue,) -1 unknown.
        host: likewise.
    """
    first: list[int] = []
    chosen: set[int] = set()
    both, one = ((channel, rules.channel_cap), (host, rules.host_cap)), ((channel, rules.channel_cap),)
    for candidates, caps in ((videos[: _NEARLY_AS_GOOD * rules.window], both), (videos, one), (videos, ())):
        for video in candidates:
            if len(first) >= rules.window:
                break
            if video not in chosen and all(
                column[video] < 0 or sum(column[other] == column[video] for other in first) < cap
                for column, cap in caps
            ):
                first.append(video)
                chosen.add(video)
    return [*first, *(video for video in videos if video not in chosen)]


def arrange(
    familiar: Sequence[int],
    new: Sequence[int],
    *,
    limit: int,
    per_ten: int,
    rules: ListRules,
    channel: NDArray[np.int32],
    host: NDArray[np.int32],
    language: NDArray[np.int32],
    wanted_language: int,
    forbidden: Collection[int] = (),
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[list[int], set[int]]:
    """Apply all rules to two lists of candidates, each best first.

    Returns the list, and which of its videos have a reserved place.

    Args:
        familiar: candidates with a place by their score.
        new: candidates for the reserved places.
        limit: length of the list.
        per_ten: reserved places out of ten.
        rules: the other rules.
        channel: (videos of the catalogue,) -1 unknown.
        host: likewise.
        language: likewise.
        wanted_language: of the seed or the viewer, -1 unknown.
        forbidden: never in the result.
        allowed: (videos of the catalogue,), nothing else is in the result; None allows everything.
    """
    ordered = prefer_language(familiar, language, wanted_language, rules.language_penalty)
    fresh = prefer_language(new, language, wanted_language, rules.language_penalty)
    merged, reserved = interleave(ordered, fresh, per_ten)
    capped = vary(merged, rules, channel, host)
    return only_allowed([video for video in capped if video not in forbidden], allowed)[:limit], reserved


def mix(
    near: Sequence[int],
    own: Sequence[int],
    *,
    limit: int,
    rules: ListRules,
    channel: NDArray[np.int32],
    host: NDArray[np.int32],
    allowed: NDArray[np.bool_],
) -> tuple[list[int], set[int]]:
    """Take turns between two arranged lists, the first beginning; variety and what is allowed hold again.

    Args:
        near: videos like the one that is watched, best first.
        own: videos that suit the viewer, best first.
        limit: length of the list.
        rules: how channels and instances are capped.
        channel: (videos of the catalogue,) -1 unknown.
        host: likewise.
        allowed: (videos of the catalogue,), nothing else is in the result.

    Returns:
        the list; which of its videos took a turn of `own`.
    """
    queues = (iter(near), iter(own))
    seen: set[int] = set()
    merged: list[int] = []
    suited: set[int] = set()
    while True:
        turn = len(merged) % 2
        video = _next(queues[turn], seen)
        if video is None:
            turn = 1 - turn
            video = _next(queues[turn], seen)
        if video is None:
            break
        seen.add(video)
        merged.append(video)
        if turn == 1:
            suited.add(video)
    capped = vary(merged, rules, channel, host)
    return only_allowed(capped, allowed)[:limit], suited


def fill(
    familiar: list[int],
    new: Sequence[int],
    popular: NDArray[np.integer[Any]],
    published: NDArray[np.float64] | None,
    allowed: NDArray[np.bool_],
    limit: int,
) -> None:
    """Lengthen a short list of candidates, in place.

    Args:
        familiar: candidates with a place by their score.
        new: candidates for the reserved places.
        popular: positions, most popular first: what is added.
        published: (videos of the catalogue,) Unix seconds, nan unknown: where only few videos are allowed,
            the newest of them are added as well; None adds none.
        allowed: (videos of the catalogue,), nothing else is added.
        limit: length wanted, of both lists together.
    """
    if len({*familiar, *new}) >= limit:
        return
    rest = allowed.copy()
    rest[familiar] = False
    added = only_allowed(popular.tolist(), rest)[:limit]
    familiar += added
    if published is not None and len({*familiar, *new}) < limit:
        rest[added] = False
        others = np.flatnonzero(rest)
        familiar += others[best(np.nan_to_num(published[others], nan=0.0), limit)].tolist()


def only_allowed(videos: Sequence[int], allowed: NDArray[np.bool_] | None) -> list[int]:
    """Return the videos that are allowed, in their order."""
    if allowed is None or not videos:
        return list(videos)
    positions = np.asarray(videos, np.int64)
    kept: list[int] = positions[allowed[positions]].tolist()
    return kept


def _next(queue: Iterator[int], seen: set[int]) -> int | None:
    return next((video for video in queue if video not in seen), None)
