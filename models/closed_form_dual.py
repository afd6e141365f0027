"""The closed-form item model through users instead of items: exact and cheap where users are few.

The closed form (Steck, EASE, WWW 2019) needs P = (X^T X + ridge I)^-1, one row and column per video. With X
of n users the push-through identity gives X P = K X with K = (X X^T + ridge I)^-1, an n by n inverse, and
Woodbury's the diagonal of P. So the scores of the very users behind the model cost an inverse of n and a
sparse product; the result is the same. Users with weights W count as rows of W^(1/2) X.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_array


def own_scores(
    matrix: csr_array, ridge: float, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Scores X B of all users of a matrix by the closed form fitted to the same matrix.

    Args:
        matrix: (users, videos) binary.
        ridge: absolute, in users; positive.
        weights: (users,) of each user in the fit, positive; None for 1.

    Returns:
        (users, videos) float64.

    Raises:
        ValueError: the ridge or a weight is not positive.
    """
    each = np.ones(matrix.shape[0]) if weights is None else weights
    if not (ridge > 0 and (each > 0).all()):
        raise ValueError("the ridge and all weights must be positive")
    root = np.sqrt(each)
    x = csr_array(matrix.astype(np.float64).multiply(root[:, None]))
    kernel = (x @ x.T).toarray()
    kernel[np.diag_indices_from(kernel)] += ridge
    factor, _ = dpotrf(kernel, lower=1, overwrite_a=1)
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(inverse, -1)
    # K X, by a product with the sparse side first.
    solved = np.asarray(x.T @ (lower + lower.T + np.diag(np.diagonal(inverse)))).T
    dense = x.toarray()
    diagonal = (1.0 - np.einsum("ij,ij->j", dense, solved)) / ridge
    # Each row is scored as it is, whatever it weighs.
    return np.asarray((dense - solved / diagonal) / root[:, None])
