"""A made-up PeerTube of any size: videos are made when asked for, so that a million take no memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from tests.daemon.fake_peertube import HOST, World, video_uuid

_TAGS_EACH = 4


class MadeVideos(Sequence[dict[str, Any]]):
    """The catalogue as the plugin sends it: 4 tags each, of a fifth as many; 50 videos a channel."""

    def __init__(self, videos: int, rng: np.random.Generator) -> None:
        self._tags = (rng.random((videos, _TAGS_EACH)) ** 3 * (videos // 5)).astype(np.int32)

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self._tags)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """Make a video, or those of a page."""
        if isinstance(place, slice):
            return [self._video(number) for number in range(*place.indices(len(self)))]
        return self._video(place)

    def _video(self, number: int) -> dict[str, Any]:
        uuid = video_uuid(number)
        published = 1_600_000_000.25 + 60 * number
        return {
            "url": f"https://{HOST}/videos/watch/{uuid}",
            "uuid": uuid,
            "title": f"A title of the usual length, number {number} of the catalogue",
            "channel": f"https://{HOST}/video-channels/channel_{number % (len(self) // 50 or 1)}",
            "host": HOST,
            "category": f"Category {number % 18}",
            "language": ("en", "fr", "de", None)[number % 4],
            "nsfw": number % 50 == 0,
            "published": published,
            "views": number,
            "likes": number % 97,
            "tags": [f"tag number {tag}" for tag in sorted(set(self._tags[number].tolist()))],
            "scope": None,
            "own": number % 10 == 0,
            "stored": published,
        }


def made_world(videos: int, viewers: int, history: int, rates: int, seed: int = 0) -> World:
    """Return a world of these sizes; `history` and `rates` are rows of all viewers together.

    What is watched is skewed: a tenth of the videos have a third of the rows.
    """
    rng = np.random.default_rng(seed)
    catalogue: Any = MadeVideos(videos, rng)
    world = World(videos=catalogue, participants=set(range(viewers)))
    popular = (rng.random(history + rates) ** 2 * videos).astype(int).tolist()
    world.history = [(n % viewers, popular[n], 0.25 + (n % 4) / 4) for n in range(history)]
    world.rates = [(n % viewers, popular[history + n], n % 10 != 0) for n in range(rates)]
    return world
