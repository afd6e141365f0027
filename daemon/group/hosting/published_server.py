"""At the host: hands the newest published sums to members that were away when they were sent out."""

from __future__ import annotations

from sqlalchemy import Engine

from daemon.config import Config
from daemon.group import repository
from daemon.group.published_store import EPOCH, MESSAGE, PublishedStore
from daemon.peers import repository as peers
from federation import cbor, cbor_fields
from federation.blob_access import BlobServer
from federation.envelope import Envelope
from federation.errors import Code, Refusal
from federation.identity import Identity


class PublishedServer:
    """Answers fetch requests: what was published goes to members of the group, the rest is the `desk`'s."""

    def __init__(
        self, identity: Identity, engine: Engine, config: Config, shelf: PublishedStore, desk: BlobServer
    ) -> None:
        self._identity, self._engine, self._config = identity, engine, config
        self._shelf, self._desk = shelf, desk

    def serve(self, message: Envelope) -> bytes:
        """Return what a member asks for.

        Raises:
            Refusal: `unknown-sum`, `unknown-peer`, `not-for-me`, `bad-signature`, or as `BlobServer.serve`.

        """
        published = self._shelf.message(message.sum_id)
        group = repository.current(self._engine) if published is not None else None
        if published is None or group is None or group.role != "host":
            return self._desk.serve(message)
        if message.recipient != self._identity.host:
            raise Refusal(Code.NOT_FOR_ME, "this is no request for data of mine", message.sender)
        member = repository.member(self._engine, message.sender)
        peer = peers.find(self._engine, self._config, message.sender)
        # As in its sums: a member that our admin does not approve any more gets nothing more either.
        approved = member is not None and peer is not None and peer.approved and peer.key == member.key
        if member is None or member.state != "member" or not approved:
            raise Refusal(Code.UNKNOWN_PEER, f"{message.sender} is no member of the group", message.sender)
        message.verify(member.identity)
        content = cbor_fields.exact_map(cbor.decode(bytes(message.payload)), "blob")
        name = cbor_fields.text(content["blob"])
        if name == MESSAGE:
            return published
        data = self._shelf.epoch(message.sum_id) if name == EPOCH else self._shelf.blob(message.sum_id, name)
        if data is None:
            raise Refusal(Code.UNKNOWN_SUM, "nothing of that name was published", message.sender)
        return data
