"""Which videos of a catalogue may be in a list: what the admin, the owners, the seed and the caller allow.

All of it is one boolean per video, so that a request over 100,000 videos costs microseconds. Imports numpy
only.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from models.labels import Labels, Texts

ANYTHING, SAME_PLATFORM, SAME_ACCOUNT, SAME_CHANNEL = 1, 2, 3, 4
"""What an owner may want to be suggested beside a video (PeerTube's VideoRecommendationScopeSet)."""

Mask = NDArray[np.bool_]


class Visibility:
    """Answers for one catalogue; the exclusions can be replaced at any time.

    Attributes:
        shown: (videos,) bool, False for what is excluded from every list.
        sensitive_beside_safe: whether videos not safe for work may be listed beside one that is safe.
    """

    def __init__(self, labels: Labels, channel: NDArray[np.int32]) -> None:
        """Take the names of the videos and their channel numbers, (videos,), -1 unknown."""
        self._labels, self._channel = labels, channel
        self._safe: Mask = labels.nsfw == 0
        self.shown: Mask = np.ones(len(labels), np.bool_)
        self.sensitive_beside_safe = False

    def exclude(
        self, *, channels: Collection[str] = (), hosts: Collection[str] = (), videos: Collection[str] = ()
    ) -> int:
        """Keep these channels (by name), hosts and videos (by url or uuid) out of every list from now on.

        What was excluded before is shown again unless it is named again. Returns how many videos are out.
        """
        shown = np.ones(len(self._labels), np.bool_)
        for names, numbers, out in (
            (self._labels.channels, self._channel, channels),
            (self._labels.hosts, self._labels.host, hosts),
        ):
            if out:
                shown[np.isin(numbers, _numbers(names, set(out)))] = False
        for key in videos:
            if (position := self._labels.index(key)) is not None:
                shown[position] = False
        # One assignment: a request in another thread sees the old exclusions or the new ones.
        self.shown = shown
        return int(len(shown) - shown.sum())

    def allowed(
        self, *, exclude: Collection[int] = (), nsfw: bool = False, beside: int | None = None
    ) -> Mask:
        """Return (videos,) bool: what may be in one list.

        Args:
            exclude: positions that must not appear.
            nsfw: whether videos not safe for work may appear.
            beside: the video that the list is shown next to, whose owner's scope is kept; beside a safe one
                everything is safe, unless `sensitive_beside_safe`.
        """
        if beside is not None and self._safe[beside] and not self.sensitive_beside_safe:
            nsfw = False
        mask = self.shown.copy() if nsfw else self.shown & self._safe
        if beside is not None and (same := self.same(beside)) is not None:
            mask &= same
        if exclude:
            mask[list(exclude)] = False
        return mask

    def same(self, video: int) -> Mask | None:
        """Return what the owner of a video wants beside it, (videos,) bool; None means anything.

        Where the account is not known, the channel stands for it: narrower than asked, never wider.
        """
        scope = int(self._labels.scope[video])
        if scope == ANYTHING:
            return None
        column = self._channel
        if scope == SAME_PLATFORM:
            column = self._labels.host
        elif scope == SAME_ACCOUNT and self._labels.account[video] >= 0:
            column = self._labels.account
        number = int(column[video])
        return column == number if number >= 0 else np.zeros(len(self._labels), np.bool_)


def _numbers(names: Texts, wanted: set[str]) -> list[int]:
    return [number for number in range(len(names)) if names[number] in wanted]
