"""What the columns of a data set mean: which rows count as liked, publication dates, views, channels."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from daemon.source.dataset_files import DataSet

# Lowest value that counts as "liked", for sets whose scale is known; every row counts where it is minus
# infinity.
POSITIVE_FROM = {
    "anime-5k": 7.0,  # ratings from 1 to 10
    "ml-latest-small": 3.5,  # half stars from 0.5 to 5
    "ml-100k": 4.0,  # stars from 1 to 5
    "steam-200k": -np.inf,  # hours played
    "citeulike-t": -np.inf,  # always 1
}
RATING_STEPS = 20  # more distinct values than this are amounts (hours, plays), not ratings
DATED_SHARE = 0.25  # a date that fewer videos have says nothing about which are new

_MOST_VIEWS = 2**53
_YEAR_IN_TITLE = re.compile(r"\((1[89]\d\d|20\d\d)(?:[–-]\d{0,4})?\)\s*$")
_DATE_FORMATS = ("%d %b, %Y", "%b %Y", "%Y")


@dataclass(frozen=True)
class Positive:
    """Which values of a set count as liked, and why."""

    from_value: float
    rule: str

    def __str__(self) -> str:
        which = "every row" if self.from_value == -np.inf else f"values of at least {self.from_value:g}"
        return f"{which} ({self.rule})"


@dataclass(frozen=True)
class Publication:
    """When each video was published, as far as a set tells it for at least a quarter of its videos.

    Attributes:
        published: (videos,) float64 Unix seconds, nan where unknown.
        rule: "publication date", "year in title", or None where the set holds neither.
    """

    published: NDArray[np.float64]
    rule: str | None


def positive_from(data: DataSet, chosen: float | None = None) -> Positive:
    """Choose the lowest value that counts as liked: `chosen`, else the table above, else by a rule.

    The rule: all rows where the values are constant or have more than 20 distinct values (hours, plays); else
    they are ratings, and those from the median up count.
    """
    if chosen is not None:
        return Positive(chosen, "as given")
    if data.name in POSITIVE_FROM:
        return Positive(POSITIVE_FROM[data.name], f"known scale of {data.name}")
    distinct = len(np.unique(data.values))
    if distinct == 1:
        return Positive(-np.inf, "all values are equal")
    if distinct > RATING_STEPS:
        return Positive(-np.inf, f"{distinct} distinct values, so these are amounts, not ratings")
    return Positive(float(np.median(data.values)), "ratings from the median up")


def publication(data: DataSet) -> Publication:
    """Find dates in the column ``published`` or ``release_date``, else years at the end of titles."""
    for column in ("published", "release_date"):
        if column in data.columns:
            dates = np.array([_date(text) for text in data.columns[column]], np.float64)
            if np.isfinite(dates).mean() >= DATED_SHARE:
                return Publication(dates, "publication date")
    if titles := data.columns.get("title"):
        years = np.array([_year(title) for title in titles], np.float64)
        if np.isfinite(years).mean() >= DATED_SHARE:
            return Publication(years, "year in title")
    return Publication(np.full(len(data.item_ids), np.nan), None)


def views(data: DataSet) -> NDArray[np.int64]:
    """Return the public counter of each video, (videos,): the column ``views``, else rows of interactions.

    A text that is no whole number is 0. An instance that holds a part of a set's users needs the column: the
    counter is that of the whole network.
    """
    texts = data.columns.get("views")
    if texts is None:
        return np.bincount(data.items, minlength=len(data.item_ids)).astype(np.int64)
    return np.array([min(int(text), _MOST_VIEWS) if _is_number(text) else 0 for text in texts], np.int64)


def codes(data: DataSet, *columns: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Turn the first of `columns` that the set has into numbers.

    Returns:
        (videos,) int32 positions in the second value, -1 where the text is empty; the distinct texts, sorted.
    """
    for column in columns:
        if texts := data.columns.get(column):
            names = tuple(sorted(set(texts) - {""}))
            positions = {name: position for position, name in enumerate(names)}
            return np.array([positions.get(text, -1) for text in texts], np.int32), names
    return np.full(len(data.item_ids), -1, np.int32), ()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _date(text: str) -> float:
    if re.fullmatch(r"\d{9,11}(\.\d*)?", text):
        return float(text)  # Unix seconds since 1973
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        pass
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return np.nan


def _year(title: str) -> float:
    found = _YEAR_IN_TITLE.search(title)
    return datetime(int(found[1]), 1, 1, tzinfo=UTC).timestamp() if found else np.nan
