"""What a secure sum is held against: the users of instances, read from their own stores and put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, vstack

from daemon.config import load
from daemon.store import content_arrays, engagement_arrays, sums
from daemon.store.engagement_arrays import interactions
from daemon.store.engine import open_checked
from daemon.store.model_inputs import released
from models import counting
from models.head import LEAST_VIEWS
from models.interactions import Interactions


def users_of(config_file: Path) -> Interactions:
    """Return the users of one instance, with the videos of theirs that count in sums."""
    engine = open_checked(load(config_file).database)
    catalogue, engagements = engagement_arrays.read(engine)
    engine.dispose()
    users = interactions(engagements, len(catalogue), limit=None)
    return users.where((catalogue.views >= LEAST_VIEWS)[users.matrix.indices]).limited(200)


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
    catalogue = content_arrays.read(engine)
    engine.dispose()
    assert stored is not None
    assert sorted(stored.survivors) == sorted(load(one).instance.host for one in members)
    everyone = together(members)
    found = released(stored, catalogue).statistic
    assert found.head.size > 1
    np.testing.assert_array_equal(found.counts, counting.weighted_counts(everyone, found.head)[found.head])
    np.testing.assert_array_equal(found.triangle, counting.pair_counts(everyone, found.head))
