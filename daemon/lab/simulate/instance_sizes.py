"""How many accounts the instances of a group have: drawn as on the real network, or read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.errors import RequestError
from models.splits import LOG_SIZE_MEAN, LOG_SIZE_SD

_MOST = 1_000_000_000


def drawn(instances: int, seed: int) -> NDArray[np.int64]:
    """Draw log-normal sizes, largest first, (instances,) int64, at least 1 account each."""
    rng = np.random.default_rng([seed, instances, 11])
    sizes = np.maximum(1, rng.lognormal(LOG_SIZE_MEAN, LOG_SIZE_SD, instances)).astype(np.int64)
    return np.sort(sizes)[::-1]


def read(file: Path) -> NDArray[np.int64]:
    """Read one number of accounts per line, as many instances; blank lines do not count.

    Raises:
        RequestError: the file cannot be read, or a line is no number above 0.

    """
    sizes = []
    try:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            text = line.strip()
            if not text:
                continue
            if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST):
                raise RequestError(
                    f"{file.name}, line {number}: a number of accounts is a whole number above 0",
                    advice="Write one number per line.",
                )
            sizes.append(int(text))
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"{file.name} cannot be read", advice="Give a text file with one number per line."
        ) from error
    if not sizes:
        raise RequestError(f"{file.name} holds no sizes", advice="Write one number per line.")
    return np.array(sizes, np.int64)


def resampled(sizes: NDArray[np.int64], instances: int, seed: int) -> NDArray[np.int64]:
    """Draw so many sizes from a list: without putting back while it is long enough; largest first."""
    rng = np.random.default_rng([seed, instances, 12])
    picked = rng.choice(sizes, instances, replace=instances > len(sizes))
    return np.sort(picked)[::-1]


def viewers(accounts: NDArray[np.int64], available: int) -> NDArray[np.int64]:
    """Return how many viewers of a data set each instance gets, at most one per account, in the same order.

    Where all accounts together are more than the set has viewers, every account takes part with the same
    probability: shares are rounded so that they add up (largest remainder), and may be 0.
    """
    total = int(accounts.sum())
    if total <= available:
        return accounts.copy()
    exact = accounts * (available / total)
    whole: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: available - int(whole.sum())]] += 1
    return whole
