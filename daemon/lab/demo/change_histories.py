"""Changing what the demo's instances read: viewers like more videos, or are made up."""

from __future__ import annotations

import csv
import gzip
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from daemon.lab.demo.instances import DemoInstance
from daemon.source.dataset import addresses
from daemon.source.dataset_files import DataSet, read
from models.interactions import Interactions

TABLE = "interactions.csv.gz"
_ORIGINAL = "before.csv.gz"
CHANGED = 8
"""Viewers of an instance that like something new in a week."""
_NEW_LIKES = 3
_MOST = 5.0
_DAY = 86400.0

Row = tuple[str, str]
"""A viewer and a video, as the set names them."""


def like_more(community: DemoInstance, week: int) -> None:
    """Let some viewers like a few more videos: which ones follows from the instance's name and the week."""
    found = read(community.folder / "dataset")
    rng = np.random.default_rng([week, crc32(community.host.encode())])
    number = min(CHANGED, len(found.user_ids))
    seen = set(zip(found.users.tolist(), found.items.tolist(), strict=True))
    rows = [
        (found.user_ids[user], found.item_ids[video])
        for user in rng.choice(len(found.user_ids), number, replace=False).tolist()
        for video in rng.choice(np.unique(found.items), _NEW_LIKES, replace=False).tolist()
        if (user, video) not in seen
    ]
    _append(community, rows, found, week)


def make_up(community: DemoInstance, name: str, fakes: Interactions, *, copies: int = 1) -> None:
    """Give an instance fake viewers beside its real ones, and count everybody so many times.

    That is what multiplying its part comes to, without a program that does not play by the rules. Columns of
    `fakes` are the videos of the catalogue, ordered by url; `name` is that of the set.
    """
    folder = community.folder / "dataset"
    kept = folder / _ORIGINAL
    if not kept.exists():
        shutil.copy(folder / TABLE, kept)
    shutil.copy(kept, folder / TABLE)
    found = read(folder)
    by_url = sorted(zip(addresses(found, name=name), found.item_ids, strict=True))
    real = [
        (found.user_ids[user], found.item_ids[video])
        for user, video in zip(found.users.tolist(), found.items.tolist(), strict=True)
    ]
    made_up = [
        (f"fake-{row}", by_url[video][1])
        for row, videos in enumerate(np.split(fakes.matrix.indices, fakes.matrix.indptr[1:-1]))
        for video in videos.tolist()
    ]
    again = [(f"{user}-{copy}", video) for copy in range(1, copies) for user, video in [*real, *made_up]]
    _append(community, [*made_up, *again], found, 0)


def _append(community: DemoInstance, rows: Sequence[Row], found: DataSet, week: int) -> None:
    last = None if found.timestamps is None else float(found.timestamps.max(initial=0.0))
    # A gzip file may go on with another one.
    path: Path = community.folder / "dataset" / TABLE
    with gzip.open(path, "at", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(_lines(rows, None if last is None else last + _DAY * (week + 1)))


def _lines(rows: Iterable[Row], when: float | None) -> Iterable[list[str | float]]:
    for user, video in rows:
        yield [user, video, _MOST] if when is None else [user, video, _MOST, when]
