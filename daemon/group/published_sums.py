"""The sums that the host of a group published: stored, and at the host handed out.

A member stores them until it has learnt from them; the host, for members that were away. Only the newest run
is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.group import repository
from daemon.peers import repository as peers
from federation import cbor, cbor_fields, envelope
from federation.blob_access import BlobServer
from federation.envelope import Envelope
from federation.errors import Code, Refusal
from federation.group.published import MAX_PUBLISHED, Published
from federation.identity import Identity, PublicIdentity
from federation.journal import FileJournal
from federation.limits import Limits

MESSAGE: Final = "message"
EPOCH: Final = "epoch"
_BLOB: Final = "blob."
_LEARNT: Final = "done"


class PublishedStore:
    """Published runs by their id (32 bytes); written by one process at a time."""

    def __init__(self, config: Config) -> None:
        self._journal = FileJournal(config.group_dir / "published")
        self._max_videos = config.model.max_head

    @contextmanager
    def filling(self, run_id: bytes, message: bytes, epoch: bytes) -> Iterator[Callable[[str, bytes], None]]:
        """Store a run, with the signed document of its epoch, in place of all others.

        Its blobs are put one after the other inside the block, so that they need not be in memory together.
        A block that raises leaves the others in place.
        """
        self._journal.erase(run_id)
        try:
            self._journal.write(run_id, EPOCH, epoch)
            yield lambda name, data: self._journal.write(run_id, _BLOB + name, data)
        except BaseException:
            self._journal.erase(run_id)
            raise
        # Last: without the message the run does not count as stored.
        self._journal.write(run_id, MESSAGE, message)
        for other in self._journal.ids():
            if other != run_id:
                self._journal.erase(other)

    def require_newer(self, published: Published, host: PublicIdentity, limits: Limits) -> None:
        """Check, before its blobs are stored, that a publication is new, and no larger than our sums can be.

        Raises:
            Refusal: `replayed`: it is not newer than the stored one, or says something else of the same run;
                `oversized`.

        """
        published.check_size(self._max_videos, limits, host.host)
        known = self._known(host, limits)
        if known is not None and (published.run == known.run or published.made <= known.made):
            raise Refusal(Code.REPLAYED, "these sums, or later ones, were published before", host.host)

    def _known(self, host: PublicIdentity, limits: Limits) -> Published | None:
        newest = self.newest()
        raw = None if newest is None else self.message(newest)
        if raw is None:
            return None
        try:
            return Published.read(envelope.parse(raw, max_size=MAX_PUBLISHED), host, limits)
        except Refusal:
            # Of a group that this instance was in before, or signed with a key that was replaced since.
            return None

    def clear(self) -> None:
        """Delete every run."""
        for run_id in self._journal.ids():
            self._journal.erase(run_id)

    def newest(self) -> bytes | None:
        """Return the id of the stored run."""
        return next((run_id for run_id in self._journal.ids() if self.message(run_id) is not None), None)

    def message(self, run_id: bytes) -> bytes | None:
        """Return the signed message of a run."""
        return self._journal.read(run_id, MESSAGE)

    def epoch(self, run_id: bytes) -> bytes | None:
        """Return the signed document of its epoch."""
        return self._journal.read(run_id, EPOCH)

    def blob(self, run_id: bytes, name: str) -> bytes | None:
        """Return one of its blobs, None for a name that it does not have."""
        known = _BLOB + name
        return self._journal.read(run_id, known) if known in self._journal.names(run_id) else None

    def not_learnt(self) -> bytes | None:
        """Return the stored run if it has not been learnt from yet."""
        run_id = self.newest()
        return run_id if run_id is not None and self._journal.read(run_id, _LEARNT) is None else None

    def mark_learnt(self, run_id: bytes, *, keep: bool) -> None:
        """Note that a run was learnt from; its blobs are deleted, unless kept for members that were away."""
        self._journal.write(run_id, _LEARNT, b"")
        if not keep:
            blobs = [name for name in self._journal.names(run_id) if name.startswith(_BLOB)]
            self._journal.erase(run_id, *blobs)


def not_learnt(config: Config) -> bool:
    """Tell whether something was published that has not been learnt from yet."""
    return config.group_dir.is_dir() and PublishedStore(config).not_learnt() is not None


class PublishedServer:
    """Answers fetch requests at the host: published sums go to members; `others` serves other blobs."""

    def __init__(
        self, identity: Identity, engine: Engine, config: Config, store: PublishedStore, others: BlobServer
    ) -> None:
        self._identity, self._engine, self._config = identity, engine, config
        self._store, self._others = store, others

    def serve(self, message: Envelope) -> bytes:
        """Return what a member asks for.

        Raises:
            Refusal: `unknown-round`, `unknown-peer`, `not-for-me`, `bad-signature`, or as `BlobServer.serve`.

        """
        published = self._store.message(message.round_id)
        group = repository.current(self._engine) if published is not None else None
        if published is None or group is None or group.role != "host":
            return self._others.serve(message)
        if message.recipient != self._identity.host:
            raise Refusal(Code.NOT_FOR_ME, "this does not request data of this instance", message.sender)
        member = repository.member(self._engine, message.sender)
        peer = peers.find(self._engine, self._config, message.sender)
        # As in its sums: a member that the admin does not approve any more gets nothing more either.
        approved = member is not None and peer is not None and peer.approved and peer.key == member.key
        if member is None or member.state != "member" or not approved:
            raise Refusal(Code.UNKNOWN_PEER, f"{message.sender} is no member of the group", message.sender)
        message.verify(member.identity)
        content = cbor_fields.exact_map(cbor.decode(bytes(message.payload)), "blob")
        name = cbor_fields.text(content["blob"])
        if name == MESSAGE:
            return published
        data = (
            self._store.epoch(message.round_id) if name == EPOCH else self._store.blob(message.round_id, name)
        )
        if data is None:
            raise Refusal(Code.UNKNOWN_ROUND, "nothing of that name was published", message.sender)
        return data
