"""Related lists as everybody sees them, made from released numbers by the code that serves them.

Training makes more than lists. What an attacker reads beside a video needs the estimate of the noise, the
closed form for related videos and the mixture with content, each taken from where training takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import related
from models.closed_form import solve
from models.counting import contribution
from models.feature_vectors import feature_vectors
from models.features import Features
from models.interactions import Interactions
from models.noise import SumNoise
from models.popularity import popularity
from models.problem import assemble, choose_items
from models.related_order import ContentLists
from models.released import Released
from models.statistics import Statistic
from models.trained import Recipe, TrainingData
from models.training import dense_threads, near_content
from models.weights import UNIT
from tests.adversaries.privacy.release import noise_law

RECIPE = Recipe()
Entries = NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """What is beside every video of a catalogue of v videos.

    Attributes:
        videos: (v, 60) candidates, -1 padded: more than a page shows.
        together: (v, v) what viewers add to their scores; 0 where a video is not in the list.
    """

    videos: NDArray[np.int32]
    together: NDArray[np.float32]


@dataclass(frozen=True)
class Catalogue:
    """A part of a data set's videos, small enough to train on hundreds of times.

    Attributes:
        features: of its videos.
        content: (v, features) by which they resemble each other.
        lists: by content alone.
    """

    features: Features
    content: csr_array
    lists: ContentLists

    @property
    def videos(self) -> int:
        """How many."""
        return self.features.videos

    def entries(self, likes: csr_array) -> Entries:
        """What some viewers, (n, v), add to a release of all videos: counts, then pairs; in entries."""
        return contribution(Interactions(likes), np.arange(self.videos, dtype=np.int64))

    def noise(self, noise: SumNoise, seed: tuple[int, ...]) -> Entries:
        """Draw what is added to a release."""
        law, size = noise_law(noise, seed), self.videos
        return np.concatenate((law(0, size), law(1, size * (size - 1) // 2)))

    def released(self, entries: Entries, noise: SumNoise, *, min_users: float = -np.inf) -> Released:
        """Release entries that hold their noise; `min_users` from which a video is in it, by its count."""
        everything = np.arange(self.videos, dtype=np.int64)
        whole = Statistic(everything, entries[: self.videos], entries[self.videos :])
        return Released(whole.of(np.flatnonzero(whole.counts >= UNIT * min_users)), noise)

    def shown(self, own: Released, others: Released | None) -> Shown:
        """Train what the lists need, and make them."""
        data = TrainingData(self.features, own, others)
        with dense_threads(RECIPE.threads):
            problem = assemble(data, choose_items(data, RECIPE))
            items = problem.items.positions
            near, broad = (
                solve(problem.gram, ridge * problem.unit, dtype=torch.float32).weights()
                for ridge in (RECIPE.related_near, RECIPE.related_broad)
            )
            found = related.item_lists(
                self.lists,
                items,
                near,
                broad,
                problem.gram,
                problem.pair_deviation,
                popularity(problem, data)[items],
                self.content,
                self.features.published,
                min_users=RECIPE.min_pair_users,
                content_weight=RECIPE.related_content_weight,
                near_content=near_content(data),
                length=RECIPE.related_length,
            )
        videos = np.full((self.videos, RECIPE.related_length), -1, np.int32)
        videos[:, : self.lists.videos.shape[1]] = self.lists.videos
        videos[items] = found.videos
        together = np.zeros((self.videos, self.videos), np.float32)
        row, place = np.nonzero(found.videos >= 0)
        together[items[row], found.videos[row, place]] = (found.near + found.broad)[row, place]
        return Shown(videos, together)


def catalogue(features: Features, videos: NDArray[np.int64]) -> Catalogue:
    """Keep only these videos, (v,) ascending."""
    kept = Features(
        tags=csr_array(features.tags[videos]),
        tag_names=features.tag_names,
        channel=features.channel[videos],
        category=features.category[videos],
        language=features.language[videos],
        published=features.published[videos],
        views=features.views[videos],
        words=features.words and replace(features.words, rows=csr_array(features.words.rows[videos])),
    )
    content = feature_vectors(kept).rows
    return Catalogue(
        kept,
        content,
        related.content_lists(content, kept.published, kept.channel, length=RECIPE.content_length),
    )
