"""What speaks for each video of a related list, part by part, and what the list were without a part.

For the admin who wants to know why; a viewer's list never waits for it. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.content import FeatureKind
from models.explain import share
from models.related_order import LeftOut, Related
from models.serving import ServedModel, Suggestion

PartKind: TypeAlias = FeatureKind | Literal["together", "popularity"]
MOST_FEATURES: Final = 5
"""Features in common that are told apart; further ones add next to nothing."""
SHOWN_SHARE: Final = 0.02
"""What adds less to a score is not shown."""
_CANDIDATES: Final = 100
"""Places that a list without a part is looked at, to say where a video went."""


@dataclass(frozen=True)
class Part:
    """A part of a score.

    Attributes:
        kind: "together" (viewers of both), "popularity", or the kind of a feature in common.
        name: of the feature, empty otherwise.
        share: of the whole score, in [0, 1].
        place: where the video would stand if this part counted for no video, from 1; None where it would not
            be in the list at all.
    """

    kind: PartKind
    name: str
    share: float
    place: int | None


@dataclass(frozen=True)
class Dissected:
    """A place in a list with the parts of its score, largest first; none for a reserved place."""

    suggestion: Suggestion
    parts: tuple[Part, ...]


def dissected(model: ServedModel, video: int, *, limit: int) -> list[Dissected]:
    """Return the related list of a video, a catalogue position, with the parts of each score.

    Raises:
        IndexError: there is no such position.

    """
    found = model.related(video, limit=limit)
    listed = model.listed(video, model.rules.discovery)
    places = {other: place for place, other in enumerate(listed.videos.tolist())}
    without: dict[tuple[PartKind, int], dict[int, int]] = {}

    def place_without(key: tuple[PartKind, int], other: int) -> int | None:
        if key not in without:
            left_out = _left_out(model, video, *key)
            there = model.related(video, limit=_CANDIDATES, leave_out=left_out)
            without[key] = {one.video: place for place, one in enumerate(there, 1)}
        return without[key].get(other)

    return [
        Dissected(
            one,
            tuple(
                Part(key[0], _name(model, key, one.video), part, place_without(key, one.video))
                for key, part in _shares(model, listed, video, one.video, places.get(one.video))
            ),
        )
        for one in found
    ]


def _shares(
    model: ServedModel, listed: Related, video: int, other: int, place: int | None
) -> Iterator[tuple[tuple[PartKind, int], float]]:
    """Yield (kind, feature) with its share of a score, largest first; the feature is -1 for what is none."""
    if place is None:
        return
    together, alike, popularity = (
        float(part[place]) for part in (listed.together, listed.content, listed.popularity)
    )
    parts: dict[tuple[PartKind, int], float] = {("together", -1): together, ("popularity", -1): popularity}
    common = model.content.parts(video, other)
    whole_content = sum(part for _, part in common)
    for feature, part in common[:MOST_FEATURES]:
        parts[model.content.kind(feature), feature] = alike * part / whole_content
    whole = together + alike + popularity
    for key, part in sorted(parts.items(), key=lambda item: -item[1]):
        if part > 0 and share(part, whole) >= SHOWN_SHARE:
            yield key, share(part, whole)


def _left_out(model: ServedModel, video: int, kind: PartKind, feature: int) -> LeftOut:
    if kind == "together":
        return LeftOut(together=True)
    if kind == "popularity":
        return LeftOut(popularity=True)

    def alike(videos: NDArray[np.int64]) -> NDArray[np.float64]:
        return model.content.part(video, videos, feature)

    return LeftOut(alike=alike)


def _name(model: ServedModel, key: tuple[PartKind, int], video: int) -> str:
    return "" if key[1] < 0 else model.feature_name(key[1], video)
