"""A small world whose answer is known: ratings are biases, tastes for tags, and a little noise."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from models.family.member import Ratings, frequent_tags

USERS, ITEMS, TAGS, NOISE = 120, 80, 4, 0.3


def ratings(seed: int = 0) -> Ratings:
    """Everybody rated half of the items; an item has one or two tags, which people like or dislike."""
    rng = np.random.default_rng(seed)
    tags = np.zeros((ITEMS, TAGS))
    tags[np.arange(ITEMS), rng.integers(0, TAGS, ITEMS)] = 1
    tags[np.arange(ITEMS), rng.integers(0, TAGS, ITEMS)] = 1
    scaled = frequent_tags(csr_array(tags))
    taste = rng.normal(0, 1.5, (USERS, TAGS))
    mean = 5 + rng.normal(0, 0.7, (USERS, 1)) + rng.normal(0, 0.4, ITEMS)
    everything = mean + taste @ scaled.toarray().T + rng.normal(0, NOISE, (USERS, ITEMS))
    users, items = np.nonzero(rng.random((USERS, ITEMS)) < 0.5)
    values = everything[users, items]
    return Ratings(
        *(users, items, values, scaled, (USERS, ITEMS)),
        liked_from=float(np.median(values)),
        scale=(float(values.min()), float(values.max())),
    )


def split(everything: Ratings, seed: int = 1) -> tuple[Ratings, Ratings]:
    """Hold out a fifth, and all ratings of the first four items."""
    held_out = np.random.default_rng(seed).random(len(everything.values)) < 0.2
    held_out |= everything.items < 4
    return everything.where(~held_out), everything.where(held_out)
