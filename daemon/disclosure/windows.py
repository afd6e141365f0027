"""What each aggregator has in its data window now: frozen vectors, their hashes, and the numbers in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.identity import open_identity
from daemon.rounds.contribution_log import question_of
from daemon.rounds.data_windows import DataWindows, StoredWindow, open_windows
from federation.masks import RING
from models.weights import UNIT
from policies.window import Closed, Window

_WIDTH = RING // 8
State = Literal["prepared", "open", "given", "over", "void", "served"]


@dataclass(frozen=True)
class FrozenVector:
    """A vector as it is kept for a window: with its noise, before it is masked.

    Attributes:
        vocabulary: videos that are counted, None where that is not known any more.
        head: videos whose pairs are counted.
        sha256: of its bytes, little-endian.
    """

    vocabulary: int | None
    head: int | None
    entries: int
    bytes: int
    sha256: str


class DataWindow(TypedDict):
    """What an aggregator received in its data window; see `WindowView`."""

    aggregator: str
    opened: float
    ends: float
    state: State
    vector: FrozenVector | None


@dataclass(frozen=True)
class WindowView:
    """One aggregator's data window; that of our own release goes by `releases.OWN`.

    Attributes:
        state: "prepared": what is drawn for it has not left, and may be drawn anew; "open": the same is given
            again; "given": the sum was opened, nothing more is given; "over": the next request gets a fresh
            vector if enough viewers changed; "void": somebody in it left, nothing more is given; "served": a
            backup was restored.
        stored: what is kept of it; None where nothing is known, because a backup was restored.
        vector: what left in it; None where nothing has, or where it is gone as somebody left.
        numbers: by url, the noisy number of viewers in that, by their weights.
    """

    aggregator: str
    opened: float
    ends: float
    state: State
    stored: StoredWindow | None = field(default=None, repr=False)
    vector: FrozenVector | None = None
    numbers: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """What releases name the window by; empty where it is not known."""
        return "" if self.stored is None else self.stored.id

    @property
    def shown(self) -> DataWindow:
        """What is answered of it; the numbers are shown beside the videos."""
        return {
            "aggregator": self.aggregator,
            "opened": self.opened,
            "ends": self.ends,
            "state": self.state,
            "vector": self.vector,
        }


def read_windows(config: Config, engine: Engine, aggregators: Iterable[str], now: float) -> list[WindowView]:
    """Return the window of each of these aggregators that has one, sorted by name.

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
    if stored is None or stored.window.replaceable:
        return None
    raw, question = windows.frozen(aggregator), question_of(config, aggregator, stored.id)
    if raw is None or question is None:
        return None
    first, head = len(question.vocabulary), len(question.head)
    return question.head_videos, raw[_WIDTH * first : _WIDTH * (first + head * (head - 1) // 2)]


def _open(config: Config, engine: Engine, now: float) -> DataWindows:
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    return open_windows(config, identity, engine, lambda: now)


def _view(config: Config, windows: DataWindows, host: str, stored: StoredWindow, now: float) -> WindowView:
    window, vector, numbers = stored.window, None, {}
    # Where a viewer left, what held them is gone.
    raw = None if window.replaceable else windows.frozen(host)
    if raw is not None:
        question = question_of(config, host, stored.id)
        vector = FrozenVector(
            None if question is None else len(question.vocabulary),
            None if question is None else len(question.head),
            len(raw) // _WIDTH,
            len(raw),
            hashlib.sha256(raw).hexdigest(),
        )
        if question is not None:
            counts = np.frombuffer(raw, f"<i{_WIDTH}", len(question.vocabulary)) / UNIT
            numbers = dict(zip(question.vocabulary, counts.tolist(), strict=True))
    return WindowView(host, window.opened, window.ends, _state(window, now), stored, vector, numbers)


def _state(window: Window, now: float) -> State:
    if window.replaceable:
        return "prepared"
    if now >= window.ends:
        return "over"
    if window.closed is not Closed.NO:
        return "void" if window.closed is Closed.VOID else "served"
    return "given" if window.survivors else "open"
