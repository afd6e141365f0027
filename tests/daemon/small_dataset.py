"""A small data set that can be trained on: two tastes, written as files like any other set."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np


def write_set(folder: Path, *, users: int = 60, videos: int = 40, seed: int = 0) -> Path:
    """Half of the users like the first half of the videos, the others the second; returns the folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    half = videos // 2
    rows = ["user,item,value,timestamp"]
    for user in range(users):
        first = 0 if user % 2 == 0 else half
        chosen = rng.choice(half, 10, replace=False) + first
        rows += [f"u{user},v{video},5,{1_600_000_000 + 60 * number}" for number, video in enumerate(chosen)]
    items = ["item,title,channel"]
    items += [f"v{v},Private title {v} ({2000 + v % 20}),channel {v % 6}" for v in range(videos)]
    tags = ["item,tag"] + [f"v{v},{'jazz' if v < half else 'chess'}" for v in range(videos)]
    for name, lines in (("interactions", rows), ("items", items), ("item_tags", tags)):
        with gzip.open(folder / f"{name}.csv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return folder
