"""Reads a data set folder into plain arrays; knows nothing about databases, instances or models.

A folder holds UTF-8 CSV tables with a header row, plain (``.csv``) or compressed (``.csv.gz``):

- ``interactions``: ``user,item,value[,timestamp]``, one row per distinct pair; timestamps are Unix seconds;
- ``items`` (optional): ``item`` and any further columns, such as ``title``, ``channel``, ``published`` or
  ``views``;
- ``item_tags`` (optional): ``item,tag[,kind,count]``.

A broken or half-written table raises `DataSetError`, which names the file, the line and the fix. Messages
never repeat what a table holds: identifiers and titles stay out of terminals and logs.
"""

import csv
import gzip
import io
import math
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_REPEATED = 65_536
"""Different texts of a column that are kept once, however often they occur."""
REPLACE = "Copy the file again from its origin, or create it again"


class DataSetError(Exception):
    """A table of a data set cannot be used as it is.

    Attributes:
        file: name of the table's file, without its folder.
        line: 1-based line in the uncompressed text, None where the whole file is meant.
        problem: what is wrong.
        advice: what to do about it.
    """

    def __init__(self, file: str, line: int | None, problem: str, advice: str) -> None:
        self.file, self.line, self.problem, self.advice = file, line, problem, advice
        place = file if line is None else f"{file}, line {line}"
        super().__init__(f"{place}: {problem}. {advice}.")


@dataclass(frozen=True)
class DataSet:
    """Users, videos and tags of one data set, numbered from 0.

    Videos are numbered in the order of ``items``, then of their first mention in the other tables.

    Attributes:
        name: name of the folder.
        user_ids: (users,) identifiers of the source, in order of first mention.
        item_ids: (videos,) identifiers of the source.
        users, items: (interactions,) int32, row numbers into the two above.
        values: (interactions,) float64, finite; what they mean depends on the set.
        timestamps: (interactions,) float64 Unix seconds, or None where the table has none.
        columns: further columns of ``items``, each a (videos,) tuple of text, "" where unknown.
        tag_items, tag_ids: (taggings,) int32, distinct pairs, into `item_ids` and `tag_names`.
        tag_names: (tags,) lower-case text.
        tags_by_users: share of the taggings whose ``kind`` is ``user``.
    """

    name: str
    user_ids: tuple[str, ...] = field(repr=False)
    item_ids: tuple[str, ...] = field(repr=False)
    users: NDArray[np.int32] = field(repr=False)
    items: NDArray[np.int32] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    timestamps: NDArray[np.float64] | None = field(repr=False)
    columns: Mapping[str, tuple[str, ...]] = field(repr=False)
    tag_items: NDArray[np.int32] = field(repr=False)
    tag_ids: NDArray[np.int32] = field(repr=False)
    tag_names: tuple[str, ...] = field(repr=False)
    tags_by_users: float = 0.0


def read(folder: Path) -> DataSet:
    """Read the tables of `folder`.

    Raises:
        DataSetError: a table is missing, truncated, not UTF-8, or has a row that makes no sense.
    """
    if not folder.is_dir():
        raise DataSetError(
            folder.name, None, "there is no such folder", "Give the folder that holds interactions.csv.gz"
        )
    numbering: dict[str, int] = {}
    columns = _read_items(folder, numbering)
    users, items, values, timestamps, user_ids = _read_interactions(folder, numbering)
    tag_items, tag_ids, tag_names, tags_by_users = _read_tags(folder, numbering)
    missing = len(numbering) - len(next(iter(columns.values()), ()))
    return DataSet(
        name=folder.resolve().name,
        user_ids=user_ids,
        item_ids=tuple(numbering),
        users=users,
        items=items,
        values=values,
        timestamps=timestamps,
        columns={name: (*texts, *[""] * missing) for name, texts in columns.items()},
        tag_items=tag_items,
        tag_ids=tag_ids,
        tag_names=tag_names,
        tags_by_users=tags_by_users,
    )


def _read_items(folder: Path, numbering: dict[str, int]) -> dict[str, list[str]]:
    table = _Table.find(folder, "items")
    if table is None:
        return {}
    names = [name for name in table.header(required=("item",)) if name != "item"]
    columns: dict[str, list[str]] = {name: [] for name in names}
    # A channel or a language is there many times: once is enough.
    known: dict[str, dict[str, str]] = {name: {} for name in names}
    for line, row in table.rows():
        if row["item"] in numbering:
            raise table.error(line, "the item is listed twice", "Keep one row per item")
        numbering[row["item"]] = len(numbering)
        for name in names:
            text = row[name]
            if len(known[name]) < _REPEATED:
                text = known[name].setdefault(text, text)
            columns[name].append(known[name].get(text, text))
    return columns


def _read_interactions(
    folder: Path, numbering: dict[str, int]
) -> tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64] | None, tuple[str, ...]
]:
    table = _Table.find(folder, "interactions")
    if table is None:
        advice = "Give a folder with that table: columns user,item,value and optionally timestamp"
        raise DataSetError("interactions.csv.gz", None, "the file is missing", advice)
    timed = "timestamp" in table.header(required=("user", "item", "value"))
    people: dict[str, int] = {}
    # Arrays: as objects, millions of rows would take ten times the memory.
    users, items, lines, values, times = array("i"), array("i"), array("q"), array("d"), array("d")
    for line, row in table.rows():
        if not row["user"] or not row["item"]:
            raise table.error(line, "user or item is empty", "Fill in both identifiers or drop the row")
        users.append(people.setdefault(row["user"], len(people)))
        items.append(numbering.setdefault(row["item"], len(numbering)))
        lines.append(line)
        values.append(table.number(line, row, "value"))
        if timed:
            times.append(table.number(line, row, "timestamp"))
    again = _first_repeated(_pairs(users, items))
    if again is not None:
        raise table.error(
            lines[again], "this user and item occur twice", "Keep one row per pair of user and item"
        )
    if not users:
        raise table.error(None, "the table has no rows", REPLACE)
    return (
        np.array(users, np.int32),
        np.array(items, np.int32),
        np.array(values, np.float64),
        np.array(times, np.float64) if timed else None,
        tuple(people),
    )


def _read_tags(
    folder: Path, numbering: dict[str, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32], tuple[str, ...], float]:
    table = _Table.find(folder, "item_tags")
    names: dict[str, int] = {}
    items, tags, by_user = array("i"), array("i"), array("b")
    if table is not None:
        table.header(required=("item", "tag"))
        for _, row in table.rows():
            items.append(numbering.setdefault(row["item"], len(numbering)))
            tags.append(names.setdefault(row["tag"].lower(), len(names)))
            by_user.append(row.get("kind") == "user")
    pairs = _pairs(items, tags)
    _, first, pair = np.unique(pairs, return_index=True, return_inverse=True)
    # One film can carry the same word as a genre and as a viewer's tag.
    by_others = np.bincount(pair, ~np.array(by_user, np.bool_), minlength=first.size)
    kept = np.sort(first)
    return (
        np.array(items, np.int32)[kept],
        np.array(tags, np.int32)[kept],
        tuple(names),
        float(np.count_nonzero(by_others == 0)) / max(1, first.size),
    )


def _pairs(left: "array[int]", right: "array[int]") -> NDArray[np.int64]:
    """Return one number for each pair, (n,), equal where both are."""
    return np.array(left, np.int64) << 32 | np.array(right, np.int64)


def _first_repeated(numbers: NDArray[np.int64]) -> int | None:
    """Return the place of the first number that was there before."""
    order = np.argsort(numbers, kind="stable")
    again = order[1:][numbers[order[1:]] == numbers[order[:-1]]]
    return int(again.min()) if again.size else None


class _Table:
    """One CSV file, read row by row, whose errors know where they happened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records = self._read()
        try:
            self._names = next(self._records)[1]
        except StopIteration:
            raise self.error(None, "the file is empty", REPLACE) from None

    @classmethod
    def find(cls, folder: Path, name: str) -> "_Table | None":
        for path in (folder / f"{name}.csv.gz", folder / f"{name}.csv"):
            if path.exists():
                return cls(path)
        return None

    def error(self, line: int | None, problem: str, advice: str) -> DataSetError:
        return DataSetError(self.path.name, line, problem, advice)

    def header(self, *, required: Sequence[str]) -> list[str]:
        if missing := [name for name in required if name not in self._names]:
            advice = f"The first line must name the columns {','.join(required)}"
            raise self.error(1, f"no column called {' or '.join(missing)}", advice)
        if len(set(self._names)) != len(self._names):
            raise self.error(1, "two columns have the same name", "Give every column its own name")
        return self._names

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        width = len(self._names)
        for line, row in self._records:
            if len(row) != width:
                problem = f"{len(row)} fields where the header has {width}"
                raise self.error(line, problem, "Look for a half-written row or a comma without quotes")
            yield line, dict(zip(self._names, row, strict=True))

    def number(self, line: int, row: Mapping[str, str], column: str) -> float:
        try:
            value = float(row[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(line, f"{column} is not a number", "Write plain decimal numbers")
        return value

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            opened = gzip.open if self.path.suffix == ".gz" else open
            with (
                opened(self.path, "rb") as raw,
                io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text,
            ):
                reader = csv.reader(text, strict=True)
                for row in reader:
                    if row:
                        yield line, row
                    line = reader.line_num + 1
        except EOFError:
            raise self.error(line, "the compressed file breaks off here", REPLACE) from None
        except (gzip.BadGzipFile, zlib.error):
            raise self.error(line, "not a valid gzip file", REPLACE) from None
        except UnicodeDecodeError:
            raise self.error(line, "the text is not UTF-8", "Save the table as UTF-8") from None
        except csv.Error:
            raise self.error(
                line, "not valid CSV", "Close every quotation mark and write quotes inside fields twice"
            ) from None
        except OSError as error:
            problem = f"the file cannot be read ({error.strerror or 'unknown reason'})"
            raise self.error(None, problem, "Check that it is a file this account may read") from None
