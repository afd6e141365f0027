"""What an aggregator proposes: who takes part, what is summed, and under which bounds.

The SHA-256 of the signed proposal is the id of the sum; every key and signature of the sum depends on it.
`check` holds the rules that no configuration can relax. Whether this instance *wants* to take part (does it
know the members, is the cohort large enough) is a policy and is passed in by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from federation import cbor, cbor_fields, envelope
from federation.cbor import Item
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, Refusal
from federation.identity import KEY_SIZE, Identity, PublicIdentity
from federation.limits import Limits
from federation.noise import share_variance, tail

_HASH_SIZE = 32
_NONCE_SIZE = 16
_RINGS = (32, 64)

N = TypeVar("N", bound=np.integer)


def least_threshold(members: int) -> int:
    """Return floor(2n/3) + 1: two disjoint sets of honest members can then never both reach it.

    With fewer, an aggregator that shows different survivor sets to two halves of the cohort could open an
    input (Bonawitz et al. 2017, section 6.2).
    """
    return 2 * members // 3 + 1


@dataclass(frozen=True)
class BlobReference:
    """Public data of a sum too large for a request: members fetch it and check its hash."""

    sha256: bytes
    size: int


@dataclass(frozen=True)
class Segment:
    """A stretch of the vector whose entries mean the same.

    `unit` is the value that stands for one viewer of full weight. `noise` is the declared variance of the
    sum of an entry, in entries squared, that the honest members of the smallest surviving set already reach
    when the proposal's colluders add none.
    """

    length: int
    unit: int = 1
    noise: int = 0


@dataclass(frozen=True)
class Proposal:
    """One secure sum of vectors of integers, laid out in segments.

    `trainer`, `parameters` and `blobs` mean something to the caller only. The aggregator's own instance is in
    the roster where its viewers are summed with the others' (in a group), and not where it adds them at home.
    `entry_bound` is in viewers, before weights and noise.
    """

    aggregator: str
    roster: tuple[PublicIdentity, ...]
    threshold: int
    trainer: str
    segments: tuple[Segment, ...]
    entry_bound: int
    ring: int
    nonce: bytes
    created: int
    expires: int
    colluders: int = 1
    parameters: dict[str, int] = field(default_factory=dict)
    blobs: dict[str, BlobReference] = field(default_factory=dict)

    @property
    def of_group(self) -> bool:
        """Whether the aggregator is a member of its own cohort, as the host of a group is."""
        return self.aggregator in self.hosts

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts of the members, sorted; a member's number in the sharing is its place here, from 1."""
        return tuple(member.host for member in self.roster)

    def member(self, host: str) -> PublicIdentity:
        """Return the roster's entry for `host`.

        Raises:
            Refusal: `wrong-sender`, when it is not in the roster.

        """
        for identity in self.roster:
            if identity.host == host:
                return identity
        raise Refusal(Code.WRONG_SENDER, f"{host} is not in the roster of this sum", host)

    @property
    def length(self) -> int:
        """Entries of the vector."""
        return sum(segment.length for segment in self.segments)

    @cached_property
    def share_variances(self) -> tuple[Fraction, ...]:
        """Variance of the Skellam noise that each member adds, by segment: noise / (threshold - colluders).

        Sums of Skellam noise are Skellam, and variances add up.
        """
        return tuple(share_variance(one.noise, self.threshold, self.colluders) for one in self.segments)

    @cached_property
    def value_bounds(self) -> tuple[int, ...]:
        """Largest absolute value of one entry of one member, noise included, by segment."""
        return tuple(
            self.entry_bound * segment.unit + tail(variance)
            for segment, variance in zip(self.segments, self.share_variances, strict=True)
        )

    def split(self, values: NDArray[N]) -> tuple[NDArray[N], ...]:
        """Return the parts of a vector, (length,), by segment; views, not copies."""
        ends = list(accumulate(segment.length for segment in self.segments))
        return tuple(np.split(values, ends[:-1]))

    def within(self, values: NDArray[np.int64], members: int = 1) -> bool:
        """Tell whether a sum of so many members' vectors, (length,), keeps to what they declared."""
        return all(
            # Not by absolute values: that of the smallest integer is negative.
            part.size == 0 or -members * bound <= int(part.min()) <= int(part.max()) <= members * bound
            for part, bound in zip(self.split(values), self.value_bounds, strict=True)
        )

    @property
    def masked_size(self) -> int:
        """Bytes of one masked vector."""
        return self.length * self.ring // 8

    def to_payload(self) -> bytes:
        """Return the deterministic CBOR that is signed."""
        return cbor.encode(
            {
                "aggregator": self.aggregator,
                "roster": [[member.host, member.key] for member in self.roster],
                "threshold": self.threshold,
                "trainer": self.trainer,
                "segments": [[one.length, one.unit, one.noise] for one in self.segments],
                "entry_bound": self.entry_bound,
                "ring": self.ring,
                "nonce": self.nonce,
                "created": self.created,
                "expires": self.expires,
                "colluders": self.colluders,
                "parameters": dict(self.parameters),
                "blobs": {name: [blob.sha256, blob.size] for name, blob in self.blobs.items()},
            }
        )

    @classmethod
    def from_payload(cls, payload: bytes, limits: Limits) -> Proposal:
        """Read a payload.

        Raises:
            Refusal: `malformed`.

        """
        names = tuple(cls.__dataclass_fields__)
        content = cbor_fields.exact_map(cbor.decode(payload), *names)
        return cls(
            aggregator=cbor_fields.host(content["aggregator"]),
            roster=tuple(cbor_fields.sequence(content["roster"], _read_member, at_most=limits.max_members)),
            threshold=cbor_fields.integer(content["threshold"]),
            trainer=cbor_fields.text(content["trainer"]),
            segments=tuple(
                cbor_fields.sequence(content["segments"], _read_segment, at_most=limits.max_segments)
            ),
            entry_bound=cbor_fields.integer(content["entry_bound"], low=1),
            ring=cbor_fields.integer(content["ring"]),
            nonce=cbor_fields.octets(content["nonce"], _NONCE_SIZE),
            created=cbor_fields.integer(content["created"]),
            expires=cbor_fields.integer(content["expires"]),
            colluders=cbor_fields.integer(content["colluders"], low=1),
            parameters=cbor_fields.mapping(
                content["parameters"], cbor_fields.integer, at_most=limits.max_parameters
            ),
            blobs=cbor_fields.mapping(content["blobs"], _read_blob, at_most=limits.max_parameters),
        )

    def check(self, *, limits: Limits, now: float) -> None:
        """Check every rule that holds for all proposals, whoever made them.

        Raises:
            Refusal: with the code of the first rule broken.

        """
        self._check_time(limits, now)
        self._check_roster(limits)
        self._check_sizes(limits)

    def _check_time(self, limits: Limits, now: float) -> None:
        if self.created > now + limits.max_clock_skew:
            raise Refusal(Code.EXPIRED, "the proposal is dated in the future; check both clocks")
        if now >= self.expires:
            raise Refusal(Code.EXPIRED, "the proposal has expired")
        if not self.created < self.expires <= self.created + limits.max_lifetime:
            raise Refusal(Code.EXPIRED, f"a proposal may live at most {limits.max_lifetime} s")

    def _check_roster(self, limits: Limits) -> None:
        members = len(self.roster)
        hosts = self.hosts
        if list(hosts) != sorted(set(hosts)) or len({member.key for member in self.roster}) != members:
            raise Refusal(Code.ROSTER_INVALID, "the roster is not sorted or names a host or key twice")
        if not limits.min_members <= members <= limits.max_members:
            raise Refusal(
                Code.COHORT_TOO_SMALL if members < limits.min_members else Code.ROSTER_INVALID,
                f"a cohort has {limits.min_members} to {limits.max_members} members, this one {members}",
            )
        if not least_threshold(members) <= self.threshold <= members:
            raise Refusal(
                Code.THRESHOLD_TOO_LOW,
                f"the threshold is {self.threshold}; with {members} members it has to be between "
                f"{least_threshold(members)} and {members}",
            )

    def _check_sizes(self, limits: Limits) -> None:
        if self.ring not in _RINGS:
            raise Refusal(Code.RING_TOO_SMALL, "the ring is Z/2^32 or Z/2^64")
        if not 1 <= self.colluders < self.threshold:
            raise Refusal(
                Code.PARAMETERS_REFUSED,
                f"the noise is for 1 to {self.threshold - 1} colluders; the proposal has {self.colluders}",
            )
        if not self.segments or self.length > limits.max_length:
            raise Refusal(
                Code.OVERSIZED,
                f"the vector has {self.length} entries, the limit here is {limits.max_length}, and none is "
                "empty",
            )
        if any(not 1 <= one.unit <= limits.max_unit or one.noise > limits.max_noise for one in self.segments):
            raise Refusal(
                Code.PARAMETERS_REFUSED,
                f"a segment's unit is between 1 and {limits.max_unit}, its noise a variance of at most "
                f"{limits.max_noise}",
            )
        if len(self.roster) * max(self.value_bounds) >= 1 << (self.ring - 1):
            raise Refusal(
                Code.RING_TOO_SMALL,
                f"{len(self.roster)} members with entries up to {max(self.value_bounds)} could wrap in "
                f"{self.ring} bits; lower the bound on users per instance or use 64 bits",
            )
        if any(blob.size > limits.max_blob for blob in self.blobs.values()):
            raise Refusal(Code.OVERSIZED, f"a blob is larger than {limits.max_blob} bytes")


def _read_member(item: Item) -> PublicIdentity:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a roster entry is a host and a key")
    return PublicIdentity(cbor_fields.host(item[0]), cbor_fields.octets(item[1], KEY_SIZE))


def _read_segment(item: Item) -> Segment:
    if not isinstance(item, list) or len(item) != 3:
        raise cbor_fields.malformed("a segment is a length, a unit and a noise")
    length, unit, noise = item
    return Segment(
        cbor_fields.integer(length, low=1), cbor_fields.integer(unit, low=1), cbor_fields.integer(noise)
    )


def _read_blob(item: Item) -> BlobReference:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a blob reference is a hash and a size")
    return BlobReference(cbor_fields.octets(item[0], _HASH_SIZE), cbor_fields.integer(item[1]))


@dataclass(frozen=True)
class SignedProposal:
    """A proposal with the bytes that carry it; `round_id` is the SHA-256 of those bytes."""

    proposal: Proposal
    raw: bytes
    round_id: bytes

    @classmethod
    def sign(cls, proposal: Proposal, identity: Identity, limits: Limits) -> SignedProposal:
        """Sign as the aggregator, after the same checks that every member will make.

        Raises:
            Refusal: the proposal breaks a rule, such as `ring-too-small`: refused before it starts.

        """
        proposal.check(limits=limits, now=proposal.created)
        raw = envelope.seal(
            identity, round_id=NO_ROUND, stage=Stage.PROPOSE, recipient="", payload=proposal.to_payload()
        )
        return cls(proposal, raw, envelope.parse(raw, max_size=limits.max_request).digest)

    @classmethod
    def read(cls, message: Envelope, aggregator: PublicIdentity, limits: Limits) -> SignedProposal:
        """Verify a received proposal against the pinned key of its aggregator; rules are checked apart.

        Raises:
            Refusal: `malformed`, `bad-signature`, `wrong-sender`, `wrong-stage`, `not-for-me`.

        """
        message.verify(aggregator)
        if message.stage is not Stage.PROPOSE or message.round_id != NO_ROUND:
            raise Refusal(Code.WRONG_STAGE, "this is not a proposal", message.sender)
        if message.recipient:
            raise Refusal(Code.NOT_FOR_ME, "a proposal goes to the whole cohort", message.sender)
        proposal = Proposal.from_payload(bytes(message.payload), limits)
        if proposal.aggregator != message.sender:
            raise Refusal(
                Code.WRONG_SENDER, "the proposal names another aggregator than its signer", message.sender
            )
        return cls(proposal, message.raw, message.digest)
