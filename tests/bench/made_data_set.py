"""A made-up data set folder of any size, written row by row: the same world as `made_peertube`."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench.made_peertube import made_world


def write_data_set(folder: Path, videos: int, viewers: int, history: int, rates: int) -> None:
    """Write the tables; an engagement is a row of value 1, and two of one viewer and video are one."""
    world = made_world(videos, viewers, history, rates)
    folder.mkdir(parents=True)
    names = ("url", "title", "channel", "category", "language", "published", "views")
    made = (world.videos[n] for n in range(videos))
    _write(
        folder / "items.csv.gz",
        ("item", *names),
        ([video["uuid"], *(video[name] for name in names)] for video in made),
    )
    made = (world.videos[n] for n in range(videos))
    _write(
        folder / "item_tags.csv.gz", ("item", "tag"), ((one["uuid"], t) for one in made for t in one["tags"])
    )
    rows = {(row[0], row[1]) for row in (*world.history, *world.rates) if row is not None}
    _write(
        folder / "interactions.csv.gz",
        ("user", "item", "value", "timestamp"),
        (
            (f"viewer{who}", world.videos[video]["uuid"], 1, 1_700_000_000 + video)
            for who, video in sorted(rows)
        ),
    )


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
