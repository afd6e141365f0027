"""What the host of a group published: the signed list of sums, and the sums, as they came.

A member keeps them until they are learnt; the host, for members that were away. Only the newest are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from daemon.config import Config
from federation.journal import FileJournal

MESSAGE: Final = "message"
EPOCH: Final = "epoch"
_BLOB: Final = "blob."
_DONE: Final = "done"


class Shelf:
    """Published batches by their id (32 bytes); written by one process at a time."""

    def __init__(self, config: Config) -> None:
        self._journal = FileJournal(config.group_dir / "published")

    def put(self, batch: bytes, message: bytes, epoch: bytes, blobs: Mapping[str, bytes]) -> None:
        """Keep a batch, with the signed document of its epoch, in place of all others."""
        self._journal.write(batch, EPOCH, epoch)
        for name, data in blobs.items():
            self._journal.write(batch, _BLOB + name, data)
        # Last: without it there is no batch.
        self._journal.write(batch, MESSAGE, message)
        for other in self._journal.sums():
            if other != batch:
                self._journal.erase(other)

    def clear(self) -> None:
        """Delete every batch."""
        for batch in self._journal.sums():
            self._journal.erase(batch)

    def newest(self) -> bytes | None:
        """Return the id of the batch that is here."""
        return next((batch for batch in self._journal.sums() if self.message(batch) is not None), None)

    def message(self, batch: bytes) -> bytes | None:
        """Return the signed message of a batch."""
        return self._journal.read(batch, MESSAGE)

    def epoch(self, batch: bytes) -> bytes | None:
        """Return the signed document of its epoch."""
        return self._journal.read(batch, EPOCH)

    def blob(self, batch: bytes, name: str) -> bytes | None:
        """Return one of its blobs."""
        return self._journal.read(batch, _BLOB + name)

    def waiting(self) -> bytes | None:
        """Return the batch that has not been learnt yet."""
        batch = self.newest()
        return batch if batch is not None and self._journal.read(batch, _DONE) is None else None

    def learnt(self, batch: bytes, *, keep: bool) -> None:
        """Note that a batch was learnt; its numbers go, unless they are kept for members that were away."""
        self._journal.write(batch, _DONE, b"")
        if not keep:
            blobs = [name for name in self._journal.names(batch) if name.startswith(_BLOB)]
            self._journal.erase(batch, *blobs)
