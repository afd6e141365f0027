"""Our own viewers over the videos of a session."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.store.reading import Catalogue
from models.interactions import Interactions


def over(vocabulary: tuple[str, ...], catalogue: Catalogue, own: Interactions) -> Interactions:
    """Return the same users over a session's videos; what this catalogue does not have is zero."""
    position = {url: place for place, url in enumerate(catalogue.urls)}
    columns = np.array([position.get(url, -1) for url in vocabulary], np.int64)
    known = np.flatnonzero(columns >= 0)
    target: NDArray[np.int64] = np.full(len(catalogue), -1, np.int64)
    target[columns[known]] = known
    matrix = own.matrix
    place = target[matrix.indices]
    kept = place >= 0
    rows = np.repeat(np.arange(own.users), np.diff(matrix.indptr))[kept]
    selected = csr_array(
        (np.ones(len(rows), np.uint8), (rows, place[kept])), shape=(own.users, len(vocabulary))
    )
    selected.sort_indices()
    return Interactions(selected)
