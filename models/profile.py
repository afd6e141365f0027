"""A viewer's own tag profile, for videos that nobody engaged with yet; numpy only: it runs while serving.

Kernel ridge regression from the viewer's history to tags: with tag vectors t_i of the history, K = their dot
products and target 1 for each, the profile is p = sum_i a_i t_i with a = (K + ridge I)^-1 1, and a new video
scores p . t. Near-copies in a history share their weight instead of adding up, which a plain mean of tags
does not do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tag_profile(
    tag_offsets: NDArray[np.int32],
    tag_ids: NDArray[np.int32],
    tag_weights: NDArray[np.float32],
    history: NDArray[np.int64],
    *,
    tags: int,
    ridge: float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the profile, (tags,) float64, and a coefficient per history video, (len(history),) float64.

    The first three arrays are the tag vectors of a trained model. The score of a video is the dot product of
    the profile with its tag vector, and splits exactly: per tag, and per history video as coefficient * tag
    cosine. The work is cubic in the length of the history: pass the most recent 200 at most.
    """
    used = np.unique(
        np.concatenate([tag_ids[tag_offsets[v] : tag_offsets[v + 1]] for v in history] or [tag_ids[:0]])
    )
    vectors = np.zeros((history.size, used.size))
    for row, video in enumerate(history):
        span = slice(int(tag_offsets[video]), int(tag_offsets[video + 1]))
        vectors[row, np.searchsorted(used, tag_ids[span])] = tag_weights[span]
    kernel = vectors @ vectors.T
    kernel[np.diag_indices(history.size)] += ridge
    coefficients = np.linalg.solve(kernel, np.ones(history.size)).astype(np.float64)
    profile: NDArray[np.float64] = np.zeros(tags)
    profile[used] = coefficients @ vectors
    return profile, coefficients
