"""The member's record of what it gave: windows hold it to one contribution, releases add up what it cost.

Beside the sealed vectors stand the addresses of the public videos that they are about, one file per
aggregator and round, replaced with each data window: without them the admin could not read the numbers.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import StoreError
from daemon.rounds.data_windows import DataWindows, viewer_tags
from daemon.store import releases
from daemon.store.releases import ReleaseRecord
from daemon.store.viewers import viewer_states
from federation import cbor
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.journal import FileJournal
from federation.proposal import Proposal

log = logging.getLogger(__name__)

_LOOKING = (Stage.KEYS, Stage.SURVIVORS)
"""When to look whether everybody who is counted is still there: before the vector leaves, and before the sum
can be opened. Somebody may have left while the viewers were counted, or a crash may have hidden it."""


class ContributionLog:
    """Implements `federation.node.Contributions` for one instance."""

    def __init__(self, windows: DataWindows, engine: Engine, clock: Callable[[], float]) -> None:
        self._windows = windows
        self._engine = engine
        self._clock = clock

    def check(self, sum_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Ask the window; before the survivors are confirmed, write down what the sum costs."""
        with _readable():
            if stage in _LOOKING:
                stored = viewer_states(self._engine)
                self._windows.withdraw(lambda key: viewer_tags(key, stored), aggregator=proposal.aggregator)
            window = self._windows.check(proposal)
            if stage is not Stage.SURVIVORS:
                return
            vector = self._windows.frozen(proposal.aggregator, proposal.round)
        record = release_of(sum_id, proposal, window, vector or b"", now=self._clock())
        releases.save(self._engine, record)

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Hold the window to these survivors."""
        with _readable():
            self._windows.release(proposal, survivors)


@contextmanager
def _readable() -> Iterator[None]:
    """Refuse where the record cannot be read: it must not end the daemon, nor be taken for empty."""
    try:
        yield
    except StoreError as error:
        log.exception("a sum is refused: %s", error.advice)
        raise Refusal(Code.WINDOW_OPEN, "what was given to this sum cannot be read here any more") from None


def release_of(sum_id: bytes, proposal: Proposal, window: str, vector: bytes, *, now: float) -> ReleaseRecord:
    """Return what goes on record for a contribution to a sum; `vector` as frozen, before it is masked."""
    head = (1 + int((1 + 8 * proposal.length) ** 0.5)) // 2
    return ReleaseRecord(
        window=window,
        round=proposal.round,
        at=now,
        aggregator=proposal.aggregator,
        session_id=(proposal.parent or sum_id).hex(),
        noise=proposal.noise,
        share_variance=float(proposal.share_variance),
        max_videos_per_user=proposal.parameters["max_videos_per_user"],
        videos=head if proposal.round else proposal.length,
        vector_sha256=hashlib.sha256(vector).hexdigest() if vector else "",
        bytes=len(vector),
    )


def note_videos(config: Config, aggregator: str, window: str, round_: int, videos: tuple[str, ...]) -> None:
    """Keep the videos of what is given in a window: the vocabulary in round 0, the head in round 1."""
    content = cbor.encode({"window": window, "videos": list(videos)})
    _journal(config).write(_key(aggregator), f"videos-{round_}", zlib.compress(content, 1))


def videos_of(config: Config, aggregator: str, window: str, round_: int) -> tuple[str, ...] | None:
    """Return the videos of what was given in a window; None where only those of another one are known."""
    if not _folder(config).is_dir():
        return None
    raw = _journal(config).read(_key(aggregator), f"videos-{round_}")
    try:
        content = None if raw is None else cbor.decode(zlib.decompress(raw))
    except (Refusal, zlib.error):
        return None
    if not isinstance(content, dict) or content.get("window") != window:
        return None
    found = content.get("videos")
    return tuple(str(url) for url in found) if isinstance(found, list) else None


def _folder(config: Config) -> Path:
    return config.journal_dir / "contribution-videos"


def _journal(config: Config) -> FileJournal:
    return FileJournal(_folder(config))


def _key(aggregator: str) -> bytes:
    return hashlib.sha256(aggregator.encode()).digest()
