"""The public data of proposed sums: aggregators hand it out to members of the roster, members check it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from federation import cbor, cbor_fields, envelope
from federation.cbor import Item
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, ProtocolMisuse, Refusal
from federation.identity import Identity
from federation.journal import Journal
from federation.limits import Limits
from federation.proposal import BlobReference, SignedProposal


def fetch_request(identity: Identity, round_id: bytes, aggregator: str, name: str) -> bytes:
    """Return a member's signed request for the blob `name` of a proposed sum."""
    payload = cbor.encode({"blob": name})
    return envelope.seal(
        identity, round_id=round_id, stage=Stage.FETCH, recipient=aggregator, payload=payload
    )


def read_reference(item: Item) -> BlobReference:
    """Return the reference in a decoded list of a hash and a size. Raises: Refusal (`malformed`)."""
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a reference is a hash and a size")
    return BlobReference(
        cbor_fields.octets(item[0], hashlib.sha256().digest_size), cbor_fields.integer(item[1])
    )


def check_blob(data: bytes, reference: BlobReference) -> bytes:
    """Return `data` if it is the blob that the proposal names.

    Raises:
        Refusal: `blob-mismatch`.

    """
    if len(data) != reference.size or hashlib.sha256(data).digest() != reference.sha256:
        raise Refusal(Code.BLOB_MISMATCH, "the data fetched is not what the signed proposal names")
    return data


def reference_to(data: bytes) -> BlobReference:
    """Return what a proposal says about a blob."""
    return BlobReference(hashlib.sha256(data).digest(), len(data))


class BlobServer:
    """Answers fetch requests from the journal that the aggregating process writes."""

    def __init__(
        self, identity: Identity, journal: Journal, *, clock: Callable[[], float], limits: Limits
    ) -> None:
        self._identity = identity
        self._journal = journal
        self._clock = clock
        self._limits = limits

    def publish(self, round_id: bytes, blobs: dict[str, bytes]) -> None:
        """Make the blobs of a sum available, before it is proposed to anyone."""
        for name, data in blobs.items():
            self._journal.write(round_id, f"blob.{name}", data)

    def serve(self, message: Envelope) -> bytes:
        """Return the blob that a member asks for.

        Raises:
            Refusal: the sum is not open here, the sender is not in its roster, or the signature or the name
                is wrong.

        """
        if message.stage is not Stage.FETCH or message.recipient != self._identity.host:
            raise Refusal(Code.NOT_FOR_ME, "this does not request a blob of this instance", message.sender)
        proposal = self._open(message.round_id).proposal
        message.verify(proposal.member(message.sender))
        content = cbor_fields.exact_map(cbor.decode(bytes(message.payload)), "blob")
        name = cbor_fields.text(content["blob"])
        data = self._journal.read(message.round_id, f"blob.{name}") if name in proposal.blobs else None
        if data is None:
            raise Refusal(Code.UNKNOWN_ROUND, "this sum has no such blob", message.sender)
        return data

    def _open(self, round_id: bytes) -> SignedProposal:
        raw = self._journal.read(round_id, "proposal")
        if raw is None:
            raise Refusal(Code.UNKNOWN_ROUND, "no such sum is open here")
        message = envelope.parse(raw, max_size=self._limits.max_request)
        if message.round_id != NO_ROUND:
            raise ProtocolMisuse("the journal's proposal is none")
        signed = SignedProposal.read(message, self._identity.public, self._limits)
        if self._clock() >= signed.proposal.expires:
            raise Refusal(Code.EXPIRED, "this sum has expired")
        return signed
