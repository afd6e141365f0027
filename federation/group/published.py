"""The sums of a group's sub-cohorts, as its host publishes them: PUBLISH to all members, TAKEN back.

The numbers cannot be checked: nobody but the host has seen the sums. What a member can check is that each is
that of a sub-cohort of the epoch, over a proposal that the host signed, with enough survivors; and by the
hash it can compare with other members whether they were told the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from federation import cbor_fields, envelope
from federation.blob_access import read_reference
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.documents import EVERYBODY, HASH_SIZE, MAX_MEMBERS, MAX_SUB_COHORTS
from federation.group.epoch_document import EpochDocument
from federation.group.epoch_opening import MAX_SMALL
from federation.identity import Identity, PublicIdentity
from federation.limits import Limits
from federation.proposal import BlobReference, SignedProposal

MAX_PUBLISHED = 300_000
"""Bytes of a whole message: a thousand survivors at 235 bytes, and 49 references."""
HEAD = "head"
"""Blob: CBOR list of the addresses of the head, ascending."""
NUMBER_TYPE = "<i4"
"""Of counts and pairs in the other blobs: sums are taken in a ring of 32 bits, which holds them."""
_COUNT = 4
_MAX_URL = 2_010
"""Bytes of an address in the list of the head, at most."""
_HEAD_FRAME = 10


def proposal_blob(number: int) -> str:
    """Name of the blob with the signed proposal of a sub-cohort's round, as it was sent."""
    return f"proposal.{number}"


def counts_blob(number: int) -> str:
    """Name of the blob with a sub-cohort's counts over the head."""
    return f"counts.{number}"


def pairs_blob(number: int) -> str:
    """Name of the blob with a sub-cohort's pairs: the strict upper triangle over the head, row by row."""
    return f"pairs.{number}"


@dataclass(frozen=True)
class PublishedSubCohort:
    """A sub-cohort that was summed: the id of its round (32 bytes), and survivors."""

    round_id: bytes
    survivors: tuple[str, ...]


@dataclass(frozen=True)
class SumsOfRun:
    """Sums of one run, as its aggregator signs them for others: who is in each, and the blobs of the numbers.

    Attributes:
        run: id of the run (32 bytes).
        made: Unix milliseconds.
        sub_cohorts: those that were summed; the blobs of number N, from 0, are `proposal.N`, `counts.N`
            and `pairs.N`.
        blobs: hash and size of each, and of `head`.

    """

    run: bytes
    made: int
    sub_cohorts: tuple[PublishedSubCohort, ...]
    blobs: Mapping[str, BlobReference]

    @property
    def videos(self) -> int:
        """How many videos the sums cover."""
        return self.blobs[counts_blob(0)].size // _COUNT

    @property
    def survivors(self) -> tuple[str, ...]:
        """The hosts in all of the sums, sorted."""
        return tuple(sorted(host for sub_cohort in self.sub_cohorts for host in sub_cohort.survivors))

    def check(self) -> None:
        """Check what holds for every run: distinct rounds and survivors, every blob of the right size.

        Raises:
            Refusal: `survivors-invalid` or `malformed`.

        """
        if len(set(self.survivors)) != len(self.survivors) or any(
            list(sub_cohort.survivors) != sorted(sub_cohort.survivors) for sub_cohort in self.sub_cohorts
        ):
            raise Refusal(Code.SURVIVORS_INVALID, "survivors are not sorted, or one is in two sums")
        if not self.sub_cohorts or len({sub_cohort.round_id for sub_cohort in self.sub_cohorts}) != len(
            self.sub_cohorts
        ):
            raise cbor_fields.malformed("there are no sums, or two of one round")
        numbers = range(len(self.sub_cohorts))
        names = {name(n) for n in numbers for name in (proposal_blob, counts_blob, pairs_blob)}
        if self.blobs.keys() != names | {HEAD}:
            raise cbor_fields.malformed("the blobs are not those of its sub-cohorts")
        head, rest = divmod(self.blobs[counts_blob(0)].size, _COUNT)
        sizes = {(self.blobs[counts_blob(n)].size, self.blobs[pairs_blob(n)].size) for n in numbers}
        if rest or sizes != {(head * _COUNT, head * (head - 1) // 2 * _COUNT)}:
            raise cbor_fields.malformed("the sums are not over one head")

    def check_size(self, max_videos: int, limits: Limits, sender: str) -> None:
        """Check, before a blob is fetched, that none is larger than our own sums can be.

        Raises:
            Refusal: `oversized`.

        """
        proposals = (self.blobs[proposal_blob(number)] for number in range(len(self.sub_cohorts)))
        if (
            self.videos > max_videos
            or self.blobs[HEAD].size > _HEAD_FRAME + self.videos * _MAX_URL
            or any(one.size > limits.max_request for one in proposals)
        ):
            raise Refusal(Code.OVERSIZED, "these sums are larger than ours can be", sender)

    def signed_proposals(
        self, proposals: Mapping[int, bytes], aggregator: PublicIdentity, limits: Limits
    ) -> tuple[SignedProposal, ...]:
        """Return the proposal of each sub-cohort, read from its blob; `proposals` by number.

        Raises:
            Refusal: `blob-mismatch` when one is not that of its round, or as `SignedProposal.read`.

        """
        found = []
        for number, sub_cohort in enumerate(self.sub_cohorts):
            raw = proposals[number]
            digest = hashlib.sha256(raw).digest()
            if digest != self.blobs[proposal_blob(number)].sha256 or digest != sub_cohort.round_id:
                raise Refusal(Code.BLOB_MISMATCH, "the proposal is not that of the round", aggregator.host)
            message = envelope.parse(raw, max_size=limits.max_request)
            found.append(SignedProposal.read(message, aggregator, limits))
        return tuple(found)

    def check_survivors(self, signed: Sequence[SignedProposal]) -> None:
        """Check that enough members of each sub-cohort survived, and nobody else. Raises: Refusal."""
        for sub_cohort, one in zip(self.sub_cohorts, signed, strict=True):
            proposal, survivors = one.proposal, sub_cohort.survivors
            if len(survivors) < proposal.threshold or not set(survivors) <= set(proposal.hosts):
                raise Refusal(
                    Code.SURVIVORS_INVALID, "survivors are too few, or not in the roster", proposal.aggregator
                )

    def content(self) -> dict[str, Item]:
        """Return what is signed."""
        return {
            "run": self.run,
            "made": self.made,
            "sub_cohorts": [
                [sub_cohort.round_id, list(sub_cohort.survivors)] for sub_cohort in self.sub_cohorts
            ],
            "blobs": {name: [blob.sha256, blob.size] for name, blob in self.blobs.items()},
        }


def read_sums(content: Mapping[str, Item], limits: Limits, sender: str) -> SumsOfRun:
    """Return the sums that a document is about.

    Raises:
        Refusal: `oversized`, `malformed` or `survivors-invalid`.

    """
    sums = SumsOfRun(
        run=cbor_fields.octets(content["run"], HASH_SIZE),
        made=documents.date(content["made"]),
        sub_cohorts=tuple(cbor_fields.sequence(content["sub_cohorts"], _sub_cohort, at_most=MAX_SUB_COHORTS)),
        blobs=cbor_fields.mapping(content["blobs"], read_reference, at_most=1 + 3 * MAX_SUB_COHORTS),
    )
    sums.check()
    if any(blob.size > limits.max_blob for blob in sums.blobs.values()):
        raise Refusal(Code.OVERSIZED, f"a blob is larger than {limits.max_blob} bytes", sender)
    return sums


@dataclass(frozen=True)
class Published(SumsOfRun):
    """All sums of one run of the group; `epoch` is the hash of the epoch's document, 32 bytes."""

    group: str
    epoch: bytes

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 (32 bytes) of its content; two members with the same one were told the same sums."""
        return documents.hash_of(self.content())

    def seal(self, identity: Identity) -> bytes:
        """Return the host's message to all members, after the checks that each will make. Raises: Refusal."""
        self.check()
        return documents.seal(identity, Stage.PUBLISH, EVERYBODY, self.content())

    @classmethod
    def read(cls, message: Envelope, host_identity: PublicIdentity, limits: Limits) -> Published:
        """Return what the host published.

        Raises:
            Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed` or
                `survivors-invalid`.

        """
        item = documents.unseal(message, Stage.PUBLISH, host_identity, EVERYBODY, MAX_PUBLISHED)
        content = cbor_fields.exact_map(item, *cls.__dataclass_fields__)
        group, epoch = cbor_fields.text(content["group"]), cbor_fields.octets(content["epoch"], HASH_SIZE)
        return cls(**vars(read_sums(content, limits, message.sender)), group=group, epoch=epoch)

    def check_sub_cohorts(
        self, document: EpochDocument, proposals: Mapping[int, bytes], limits: Limits
    ) -> tuple[SignedProposal, ...]:
        """Return the proposal of each sub-cohort, checked against the epoch; `proposals` by number.

        Raises:
            Refusal: `roster-invalid` when this is another epoch or a roster is no sub-cohort of it,
                `survivors-invalid`, or as `signed_proposals`.

        """
        if (self.epoch, self.group) != (document.hash, document.listed.group):
            raise Refusal(Code.ROSTER_INVALID, "the sums are of another epoch", document.host.host)
        signed = self.signed_proposals(proposals, document.host, limits)
        if any(one.proposal.roster not in document.rosters for one in signed):
            raise Refusal(Code.ROSTER_INVALID, "a roster is no sub-cohort of the epoch", document.host.host)
        self.check_survivors(signed)
        return signed

    def content(self) -> dict[str, Item]:
        """Return what is signed."""
        return {**super().content(), "group": self.group, "epoch": self.epoch}


@dataclass(frozen=True)
class Taken:
    """A member's signed receipt of published sums: the id of the run, and the hash of what it was told."""

    run: bytes
    hash: bytes

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the member's message to the host."""
        return documents.seal(identity, Stage.TAKEN, recipient, {"run": self.run, "hash": self.hash})


def read_taken(message: Envelope, member: PublicIdentity, me: str) -> Taken:
    """Return what a member has taken.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature` or `malformed`.

    """
    item = documents.unseal(message, Stage.TAKEN, member, me, MAX_SMALL)
    content = cbor_fields.exact_map(item, "run", "hash")
    return Taken(
        cbor_fields.octets(content["run"], HASH_SIZE), cbor_fields.octets(content["hash"], HASH_SIZE)
    )


def _sub_cohort(item: Item) -> PublishedSubCohort:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a sub-cohort is a round and its survivors")
    round_, survivors = item
    return PublishedSubCohort(
        cbor_fields.octets(round_, HASH_SIZE),
        tuple(cbor_fields.sequence(survivors, cbor_fields.host, at_most=MAX_MEMBERS)),
    )
