"""Validated settings of a daemon: a TOML file, then `SHOAL_SECTION__KEY` variables on top."""

from daemon.config.load import FILE_NAME, load
from daemon.config.schema import Config, DatasetSource, Mode, Peer, PeerTubeSource

__all__ = ["FILE_NAME", "Config", "DatasetSource", "Mode", "Peer", "PeerTubeSource", "load"]
