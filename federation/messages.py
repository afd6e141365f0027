"""Payloads of the five stages, to and from deterministic CBOR. See docs/protocol.md, field by field."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation import cbor, cbor_fields, envelope
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.keys import KEY_SIZE
from federation.limits import Limits
from federation.proposal import Proposal
from federation.shamir import SHARE_SIZE

HASH_SIZE = 32
SEALED_SIZE = 2 * SHARE_SIZE + 16
"""Two shares and the tag of ChaCha20-Poly1305."""


@dataclass(frozen=True)
class Advertisement:
    """Stage 1 answer: the member's public keys in this sum and the commitment to its self seed."""

    seal_public: bytes
    mask_public: bytes
    seed_commitment: bytes

    def to_payload(self) -> bytes:
        """Encode."""
        return cbor.encode({"seal": self.seal_public, "mask": self.mask_public, "seed": self.seed_commitment})

    @classmethod
    def from_payload(cls, payload: bytes) -> Advertisement:
        """Decode. Raises: Refusal `malformed`."""
        content = cbor_fields.exact_map(cbor.decode(payload), "seal", "mask", "seed")
        return cls(
            cbor_fields.octets(content["seal"], KEY_SIZE),
            cbor_fields.octets(content["mask"], KEY_SIZE),
            cbor_fields.octets(content["seed"], HASH_SIZE),
        )


@dataclass(frozen=True)
class SealedShares:
    """Stage 2 answer: for every other member two sealed shares; for every member commitments to both.

    `commitments[host]` is the hash of the self-seed share and that of the mask-key share.
    """

    sealed: dict[str, bytes]
    commitments: dict[str, tuple[bytes, bytes]]

    def to_payload(self) -> bytes:
        """Encode."""
        return cbor.encode(
            {
                "sealed": dict(self.sealed),
                "commitments": {host: list(pair) for host, pair in self.commitments.items()},
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes, limits: Limits) -> SealedShares:
        """Decode. Raises: Refusal `malformed`."""
        content = cbor_fields.exact_map(cbor.decode(payload), "sealed", "commitments")
        return cls(
            cbor_fields.host_map(content["sealed"], _read_sealed, at_most=limits.max_members),
            cbor_fields.host_map(content["commitments"], _read_pair, at_most=limits.max_members),
        )


@dataclass(frozen=True)
class Confirmation:
    """Stage 4 answer: what its signer saw. Equal payloads mean equal views."""

    survivors: bytes
    sharers: bytes
    keys: bytes

    def to_payload(self) -> bytes:
        """Encode."""
        return cbor.encode({"survivors": self.survivors, "sharers": self.sharers, "keys": self.keys})


@dataclass(frozen=True)
class Revealed:
    """Stage 5 answer: self-seed shares of survivors, mask-key shares of those who vanished after sharing."""

    self_seeds: dict[str, bytes]
    mask_keys: dict[str, bytes]

    def to_payload(self) -> bytes:
        """Encode."""
        return cbor.encode({"self_seeds": dict(self.self_seeds), "mask_keys": dict(self.mask_keys)})

    @classmethod
    def from_payload(cls, payload: bytes, limits: Limits) -> Revealed:
        """Decode. Raises: Refusal `malformed`."""
        content = cbor_fields.exact_map(cbor.decode(payload), "self_seeds", "mask_keys")
        return cls(
            cbor_fields.host_map(content["self_seeds"], _read_share, at_most=limits.max_members),
            cbor_fields.host_map(content["mask_keys"], _read_share, at_most=limits.max_members),
        )


def encode_messages(messages: Mapping[str, bytes]) -> bytes:
    """Encode the whole signed messages of several members, in order of host: one encoding for one set."""
    return cbor.encode([messages[host] for host in sorted(messages)])


def decode_messages(
    payload: bytes, *, stage: Stage, round_id: bytes, proposal: Proposal, limits: Limits
) -> dict[str, Envelope]:
    """Decode and verify such a set against the roster.

    Raises:
        Refusal: `malformed`, `oversized`, `wrong-sender`, `wrong-stage` or `bad-signature`; a host twice or
            out of order is `malformed`.

    """
    raws = cbor_fields.sequence(cbor.decode(payload), cbor_fields.octets, at_most=limits.max_members)
    parsed = [envelope.parse(raw, max_size=limits.max_request) for raw in raws]
    senders = [message.sender for message in parsed]
    if senders != sorted(set(senders)):
        raise cbor_fields.malformed("members' messages are not in order or one occurs twice")
    for message in parsed:
        message.verify(proposal.member(message.sender))
        require(message, stage=stage, round_id=round_id, recipient=proposal.aggregator)
    return {message.sender: message for message in parsed}


def require(message: Envelope, *, stage: Stage, round_id: bytes, recipient: str) -> None:
    """Check that a message is of this sum, of this stage and for this recipient.

    Raises:
        Refusal: `unknown-round`, `wrong-stage` or `not-for-me`.

    """
    if message.round_id != round_id:
        raise Refusal(Code.UNKNOWN_ROUND, "the message belongs to another sum", message.sender)
    if message.stage is not stage:
        raise Refusal(Code.WRONG_STAGE, f"expected stage {stage}, got {message.stage}", message.sender)
    if message.recipient != recipient:
        raise Refusal(Code.NOT_FOR_ME, "the message is addressed to somebody else", message.sender)


def encode_sealed(sealed: Mapping[str, bytes]) -> bytes:
    """Encode the shares sealed to one member, by the host that sealed them."""
    return cbor.encode(dict(sealed))


def decode_sealed(payload: bytes, limits: Limits) -> dict[str, bytes]:
    """Decode them. Raises: Refusal `malformed`."""
    return cbor_fields.host_map(cbor.decode(payload), _read_sealed, at_most=limits.max_members)


def encode_hosts(hosts: Sequence[str]) -> bytes:
    """Encode a set of hosts, sorted."""
    return cbor.encode([*sorted(hosts)])


def decode_hosts(payload: bytes, limits: Limits) -> tuple[str, ...]:
    """Decode a sorted set of hosts. Raises: Refusal `malformed`."""
    hosts = cbor_fields.sequence(cbor.decode(payload), cbor_fields.host, at_most=limits.max_members)
    if hosts != sorted(set(hosts)):
        raise cbor_fields.malformed("hosts are not in order or one occurs twice")
    return tuple(hosts)


def hash_hosts(hosts: Sequence[str]) -> bytes:
    """Return the SHA-256 that stands for a set of hosts in a confirmation."""
    return hashlib.sha256(encode_hosts(hosts)).digest()


def _read_sealed(item: Item) -> bytes:
    return cbor_fields.octets(item, SEALED_SIZE)


def _read_share(item: Item) -> bytes:
    return cbor_fields.octets(item, SHARE_SIZE)


def _read_pair(item: Item) -> tuple[bytes, bytes]:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("commitments come in pairs")
    return cbor_fields.octets(item[0], HASH_SIZE), cbor_fields.octets(item[1], HASH_SIZE)
