"""How an epoch is opened: the host gathers, members commit to nonces, the list is signed, members reveal.

A member commits before it knows the list, and the list is signed before anybody reveals: so nobody chooses
the partition. (Who reveals last, or drops reveals, chooses among few: docs/threat-model.md.) A nonce is
derived from the member's secret and the gathering, never from the list, so a member must not reveal it for
two lists: a host that knew the nonces could try lists until it liked the sub-cohorts. A member therefore
remembers the newest list that it answered; see `answer_list`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from federation import cbor_fields
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.documents import (
    EVERYBODY,
    HASH_SIZE,
    MAX_MEMBERS,
    MAX_ROSTER,
    MAX_SUB_COHORTS,
    MILLISECONDS,
)
from federation.identity import KEY_SIZE, Identity, PublicIdentity
from federation.keys import commitment, derive
from federation.limits import Limits

MIN_SUB_COHORT = 3
"""Of two members, each would subtract itself and hold the other's contribution."""
MAX_SMALL = 1_200
"""Bytes of a GATHER, COMMIT or REVEAL: two hosts, a group, three hashes and a signature."""
MAX_LIST = 320_000
"""Bytes of a LIST: a thousand members at 300 bytes."""
GATHERING = 3_600
"""Seconds from opening to the last reveal. Members answer within seconds; an hour leaves room for a
restart."""
RETRY = 86_400
"""Seconds until a member lets another gathering begin after one that it revealed for and that came to
nothing. A host that dislikes a partition could give up each one, so each costs it a day."""


@dataclass(frozen=True)
class Gather:
    """The host opens an epoch: which number, and when (Unix milliseconds)."""

    group: str
    number: int
    opened: int

    @property
    def opened_at(self) -> float:
        """When, Unix seconds."""
        return self.opened / MILLISECONDS

    def id(self, host: str) -> bytes:
        """Return what names this gathering by this host (32 bytes): no other ever has the same nonces."""
        return gathering_id(host, self.group, self.number, self.opened)

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the host's message to a member."""
        content: dict[str, Item] = {"group": self.group, "number": self.number, "opened": self.opened}
        return documents.seal(identity, Stage.GATHER, recipient, content)


def read_gather(message: Envelope, host: PublicIdentity, me: str, now: float, limits: Limits) -> Gather:
    """Return what the host opens, just now.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed` or `expired`.

    """
    item = documents.unseal(message, Stage.GATHER, host, me, MAX_SMALL)
    content = cbor_fields.exact_map(item, "group", "number", "opened")
    gather = Gather(
        cbor_fields.text(content["group"]),
        cbor_fields.integer(content["number"], low=1),
        documents.date(content["opened"]),
    )
    documents.check_fresh(gather.opened, now, limits, host.host)
    return gather


def gathering_id(host: str, group: str, number: int, opened: int) -> bytes:
    """Return what names a gathering: its host, group, number and date (Unix milliseconds)."""
    return commitment(
        "gathering",
        host.encode("ascii"),
        group.encode(),
        number.to_bytes(8, "big"),
        opened.to_bytes(8, "big"),
    )


def nonce_of(seed: bytes, gathering: bytes) -> bytes:
    """Return a member's nonce (32 bytes) in a gathering, from its identity's seed: restart-safe."""
    return derive(seed, gathering, "epoch nonce")


def committed(gathering: bytes, member: str, nonce: bytes) -> bytes:
    """Return the commitment (32 bytes) of a member to its nonce; copied by another it opens to nothing."""
    return commitment("epoch nonce", gathering, member.encode("ascii"), nonce)


@dataclass(frozen=True)
class Commitment:
    """What a member commits to: see `committed`."""

    group: str
    number: int
    commitment: bytes

    @classmethod
    def to(cls, gather: Gather, host: str, identity: Identity) -> Commitment:
        """Return the commitment of a member to its nonce in the gathering of a host."""
        gathering = gather.id(host)
        hidden = committed(gathering, identity.host, nonce_of(identity.seed, gathering))
        return cls(gather.group, gather.number, hidden)

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the member's message to the host."""
        content: dict[str, Item] = {
            "group": self.group,
            "number": self.number,
            "commitment": self.commitment,
        }
        return documents.seal(identity, Stage.COMMIT, recipient, content)


def read_commitment(message: Envelope, member: PublicIdentity, me: str, gather: Gather) -> Commitment:
    """Return what a member commits to in the gathering of `me`, its host.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature` or `malformed`.

    """
    item = documents.unseal(message, Stage.COMMIT, member, me, MAX_SMALL)
    content = cbor_fields.exact_map(item, "group", "number", "commitment")
    said = Commitment(
        cbor_fields.text(content["group"]),
        cbor_fields.integer(content["number"]),
        cbor_fields.octets(content["commitment"], HASH_SIZE),
    )
    if (said.group, said.number) != (gather.group, gather.number):
        raise Refusal(Code.WRONG_STAGE, f"{member.host} commits to another gathering", member.host)
    return said


class Listed(NamedTuple):
    """A member as listed."""

    host: str
    key: bytes
    commitment: bytes

    @property
    def identity(self) -> PublicIdentity:
        """Host and key."""
        return PublicIdentity(self.host, self.key)


@dataclass(frozen=True)
class MembershipList:
    """Who takes part in an epoch, in how many sub-cohorts, and what each committed to; signed by the host.

    `sub_cohorts` is their number; one of fewer than `least` members is merged into another. Both are the
    group's, so that all compute the same division. `opened` in Unix milliseconds.
    """

    group: str
    number: int
    opened: int
    sub_cohorts: int
    least: int
    members: tuple[Listed, ...]

    @property
    def opened_at(self) -> float:
        """When the epoch was opened, Unix seconds."""
        return self.opened / MILLISECONDS

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 (32 bytes) of its content."""
        return documents.hash_of(self._content())

    def id(self, host: str) -> bytes:
        """Return the id of the gathering it belongs to."""
        return gathering_id(host, self.group, self.number, self.opened)

    def entry(self, host: str) -> Listed | None:
        """Return the entry of a host."""
        return self._by_host.get(host)

    def seal(self, identity: Identity) -> bytes:
        """Return the message to all members, after the checks that each will make. Raises: Refusal."""
        self.check()
        return documents.seal(identity, Stage.LIST, EVERYBODY, self._content())

    def check(self) -> None:
        """Check what holds for every list.

        Raises:
            Refusal: `roster-invalid`.

        """
        hosts = [member.host for member in self.members]
        if not hosts or hosts != sorted(set(hosts)) or len({m.key for m in self.members}) != len(hosts):
            raise Refusal(Code.ROSTER_INVALID, "the list is empty, not sorted, or names a host or key twice")
        most = max(1, min(MAX_SUB_COHORTS, len(hosts) // self.least)) if self.least else 0
        number = self.sub_cohorts
        if self.least < MIN_SUB_COHORT or not 1 <= number <= most or len(hosts) > number * MAX_ROSTER:
            raise Refusal(
                Code.ROSTER_INVALID,
                f"{len(hosts)} members cannot be in {number} sub-cohorts of {self.least} to {MAX_ROSTER}",
            )

    @cached_property
    def _by_host(self) -> dict[str, Listed]:
        return {member.host: member for member in self.members}

    def _content(self) -> dict[str, Item]:
        return {
            "group": self.group,
            "number": self.number,
            "opened": self.opened,
            "sub_cohorts": self.sub_cohorts,
            "least": self.least,
            "members": [list(member) for member in self.members],
        }


def read_list(message: Envelope, host: PublicIdentity) -> MembershipList:
    """Return the list that the host signed for all.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed` or `roster-invalid`.

    """
    item = documents.unseal(message, Stage.LIST, host, EVERYBODY, MAX_LIST)
    content = cbor_fields.exact_map(item, *MembershipList.__dataclass_fields__)
    listed = MembershipList(
        group=cbor_fields.text(content["group"]),
        number=cbor_fields.integer(content["number"], low=1),
        opened=documents.date(content["opened"]),
        sub_cohorts=cbor_fields.integer(content["sub_cohorts"], low=1, high=MAX_SUB_COHORTS),
        least=cbor_fields.integer(content["least"], low=MIN_SUB_COHORT, high=MAX_MEMBERS),
        members=tuple(cbor_fields.sequence(content["members"], _listed, at_most=MAX_MEMBERS)),
    )
    listed.check()
    return listed


@dataclass(frozen=True)
class Reveal:
    """A member's nonce, revealed for one list."""

    group: str
    number: int
    list_hash: bytes
    nonce: bytes

    @classmethod
    def of(cls, listed: MembershipList, host: str, identity: Identity) -> Reveal:
        """Return the reveal of a member in the gathering of a host. Members go through `answer_list`."""
        return cls(listed.group, listed.number, listed.hash, nonce_of(identity.seed, listed.id(host)))

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the member's message to the host."""
        content: dict[str, Item] = {
            "group": self.group,
            "number": self.number,
            "list_hash": self.list_hash,
            "nonce": self.nonce,
        }
        return documents.seal(identity, Stage.REVEAL, recipient, content)


def read_reveal(message: Envelope, listed: MembershipList, host: str) -> Reveal:
    """Return what a listed member reveals to the host of the group.

    Raises:
        Refusal: `wrong-sender` (not listed), `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`,
            `malformed`, or `roster-invalid` when it is for another list, or not what was committed to.

    """
    entry = listed.entry(message.sender)
    if entry is None:
        raise Refusal(Code.WRONG_SENDER, f"{message.sender} reveals and is not listed", message.sender)
    item = documents.unseal(message, Stage.REVEAL, entry.identity, host, MAX_SMALL)
    content = cbor_fields.exact_map(item, "group", "number", "list_hash", "nonce")
    said = Reveal(
        cbor_fields.text(content["group"]),
        cbor_fields.integer(content["number"]),
        cbor_fields.octets(content["list_hash"], HASH_SIZE),
        cbor_fields.octets(content["nonce"], HASH_SIZE),
    )
    if (said.group, said.number, said.list_hash) != (listed.group, listed.number, listed.hash):
        raise Refusal(Code.ROSTER_INVALID, f"{entry.host} reveals for another list", entry.host)
    if committed(listed.id(host), entry.host, said.nonce) != entry.commitment:
        raise Refusal(Code.ROSTER_INVALID, f"{entry.host} reveals what it did not commit to", entry.host)
    return said


def _listed(item: Item) -> Listed:
    if not isinstance(item, list) or len(item) != 3:
        raise cbor_fields.malformed("a listed member is a host, a key and a commitment")
    host, key, hidden = item
    return Listed(
        cbor_fields.host(host), cbor_fields.octets(key, KEY_SIZE), cbor_fields.octets(hidden, HASH_SIZE)
    )
