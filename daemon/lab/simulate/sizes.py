"""Sizes of a simulated group: accounts and viewers of its instances, members of its sub-cohorts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Cohort as CohortSection
from daemon.errors import RequestError
from models.splits import LOG_SIZE_MEAN, LOG_SIZE_SD
from policies.cohort import sub_cohorts_for

_MAX_ACCOUNTS = 1_000_000_000
_ADVICE = "Give a text file with one number of accounts per line."


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
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file.name} cannot be read", advice=_ADVICE) from error
    for number, text in enumerate(lines, 1):
        if text and not (text.isascii() and text.isdigit() and 0 < int(text) <= _MAX_ACCOUNTS):
            raise RequestError(f"{file.name}, line {number} is not a whole number above 0", advice=_ADVICE)
    sizes = [int(text) for text in lines if text]
    if not sizes:
        raise RequestError(f"{file.name} holds no sizes", advice=_ADVICE)
    return np.array(sizes, np.int64)


def resampled(sizes: NDArray[np.int64], instances: int, seed: int) -> NDArray[np.int64]:
    """Draw so many sizes from a list: without replacement while it is long enough; largest first."""
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


def divide(instances: int) -> tuple[int, ...]:
    """Return the members of each sub-cohort, as a group with the default settings is divided."""
    cohort = CohortSection()
    number = sub_cohorts_for(
        instances,
        # The host adds up, and is therefore no protection against itself.
        divided_from=cohort.sub_cohorts_from + 1,
        least=cohort.min_cohort + 1,
        size=cohort.members_per_sub_cohort,
    )
    return tuple(instances // number + (one < instances % number) for one in range(number))
