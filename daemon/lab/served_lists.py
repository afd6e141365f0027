"""A trained model as viewers meet it: where its vectors know too few videos, content fills the list.

Models of small instances know so few videos that vectors alone would say nothing about what people see.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import artefact
from models.evaluation import RECALL_AT
from models.features import Features
from models.labels import Labels
from models.ranking import ListRules
from models.recommender import Scores
from models.serving import ServedModel, Suggestion
from models.trained import TrainedModel

_PLAIN = ListRules(window=0, language_penalty=0, reserve=False)
"""Evaluation is before reserved places and caps."""


class ServedLists:
    """Scores videos by their places in the lists that a model serves; what is on no list has -inf."""

    def __init__(self, model: ServedModel) -> None:
        """Take a model that nobody else uses: its rules for lists are switched off."""
        model.rules = _PLAIN
        self._model = model

    @classmethod
    def of(cls, model: TrainedModel, features: Features) -> ServedLists:
        """Take a finished model and what its videos are described by."""
        return cls(artefact.in_memory(model, labels(features)))

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        rows = np.split(history.indices, history.indptr[1:-1])
        return self._places([self._model.recommend(row.tolist(), limit=RECALL_AT) for row in rows])

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`."""
        return self._places([self._model.related(seed, limit=RECALL_AT) for seed in seeds.tolist()])

    def _places(self, lists: list[list[Suggestion]]) -> Scores:
        found = np.full((len(lists), len(self._model)), -np.inf, np.float32)
        for row, listed in enumerate(lists):
            found[row, [one.video for one in listed]] = -np.arange(len(listed))
        return found


def labels(features: Features) -> Labels:
    """Return names for videos that have none: their numbers."""
    videos = [str(number) for number in range(features.videos)]
    channels, categories, languages = (
        [str(number) for number in range(int(column.max(initial=-1)) + 1)]
        for column in (features.channel, features.category, features.language)
    )
    return Labels.pack(
        uuid=videos, url=videos, title=videos, channels=channels, categories=categories, languages=languages
    )
