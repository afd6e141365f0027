"""Signed messages: a header that binds round, stage, sender and recipient to the hash of the payload.

Layout: magic (6 bytes), header length (2, big-endian), header (deterministic CBOR), Ed25519 signature over
the header (64), payload. The bytes received are verified as they came; nothing is encoded again. The payload
stands outside the CBOR so that a masked vector of many megabytes is hashed once and never copied.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from federation import cbor, cbor_fields
from federation.errors import Code, Refusal
from federation.identity import SIGNATURE_SIZE, Identity, PublicIdentity

VERSION = 2
_NAME = b"SHOAL"
MAGIC = _NAME + bytes([VERSION])
NO_ROUND = bytes(32)
"""Stands in the header of a proposal, whose own hash will name the sum, and of all that belongs to no sum."""

_MAX_HEADER = 1024
_PREFIX = len(MAGIC) + 2


class Stage(StrEnum):
    """What a message is. Requests come from the aggregator, answers from a member; a hello goes both ways.

    Peers introduce others to each other (`federation.introduction`), say whom they do not approve
    (`federation.rosters`), and pass on sums (`federation.passed_on`). From `gather` on: between the host of a
    group and its members, see `federation.group`.
    """

    PROPOSE = "propose"
    ADVERTISE = "advertise"
    KEYS = "keys"
    SHARE = "share"
    SHARES = "shares"
    MASK = "mask"
    SURVIVORS = "survivors"
    CONFIRM = "confirm"
    CONFIRMATIONS = "confirmations"
    UNMASK = "unmask"
    FETCH = "fetch"
    HELLO = "hello"
    INTRODUCE = "introduce"
    INTRODUCED = "introduced"
    PASSED_ON = "passed-on"
    ROSTER = "roster"
    ACCEPT = "accept"
    WAIT = "wait"
    GATHER = "gather"
    COMMIT = "commit"
    LIST = "list"
    REVEAL = "reveal"
    EPOCH = "epoch"
    PUBLISH = "publish"
    TAKEN = "taken"


@dataclass(frozen=True)
class Envelope:
    """A parsed message. `verified` tells nothing: call `verify` with the key you expect."""

    round_id: bytes
    stage: Stage
    sender: str
    recipient: str
    payload: memoryview
    header: bytes
    signature: bytes
    raw: bytes

    def verify(self, sender: PublicIdentity) -> None:
        """Check that `sender` signed this header and that the payload is the one it names.

        Raises:
            Refusal: `bad-signature`.

        """
        if self.sender != sender.host or not sender.verify(self.header, self.signature):
            raise Refusal(
                Code.BAD_SIGNATURE, f"the signature is not by the pinned key of {sender.host}", sender.host
            )

    @property
    def digest(self) -> bytes:
        """SHA-256 over every byte of the message."""
        return hashlib.sha256(self.raw).digest()


def seal(
    identity: Identity, *, round_id: bytes, stage: Stage, recipient: str, payload: bytes | memoryview
) -> bytes:
    """Return the signed message; `recipient` is a host, or empty for the whole cohort."""
    header = cbor.encode(
        {
            "v": VERSION,
            "round": round_id,
            "stage": stage.value,
            "from": identity.host,
            "to": recipient,
            "payload": hashlib.sha256(payload).digest(),
        }
    )
    return b"".join((MAGIC, len(header).to_bytes(2, "big"), header, identity.sign(header), payload))


def parse(raw: bytes, *, max_size: int) -> Envelope:
    """Return the parts of a message, its payload checked against the header's hash, its signature not yet.

    Raises:
        Refusal: `oversized`, `update` or `malformed`.

    """
    if len(raw) > max_size:
        raise Refusal(Code.OVERSIZED, f"the message has {len(raw)} bytes, the limit here is {max_size}")
    if len(raw) < _PREFIX or not raw.startswith(_NAME):
        raise cbor_fields.malformed("it does not start as a message of this protocol")
    if not raw.startswith(MAGIC):
        raise Refusal(
            Code.UPDATE,
            f"the message is of protocol {raw[len(_NAME)]}, this instance speaks {VERSION}; update Shoal on "
            "the older of the two",
        )
    length = int.from_bytes(raw[len(MAGIC) : _PREFIX], "big")
    start = _PREFIX + length + SIGNATURE_SIZE
    if length > _MAX_HEADER or len(raw) < start:
        raise cbor_fields.malformed("its header is cut short or too long")
    header = raw[_PREFIX : _PREFIX + length]
    content = cbor_fields.exact_map(cbor.decode(header), "v", "round", "stage", "from", "to", "payload")
    cbor_fields.integer(content["v"], low=VERSION, high=VERSION)
    try:
        stage = Stage(cbor_fields.text(content["stage"]))
    except ValueError:
        raise cbor_fields.malformed("its stage is unknown") from None
    recipient = content["to"]
    payload = memoryview(raw)[start:]
    if hashlib.sha256(payload).digest() != cbor_fields.octets(content["payload"], 32):
        raise cbor_fields.malformed("its payload is not the one its header names")
    return Envelope(
        round_id=cbor_fields.octets(content["round"], 32),
        stage=stage,
        sender=cbor_fields.host(content["from"]),
        recipient="" if recipient == "" else cbor_fields.host(recipient),
        payload=payload,
        header=header,
        signature=raw[_PREFIX + length : start],
        raw=raw,
    )
