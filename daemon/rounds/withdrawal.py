"""Whoever withdraws is out of every data window at once."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from daemon.config import Config
from daemon.identity import open_identity
from daemon.rounds.data_windows import open_windows
from daemon.rounds.viewer_digests import viewer_tags
from daemon.store import withdrawn
from daemon.store.viewers import viewer_states


def withdraw_viewers(config: Config, engine: Engine, clock: Callable[[], float], *, removed: int = 0) -> int:
    """Void every data window that counts somebody who is not stored any more; returns of how many peers.

    Called after the rows are gone, `removed` viewers of them. Where it is not reached, the next contribution
    finds the same out.
    """
    if not config.windows_dir.is_dir():
        return 0
    identity = open_identity(config.identity_file, config.instance.host)
    stored = viewer_states(engine)
    windows = open_windows(config, identity, engine, clock)
    if removed:
        # First: damaged windows must not keep a model from exact numbers in service.
        withdrawn.note(config.windows_dir, clock(), exact=True)
    return windows.withdraw(lambda key: viewer_tags(key, stored))
