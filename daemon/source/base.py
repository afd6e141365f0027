"""What every source of an instance's content offers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from daemon.store.rows import EngagementRow, SourceFacts, VideoRow


class Source(Protocol):
    """An instance's public videos, and what its consenting local viewers did with them.

    Both come in pages; the number beside a page is the part of all pages that is done with it, in [0, 1].
    All videos are read before the first engagement. Private, unlisted and blocked videos never come out of
    a source.

    Attributes:
        left_out: rows that were delivered but make no sense, so far.

    Raises:
        SourceError: the content cannot be read; nothing of a broken source is kept.
    """

    left_out: int

    def videos(self) -> Iterator[tuple[float, Sequence[VideoRow]]]:
        """Yield pages of videos."""
        ...

    def engagements(self) -> Iterator[tuple[float, Sequence[EngagementRow]]]:
        """Yield pages of engagements."""
        ...

    def facts(self) -> SourceFacts:
        """Return what the source says of itself."""
        ...

    def confirmed(self) -> Mapping[str, str] | None:
        """Return the viewers whose engagements may be stored now, with a digest of what each of them gave.

        Asked last, when everything else is read. None where viewers of a source cannot withdraw.
        """
        ...
