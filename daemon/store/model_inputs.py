"""From the store's columns to the models' types."""

import numpy as np
from scipy.sparse import csr_array

from daemon.store.content_arrays import Catalogue, Engagements, codes
from daemon.store.sums import StoredSum
from models.features import Features
from models.interactions import Interactions, from_events
from models.labels import Labels
from models.noise import SumNoise
from models.statistics import Statistic, to_matrix


def features(catalogue: Catalogue) -> Features:
    """Return what is publicly known of each video, in the catalogue's order."""
    ones = np.ones(len(catalogue.tag_ids), np.float32)
    shape = (len(catalogue), len(catalogue.tag_names))
    return Features(
        tags=csr_array((ones, catalogue.tag_ids, catalogue.tag_offsets), shape=shape),
        tag_names=catalogue.tag_names,
        channel=catalogue.channel,
        category=catalogue.category,
        language=catalogue.language,
        published=catalogue.published,
    )


def interactions(engagements: Engagements, videos: int, *, limit: int | None) -> Interactions:
    """Return the binary matrix of this instance's viewers, (viewers, videos)."""
    return from_events(
        engagements.users,
        engagements.videos,
        liked=engagements.liked,
        disliked=engagements.disliked,
        watched=engagements.watched,
        when=engagements.when,
        shape=(engagements.user_count, videos),
        limit=limit,
    )


def labels(catalogue: Catalogue) -> Labels:
    """Return the names that a model carries with it."""
    host, hosts = codes(catalogue.hosts)
    return Labels.pack(
        uuid=catalogue.uuids,
        url=catalogue.urls,
        title=catalogue.titles,
        nsfw=catalogue.nsfw,
        channels=catalogue.channel_names,
        categories=catalogue.category_names,
        languages=catalogue.language_names,
        host=host,
        account=catalogue.account,
        scope=catalogue.scope,
        hosts=hosts,
    )


def noise_of(stored: StoredSum) -> SumNoise:
    """Return the variances of the noise in a stored sum."""
    return SumNoise(counts=stored.privacy.counts_noise_realised, pairs=stored.privacy.pairs_noise_realised)


def statistic(stored: StoredSum, catalogue: Catalogue) -> Statistic:
    """Place a stored sum into today's catalogue; videos that are gone since drop out of it."""
    place = {url: position for position, url in enumerate(catalogue.urls)}
    found = np.array([place.get(url, -1) for url in stored.urls], np.int64)
    kept = np.flatnonzero(found >= 0)
    kept = kept[np.argsort(found[kept], kind="stable")]
    if len(kept) == len(found) and (np.diff(kept) > 0).all():
        return Statistic(found, stored.counts, stored.triangle)
    matrix = to_matrix(stored.counts, stored.triangle)[np.ix_(kept, kept)]
    triangle = matrix[np.triu_indices(len(kept), k=1)].astype(np.int64)
    return Statistic(found[kept], stored.counts[kept], triangle)
