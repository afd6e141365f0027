"""A Gram matrix, estimated from released numbers, which carry noise.

Noise of standard deviation s on each of h(h-1)/2 pairs is small beside the pairs that matter, but large
beside the many that are near 0, and together it is a random matrix with eigenvalues up to 2 s sqrt(h): more
than the ridge. These steps take most of it out.

1. *Pair by pair.* Pairs are classed by an expected number, at first kappa * count_i * count_j, which is what
   popularity alone predicts. In each class the distribution of the true numbers is learnt from the noisy
   ones, whose noise has a known law, by maximum likelihood without a parametric form; every pair becomes its
   posterior mean. Many zeros then lose their noise, and a pair that stands out keeps its size. Sources:
   J. Kiefer, J. Wolfowitz, Ann. Math. Stat. 27, 1956; B. Efron, "Two modeling strategies for empirical Bayes
   estimation", Stat. Sci. 29, 2014.
2. *All together.* What step 1 took away holds signals that are too weak in any one pair, yet strong in many:
   these are the eigenvalues of the remainder above the edge of the noise. They are put back, each shrunk as
   is best for a low rank matrix in Wigner noise. Sources: J. Baik, G. Ben Arous, S. Peche, Ann. Probab. 33,
   2005; M. Gavish, D. Donoho, "Optimal shrinkage of singular values", IEEE Trans. Inf. Theory 63, 2017.
3. *Once more, with a better expectation.* The first h / 64 eigenvectors of the estimate, scaled by the counts
   so that popular videos do not use them up, say which videos belong together. A regression of the noisy
   pairs, whose noise has mean 0, on popularity and on what these eigenvectors predict gives each pair a new
   expected number, and steps 1 and 2 start again from the noisy pairs.
4. *Less detail where noise dominates.* Part of the result is the noisy matrix itself with every eigenvalue
   shrunk as in step 2: half where the mean square of the true pairs is at most twice the noise's variance,
   nothing from 3.5 times on. That ratio, too, is read off the sum.
5. *Nothing below zero.* Pairs lie between 0 and the smaller count, and a Gram matrix has no negative
   eigenvalues: what is left of them is noise and is dropped.

It sees released numbers only. It is done once, for the choice of lambda and for the model.

NDCG@10 of the closed form with tags, everybody in one sum, default noise of five members, 8 draws; gain over
steps 1, 2 and 5 alone with its 95 % interval (`python -m tests.bench.denoise`):
    set, lambda             no noise   1, 2 and 5   all     gain
    ml-latest-small, 3      0.2823     0.2521       0.2628  +4.2 % +- 0.8
      10                    0.2703     0.2488       0.2528  +1.6 % +- 1.0
    anime-5k, 1             0.4310     0.3857       0.4129  +7.1 % +- 0.3
      3                     0.4089     0.3876       0.3939  +1.6 % +- 0.2

Gain in per cent with a fixed share in step 4, by the ratio there; on another split of the likes, 2 to 4
draws, 8 eigenvectors (16 in the last row) and 4 classes per octave:
    set, viewers, lambda    ratio   share 0   1/4    1/2    3/4
    ml, 604, 10, pairs 64   0.25    +1.0      +2.7   +3.1   +2.8
    ml, 604, 10             1.9     +1.4      +1.7   +1.8   +1.3
    anime, 600, 3           2.1     +1.4      +2.7   +2.4   +1.7
    anime, 1200, 3          2.5     +1.0      +0.9   -0.5   -2.9
    steam-200k, 3           3.4     +0.5      +0.1   -0.9   -2.0
    anime, 4104, 3          4.4     +1.8      +0.4   -1.7
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor

from models import statistics
from models.noise import SumNoise
from models.statistics import Statistic
from models.weights import UNIT

__all__ = ["denoise", "popularity_alone", "share_of_spectrum"]

_CLASSES_PER_OCTAVE = 8
_LEAST_OF_A_CLASS = 2000
_LEAST_EXPECTED = 1e-3
"""Of a pair, relative to the mean pair: the regression may say less, even less than nothing."""
_STEPS = 4
"""Of noisy and true numbers, per standard deviation: noise hides what is finer."""
_SPAN, _REACH = 16, 3
"""Standard deviations up to which true numbers are learnt, and that noise adds to them."""
_ITERATIONS = 60
_VIDEOS_PER_VECTOR = 64
"""More eigenvectors fit the noise; measured best are 4 to 8 for 280 videos, 16 to 32 for 1,170."""
_SPARE = 16
_WIDTH, _WIDEST = 64, 1024
_SWEEPS = 12
_LARGEST_SHARE, _NOISE_DOMINATES, _SIGNAL_DOMINATES = 0.5, 2.0, 3.5
_CHUNK = 1 << 20
_BLOCK = 256


def denoise(statistic: Statistic, noise: SumNoise) -> NDArray[np.float64]:
    """Estimate the Gram matrix of a release, (h, h) float64, symmetric, in viewers.

    Without noise it is the plain sum, exactly. With noise it is positive semi-definite to within single
    precision, and depends on the number of threads to the last bits; its diagonal is at least the noisy
    counts.

    Args:
        statistic: the sum, int64 in entries of 1 / UNIT viewer.
        noise: that it really carries, in viewers squared.
    """
    return _estimate(statistic, noise, passes=2)


def popularity_alone(statistic: Statistic, noise: SumNoise) -> NDArray[np.float64]:
    """Like `denoise`, by steps 1, 2 and 5 alone: the yardstick that steps 3 and 4 are measured against."""
    return _estimate(statistic, noise, passes=1)


def share_of_spectrum(triangle: NDArray[np.float32], variance: float) -> float:
    """Share of the shrunk noisy matrix in the estimate, for noisy pairs and their noise in viewers.

    With s^2 the noise's variance, the mean square of noisy pairs over s^2 is 1 more than that of true ones.
    """
    ratio = float(np.mean(np.square(triangle, dtype=np.float64))) / variance - 1.0
    part = (_SIGNAL_DOMINATES - ratio) / (_SIGNAL_DOMINATES - _NOISE_DOMINATES)
    return _LARGEST_SHARE * min(1.0, max(0.0, part))


def _estimate(statistic: Statistic, noise: SumNoise, *, passes: int) -> NDArray[np.float64]:
    if not noise:
        return statistics.to_matrix(statistic.counts, statistic.triangle)
    counts = (np.maximum(statistic.counts, 0) / UNIT).astype(np.float32)
    noisy = (statistic.triangle / UNIT).astype(np.float32)
    if not noise.pairs or not noisy.size:
        gram = _symmetric(noisy, counts.size)
        gram.diagonal().copy_(torch.from_numpy(counts))
        return _without_negative_part(gram)
    deviation = math.sqrt(noise.pairs)
    gram = _around(noisy, _popularity(counts), counts, deviation)
    if passes == 1:
        return _without_negative_part(gram)
    expected = _regressed(gram, noisy, counts)
    del gram
    gram = _around(noisy, expected, counts, deviation)
    del expected
    share = share_of_spectrum(noisy, noise.pairs)
    if share:
        gram.mul_(1.0 - share).add_(_shrunk(noisy, counts, deviation), alpha=share)
    return _without_negative_part(gram)


def _popularity(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what popularity alone predicts for every pair, (pairs,), but for a constant factor."""
    found = np.empty(statistics.pairs(counts.size), np.float32)
    for row, part in _rows(counts.size):
        np.multiply(counts[row + 1 :], counts[row], out=found[part])
    return found


def _regressed(gram: Tensor, noisy: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the number expected of every pair, (pairs,): its popularity and leading eigenvectors.

    Least squares on the noisy pairs tell how much to trust either. `gram` is overwritten.
    """
    root = torch.from_numpy(np.sqrt(np.maximum(counts, 1.0)))
    scaled = gram.div_(root[:, None]).div_(root)
    scaled.fill_diagonal_(0.0)
    number = -(-counts.size // _VIDEOS_PER_VECTOR)
    values, vectors = _leading(scaled, min(number + _SPARE, counts.size))
    chosen = torch.argsort(values.abs(), descending=True)[:number]
    left = vectors[:, chosen] * root[:, None]
    right = (left * values[chosen]).T
    found = np.empty_like(noisy)
    # In double precision, of columns near 1, so that the small system stays well conditioned.
    unit = max(float(counts.mean(dtype=np.float64)), 1.0)
    normal, target = np.zeros((2, 2)), np.zeros(2)
    for row, part, predicted in _products(left, right):
        columns = np.stack((counts[row + 1 :] * (counts[row] / unit), predicted)).astype(np.float64)
        normal += columns @ columns.T
        target += columns @ noisy[part]
        found[part] = predicted
    of_popularity, of_vectors = np.linalg.lstsq(normal, target, rcond=None)[0]
    for row, part in _rows(counts.size):
        found[part] *= of_vectors
        found[part] += counts[row + 1 :] * (counts[row] * of_popularity / unit)
    return found


def _products(left: Tensor, right: Tensor) -> Iterator[tuple[int, slice, NDArray[np.float32]]]:
    """Yield row, its part of the triangle, and the upper part of that row of left @ right."""
    size = left.shape[0]
    block = np.empty((0, size), np.float32)
    for row, part in _rows(size):
        if row % _BLOCK == 0:
            block = (left[row : row + _BLOCK] @ right).numpy()
        yield row, part, block[row % _BLOCK, row + 1 :]


def _posterior_means(
    noisy: NDArray[np.float32], expected: NDArray[np.float32], deviation: float
) -> NDArray[np.float32]:
    """Posterior mean of every pair, (pairs,); numbers far above the noise stay as they are."""
    label = _classes(expected)
    step = deviation / _STEPS
    numbers = step * np.arange(_SPAN * _STEPS + 1, dtype=np.float64)
    top = numbers[-1] - _REACH * deviation
    lowest = min(max(math.floor(float(noisy.min()) / step), -_SPAN * _STEPS), 0)
    # Values beyond the grid share its last cell, which is never looked up.
    width = (_SPAN + _REACH) * _STEPS - lowest + 1
    number = int(label.max()) + 1

    def cells(part: slice) -> NDArray[np.int64]:
        value = np.clip(np.rint(noisy[part] / step), lowest, lowest + width - 1).astype(np.int64)
        found: NDArray[np.int64] = label[part] * width + (value - lowest)
        return found

    seen = np.zeros(number * width, np.int64)
    for part in _chunks(noisy.size):
        seen += np.bincount(cells(part), minlength=seen.size)
    values = step * np.arange(lowest, lowest + width, dtype=np.float64)
    means = _class_means(seen.reshape(number, width), values, numbers, deviation).ravel()
    found = np.empty_like(noisy)
    for part in _chunks(noisy.size):
        found[part] = np.where(noisy[part] <= top, means[cells(part)], noisy[part])
    return found


def _classes(expected: NDArray[np.float32]) -> NDArray[np.int32]:
    """Class of every pair by the number expected of it, (pairs,): a fixed step in its logarithm.

    Neighbouring classes are joined until each has enough pairs to learn from.
    """
    floor = max(_LEAST_EXPECTED * float(expected.mean(dtype=np.float64)), 1e-6)
    raw = np.empty(expected.size, np.int32)
    for part in _chunks(expected.size):
        raw[part] = _CLASSES_PER_OCTAVE * np.log2(np.maximum(expected[part], floor) / floor)
    numbers = np.bincount(raw)
    joined = np.zeros(numbers.size, np.int32)
    current, members = 0, 0
    for step in range(numbers.size):
        joined[step] = current
        members += int(numbers[step])
        if members >= _LEAST_OF_A_CLASS:
            current, members = current + 1, 0
    # Too few are left over at the top for a class of their own.
    found: NDArray[np.int32] = np.minimum(joined, max(current - 1, 0))[raw]
    return found


def _class_means(
    seen: NDArray[np.int64], values: NDArray[np.float64], numbers: NDArray[np.float64], deviation: float
) -> NDArray[np.float32]:
    """Posterior mean per class and noisy value, (classes, values).

    That is a fixed number of EM steps from an exponential prior, for all classes at once. The noise is taken
    as normal: at hundreds of its steps per deviation, Skellam noise is.
    """
    likelihood = np.exp(-0.5 * np.square((values[:, None] - numbers) / deviation)) + 1e-300
    share = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    mean = np.maximum(share @ values, 0.01 * deviation)[:, None]
    prior = np.exp(-numbers / mean)
    prior = 0.9 * prior / prior.sum(axis=1, keepdims=True) + 0.1 / numbers.size
    for _ in range(_ITERATIONS):
        prior *= (share / (prior @ likelihood.T)) @ likelihood
        prior /= np.maximum(prior.sum(axis=1, keepdims=True), 1e-300)
    found = ((prior * numbers) @ likelihood.T) / np.maximum(prior @ likelihood.T, 1e-300)
    means: NDArray[np.float32] = found.astype(np.float32)
    return means


def _around(
    noisy: NDArray[np.float32], expected: NDArray[np.float32], counts: NDArray[np.float32], deviation: float
) -> Tensor:
    """Return the estimate, (h, h) float32, by steps 1 and 2 and between 0 and the counts."""
    means = _posterior_means(noisy, expected, deviation)
    removed = noisy - means
    gram = _symmetric(means, counts.size)
    del means
    edge = 2.0 * math.sqrt(counts.size) * float(removed.std(dtype=np.float64))
    return _plausible(_add_above(gram, _symmetric(removed, counts.size), edge), counts)


def _shrunk(noisy: NDArray[np.float32], counts: NDArray[np.float32], deviation: float) -> Tensor:
    """Return the noisy matrix with its eigenvalues shrunk, (h, h) float32, between 0 and the counts."""
    matrix = _symmetric(noisy, counts.size)
    matrix.diagonal().copy_(torch.from_numpy(counts))
    edge = 2.0 * math.sqrt(counts.size) * deviation
    return _plausible(_add_above(torch.zeros_like(matrix), matrix, edge), counts)


def _add_above(gram: Tensor, matrix: Tensor, edge: float) -> Tensor:
    """Add, in place, the part of a symmetric matrix that is above the edge of the noise.

    An eigenvalue l of a low-rank matrix seen through Wigner noise is best put back as sqrt(l^2 - edge^2).
    This is 0 at the edge, so that subspace iteration, slow just there, is exact enough.
    """
    size = matrix.shape[0]
    width = min(_WIDTH, size)
    while True:
        values, vectors = _leading(matrix, width)
        if width >= min(size, _WIDEST) or float(values.abs().min()) < edge:
            break
        width = min(2 * width, size)
    above = values.abs() > edge
    weight = torch.sign(values[above]) * torch.sqrt(values[above] ** 2 - edge**2)
    return gram.addmm_(vectors[:, above] * weight, vectors[:, above].T)


def _leading(matrix: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of largest magnitude, (width,), and their vectors, by subspace iteration."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(matrix.shape[0], width, generator=generator)).Q
    for _ in range(_SWEEPS):
        basis = torch.linalg.qr(matrix @ basis).Q
    small = basis.T @ (matrix @ basis)
    values, rotation = torch.linalg.eigh((small + small.T) / 2)
    return values, basis @ rotation


def _plausible(gram: Tensor, counts: NDArray[np.float32]) -> Tensor:
    """Bring every pair, in place, between 0 and the smaller count; the diagonal becomes the counts."""
    most = torch.from_numpy(counts)
    for row in range(counts.size):
        torch.minimum(gram[row], most.clamp(max=float(counts[row])), out=gram[row])
    gram.clamp_(min=0.0).diagonal().copy_(most)
    return gram


def _without_negative_part(gram: Tensor) -> NDArray[np.float64]:
    """Drop negative eigenvalues, of which there are few; the others stay as exact as they were."""
    if gram.numel():
        values, vectors = eigh(gram.numpy(), subset_by_value=(-np.inf, 0.0), check_finite=False)
        part = torch.from_numpy(np.ascontiguousarray(vectors))
        gram.addmm_(part * torch.from_numpy(values), part.T, alpha=-1.0)
    # The two halves of a product agree to single precision only.
    return (gram + gram.T).div_(2.0).double().numpy()


def _symmetric(triangle: NDArray[np.float32], size: int) -> Tensor:
    """Return the (h, h) float32 matrix of a strict upper triangle, with zeros on the diagonal."""
    dense = np.zeros((size, size), np.float32)
    for row, part in _rows(size):
        dense[row, row + 1 :] = dense[row + 1 :, row] = triangle[part]
    return torch.from_numpy(dense)


def _rows(size: int) -> Iterator[tuple[int, slice]]:
    """Yield each row and its part of the strict upper triangle."""
    start = 0
    for row in range(size):
        stop = start + size - 1 - row
        yield row, slice(start, stop)
        start = stop


def _chunks(size: int) -> Iterator[slice]:
    for start in range(0, size, _CHUNK):
        yield slice(start, start + _CHUNK)
