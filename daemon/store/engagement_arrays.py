"""What own viewers engaged with, exactly: for counting what is released, and for nothing that others see.

Training must not import this; a contract in pyproject.toml holds it. Viewers are ordered by their first
appearance in the source.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.store.content_arrays import Catalogue, Columns, columns, positions, read_in
from daemon.store.rows import ENGAGEMENT_COLUMNS
from models.interactions import Interactions, from_events


@dataclass(frozen=True)
class Engagements:
    """Parallel arrays, sorted by viewer, then video: input of `models.interactions.from_events`.

    Attributes:
        users: int64 row numbers of viewers, 0..user_count-1.
        videos: int64 positions in the catalogue.
        liked, disliked: bool. watched: float64 fraction. when: float64 Unix seconds.
        pseudonyms: 16 bytes per row number.
    """

    users: NDArray[np.int64]
    videos: NDArray[np.int64]
    liked: NDArray[np.bool_]
    disliked: NDArray[np.bool_]
    watched: NDArray[np.float64]
    when: NDArray[np.float64]
    user_count: int
    pseudonyms: tuple[bytes, ...]


def read(engine: Engine) -> tuple[Catalogue, Engagements]:
    """Read both from one snapshot: a sync in between cannot mix old and new."""
    with engine.connect() as connection:
        catalogue = read_in(connection)
        events = columns(connection, "engagements", ("viewer_id", "video_id", *ENGAGEMENT_COLUMNS))
        viewers = columns(connection, "viewers", ("id", "pseudonym"))
    return catalogue, _engagements(events, positions(catalogue.ids), viewers)


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


def _engagements(events: Columns, places: NDArray[np.int64], viewers: Columns) -> Engagements:
    pseudonyms = dict(zip(viewers["id"], viewers["pseudonym"], strict=True))
    numbers, users = np.unique(np.array(events["viewer_id"], np.int64), return_inverse=True)
    videos = places[np.array(events["video_id"], np.int64)]
    order = np.lexsort((videos, users))
    return Engagements(
        users=users.astype(np.int64)[order],
        videos=videos[order],
        liked=np.array(events["liked"], np.bool_)[order],
        disliked=np.array(events["disliked"], np.bool_)[order],
        watched=np.array(events["watched"], np.float64)[order],
        when=np.array(events["at"], np.float64)[order],
        user_count=len(numbers),
        pseudonyms=tuple(pseudonyms[number] for number in numbers.tolist()),
    )
