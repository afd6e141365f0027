"""What each aggregator has in its data window now: frozen vectors, their hashes, and the numbers in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from sqlalchemy import Engine

from daemon.config import Config
from daemon.identity import open_identity
from daemon.rounds.contribution_log import videos_of
from daemon.rounds.data_windows import DataWindows, StoredWindow, open_windows
from policies.window import Closed

State = Literal["open", "over", "void", "served"]


@dataclass(frozen=True)
class FrozenVector:
    """A vector as it is kept for a window: with its noise, before it is masked.

    Attributes:
        round: 0 counts per video, 1 counts per pair of a head.
        videos: that it is about, None where that is not known any more.
        sha256: of its bytes, little-endian.
    """

    round: int
    videos: int | None
    entries: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class WindowView:
    """One aggregator's data window.

    Attributes:
        state: "open": the same is given again; "over": the next request gets a fresh vector if enough viewers
            changed; "void": somebody in it left, nothing more is given; "served": a backup was restored.
        stored: what is kept of it; None where nothing is known, because a backup was restored.
        numbers: by url, the noisy number of viewers that was given in round 0.
    """

    aggregator: str
    opened: float
    ends: float
    state: State
    stored: StoredWindow | None = field(default=None, repr=False)
    vectors: tuple[FrozenVector, ...] = ()
    numbers: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """What releases name the window by; empty where it is not known."""
        return "" if self.stored is None else self.stored.id

    def as_json(self) -> dict[str, Any]:
        """Return plain values; the numbers are shown beside the videos."""
        return {
            "aggregator": self.aggregator,
            "opened": self.opened,
            "ends": self.ends,
            "state": self.state,
            "vectors": [asdict(vector) for vector in self.vectors],
        }


def read_windows(config: Config, engine: Engine, aggregators: Iterable[str], now: float) -> list[WindowView]:
    """Return the window of each of these aggregators that has one, sorted by host.

    Raises:
        StoreError: what was given cannot be read.

    """
    if not config.windows_dir.is_dir():
        return []
    windows = _open(config, engine, now)
    until = windows.served_until()
    found = []
    for host in sorted(set(aggregators)):
        stored = windows.read(host)
        if stored is not None:
            found.append(_view(config, windows, host, stored, now))
        elif until is not None and now < until:
            found.append(WindowView(host, now, until, "served"))
    return found


def frozen_pairs(
    config: Config, engine: Engine, aggregator: str, now: float
) -> tuple[tuple[str, ...], bytes] | None:
    """Return the head's videos and the bytes of the pairs that an aggregator has, None where it has none.

    Raises:
        StoreError: what was given cannot be read.

    """
    if not config.windows_dir.is_dir():
        return None
    windows = _open(config, engine, now)
    stored = windows.read(aggregator)
    if stored is None:
        return None
    raw, videos = windows.frozen(aggregator, 1), videos_of(config, aggregator, stored.id, 1)
    return None if raw is None or videos is None else (videos, raw)


def _open(config: Config, engine: Engine, now: float) -> DataWindows:
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    return open_windows(config, identity, engine, lambda: now)


def _view(config: Config, windows: DataWindows, host: str, stored: StoredWindow, now: float) -> WindowView:
    vectors, numbers = [], {}
    for round_ in range(len(stored.window.given)):
        raw = windows.frozen(host, round_)
        if raw is None:
            # A viewer left, and what held them is gone.
            continue
        videos = videos_of(config, host, stored.id, round_)
        known = None if videos is None else len(videos)
        width = 4
        if known is not None and round_ == 0:
            width = len(raw) // known if known else width
            values = np.frombuffer(raw, f"<i{width}").tolist()
            numbers = dict(zip(videos or (), values, strict=True))
        digest = hashlib.sha256(raw).hexdigest()
        vectors.append(FrozenVector(round_, known, len(raw) // width, len(raw), digest))
    window = stored.window
    return WindowView(host, window.opened, window.ends, _state(stored, now), stored, tuple(vectors), numbers)


def _state(stored: StoredWindow, now: float) -> State:
    if stored.window.closed is not Closed.NO:
        return "void" if stored.window.closed is Closed.VOID else "served"
    return "over" if now >= stored.window.ends else "open"
