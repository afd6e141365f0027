"""The interface that every model and baseline offers to the evaluation."""

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Scores: TypeAlias = NDArray[np.floating[Any]]


class Recommender(Protocol):
    """Scores every video of a catalogue; what has been seen already is left out by the caller."""

    def scores(self, history: csr_array) -> Scores:
        """Score all videos for viewers known by their history only (fold-in).

        Args:
            history: (viewers, videos) binary, one row per viewer.

        Returns:
            (viewers, videos), higher is better, -inf where the model cannot recommend a video.
        """
        ...

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """Score all videos as related to one seed each.

        Args:
            seeds: (n,) positions of videos in the catalogue.

        Returns:
            (n, videos), higher is better, -inf where the model cannot recommend a video.
        """
        ...
