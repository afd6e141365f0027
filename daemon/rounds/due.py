"""When this instance can ask its peers next: rounds start by themselves, as soon as nothing is in the way."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import NotRunningError, PolicyRefusedError
from daemon.peers import repository
from daemon.peers.repository import KnownPeers
from daemon.process import daemon_lock
from daemon.rounds import round_config
from daemon.rounds.aggregator_window import peer_windows
from daemon.sentences import Sentence, sentence
from daemon.store import activity
from daemon.store.videos import first_public

SIMULATE_EVERY: Final = 86400.0
"""Seconds between two rounds that send nothing."""


def next_round(config: Config, engine: Engine, now: float) -> float:
    """Return when the next round can start, Unix seconds; infinity while it waits for somebody's decision."""
    if config.mode == "off":
        return math.inf
    if config.mode == "simulate":
        last = activity.last_success(engine, "round")
        return now if last is None else last + SIMULATE_EVERY
    if round_config.missing(config, repository.read(engine, config)):
        return math.inf
    return max(old_enough(config, engine), peer_windows(config, lambda: now).next_at())


def old_enough(config: Config, engine: Engine) -> float:
    """Return from when on a video is old enough to be counted, Unix seconds; infinity where there is none."""
    first = first_public(engine)
    return math.inf if first is None else first + config.privacy.min_video_age.total_seconds()


def hindrance(config: Config, engine: Engine, now: float) -> Sentence | None:
    """Return why the admin cannot start a round now, None where nothing is in the way."""
    if config.mode == "off":
        return sentence("roundOff")
    if config.mode == "simulate":
        return None
    if missing := round_config.missing(config, repository.read(engine, config)):
        return sentence("roundPeers", count=missing)
    first = old_enough(config, engine)
    if first == math.inf:
        return sentence("roundSync")
    if first > now:
        return sentence("roundVideos", at=first)
    windows = peer_windows(config, lambda: now)
    window, opens = windows.current(), windows.next_at()
    # After a failure there is a pause, which an admin need not wait for.
    taken = window is not None and window.done and opens > now
    return sentence("roundWindow", at=opens) if taken else None


def require_round(config: Config, engine: Engine, book: KnownPeers, now: float) -> None:
    """Check that a round can be started now.

    Raises:
        PolicyRefusedError: the mode forbids it, too few peers are approved, or no video is old enough.
        NotRunningError: the daemon, from which members fetch what a round is about, does not run.

    """
    if config.mode == "off":
        raise PolicyRefusedError(
            'federation is switched off (mode "off")',
            advice="Choose another mode on the admin page, under Settings.",
        )
    if config.mode == "simulate":
        return
    needed, missing = config.cohort.min_cohort, round_config.missing(config, book)
    if missing:
        raise PolicyRefusedError(
            f"{needed - missing} peers are approved and do not decline, a round needs {needed}",
            advice=f"Approve {missing} more: `shoal peers list` shows who is missing.",
        )
    if daemon_lock.find(config.data_dir) is None:
        raise NotRunningError(
            "the daemon is not running; members fetch from it what a round is about",
            advice="Start it with `shoal run`, then try again.",
        )
    first = old_enough(config, engine)
    if first > now:
        raise PolicyRefusedError(
            "no video has been public here for long enough to be counted",
            advice="Sync first: shoal sync"
            if first == math.inf
            else f"The first one is on {datetime.fromtimestamp(first, UTC):%Y-%m-%d %H:%M} UTC; the round "
            "then starts by itself.",
        )
