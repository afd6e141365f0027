"""Real ratings that are quick to fit: the first users of the set in the repository, and their tags."""

from __future__ import annotations

from pathlib import Path

from daemon.lab import demo
from daemon.lab.evaluate import Options
from daemon.lab.evaluate_family import HeldOut, hold_out, ratings_of
from daemon.source.dataset_files import read
from models.family.member import Ratings

USERS = 150


def everything() -> HeldOut:
    """All of ml-latest-small, held out as `shoal evaluate --family` does."""
    return hold_out(_ratings(), 0.2, 1)


def few() -> HeldOut:
    """The first users of it."""
    ratings = _ratings()
    return hold_out(ratings.where(ratings.users < USERS), 0.2, 1)


def _ratings() -> Ratings:
    folder = Path(demo.__file__).parent / "data" / "ml-latest-small"
    return ratings_of(read(folder), Options())[0]
