"""One small vector per video, fitted to the closed form: what browsers rank from.

The closed form over the head is B = I - P C with P = (G + ridge I)^-1 and C = diag(1 / diag P) (Steck, EASE,
WWW 2019). P is symmetric, so

    C^(1/2) B C^(-1/2) = I - C^(1/2) P C^(1/2) =: S        is symmetric with a zero diagonal,

and B_ij = c_i^(-1/2) S_ij c_j^(1/2): one matrix W with W W^T near S off the diagonal serves both sides. What
a video says about itself is never asked, so the diagonal is free (Steck, EDLAE, NeurIPS 2020): take the 64
largest eigenvalues of S + diag(W W^T), and again, until it settles. Eigenvalues below zero are left out:
they say what does not go together, which a list of what does can spare.

At this rank two matrices, fitted as `models.factorization` does, are no better: with lambda 3 and 10, NDCG@10
is 0.257 and 0.277 on ml-latest-small where this gives 0.261 and 0.276; on anime-5k, with 3, 0.375 and 0.376.

The vectors are made from the others' sum alone, whose members all agreed that they may be published. This
instance's own viewers are not in them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.closed_form import Solved, solve
from models.denoise import denoise
from models.errors import TooLittleDataError
from models.problem import LARGE_COHORT, RIDGE_LARGE, RIDGE_SMALL
from models.released import Released
from models.vector_file import MAX_VIDEOS, RANK, VideoVectors

_OVERSAMPLING = 32
_DIAGONAL_STEPS = 12
_FIRST_SWEEPS, _SWEEPS = 6, 2
_SMALLEST = 1e-30


class Texts(Protocol):
    """One text per video of the catalogue."""

    def __getitem__(self, position: int) -> str:
        """Return the text of one video."""


def build(
    others: Released,
    uuids: Texts,
    *,
    created: datetime,
    ridge: float | None = None,
    gram: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> VideoVectors:
    """Make the vectors of a noisy sum's head; of the videos with the most users where there are too many.

    Args:
        others: the sum as it was received, noise and all.
        uuids: by catalogue position; videos of the head without a valid one are left out.
        created: time of training.
        ridge: in multiples of the mean diagonal; 3, or 1 where at least 1,000 viewers are known to be behind
            the sum, unless given.
        gram: what `models.denoise.denoise` makes of it, where the caller has it already.
        seed: of the start of the iteration.

    Raises:
        ValueError: the sum has no noise. Whether it has enough is for a policy to say; one without any is
            never published.
        TooLittleDataError: the head is empty, or all noise.
    """
    known, noise = others.statistic, others.noise
    if noise.counts <= 0 or noise.pairs <= 0:
        raise ValueError("vectors may be published from noisy sums only")
    chosen = np.sort(np.argsort(-known.counts, kind="stable")[:MAX_VIDEOS])
    gram = (denoise(known, noise) if gram is None else gram)[np.ix_(chosen, chosen)]
    unit = float(np.diagonal(gram).mean()) if gram.size else 0.0
    if unit <= 0:
        raise TooLittleDataError("no video stands out of the noise of the sum: wait for more viewers")
    if ridge is None:
        ridge = RIDGE_LARGE if others.most >= LARGE_COHORT else RIDGE_SMALL
    W, in_weight, out_weight = symmetric_factor(solve(gram, ridge * unit), seed=seed)
    names = [uuids[int(position)] for position in known.head[chosen]]
    return quantised(names, W, in_weight, out_weight, int(created.timestamp()))


def symmetric_factor(solved: Solved, *, rank: int = RANK, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Factor the closed form by one matrix: B_ij is near in_i (W W^T)_ij out_j off the diagonal.

    Args:
        solved: the regularised Gram matrix of m videos and its inverse.
        rank: columns of W; those beyond m are zero.
        seed: of the start of the subspace iteration.

    Returns:
        W (m, rank), in (m,), out (m,), in the precision of `solved`.
    """
    root = torch.diagonal(solved.P).rsqrt()
    S = solved.P * -root[:, None]
    S.mul_(root).fill_diagonal_(0.0)
    size = S.shape[0]
    width = min(rank + _OVERSAMPLING, size)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(size, width, generator=generator, dtype=S.dtype)).Q
    W = torch.zeros(size, rank, dtype=S.dtype)
    diagonal = torch.zeros(size, 1, dtype=S.dtype)
    for step in range(_DIAGONAL_STEPS):
        for _ in range(_SWEEPS if step else _FIRST_SWEEPS):
            basis = torch.linalg.qr(S @ basis + diagonal * basis).Q
        small = basis.T @ (S @ basis + diagonal * basis)
        values, rotation = torch.linalg.eigh((small + small.T) / 2)
        values, rotation = values[-rank:].flip(0).clamp(min=0.0), rotation[:, -rank:].flip(1)
        W[:, : len(values)] = (basis @ rotation) * values.sqrt()
        diagonal = (W * W).sum(1, keepdim=True)
    return W, 1.0 / root, root


def quantised(
    names: Sequence[str], W: Tensor, in_weight: Tensor, out_weight: Tensor, created: int
) -> VideoVectors:
    """Round every row of W, (n, 64), to int8 on a scale of its own, which goes into the row's two weights.

    `names` are uuids; rows without a valid one, or of a uuid that came before, are left out.
    """
    scale = (W.abs().amax(1) / 127.0).clamp(min=_SMALLEST)
    vectors = (W / scale[:, None]).round().to(torch.int8).numpy()
    rows: dict[bytes, int] = {}
    for row, name in enumerate(names):
        if (key := _bytes_of(name)) is not None:
            rows.setdefault(key, row)
    keys = sorted(rows)
    order = np.array([rows[key] for key in keys], np.int64)
    return VideoVectors(
        uuids=np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), 16),
        history_weights=_weights(in_weight * scale, order),
        ranked_weights=_weights(out_weight * scale, order),
        vectors=np.ascontiguousarray(vectors[order]),
        created=created,
    )


def _weights(values: Tensor, order: NDArray[np.int64]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.maximum(values.float().numpy()[order], np.float32(_SMALLEST))
    return found


def _bytes_of(name: str) -> bytes | None:
    try:
        return uuid.UUID(name).bytes
    except ValueError:
        return None
