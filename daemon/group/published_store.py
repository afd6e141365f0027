"""What the host of a group published: the signed list of sums, and the sums, as they came.

A member keeps them until they are learnt; the host, for members that were away. Only the newest are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from daemon.config import Config
from federation import envelope
from federation.errors import Code, Refusal
from federation.group.published import HEAD, MAX_PUBLISHED, Published, proposal_blob
from federation.identity import PublicIdentity
from federation.journal import FileJournal
from federation.limits import Limits

MESSAGE: Final = "message"
EPOCH: Final = "epoch"
_BLOB: Final = "blob."
_DONE: Final = "done"
_MAX_URL: Final = 2_010
"""Bytes of an address in the list of the head, at most."""
_MAX_HEAD: Final = 10


class PublishedStore:
    """Published batches by their id (32 bytes); written by one process at a time."""

    def __init__(self, config: Config) -> None:
        self._journal = FileJournal(config.group_dir / "published")
        self._most_videos = config.model.max_head

    @contextmanager
    def filling(self, batch: bytes, message: bytes, epoch: bytes) -> Iterator[Callable[[str, bytes], None]]:
        """Keep a batch, with the signed document of its epoch, in place of all others.

        Its blobs are put one after the other inside the block, so that they need not be in memory together.
        A block that raises leaves the others in place.
        """
        self._journal.erase(batch)
        try:
            self._journal.write(batch, EPOCH, epoch)
            yield lambda name, data: self._journal.write(batch, _BLOB + name, data)
        except BaseException:
            self._journal.erase(batch)
            raise
        # Last: without it there is no batch.
        self._journal.write(batch, MESSAGE, message)
        for other in self._journal.sums():
            if other != batch:
                self._journal.erase(other)

    def require_news(self, published: Published, host: PublicIdentity, limits: Limits) -> None:
        """Check, before its data is taken in, that a publication is news, and no larger than our sums can be.

        Raises:
            Refusal: `replayed`: it is not newer than the one here, or says something else of the same sums;
                `oversized`.

        """
        proposals = (published.blobs[proposal_blob(number)] for number in range(len(published.parts)))
        if (
            published.videos > self._most_videos
            or published.blobs[HEAD].size > _MAX_HEAD + published.videos * _MAX_URL
            or any(one.size > limits.max_request for one in proposals)
        ):
            raise Refusal(Code.OVERSIZED, "what was published is larger than our sums can be", host.host)
        known = self._known(host, limits)
        if known is not None and (published.batch == known.batch or published.made <= known.made):
            raise Refusal(Code.REPLAYED, "these sums, or later ones, were published before", host.host)

    def _known(self, host: PublicIdentity, limits: Limits) -> Published | None:
        newest = self.newest()
        raw = None if newest is None else self.message(newest)
        if raw is None:
            return None
        try:
            return Published.read(envelope.parse(raw, max_size=MAX_PUBLISHED), host, limits)
        except Refusal:
            # That of a group it was in before, or of a key that was replaced since.
            return None

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
        """Return one of its blobs; of a name that nothing can have, None."""
        known = _BLOB + name
        return self._journal.read(batch, known) if known in self._journal.names(batch) else None

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
