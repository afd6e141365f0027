"""A data set of four tastes, each with its tag: large enough to learn from, and read in no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from daemon.source.dataset_files import DataSet, read

USERS, VIDEOS, TASTES = 240, 120, 4


def write_set(folder: Path, *, times: bool = True) -> DataSet:
    """Write users who mostly like videos of their own taste; one video is disliked by all."""
    rng = np.random.default_rng(0)
    rows = ["user,item,value" + (",timestamp" if times else "")]
    for user in range(USERS):
        own = rng.permutation(np.arange(user % TASTES, VIDEOS - 1, TASTES))[:12]
        other = rng.integers(0, VIDEOS - 1, 3)
        rows.extend(
            f"u{user},v{item},{rng.integers(4, 6)}" + (f",{rng.integers(10**9)}" if times else "")
            for item in dict.fromkeys([*own.tolist(), *other.tolist()])
        )
        rows.append(f"u{user},v{VIDEOS - 1},1" + (",5" if times else ""))  # disliked by all
    (folder / "interactions.csv").write_text("\n".join(rows) + "\n")
    tags = [f"v{item},taste{item % TASTES}" for item in range(VIDEOS)]
    (folder / "item_tags.csv").write_text("\n".join(["item,tag", *tags]) + "\n")
    titles = [f"v{item},Film {item} ({1950 + item % 70})" for item in range(VIDEOS)]
    (folder / "items.csv").write_text("\n".join(["item,title", *titles]) + "\n")
    return read(folder)
