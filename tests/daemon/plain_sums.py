"""What a secure sum is held against: the users of instances, read from their own stores and put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, vstack

from daemon.config import load
from daemon.store import content_arrays, sums
from daemon.store.engine import open_checked
from daemon.store.model_inputs import interactions, statistic
from models import statistics
from models.interactions import Interactions


def users_of(config_file: Path) -> Interactions:
    """Return the users of one instance."""
    engine = open_checked(load(config_file).database)
    catalogue, engagements = content_arrays.read(engine)
    engine.dispose()
    return interactions(engagements, len(catalogue), limit=200)


def together(config_files: Sequence[Path]) -> Interactions:
    """Return the users of several instances."""
    return Interactions(csr_array(vstack([users_of(one).matrix for one in config_files], format="csr")))


def assert_plain(aggregator: Path, members: Sequence[Path]) -> None:
    """Check that the newest stored sum of an instance, without noise, is that of the members' users together.

    All are named by their settings. Nobody else may be in the sum.
    """
    config = load(aggregator)
    engine = open_checked(config.database)
    stored = sums.newest(engine, config.sums_dir)
    catalogue, _ = content_arrays.read(engine)
    engine.dispose()
    assert stored is not None
    assert sorted(stored.survivors) == sorted(load(one).instance.host for one in members)
    everyone = together(members)
    total = statistics.counts(everyone) + statistics.counts(users_of(aggregator))
    head = statistics.head(total, min_users=5, max_head=4096)
    found = statistic(stored, catalogue)
    np.testing.assert_array_equal(found.head, head)
    np.testing.assert_array_equal(found.counts, statistics.counts(everyone, head))
    np.testing.assert_array_equal(found.triangle, statistics.pair_counts(everyone, head))
