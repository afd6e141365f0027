"""Where an instance's videos and consenting users come from."""

from daemon.config import Config
from daemon.source.base import Source

__all__ = ["Source", "open_source"]


def open_source(config: Config) -> Source:
    """Return the configured source."""
    from daemon.source.dataset import DatasetFiles

    settings = config.source
    return DatasetFiles(
        settings.path, name=settings.name, host=settings.catalogue_host, like_at=settings.like_at
    )
