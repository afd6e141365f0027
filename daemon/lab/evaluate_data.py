"""From a data set folder to what an evaluation needs: one matrix, one split, features and dates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.source.dataset_columns import Positive, Publication, codes, positive_from, publication
from daemon.source.dataset_files import DataSet
from models.baselines import Newest, newest
from models.evaluation import latest, masked
from models.features import Features
from models.interactions import Interactions


@dataclass(frozen=True)
class World:
    """Users with enough likes and the videos they liked.

    Attributes:
        name: name of the data set.
        positive: which values count as liked.
        matrix: (users, videos) uint8.
        when: (stored values,) float64 Unix seconds, in the order of `matrix.indices`; None where the set has
            no times.
        features: of the videos.
        publication: of the videos.
        tags_by_users: share of the taggings that come from viewers.
    """

    name: str
    positive: Positive
    matrix: csr_array
    when: NDArray[np.float64] | None
    features: Features
    publication: Publication
    tags_by_users: float


@dataclass(frozen=True)
class Split:
    """Each user's videos in two parts, and what follows from the first.

    Attributes:
        train: (users, videos) uint8, with times drawn at random where the set has none.
        test: (users, videos) uint8.
        latest: (users, videos) uint8, one video per user of the training part: the most recent, or a random
            one.
        order: newest first, as PeerTube's rule needs it.
        cold: (n,) positions of videos without training interactions.
    """

    train: Interactions
    test: csr_array
    latest: csr_array
    order: Newest
    cold: NDArray[np.int64]


def world(data: DataSet, *, from_value: float | None, min_interactions: int) -> World:
    """Keep the likes of users who have enough of them, and the videos that are left.

    Args:
        data: the tables.
        from_value: lowest value that counts as liked; chosen by `positive_from` where None.
        min_interactions: likes that a user needs.

    Raises:
        ValueError: nobody has enough likes.
    """
    positive = positive_from(data, from_value)
    liked = data.values >= positive.from_value
    enough = np.bincount(data.users[liked], minlength=len(data.user_ids)) >= min_interactions
    rows = np.flatnonzero(liked & enough[data.users])
    if rows.size == 0:
        raise ValueError(f"no user of {data.name} has {min_interactions} liked videos: lower the thresholds")
    _, users = np.unique(data.users[rows], return_inverse=True)
    videos, columns = np.unique(data.items[rows], return_inverse=True)
    order = np.lexsort((columns, users))
    indptr = np.concatenate(([0], np.cumsum(np.bincount(users))))
    matrix = csr_array(
        (np.ones(len(rows), np.uint8), columns[order], indptr), shape=(len(indptr) - 1, len(videos))
    )
    dates = publication(data)
    return World(
        name=data.name,
        positive=positive,
        matrix=matrix,
        when=None if data.timestamps is None else data.timestamps[rows[order]],
        features=_features(data, videos, dates),
        publication=Publication(dates.published[videos], dates.rule),
        tags_by_users=data.tags_by_users,
    )


def split(world: World, *, test: float, seed: int) -> Split:
    """Hold out each interaction with probability `test`.

    Args:
        world: users and videos.
        test: expected share of the interactions.
        seed: of all draws.
    """
    held_out = np.random.default_rng(seed).random(world.matrix.nnz) < test
    train = masked(world.matrix, ~held_out)
    rng = np.random.default_rng([seed, 1])
    times = (rng.random(world.matrix.nnz) if world.when is None else world.when)[~held_out]
    counts = np.bincount(train.indices, minlength=train.shape[1])
    first_seen = None
    if world.when is not None:
        first_seen = np.full(train.shape[1], np.inf)
        np.minimum.at(first_seen, train.indices, times)
        first_seen[np.isinf(first_seen)] = np.nan
    return Split(
        train=Interactions(train, times),
        test=masked(world.matrix, held_out),
        latest=latest(train, times),
        order=newest(world.publication.published, world.publication.rule, first_seen, counts),
        cold=np.flatnonzero(counts == 0).astype(np.int64),
    )


def hold_out_users(world: World, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw users who are no part of a fit; returns (fitted, held out), both ascending."""
    order = np.random.default_rng([seed, 2]).permutation(world.matrix.shape[0])
    cut = int(len(order) * share)
    return np.sort(order[cut:]), np.sort(order[:cut])


def _features(data: DataSet, videos: NDArray[np.int32], dates: Publication) -> Features:
    shape = (len(data.item_ids), len(data.tag_names))
    ones = np.ones(len(data.tag_ids), np.float32)
    tags = csr_array((ones, (data.tag_items, data.tag_ids)), shape=shape)[videos]
    tags.sort_indices()
    channel, category, language = (
        codes(data, *names)[0][videos]
        for names in (("channel", "developer"), ("category", "type"), ("language",))
    )
    return Features(
        tags=tags,
        tag_names=data.tag_names,
        channel=channel,
        category=category,
        language=language,
        published=dates.published[videos],
    )
