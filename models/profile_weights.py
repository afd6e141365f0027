"""What each item of a history says about a viewer's taste, by features: a ridge regression, cut to its core.

The score of a video nobody has engaged with is its features times a profile, and the profile of a history x
over items is the ridge regression from features to the history,

    profile = Phi^T (Phi Phi^T + ridge I)^-1 x ,     Phi = the items' features, (m, features).

It is linear in the history, so each item has a row of its own, which is made here and served: of each the
largest weights, which lose nothing (NDCG@10 of cold videos on ml-latest-small .206 with all of them, .205
with 64). The same with the Gram matrix of the features replaced by its diagonal, which needs no solve, gives
.155; tags alone .102.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.content import ProfileWeights

PROFILE_RIDGE: Final = 3.0
"""In videos."""
KEPT: Final = 64
"""Weights per item."""
MOST_ITEMS: Final = 4096
"""Items with rows: the solve costs their cube."""
_BLOCK = 256


def profile_weights(
    rows: csr_array, items: NDArray[np.int64], counts: NDArray[np.float64], *, kept: int = KEPT
) -> ProfileWeights:
    """Solve the regression for the items that most viewers engaged with, at most `MOST_ITEMS`.

    Args:
        rows: (videos, features) float32.
        items: (m,) positions of the videos that people engaged with.
        counts: (m,) their viewers.
        kept: weights per item.
    """
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MOST_ITEMS])
    phi = rows[items[chosen]]
    present = np.unique(phi.indices)
    phi = csr_array(phi[:, present])
    lengths = np.zeros(items.size, np.int64)
    ids, weights = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    if present.size:
        kernel = torch.from_numpy((phi @ phi.T).toarray())
        kernel.diagonal().add_(PROFILE_RIDGE)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel)).numpy()
        width = min(kept, present.size)
        across = csr_array(phi.T.tocsr())
        for first in range(0, chosen.size, _BLOCK):
            part = np.ascontiguousarray((across @ inverse[:, first : first + _BLOCK]).T)
            best = np.sort(np.argpartition(-np.abs(part), width - 1, axis=1)[:, :width], axis=1)
            ids.append(present[best].ravel().astype(np.int32))
            weights.append(np.take_along_axis(part, best, axis=1).ravel())
        lengths[chosen] = width
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return ProfileWeights(offsets, np.concatenate(ids), np.concatenate(weights))
