"""The noise that the demo's members drew: all folders are here, so it can be taken out of a sum again."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from daemon.config import load
from daemon.identity import open_identity
from daemon.lab.demo.instances import DemoInstance
from daemon.rounds.data_windows import open_windows
from daemon.store.engine import connect
from federation.noise import skellam


def drawn(members: Iterable[DemoInstance], aggregator: str, round_: int, size: int) -> NDArray[np.int64]:
    """Return the sum of what these members added to the counts (0) or pairs (1) of an aggregator."""
    total = np.zeros(size, np.int64)
    for member in members:
        config = load(member.config_file)
        identity = open_identity(config.identity_file, config.instance.host)
        kept = open_windows(config, identity, connect(config.database), time.time).read(aggregator)
        if kept is not None and len(kept.window.given) > round_:
            variance = kept.window.given[round_].variance
            total += skellam(variance, size, kept.noise_key(round_))
    return total
