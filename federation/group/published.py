"""The sums of a group's sub-cohorts, as its host publishes them: PUBLISH to all members, TAKEN back.

The numbers cannot be checked: nobody but the host has seen the sums. What a member can check is that each is
that of a sub-cohort of the epoch, over a proposal that the host signed, with enough survivors; and by the
hash it can compare with other members whether they were told the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from federation import cbor_fields, envelope
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.documents import EVERYBODY, HASH_SIZE, MAX_MEMBERS, MAX_SUB_COHORTS, MILLISECONDS
from federation.group.epoch_document import EpochDocument
from federation.group.epoch_opening import MAX_SMALL
from federation.identity import Identity, PublicIdentity
from federation.limits import Limits
from federation.proposal import BlobReference, SignedProposal

MAX_PUBLISHED = 300_000
"""Bytes of a whole message: a thousand survivors at 235 bytes, and 49 references."""
HEAD = "head"
"""Blob: CBOR list of the addresses of the head, ascending."""
_COUNT = 4
"""Bytes of a number in the other blobs, little-endian and signed."""


def proposal_blob(number: int) -> str:
    """Name of the blob with the signed proposal of a sub-cohort's counts, as it was sent."""
    return f"proposal.{number}"


def counts_blob(number: int) -> str:
    """Name of the blob with a sub-cohort's counts over the head."""
    return f"counts.{number}"


def pairs_blob(number: int) -> str:
    """Name of the blob with a sub-cohort's pairs: the strict upper triangle over the head, row by row."""
    return f"pairs.{number}"


@dataclass(frozen=True)
class PublishedSubCohort:
    """A sub-cohort that was summed: the id of its session (32 bytes: of the counts' sum), and survivors."""

    session: bytes
    survivors: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """All sums of one run of the group.

    Attributes:
        batch: id of the run (32 bytes).
        epoch: hash of the epoch's document, 32 bytes.
        made: Unix milliseconds.
        parts: the sub-cohorts that were summed; the blobs of number N, from 0, are `proposal.N`, `counts.N`
            and `pairs.N`.
        blobs: hash and size of each, and of `head`.

    """

    group: str
    batch: bytes
    epoch: bytes
    made: int
    parts: tuple[PublishedSubCohort, ...]
    blobs: Mapping[str, BlobReference]

    @property
    def videos(self) -> int:
        """How many videos the sums cover."""
        return self.blobs[counts_blob(0)].size // _COUNT

    @property
    def made_at(self) -> float:
        """When, Unix seconds."""
        return self.made / MILLISECONDS

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 (32 bytes) of its content; two members with the same one were told the same sums."""
        return documents.hash_of(self._content())

    def seal(self, identity: Identity) -> bytes:
        """Return the host's message to all members, after the checks that each will make. Raises: Refusal."""
        self.check()
        return documents.seal(identity, Stage.PUBLISH, EVERYBODY, self._content())

    @classmethod
    def read(cls, message: Envelope, host_identity: PublicIdentity, limits: Limits) -> Published:
        """Return what the host published.

        Raises:
            Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed` or
                `survivors-invalid`.

        """
        item = documents.unseal(message, Stage.PUBLISH, host_identity, EVERYBODY, MAX_PUBLISHED)
        content = cbor_fields.exact_map(item, *cls.__dataclass_fields__)
        published = cls(
            group=cbor_fields.text(content["group"]),
            batch=cbor_fields.octets(content["batch"], HASH_SIZE),
            epoch=cbor_fields.octets(content["epoch"], HASH_SIZE),
            made=documents.date(content["made"]),
            parts=tuple(cbor_fields.sequence(content["parts"], _sub_cohort, at_most=MAX_SUB_COHORTS)),
            blobs=cbor_fields.mapping(content["blobs"], _reference, at_most=1 + 3 * MAX_SUB_COHORTS),
        )
        published.check()
        if any(blob.size > limits.max_blob for blob in published.blobs.values()):
            raise Refusal(Code.OVERSIZED, f"a blob is larger than {limits.max_blob} bytes", message.sender)
        return published

    def check(self) -> None:
        """Check what holds without the epoch: distinct sessions and survivors, every blob of the right size.

        Raises:
            Refusal: `survivors-invalid` or `malformed`.

        """
        survivors = [host for sub_cohort in self.parts for host in sub_cohort.survivors]
        if len(set(survivors)) != len(survivors) or any(
            list(sub_cohort.survivors) != sorted(sub_cohort.survivors) for sub_cohort in self.parts
        ):
            raise Refusal(Code.SURVIVORS_INVALID, "survivors are not sorted, or one is in two sums")
        if not self.parts or len({sub_cohort.session for sub_cohort in self.parts}) != len(self.parts):
            raise cbor_fields.malformed("there are no sums, or two of one session")
        numbers = range(len(self.parts))
        names = {name(n) for n in numbers for name in (proposal_blob, counts_blob, pairs_blob)}
        if self.blobs.keys() != names | {HEAD}:
            raise cbor_fields.malformed("the blobs are not those of its sub-cohorts")
        head, rest = divmod(self.blobs[counts_blob(0)].size, _COUNT)
        sizes = {(self.blobs[counts_blob(n)].size, self.blobs[pairs_blob(n)].size) for n in numbers}
        if rest or sizes != {(head * _COUNT, head * (head - 1) // 2 * _COUNT)}:
            raise cbor_fields.malformed("the sums are not over one head")

    def check_sub_cohorts(
        self, document: EpochDocument, proposals: Mapping[int, bytes], limits: Limits
    ) -> tuple[SignedProposal, ...]:
        """Return the proposal of each sub-cohort, checked against the epoch; `proposals` by number.

        Raises:
            Refusal: `roster-invalid` when this is another epoch or a roster is no sub-cohort of it,
                `blob-mismatch` when a proposal is not that of its session, `wrong-stage` when it is not of a
                first sum, `survivors-invalid`, or as `SignedProposal.read`.

        """
        if (self.epoch, self.group) != (document.hash, document.listed.group):
            raise Refusal(Code.ROSTER_INVALID, "the sums are of another epoch", document.host.host)
        return tuple(
            self._check_sub_cohort(number, sub_cohort, document, proposals[number], limits)
            for number, sub_cohort in enumerate(self.parts)
        )

    def _check_sub_cohort(
        self,
        number: int,
        sub_cohort: PublishedSubCohort,
        document: EpochDocument,
        raw: bytes,
        limits: Limits,
    ) -> SignedProposal:
        host = document.host.host
        digest = hashlib.sha256(raw).digest()
        if digest != self.blobs[proposal_blob(number)].sha256 or digest != sub_cohort.session:
            raise Refusal(Code.BLOB_MISMATCH, "the proposal is not that of the session", host)
        message = envelope.parse(raw, max_size=limits.max_request)
        signed = SignedProposal.read(message, document.host, limits)
        proposal = signed.proposal
        if proposal.round:
            raise Refusal(Code.WRONG_STAGE, "the proposal is not that of a session's first sum", host)
        if proposal.roster not in document.rosters:
            raise Refusal(Code.ROSTER_INVALID, "the roster is no sub-cohort of the epoch", host)
        survivors = sub_cohort.survivors
        if len(survivors) < proposal.threshold or not set(survivors) <= set(proposal.hosts):
            raise Refusal(Code.SURVIVORS_INVALID, "survivors are too few, or not in the roster", host)
        return signed

    def _content(self) -> dict[str, Item]:
        return {
            "group": self.group,
            "batch": self.batch,
            "epoch": self.epoch,
            "made": self.made,
            "parts": [[sub_cohort.session, list(sub_cohort.survivors)] for sub_cohort in self.parts],
            "blobs": {name: [blob.sha256, blob.size] for name, blob in self.blobs.items()},
        }


@dataclass(frozen=True)
class Taken:
    """A member's signed receipt of published sums: the id of the run, and the hash of what it was told."""

    batch: bytes
    hash: bytes

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the member's message to the host."""
        return documents.seal(identity, Stage.TAKEN, recipient, {"batch": self.batch, "hash": self.hash})


def read_taken(message: Envelope, member: PublicIdentity, me: str) -> Taken:
    """Return what a member has taken.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature` or `malformed`.

    """
    item = documents.unseal(message, Stage.TAKEN, member, me, MAX_SMALL)
    content = cbor_fields.exact_map(item, "batch", "hash")
    return Taken(
        cbor_fields.octets(content["batch"], HASH_SIZE), cbor_fields.octets(content["hash"], HASH_SIZE)
    )


def _sub_cohort(item: Item) -> PublishedSubCohort:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a sub-cohort is a session and its survivors")
    session, survivors = item
    return PublishedSubCohort(
        cbor_fields.octets(session, HASH_SIZE),
        tuple(cbor_fields.sequence(survivors, cbor_fields.host, at_most=MAX_MEMBERS)),
    )


def _reference(item: Item) -> BlobReference:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a reference is a hash and a size")
    return BlobReference(cbor_fields.octets(item[0], HASH_SIZE), cbor_fields.integer(item[1]))
