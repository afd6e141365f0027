"""What every source of an instance's content offers."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from daemon.store.rows import EngagementRow, VideoRow


class Source(Protocol):
    """An instance's public videos, and what its consenting local viewers did with them.

    Both come in pages; the number beside a page is the part of all pages that is done with it, in [0, 1].
    All videos
    are read before the first engagement. Private, unlisted and blocked videos never come out of a source.

    Raises:
        SourceError: the content cannot be read; nothing of a broken source is kept.
    """

    def videos(self) -> Iterator[tuple[float, Sequence[VideoRow]]]:
        """Yield pages of videos."""
        ...

    def engagements(self) -> Iterator[tuple[float, Sequence[EngagementRow]]]:
        """Yield pages of engagements."""
        ...
