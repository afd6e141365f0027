"""Which videos the vectors are about that aggregators have now, so that the admin can read the numbers.

The urls of public videos, one file per aggregator and round, replaced with each data window. What was given
is with the windows, sealed; without the list its numbers could not be told apart.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from daemon.config import Config
from federation import cbor
from federation.errors import Refusal
from federation.journal import FileJournal


def note(config: Config, aggregator: str, window: str, round_: int, videos: tuple[str, ...]) -> None:
    """Keep the videos of what is given in a window: the vocabulary in round 0, the head in round 1."""
    content = cbor.encode({"window": window, "videos": list(videos)})
    _journal(config).write(_key(aggregator), f"videos-{round_}", zlib.compress(content, 1))


def videos(config: Config, aggregator: str, window: str, round_: int) -> tuple[str, ...] | None:
    """Return them, None where they are not known: given by an earlier version, or in another window."""
    if not _folder(config).is_dir():
        return None
    raw = _journal(config).read(_key(aggregator), f"videos-{round_}")
    try:
        content = None if raw is None else cbor.decode(zlib.decompress(raw))
    except (Refusal, zlib.error):
        return None
    if not isinstance(content, dict) or content.get("window") != window:
        return None
    found = content.get("videos")
    return tuple(str(url) for url in found) if isinstance(found, list) else None


def _folder(config: Config) -> Path:
    return config.journal_dir / "about"


def _journal(config: Config) -> FileJournal:
    return FileJournal(_folder(config))


def _key(aggregator: str) -> bytes:
    return hashlib.sha256(aggregator.encode()).digest()
