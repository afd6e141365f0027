"""How much a viewer counts in a sum: less, the more videos of the head the viewer engaged with.

A viewer with c videos of the head has c (c - 1) / 2 pairs there, so that one with 200 would weigh as much as
forty with thirty. Each row is weighted down by its length instead, as in F. McSherry, I. Mironov,
"Differentially private recommender systems", KDD 2009: the noise then buys the same protection for less. The
steps are fine, so that one more video never moves a whole row by much.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNIT: Final = 32
"""Entries of a sum are integers in steps of one 32nd of a viewer."""
FULL_WEIGHT: Final = 30
"""Videos of the head up to which a viewer counts as one."""


def weights(head_videos: ArrayLike) -> NDArray[np.int64]:
    """Return floor(UNIT min(1, FULL_WEIGHT / c)), at least 1, for c videos of the head; shape as given."""
    number = np.asarray(head_videos, np.int64)
    if (number < 0).any():
        raise ValueError("nobody has fewer than no videos")
    found: NDArray[np.int64] = UNIT * FULL_WEIGHT // np.maximum(number, FULL_WEIGHT)
    return np.maximum(found, 1)
