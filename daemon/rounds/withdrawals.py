"""When viewers leave: what was given with them in it is not given again."""

from __future__ import annotations

import time

from sqlalchemy import Engine

from daemon.config import Config
from daemon.identity import open_identity
from daemon.rounds import round_config, viewer_digests
from daemon.store import releases
from daemon.store.viewers import viewer_states


def void(config: Config, engine: Engine) -> int:
    """Void every data window that counts somebody who is not stored any more; returns how many.

    Called after the rows are gone. Where it is not reached, the next contribution finds the same out.
    """
    if not config.windows_dir.is_dir():
        return 0
    identity = open_identity(config.identity_file, config.instance.host)
    windows = round_config.windows(config, identity, time.time, served=lambda: releases.any_given(engine))
    stored = viewer_states(engine)
    return windows.withdraw(lambda key: viewer_digests.tags(key, stored))
