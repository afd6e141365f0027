"""Our own viewers, as far as they count in rounds, and over the videos of a round."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sqlalchemy import Engine

from daemon.config import Config
from daemon.rounds import round_config
from daemon.rounds.viewer_digests import viewer_digests, viewer_tags
from daemon.store.content_arrays import Catalogue
from daemon.store.engagement_arrays import interactions, read
from daemon.store.videos import public_since
from daemon.store.viewers import viewers_since
from models.head import LEAST_VIEWS
from models.interactions import Interactions
from policies.window import SETTLED_AFTER


@dataclass(frozen=True)
class OwnStatistics:
    """Consenting viewers and the videos that count: public here for long enough, and not too rare.

    `interactions` is (viewers, videos of the catalogue), with all videos of a viewer, most recent kept first.
    `settled_pseudonyms` are those who agreed more than a week ago.
    """

    catalogue: Catalogue
    interactions: Interactions
    pseudonyms: tuple[bytes, ...] = field(repr=False)
    most: int
    settled_pseudonyms: frozenset[bytes] = field(repr=False, default=frozenset())

    def limited(self, limit: int) -> Interactions:
        """Return at most `limit` videos per viewer, and never more than this instance's own limit."""
        return self.interactions.limited(min(limit, self.most))

    def digests(self, key: bytes) -> dict[bytes, bytes]:
        """Return the viewers as keyed hashes, for `daemon.rounds.data_windows`."""
        matrix = self.limited(self.most).matrix
        return viewer_digests(key, self.pseudonyms, self.catalogue.urls, matrix.indptr, matrix.indices)

    def settled(self, key: bytes) -> frozenset[bytes]:
        """Return, as keyed hashes, the viewers of whom a change counts."""
        return viewer_tags(key, self.settled_pseudonyms)


def own_viewers(engine: Engine, config: Config, *, now: float) -> OwnStatistics:
    """Read who counts, and with what."""
    catalogue, engagements = read(engine)
    everything = interactions(engagements, len(catalogue), limit=None)
    age = config.privacy.min_video_age.total_seconds()
    countable = public_since(engine, catalogue.urls, before=now - age) & (catalogue.views >= LEAST_VIEWS)
    counted = everything.where(countable[everything.matrix.indices])
    return OwnStatistics(
        catalogue,
        counted,
        engagements.pseudonyms,
        round_config.videos_per_user(config),
        viewers_since(engine, before=now - SETTLED_AFTER),
    )


def over(vocabulary: tuple[str, ...], catalogue: Catalogue, own: Interactions) -> Interactions:
    """Return the same users over a round's videos; what this catalogue does not have is zero."""
    position = {url: place for place, url in enumerate(catalogue.urls)}
    columns = np.array([position.get(url, -1) for url in vocabulary], np.int64)
    known = np.flatnonzero(columns >= 0)
    target: NDArray[np.int64] = np.full(len(catalogue), -1, np.int64)
    target[columns[known]] = known
    matrix = own.matrix
    place = target[matrix.indices]
    kept = place >= 0
    rows = np.repeat(np.arange(own.users), np.diff(matrix.indptr))[kept]
    selected = csr_array(
        (np.ones(len(rows), np.uint8), (rows, place[kept])), shape=(own.users, len(vocabulary))
    )
    selected.sort_indices()
    return Interactions(selected)


def public_vocabulary(catalogue: Catalogue, at_most: int) -> tuple[str, ...]:
    """Every video of the public catalogue; of too many, the most viewed. Public numbers alone decide."""
    if len(catalogue) <= at_most:
        return catalogue.urls
    order = np.lexsort((np.arange(len(catalogue)), -catalogue.likes, -catalogue.views))[:at_most]
    return tuple(catalogue.urls[place] for place in np.sort(order))
