"""The plain rows that a source delivers and the store keeps.

Their fields name the columns: a new one, here and in `daemon.store.tables`, is stored and read by its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A public video. `published` and `stored` are Unix seconds or None; unknown text is empty.

    `own` tells that it was published on this instance. `stored` is when the source stored it, by a clock that
    nobody else sets; `published` is what its origin says.
    `scope` is what the owner wants to be suggested beside it: 1 anything, 2 the same platform, 3 the same
    account, 4 the same channel.
    """

    url: str
    uuid: str
    title: str
    channel: str = ""
    host: str = ""
    category: str = ""
    language: str = ""
    published: float | None = None
    nsfw: bool = False
    views: int = 0
    likes: int = 0
    tags: tuple[str, ...] = ()
    account: str = ""
    scope: int = 1
    own: bool = False
    stored: float | None = None


@dataclass(frozen=True, slots=True)
class EngagementRow:
    """What a viewer did with a video: `watched` in [0, 1], `at` Unix seconds of the latest action.

    `viewer` is the source's own identifier; it is hashed with the instance's key before it is stored.
    """

    viewer: str
    video_url: str
    liked: bool = False
    disliked: bool = False
    watched: float = 0.0
    at: float = 0.0


VIDEO_COLUMNS: Final = tuple(field.name for field in fields(VideoRow) if field.name != "tags")
"""Of the table of videos, beside the number of the row."""

ENGAGEMENT_COLUMNS: Final = tuple(
    field.name for field in fields(EngagementRow) if field.name not in {"viewer", "video_url"}
)
"""Of the table of engagements, beside the numbers of the viewer and the video."""


@dataclass(frozen=True)
class Exclusions:
    """What must not be suggested: channels by url, hosts, videos by url."""

    channels: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    videos: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DailyEffects:
    """What the plugin counted on a day (YYYY-MM-DD, UTC), over all visitors and server processes.

    Attributes:
        pages: watch pages seen; `explained` of them showed a list of ours, with reasons.
        clicked, stock_clicked: pages on which a suggestion was followed, of our list or of PeerTube's own.
        hidden: suggestions that a viewer hid.
        filled: lists that the server filled; `stock` it left as PeerTube had them, `late` of these since no
            answer of the daemon came in time.
    """

    day: str
    pages: int = 0
    explained: int = 0
    clicked: int = 0
    stock_clicked: int = 0
    hidden: int = 0
    filled: int = 0
    stock: int = 0
    late: int = 0


@dataclass(frozen=True)
class SourceFacts:
    """What a source says beside videos and engagements.

    Attributes:
        kind: as in the configuration.
        rates, history: highest row numbers that were read, 0 where a source has none.
        exclusions: what must not be suggested.
        follows: hosts that the instance follows, and since when (Unix seconds), None where that is not known.
        closed: whether members alone see lists, and nobody can become one by registering.
        fills_lists: whether every watch page is to show a list of ours.
        effects: what suggestions achieved, by day.
    """

    kind: str
    rates: int = 0
    history: int = 0
    exclusions: Exclusions = field(default_factory=Exclusions)
    follows: Mapping[str, float | None] = field(default_factory=dict)
    closed: bool = False
    fills_lists: bool = False
    effects: Sequence[DailyEffects] = ()
