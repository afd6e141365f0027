"""Whether watch pages are seen, and none of them gets a list of ours: PeerTube may ask in another way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.sentences import Sentence, sentence
from daemon.store import current_model, effects, ledger_rows, source_state

DAY: Final = 86400.0
LOOKED_BACK: Final = 14
"""Days: where few people watch, it takes some of them to tell."""
FEWEST: Final = 10
"""Watch pages below which nothing is said: a few may be of videos that no model knows."""


@dataclass(frozen=True)
class Silence:
    """No list was filled since a day: Unix seconds of its beginning, UTC.

    Attributes:
        pages: watch pages that were seen on the days that are over.
        asked: lists that PeerTube asked for on these.
    """

    since: float
    pages: int
    asked: int

    @property
    def said(self) -> Sentence:
        """What is the matter."""
        if not self.asked:
            return sentence("saidListsUnasked", at=self.since, pages=self.pages)
        return sentence("saidListsSilent", at=self.since, pages=self.pages, lists=self.asked)

    @property
    def advice(self) -> Sentence:
        """What to do about it."""
        return sentence("adviceListsSilent") if self.asked else sentence("adviceListsUnasked")


def find(engine: Engine, config: Config, now: float) -> Silence | None:
    """Return since when no list was filled, None where lists are filled, or where nobody can tell.

    Only days that are over, and that the newest sync saw to their end, count. A list that was filled today
    ends it. `now` is in Unix seconds.
    """
    today = now - now % DAY
    known, first = source_state.read(engine), ledger_rows.since(engine, "model")
    if known is None or not known.fills_lists or known.synced < today:
        return None
    if first is None or current_model.read(config.models_dir) is None:
        return None
    # Whole days on which a model served.
    served = first - first % DAY + DAY
    begin = max(served, today - LOOKED_BACK * DAY)
    days = effects.read(engine, since=_name(begin))
    quiet = list(takewhile(lambda day: not day.filled, reversed(days)))
    over = [day for day in quiet if day.day < _name(today)]
    pages = sum(day.pages for day in over)
    if pages < FEWEST:
        return None
    since = datetime.fromisoformat(over[-1].day).replace(tzinfo=UTC).timestamp()
    return Silence(since, pages, sum(day.stock for day in over))


def _name(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
