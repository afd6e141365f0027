"""What suggestions achieved on the watch page, counted without any viewer.

The totals are what browsers say (`peertube-plugin/server/effects.js`): anybody can add to them within
limits, and whoever asks not to be tracked is not in them. The comparison is no experiment either: where
PeerTube's own order was shown, the model did not know the video, or the daemon was late. So it tells an admin
whether lists are followed, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from math import sqrt
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config, PeerTubeSource
from daemon.sentences import Sentence, sentence
from daemon.store import effects
from daemon.store.rows import DailyEffects

COMPARED_DAYS: Final = 84
"""Lists change with each model: what was followed months ago says little about those of today."""
FEWEST_CLICKS: Final = 20
"""With 20 clicks the interval reaches from two thirds of the rate to one and a half times it. With fewer it
says next to nothing, and they may be those of one person."""
Z: Final = 1.96
"""Standard normal quantile of a two-sided interval of 95 %."""


class Week(TypedDict):
    """Totals of a week, from Monday on, UTC."""

    at: Annotated[float, Field(description="Its beginning, Unix seconds.")]
    pages: Annotated[int, Field(description="Watch pages seen.")]
    explained: Annotated[int, Field(description="Those of them that showed a list of ours, with reasons.")]
    clicked: Annotated[int, Field(description="Pages on which a suggestion of ours was followed.")]
    stock_clicked: Annotated[int, Field(description="The same of a list in PeerTube's own order.")]
    hidden: Annotated[int, Field(description="Suggestions that viewers hid.")]


class Rate(TypedDict):
    """Clicks per 1,000 watch pages, with an interval of 95 % (Wilson 1927)."""

    pages: int
    clicks: int
    per_1000: float | None
    low: float | None
    high: float | None
    why: Annotated[Sentence | None, Field(description="Why there is no rate.")]


class Comparison(TypedDict):
    """Our lists and PeerTube's own order, over the same days. Not an experiment."""

    since: Annotated[float, Field(description="The first day, Unix seconds.")]
    ours: Rate
    stock: Rate


class Effects(TypedDict):
    """What suggestions achieved; `why` says why nothing is known, and is null otherwise."""

    weeks: Annotated[list[Week], Field(description="Oldest first; weeks without a page are left out.")]
    comparison: Comparison | None
    why: Sentence | None


def gather(engine: Engine, config: Config, now: float) -> Effects:
    """Return what is known at `now`, Unix seconds."""
    if not isinstance(config.source, PeerTubeSource):
        return {"weeks": [], "comparison": None, "why": sentence("effectsNoPlugin")}
    days = effects.read(engine)
    if not days:
        return {"weeks": [], "comparison": None, "why": sentence("effectsNotYet")}
    return {"weeks": list(_weeks(days)), "comparison": _comparison(days, now), "why": None}


def wilson(clicks: int, pages: int) -> tuple[float, float]:
    """Return the score interval of a proportion, 95 %.

    Pages of one visitor are not independent of each other, so the truth is less certain than it says.

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference.
    """
    share, square = clicks / pages, Z * Z / pages
    middle = (share + square / 2) / (1 + square)
    half = Z * sqrt(share * (1 - share) / pages + square / (4 * pages)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def _weeks(days: Sequence[DailyEffects]) -> Iterator[Week]:
    for monday, found in groupby(days, key=lambda day: _monday(day.day)):
        week = list(found)
        yield {
            "at": datetime(monday.year, monday.month, monday.day, tzinfo=UTC).timestamp(),
            "pages": sum(day.pages for day in week),
            "explained": sum(day.explained for day in week),
            "clicked": sum(day.clicked for day in week),
            "stock_clicked": sum(day.stock_clicked for day in week),
            "hidden": sum(day.hidden for day in week),
        }


def _monday(day: str) -> date:
    found = date.fromisoformat(day)
    return found - timedelta(days=found.weekday())


def _comparison(days: Iterable[DailyEffects], now: float) -> Comparison:
    first = datetime.fromtimestamp(now, UTC).date() - timedelta(days=COMPARED_DAYS - 1)
    lately = [day for day in days if day.day >= first.isoformat()]
    pages, explained = sum(day.pages for day in lately), sum(day.explained for day in lately)
    return {
        "since": datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp(),
        "ours": _rate(sum(day.clicked for day in lately), explained),
        "stock": _rate(sum(day.stock_clicked for day in lately), pages - explained),
    }


def _rate(clicks: int, pages: int) -> Rate:
    # A page and its click may be counted on two days, or made up.
    pages = max(0, pages)
    clicks = min(clicks, pages)
    if clicks < FEWEST_CLICKS:
        why = (
            sentence("effectsFewClicks", count=clicks, least=FEWEST_CLICKS)
            if pages
            else sentence("effectsNoPages")
        )
        return {"pages": pages, "clicks": clicks, "per_1000": None, "low": None, "high": None, "why": why}
    low, high = wilson(clicks, pages)
    return {
        "pages": pages,
        "clicks": clicks,
        "per_1000": 1000 * clicks / pages,
        "low": 1000 * low,
        "high": 1000 * high,
        "why": None,
    }
