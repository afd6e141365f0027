"""The served model: two thin matrices, fitted to a Gram matrix to predict like the closed form.

Wanted are U and V, (m, k), as good as the closed form B wherever users are, with self-similarity left free:

    minimise over U, V and diagonal D    || A^(1/2) (B + D - U V^T) ||_F ,    A = regularised Gram matrix.

The free diagonal is what H. Steck, "Autoencoders that don't overfit towards the Identity" (EDLAE), NeurIPS
2020, asks of a low-rank item model: no rank is spent on predicting an item from itself. For fixed D the best
V are the top k eigenvectors of N = (B + D)^T A (B + D) and U = (B + D) V; then D = diag(U V^T), and again.
With B = I - P C, C = diag(1 / diag P), E = I + D and A P = I,

    N = E A E - E C - C E + C P C,

so subspace iteration needs thin products with A and P only, and is warm-started after every step of D.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.closed_form import Solved

_OVERSAMPLING = 32
_FIRST_SWEEPS = 4
_SWEEPS = 2
_DIAGONAL_STEPS = 3


@dataclass(frozen=True)
class Factors:
    """History side U and recommended side V, both (m, k), with the diagonal of U V^T, (m,)."""

    U: Tensor
    V: Tensor
    diagonal: Tensor


def factorize(solved: Solved, rank: int, *, seed: int, diagonal_steps: int = _DIAGONAL_STEPS) -> Factors:
    """Fit U and V of width min(rank, m) to a solved Gram matrix, in the precision of its tensors.

    Deterministic for a seed and a number of threads. Raises ValueError for a rank below 1.
    """
    if rank < 1:
        raise ValueError("the rank must be at least 1")
    size = solved.A.shape[0]
    width = min(rank + _OVERSAMPLING, size)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(size, width, generator=generator, dtype=solved.A.dtype)
    basis = torch.linalg.qr(basis).Q
    inverse_diagonal = (1.0 / torch.diagonal(solved.P))[:, None]
    free = torch.zeros(size, 1, dtype=solved.A.dtype)
    for step in range(diagonal_steps + 1):
        expanded = 1.0 + free
        for _ in range(_SWEEPS if step else _FIRST_SWEEPS):
            basis = torch.linalg.qr(_normal_product(solved, expanded, inverse_diagonal, basis)).Q
        small = basis.T @ _normal_product(solved, expanded, inverse_diagonal, basis)
        _, rotation = torch.linalg.eigh((small + small.T) / 2)
        V = basis @ rotation[:, -min(rank, width) :].flip(1)
        U = expanded * V - solved.P @ (inverse_diagonal * V)
        free = (U * V).sum(1, keepdim=True)
    return Factors(U, V, free[:, 0])


def _normal_product(solved: Solved, expanded: Tensor, inverse_diagonal: Tensor, X: Tensor) -> Tensor:
    """Multiply N by X, (m, width); `expanded` and `inverse_diagonal` are the diagonals of E and C."""
    result = expanded * (solved.A @ (expanded * X))
    result.sub_(2.0 * expanded * inverse_diagonal * X)
    return result.add_(inverse_diagonal * (solved.P @ (inverse_diagonal * X)))
