"""The messages of the group's host to this instance, in the serving process: epochs, and published sums.

They come over Flower, so no HTTP client of ours sees their bytes: the traffic of these messages, and of blobs
that came with proposals, is counted here; that of the proposals and answers themselves where they are
answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.group import repository
from daemon.group.membership.blob_cache import FOLDER, BlobCache
from daemon.group.membership.rules import epoch_of, host_of
from daemon.group.published_sums import PublishedStore
from daemon.group.repository import Membership
from daemon.peers import repository as peers
from daemon.store import waits
from federation import envelope
from federation.blob_access import check_blob
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group.epoch_document import MAX_EPOCH, EpochDocument, read_epoch
from federation.group.epoch_opening import MAX_LIST, MembershipList, read_gather, read_list
from federation.group.epoch_rules import answer_gather, answer_list, check_epoch
from federation.group.published import Published, Taken
from federation.identity import Identity, PublicIdentity
from federation.journal import FileJournal
from federation.limits import Limits
from federation.proposal import BlobReference
from federation.rosters import Accepted

_KEY: Final = bytes(32)
_LIST: Final = "list"

OnTraffic = Callable[[str, int, int], None]
"""Called with a host, the bytes sent to it and the bytes received."""


class HostMessages:
    """One per process; its methods block, and are called from several threads. `clock` gives Unix seconds."""

    STAGES: Final = (Stage.GATHER, Stage.LIST, Stage.EPOCH, Stage.PUBLISH)

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        config: Config,
        limits: Limits,
        clock: Callable[[], float],
        on_traffic: OnTraffic = lambda _host, _sent, _received: None,
    ) -> None:
        self._identity, self._engine, self._config = identity, engine, config
        self._limits, self._clock, self._on_traffic = limits, clock, on_traffic
        self._published_sums = PublishedStore(config)
        self._blobs = BlobCache(config.group_dir / FOLDER)
        self._lock = threading.Lock()

    def take(self, message: Envelope) -> bytes:
        """Take one message of the host and return the signed answer. A refused message is not counted.

        Raises:
            Refusal: `unknown-peer` if it is not from the host of this instance's group; what the checks of
                its kind raise.

        """
        group, host = self._sender(message)
        received = len(message.raw)
        with self._lock:
            if message.stage is Stage.GATHER:
                answer = self._gather(message, group, host)
            elif message.stage is Stage.LIST:
                answer = self._list(message, group, host)
            elif message.stage is Stage.EPOCH:
                document = take_epoch(
                    self._engine, self._config, self._identity, host, message.raw, self._clock()
                )
                answer = self._accept(document).seal(self._identity, host.host)
            else:
                published = Published.read(message, host, self._limits)
                answer = self._publish(published, message.raw, group, host)
                received += sum(reference.size for reference in published.blobs.values())
        self._on_traffic(message.sender, len(answer), received)
        return answer

    def blob(self, reference: BlobReference) -> bytes | None:
        """Return a blob that came with a proposal of the host, None if it did not."""
        data = self._blobs.read(reference)
        group = repository.current(self._engine) if data is not None else None
        if group is not None:
            self._on_traffic(group.host, 0, reference.size)
        return data

    def document(self, reference: BlobReference) -> bytes | None:
        """Return a document of the host that is too large for a request over HTTP, None if it is not here."""
        return self._blobs.read(reference)

    def _sender(self, message: Envelope) -> tuple[Membership, PublicIdentity]:
        group = repository.current(self._engine)
        if group is None or not group.active or group.host != message.sender:
            raise Refusal(
                Code.UNKNOWN_PEER,
                f"{message.sender} is not the host of this instance's group",
                message.sender,
            )
        host = host_of(self._engine, self._config, self._identity.public, group)
        if host is None:
            raise Refusal(Code.UNKNOWN_PEER, f"{group.host} is no approved peer", message.sender)
        return group, host

    def _gather(self, message: Envelope, group: Membership, host: PublicIdentity) -> bytes:
        now = self._clock()
        gather = read_gather(message, host, self._identity.host, now, self._limits)
        self._same_group(gather.group, group)
        document = epoch_of(group, host)
        return answer_gather(
            self._identity,
            host.host,
            gather,
            epoch=document.listed if document else None,
            revealed=revealed(self._config, host),
            length=self._config.cohort.epoch.total_seconds(),
            now=now,
        )

    def _list(self, message: Envelope, group: Membership, host: PublicIdentity) -> bytes:
        listed = read_list(message, host)
        self._same_group(listed.group, group)
        document = epoch_of(group, host)
        answer = answer_list(
            self._identity,
            host.host,
            listed,
            epoch=document.listed if document else None,
            revealed=revealed(self._config, host),
            now=self._clock(),
        )
        # Before the nonce is sent: it must not be revealed for another list, even after a crash.
        _revealing(self._config).write(_KEY, _LIST, message.raw)
        return answer

    def _accept(self, document: EpochDocument) -> Accepted:
        me = self._identity.host
        if any(member.host == me for roster in document.rosters for member in roster):
            waits.forget(self._engine, document.host.host)
        known = peers.read(self._engine, self._config).allowlist()
        return Accepted(document.hash, known.rejected(document.judged_by(me), me))

    def _publish(self, published: Published, raw: bytes, group: Membership, host: PublicIdentity) -> bytes:
        self._same_group(published.group, group)
        document = epoch_of(group, host)
        if document is None or document.hash != published.epoch:
            raise Refusal(Code.ROSTER_INVALID, "the sums are of an epoch that this instance does not know")
        store = self._published_sums
        if store.message(published.run) != raw:
            store.require_newer(published, host, self._limits)
            with store.filling(published.run, raw, group.epoch) as put:
                for name, reference in published.blobs.items():
                    put(name, check_blob(self._blobs.read(reference) or b"", reference))
            for reference in published.blobs.values():
                self._blobs.remove(reference)
        return Taken(published.run, published.hash).seal(self._identity, host.host)

    def _same_group(self, name: str, group: Membership) -> None:
        if name != group.group:
            raise Refusal(Code.NOT_FOR_ME, "this instance is in another group", group.host)


def take_epoch(
    engine: Engine, config: Config, identity: Identity, host: PublicIdentity, raw: bytes, now: float
) -> EpochDocument:
    """Check a signed epoch document against the one before it, store it, and return it.

    Raises:
        Refusal: what `read_epoch` and `check_epoch` raise; `not-for-me` for another group.

    """
    new = read_epoch(envelope.parse(raw, max_size=MAX_EPOCH), host)

    def edit(group: Membership | None) -> Membership | None:
        if group is None or not group.active or group.group != new.listed.group:
            raise Refusal(Code.NOT_FOR_ME, "that is the epoch of another group", host.host)
        check_epoch(
            epoch_of(group, host),
            new,
            me=identity.public,
            revealed=revealed(config, host),
            length=config.cohort.epoch.total_seconds(),
            now=now,
        )
        return replace(group, epoch=raw)

    repository.change(engine, edit)
    return new


def revealed(config: Config, host: PublicIdentity) -> MembershipList | None:
    """Return the newest list that this instance revealed its nonce for."""
    raw = _revealing(config).read(_KEY, _LIST)
    if raw is None:
        return None
    try:
        return read_list(envelope.parse(raw, max_size=MAX_LIST), host)
    except Refusal:
        # Of a group that this instance was in before, or signed with a key that was replaced since.
        return None


def _revealing(config: Config) -> FileJournal:
    return FileJournal(config.group_dir / "revealed")
