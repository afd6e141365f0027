"""Made-up video vectors that Python and JavaScript can both make, and the lists that both must rank.

`python -m tests.models.made_vectors` writes `tests/plugin/ranking.json`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from models.vector_file import RANK, VideoVectors, rank
from tests import ROOT

CASES = ROOT / "tests" / "plugin" / "ranking.json"


def made_vectors(count: int, *, seed: int = 0, levels: int = 127) -> VideoVectors:
    """Vectors from SHAKE-256; with `levels` 1 they are coarse, so that many scores are equal."""
    raw = np.frombuffer(
        hashlib.shake_256(f"vectors {seed}".encode()).digest(max(1, count) * (16 + 4 + RANK)), np.uint8
    )
    ends = np.cumsum([16 * count, 2 * count, 2 * count, RANK * count])
    names, first, second, matrix = (
        raw[stop - size : stop] for stop, size in zip(ends, np.diff(ends, prepend=0), strict=True)
    )
    weights = [part.view("<u2").astype(np.float32) for part in (first, second)]
    if levels == 1:
        weights = [1 + part % 2 for part in weights]
        vectors = (matrix % 3).astype(np.int8) - np.int8(1)
    else:
        weights = [(1 + part) / np.float32(4096) for part in weights]
        vectors = np.maximum(matrix.view(np.int8), -127)
    return VideoVectors(
        uuids=np.array(sorted(names.reshape(count, 16).tolist()), np.uint8).reshape(count, 16),
        history_weights=weights[0],
        ranked_weights=weights[1],
        vectors=vectors.reshape(count, RANK),
        created=1_750_000_000,
    )


def cases() -> list[dict[str, Any]]:
    """Histories of all lengths with the ten best rows, their scores and the row that each rests on."""
    found = []
    for count, seed, levels, length in (
        (2, 1, 127, 1),
        (12, 2, 127, 3),
        (300, 3, 127, 7),
        (300, 4, 1, 2),
        (2_000, 5, 1, 200),
        (5_000, 6, 127, 40),
        (5_000, 7, 127, 200),
        (5_000, 8, 127, 260),
    ):
        made = made_vectors(count, seed=seed, levels=levels)
        history = np.random.default_rng(seed).choice(count, length, replace=False).tolist()
        found.append(
            {
                "count": count,
                "seed": seed,
                "levels": levels,
                "sha256": hashlib.sha256(made.to_bytes()).hexdigest(),
                "history": history,
                "listed": [[item.row, item.score, item.via] for item in rank(made, history, 10)],
            }
        )
    return found


if __name__ == "__main__":
    CASES.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases()) + "\n]\n", "utf-8")
