"""The member's record of what it gave: windows hold it to one contribution, releases add up what it cost.

Beside the sealed vectors stand the addresses of the public videos that they are about, one file per
aggregator, replaced with each data window: without them the admin could not read the numbers.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import StoreError
from daemon.rounds import yearly_budget
from daemon.rounds.data_windows import DataWindows
from daemon.rounds.viewer_digests import viewer_tags
from daemon.store import releases
from daemon.store.releases import ReleaseRecord
from daemon.store.viewers import viewer_states
from federation import cbor
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.journal import FileJournal
from federation.proposal import Proposal

log = logging.getLogger(__name__)

_LOOKING = (Stage.KEYS, Stage.SHARES, Stage.SURVIVORS)
"""When to look whether everybody who is counted is still there: before the vector leaves, and before the sum
can be opened. Somebody may have left while the viewers were counted, or a crash may have hidden it."""


class ContributionLog:
    """Implements `federation.node.Contributions` for one instance."""

    def __init__(self, windows: DataWindows, engine: Engine, clock: Callable[[], float]) -> None:
        self._windows = windows
        self._engine = engine
        self._clock = clock

    def check(self, round_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Ask the window; before the masked vector leaves, write down what the round costs."""
        with _readable():
            if stage in _LOOKING:
                stored = viewer_states(self._engine)
                self._windows.withdraw(lambda key: viewer_tags(key, stored), aggregator=proposal.aggregator)
            window = self._windows.check(proposal)
            if stage is not Stage.SHARES:
                return
            vector = self._windows.frozen(proposal.aggregator)
        record = record_of(round_id, proposal, window, vector or b"", now=self._clock())
        releases.save(self._engine, record, self._windows.directory)
        with _readable():
            self._windows.leave(proposal)

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


def record_of(
    round_id: bytes, proposal: Proposal, window: str, vector: bytes, *, now: float
) -> ReleaseRecord:
    """Return what goes on record for a contribution to a round; `vector` as frozen, before it is masked."""
    release = yearly_budget.of_proposal(proposal)
    return ReleaseRecord(
        window=window,
        at=now,
        aggregator=proposal.aggregator,
        round_id=round_id.hex(),
        counts_noise=release.counts_noise,
        pairs_noise=release.pairs_noise,
        share=1 / (proposal.threshold - proposal.colluders),
        max_videos_per_user=release.max_videos_per_user,
        vocabulary=proposal.segments[0].length,
        head=release.head,
        vector_sha256=hashlib.sha256(vector).hexdigest() if vector else "",
        bytes=len(vector),
        viewers=release.viewers,
        decision=release.decision,
    )


@dataclass(frozen=True)
class Question:
    """What a round is about: videos by url, ascending; `head` (h,) int64 positions among them.

    Of an own release also the level that it was drawn at, and whether likes were held out of it, to judge by.
    """

    vocabulary: tuple[str, ...]
    head: NDArray[np.int64]
    level: str = ""
    held_out: bool = False

    @property
    def head_videos(self) -> tuple[str, ...]:
        """The head by url."""
        return tuple(self.vocabulary[place] for place in self.head)


def note_question(config: Config, aggregator: str, window: str, question: Question) -> None:
    """Keep what is given in a window is about."""
    content: dict[str, cbor.Item] = {
        "window": window,
        "vocabulary": list(question.vocabulary),
        "head": question.head.tolist(),
        "level": question.level,
        "held_out": int(question.held_out),
    }
    _journal(config).write(_key(aggregator), "question", zlib.compress(cbor.encode(content), 1))


def question_of(config: Config, aggregator: str, window: str) -> Question | None:
    """Return what was given in a window is about; None where only that of another one is known."""
    if not _folder(config).is_dir():
        return None
    raw = _journal(config).read(_key(aggregator), "question")
    try:
        content = None if raw is None else cbor.decode(zlib.decompress(raw))
    except (Refusal, zlib.error):
        return None
    if not isinstance(content, dict) or content.get("window") != window:
        return None
    vocabulary, head, level = (content.get(name) for name in ("vocabulary", "head", "level"))
    if not isinstance(vocabulary, list) or not isinstance(head, list) or not isinstance(level, str):
        return None
    urls = tuple(str(url) for url in vocabulary)
    return Question(urls, np.array(head, np.int64), level, held_out=bool(content.get("held_out")))


def _folder(config: Config) -> Path:
    return config.journal_dir / "contribution-videos"


def _journal(config: Config) -> FileJournal:
    return FileJournal(_folder(config))


def _key(aggregator: str) -> bytes:
    return hashlib.sha256(aggregator.encode()).digest()
