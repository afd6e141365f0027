"""Records what the public Bayesian factorization machine achieves.

`python -m tests.models.family.record_myfm` writes `myfm.json` beside this file. It needs `myfm` and
`setuptools<80` in an environment of its own, with the project's packages: myfm imports what newer setuptools
no longer has, so no extra of ours names it.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, hstack

from daemon.lab.evaluate_family import HeldOut
from models.family.member import Ratings
from tests.models.family.small_ratings import everything, few

RECORD = Path(__file__).with_name("myfm.json")
SEED, FACTORS, SWEEPS, KEPT = 1, 8, 100, 80


def rmse(held_out: HeldOut) -> float:
    """Fit it to the training part; return its error on all that is held out, clipped as ours is."""
    from myfm import MyFMRegressor

    train, test = held_out.train, held_out.test
    widths = [*train.size, train.tags.shape[1]]
    model = MyFMRegressor(rank=FACTORS, random_seed=SEED)
    model.fit(inputs(train), train.values, n_iter=SWEEPS, n_kept_samples=KEPT, group_shapes=widths)
    found = np.clip(model.predict(inputs(test)), *train.scale)
    return float(np.sqrt(np.mean((found - test.values) ** 2)))


def inputs(ratings: Ratings) -> csr_matrix:
    """Return (n, users + items + tags): who, what, and its tags."""
    rows = np.arange(len(ratings.values))
    ones = np.ones(len(rows))
    user, item = (
        csr_matrix((ones, (rows, columns)), shape=(len(rows), width))
        for columns, width in zip((ratings.users, ratings.items), ratings.size, strict=True)
    )
    return csr_matrix(hstack((user, item, csr_matrix(ratings.tags[ratings.items]))))


if __name__ == "__main__":
    RECORD.write_text(
        json.dumps(
            {
                "implementation": f"myfm {version('myfm')}",
                "seed": SEED,
                "factors": FACTORS,
                "sweeps": SWEEPS,
                "kept": KEPT,
                "rmse": {"few": rmse(few()), "everything": rmse(everything())},
            },
            indent=2,
        )
        + "\n"
    )
