"""Small data sets, written as files like any other set."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import numpy as np

VIEWS = 500
"""Of every video, on the whole network: each is public enough to be counted."""


def write_set(folder: Path, *, users: int = 60, videos: int = 40, seed: int = 0) -> Path:
    """Write two tastes that can be trained on: half of the users like the first half of the videos.

    Returns the folder.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    half = videos // 2
    rows = ["user,item,value,timestamp"]
    for user in range(users):
        first = 0 if user % 2 == 0 else half
        chosen = rng.choice(half, 10, replace=False) + first
        rows += [f"u{user},v{video},5,{1_600_000_000 + 60 * number}" for number, video in enumerate(chosen)]
    items = ["item,title,channel,views"]
    items += [f"v{v},Private title {v} ({2000 + v % 20}),channel {v % 6},{VIEWS}" for v in range(videos)]
    tags = ["item,tag"] + [f"v{v},{'jazz' if v < half else 'chess'}" for v in range(videos)]
    for name, lines in (("interactions", rows), ("items", items), ("item_tags", tags)):
        with gzip.open(folder / f"{name}.csv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return folder


def write_overlapping_tastes(folder: Path, users: int = 60) -> Path:
    """Write two overlapping tastes over 120 videos: enough for pairs, read in no time; returns the folder."""
    rng = random.Random(7)
    folder.mkdir()
    with (folder / "interactions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "value"])
        for user in range(users):
            liked = rng.sample(range(40), 18) if user % 3 else rng.sample(range(30, 120), 25)
            rows.writerows([f"u{user}", f"v{video}", 1] for video in liked)
    with (folder / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "title", "views"])
        rows.writerows([f"v{video}", f"Secret title {video}", VIEWS] for video in range(120))
    return folder
