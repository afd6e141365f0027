"""The closed-form linear item model: every item predicted from all others, in one matrix inverse.

Source: H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (EASE), WWW 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Solved:
    """A regularised Gram matrix and its inverse, both (m, m) symmetric positive definite tensors."""

    A: Tensor
    P: Tensor

    def weights(self) -> Tensor:
        """Item weights B = I - P diag(1 / diag P), (m, m), zero diagonal; scores of a history are x @ B."""
        B = -self.P / torch.diagonal(self.P)
        return B.fill_diagonal_(0.0)


def solve(
    gram: NDArray[np.float64],
    ridge: float,
    *,
    side: NDArray[np.float64] | None = None,
    side_weight: float = 0.0,
    dtype: torch.dtype = torch.float64,
) -> Solved:
    """Invert A = gram + side_weight * side + ridge * I.

    `gram` and `side` are (m, m) symmetric positive semi-definite; `side` is the Gram matrix of the
    pseudo-users. `ridge` is absolute, in users. Raises ValueError when A is not positive definite.
    """
    A = torch.from_numpy(gram).to(dtype, copy=True)
    if side is not None and side_weight:
        A.add_(torch.from_numpy(side), alpha=side_weight)
    A.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(A)
    if int(failed):
        raise ValueError(f"the regularised Gram matrix is not positive definite with a ridge of {ridge:g}")
    return Solved(A, torch.cholesky_inverse(factor))
