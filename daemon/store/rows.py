"""The plain rows that a source delivers and the store keeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A public video. `published` is Unix seconds or None; unknown text is empty."""

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
