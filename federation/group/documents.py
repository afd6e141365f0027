"""What all documents of a group have in common: one map, signed by one instance, of a bounded size.

Their fields are named as on the wire: `fence` is the address of the host's reverse proxy.
"""

from __future__ import annotations

import hashlib

from federation import cbor, cbor_fields, envelope
from federation.cbor import Item
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity
from federation.limits import Limits

MILLISECONDS = 1_000
"""Dates in documents are Unix milliseconds; clocks here are Unix seconds."""
LATEST = 2**53
MAX_MEMBERS = 1_000
MAX_SUB_COHORTS = Limits().max_sub_cohorts
MAX_ROSTER = Limits().max_members
"""Members of one sub-cohort. All compute the same division, so this is no setting."""
HASH_SIZE = 32
EVERYBODY = ""
"""Recipient of a document that all members get, byte for byte, so that they can compare it."""


def seal(identity: Identity, stage: Stage, recipient: str, content: dict[str, Item]) -> bytes:
    """Return the signed message that carries a document."""
    return envelope.seal(
        identity, round_id=NO_ROUND, stage=stage, recipient=recipient, payload=cbor.encode(content)
    )


def hash_of(content: dict[str, Item]) -> bytes:
    """Return SHA-256 (32 bytes) of a document's payload: the one that the header of its message names."""
    return hashlib.sha256(cbor.encode(content)).digest()


def check_frame(message: Envelope, stage: Stage, recipient: str, at_most: int) -> None:
    """Check size, kind and recipient of a message, before anything in it is looked at.

    Raises:
        Refusal: `oversized`, `wrong-stage` or `not-for-me`.

    """
    if len(message.raw) > at_most:
        raise Refusal(Code.OVERSIZED, f"a message {stage} has at most {at_most} bytes", message.sender)
    if message.stage is not stage or message.round_id != NO_ROUND:
        raise Refusal(Code.WRONG_STAGE, f"a message {stage} was expected, of no sum", message.sender)
    if message.recipient != recipient:
        raise Refusal(Code.NOT_FOR_ME, f"a message {stage} that is addressed to others", message.sender)


def unseal(message: Envelope, stage: Stage, signer: PublicIdentity, recipient: str, at_most: int) -> Item:
    """Return the content of a document by `signer`, verified.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature` or `malformed`.

    """
    check_frame(message, stage, recipient, at_most)
    message.verify(signer)
    return cbor.decode(bytes(message.payload))


def date(item: Item) -> int:
    """Return `item` as a date in Unix milliseconds."""
    return cbor_fields.integer(item, high=LATEST)


def check_fresh(moment: int, now: float, limits: Limits, sender: str) -> None:
    """Check that a date (Unix milliseconds) is about `now` (Unix seconds).

    Raises:
        Refusal: `expired`.

    """
    if abs(now - moment / MILLISECONDS) > limits.max_clock_skew:
        raise Refusal(Code.EXPIRED, "the message is too old, or dated in the future; set the clocks", sender)
