"""Where an instance's videos and consenting viewers come from: PeerTube, or the files of a data set."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from daemon.config import Config, PeerTubeSource
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow

PLUGIN: Final = "peertube-plugin-shoal"
"""Package name of the plugin, by which PeerTube lists it."""


class Source(Protocol):
    """An instance's public videos, and what its consenting local viewers did with them.

    Both come in pages; the number beside a page is the share of all pages read so far, in [0, 1].
    All videos are read before the first engagement. Private, unlisted and blocked videos never come out of
    a source.

    Attributes:
        left_out: rows skipped so far because they make no sense.

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
        """Return what the source says about itself."""
        ...

    def confirmed(self) -> Mapping[str, str] | None:
        """Return the viewers whose engagements may be stored now, with a digest of what each of them gave.

        Asked last, when everything else is read. None where viewers of a source cannot withdraw.
        """
        ...


@contextmanager
def open_source(config: Config) -> Iterator[Source]:
    """Open the configured source for the length of a block."""
    settings = config.source
    if isinstance(settings, PeerTubeSource):
        from daemon.source.peertube import PeerTubeExport, open_client

        with open_client(settings) as client:
            yield PeerTubeExport(client, page=settings.page)
    else:
        from daemon.source.dataset import DatasetFiles

        yield DatasetFiles(
            settings.path, name=settings.name, host=settings.catalogue_host, like_at=settings.like_at
        )
