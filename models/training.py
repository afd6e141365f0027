"""From an instance's data and the others' sum to a finished model."""

from __future__ import annotations

from collections.abc import Callable

from models.trained import Recipe, TrainedModel, TrainingData

__all__ = ["Recipe", "TrainedModel", "TrainingData"]

Progress = Callable[[str, float], None]
