"""Where an instance's videos and consenting users come from."""

from collections.abc import Iterator
from contextlib import contextmanager

from daemon.config import Config, PeerTubeSource
from daemon.source.base import Source

__all__ = ["Source", "open_source"]


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
