"""What is publicly known of each video: tags, title words, channel, category, language, date, views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.words import TitleWords


@dataclass(frozen=True)
class Features:
    """What is publicly known of each video of a catalogue, in catalogue order.

    Raises ValueError when the arrays disagree about the number of videos or tags.
    """

    tags: csr_array
    """(videos, tags) float32, 1.0 where tagged."""
    tag_names: tuple[str, ...]
    channel: NDArray[np.int32]
    """(videos,) channel number, -1 unknown."""
    category: NDArray[np.int32]
    """(videos,) category number, -1 unknown."""
    language: NDArray[np.int32]
    """(videos,) language number, -1 unknown."""
    published: NDArray[np.float64]
    """(videos,) Unix seconds, nan unknown."""
    views: NDArray[np.int64]
    """(videos,) public counter; 0 unknown."""
    words: TitleWords | None = None
    """Words of the titles; None without titles."""

    def __post_init__(self) -> None:
        """Check that all arrays describe the same videos."""
        videos = self.tags.shape[0]
        if len(self.tag_names) != self.tags.shape[1]:
            raise ValueError("one name per tag column is needed")
        if self.words is not None and self.words.rows.shape[0] != videos:
            raise ValueError(f"title words must be those of the {videos} videos")
        for column in (self.channel, self.category, self.language, self.published, self.views):
            if column.shape != (videos,):
                raise ValueError(f"every feature needs one value for each of the {videos} videos")

    @property
    def videos(self) -> int:
        """Number of videos of the catalogue."""
        return int(self.tags.shape[0])


def one_hot(column: NDArray[np.int32]) -> csr_array:
    """(videos, values) float32 with a single 1.0 per row, none where the value is -1."""
    known = np.flatnonzero(column >= 0)
    width = int(column.max(initial=-1)) + 1
    ones = np.ones(known.size, dtype=np.float32)
    return csr_array((ones, (known, column[known])), shape=(column.size, width))


def unknown(videos: int) -> NDArray[np.int32]:
    """Return a channel, category or language column of which nothing is known."""
    return np.full(videos, -1, dtype=np.int32)
