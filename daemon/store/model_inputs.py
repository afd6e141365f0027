"""From the store's columns to the models' types."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.store.content_arrays import Catalogue, codes
from daemon.store.sums import StoredSum
from models.features import Features
from models.labels import Labels
from models.noise import SumNoise
from models.released import Released
from models.statistics import Statistic
from models.words import title_words


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
        views=catalogue.views,
        words=title_words(catalogue.titles, catalogue.channel, catalogue.published),
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


def released(stored: StoredSum, catalogue: Catalogue) -> Released:
    """Place a stored sum into today's catalogue."""
    return Released(placed(stored.urls, stored.counts, stored.triangle, catalogue.urls), noise_of(stored))


def placed(
    videos: Sequence[str], counts: NDArray[np.int64], triangle: NDArray[np.int64], catalogue: Sequence[str]
) -> Statistic:
    """Return a statistic over some videos, by url, as one over a catalogue; those that are gone drop out."""
    place = {url: position for position, url in enumerate(catalogue)}
    found = np.array([place.get(url, -1) for url in videos], np.int64)
    kept = np.flatnonzero(found >= 0)
    if not (np.diff(found[kept]) > 0).all():
        raise ValueError("videos must be in the order of the catalogue")
    whole = Statistic(np.arange(len(found)), counts, triangle).of(kept)
    return Statistic(found[kept], whole.counts, whole.triangle)
