"""Errors of the models, in two families.

A wrong call is our bug and raises plain `ValueError` or `TypeError`. Everything below `ModelError` is the
fault of what came in, and its message says what to do next.
"""

from __future__ import annotations


class ModelError(Exception):
    """Something that came from outside cannot be used."""


class SumError(ModelError):
    """A summed statistic that no set of users can have produced: drop the round and start another."""


class TooLittleDataError(ModelError):
    """Nothing to train from: no interactions and no tags."""


class ModelFileError(ModelError):
    """A stored model is truncated, altered or of another version: delete it and train again."""
