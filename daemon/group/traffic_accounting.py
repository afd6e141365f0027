"""Counts the bytes that a group's host and this instance exchange beside the messages of sums.

They come over Flower, so no client of ours sees them: what a sum is about, the list of members, what is
published. Messages of the sums themselves are counted where they are answered (`members`).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from daemon.group import repository
from daemon.group.membership.blob_cache import BlobCache
from federation.envelope import Envelope, Stage
from federation.group.published import Published
from federation.identity import PublicIdentity
from federation.limits import Limits
from federation.proposal import BlobReference

Exchanged = Callable[[str, int, int], None]
"""Called with a host, the bytes sent to it and the bytes received."""


class TrafficAccounting:
    """What arrived for `take` and in the `spool`, told to `exchanged`; `identity_of` gives pinned keys."""

    def __init__(
        self,
        take: Callable[[Envelope], bytes],
        spool: BlobCache,
        engine: Engine,
        identity_of: Callable[[str], PublicIdentity | None],
        limits: Limits,
        exchanged: Exchanged,
    ) -> None:
        self._take, self._spool, self._engine = take, spool, engine
        self._identity_of, self._limits, self._exchanged = identity_of, limits, exchanged

    def take(self, message: Envelope) -> bytes:
        """Answer a message of the host. Raises what the wrapped function raises, and counts nothing then."""
        answer = self._take(message)
        host, received = self._identity_of(message.sender), len(message.raw)
        if message.stage is Stage.PUBLISH and host is not None:
            blobs = Published.read(message, host, self._limits).blobs.values()
            received += sum(reference.size for reference in blobs)
        self._exchanged(message.sender, len(answer), received)
        return answer

    def at_hand(self, reference: BlobReference) -> bytes | None:
        """Return data that came beside a proposal, None where it did not."""
        data = self._spool.read(reference)
        group = repository.current(self._engine) if data is not None else None
        if group is not None:
            self._exchanged(group.host, 0, reference.size)
        return data
