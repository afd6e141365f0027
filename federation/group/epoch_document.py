"""An epoch of a group: the signed list, all reveals, who came late and who has gone, and the parts.

The document carries everything that the partition is computed from, so that each member checks it alone.
Within an epoch only its serial grows: who joins is appended, who leaves is marked, nobody is moved or comes
back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from federation import cbor_fields, envelope
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents, partition
from federation.group.documents import EVERYBODY, HASH_SIZE, MAX_MEMBERS
from federation.group.epoch_opening import MAX_LIST, MAX_SMALL, MembershipList, read_list, read_reveal
from federation.identity import KEY_SIZE, Identity, PublicIdentity
from federation.proposal import least_threshold

MAX_EPOCH = 1_800_000
"""Bytes of a whole message: a list, and a reveal from each of a thousand members. Usually under 500 each."""


@dataclass(frozen=True)
class EpochDocument:
    """What the host signs when an epoch begins (serial 1), and again whenever somebody joins or leaves.

    Attributes:
        host: of the group, with its key.
        list_raw: the signed list, as it came.
        reveals: the signed reveals, as they came, by host. Who is listed and did not reveal is in no part,
            and can be appended to `late`.
        late: who joined since, in this order.
        gone: who left since, sorted.

    """

    host: PublicIdentity
    list_raw: bytes
    reveals: Mapping[str, bytes]
    late: tuple[PublicIdentity, ...] = ()
    gone: tuple[str, ...] = ()
    serial: int = 1

    @cached_property
    def listed(self) -> MembershipList:
        """The list, verified. Raises: Refusal, as `read_list`."""
        return read_list(envelope.parse(self.list_raw, max_size=MAX_LIST), self.host)

    @cached_property
    def nonces(self) -> dict[str, bytes]:
        """The revealed nonces by host, each verified. Raises: Refusal, as `read_reveal`."""
        nonces = {}
        for host, raw in self.reveals.items():
            message = envelope.parse(raw, max_size=MAX_SMALL)
            nonces[message.sender] = read_reveal(message, self.listed, self.host.host).nonce
            if message.sender != host:
                raise cbor_fields.malformed("a reveal stands under another host than its sender")
        return nonces

    @property
    def number(self) -> int:
        """Which epoch of the group this is."""
        return self.listed.number

    @property
    def opened_at(self) -> float:
        """When it was opened, Unix seconds."""
        return self.listed.opened_at

    @cached_property
    def members(self) -> dict[str, PublicIdentity]:
        """Everybody who ever was in a part, by host."""
        drawn = {entry.host: entry.identity for entry in self.listed.members if entry.host in self.reveals}
        return drawn | {identity.host: identity for identity in self.late}

    @property
    def dropped(self) -> tuple[str, ...]:
        """Who is listed without a reveal: it was not there, or the host would not have it."""
        return tuple(entry.host for entry in self.listed.members if entry.host not in self.reveals)

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 (32 bytes) of its content; two members with the same one were told the same."""
        return documents.hash_of(self._content())

    @cached_property
    def rosters(self) -> tuple[tuple[PublicIdentity, ...], ...]:
        """The parts, each sorted: who is summed together."""
        seed = partition.seed_of(self.listed.hash, self.nonces)
        late = [identity.host for identity in self.late]
        placed = partition.places(seed, self.reveals, self.listed.parts, late)
        parts = partition.together(placed, self.gone, self.listed.least)
        return tuple(tuple(self.members[host] for host in part) for part in parts)

    def part_of(self, host: str) -> tuple[PublicIdentity, ...] | None:
        """Return the part that a host is in, None where it is in none."""
        return next((part for part in self.rosters if any(m.host == host for m in part)), None)

    def check(self) -> None:
        """Check every signature, commitment and hash inside, and all that holds without another document.

        Raises:
            Refusal: `roster-invalid`, or as `read_list` and `read_reveal`.

        """
        least = least_threshold(len(self.listed.members))
        if len(self.nonces) < least:
            raise Refusal(
                Code.ROSTER_INVALID,
                f"of {len(self.listed.members)} members {len(self.nonces)} revealed, {least} are needed",
                self.host.host,
            )
        late = {identity.host for identity in self.late}
        here = [identity.key for host, identity in self.members.items() if host not in self.gone]
        if (
            len(late) != len(self.late)
            or late & self.nonces.keys()
            or len(set(here)) != len(here)
            or len(self.members) > MAX_MEMBERS
        ):
            raise Refusal(Code.ROSTER_INVALID, "a host or key is twice in the epoch", self.host.host)
        if list(self.gone) != sorted(set(self.gone)) or not set(self.gone) <= self.members.keys():
            raise Refusal(Code.ROSTER_INVALID, "who has gone is not a sorted part of who was there")
        if self.serial == 1 and (self.late or self.gone):
            raise Refusal(Code.ROSTER_INVALID, "an epoch begins without anybody late or gone")

    def seal(self, identity: Identity) -> bytes:
        """Return the host's message to all members, after the checks that each will make. Raises: Refusal."""
        self.check()
        return documents.seal(identity, Stage.EPOCH, EVERYBODY, self._content())

    def _content(self) -> dict[str, Item]:
        return {
            "group": self.listed.group,
            "number": self.listed.number,
            "list": self.list_raw,
            "reveals": [self.reveals[host] for host in sorted(self.reveals)],
            "late": [[identity.host, identity.key] for identity in self.late],
            "gone": list(self.gone),
            "serial": self.serial,
        }


def read_epoch(message: Envelope, host: PublicIdentity) -> EpochDocument:
    """Return the document that the host signed for all, everything inside verified.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed`, `wrong-sender`,
            `key-mismatch` or `roster-invalid`.

    """
    item = documents.unseal(message, Stage.EPOCH, host, EVERYBODY, MAX_EPOCH)
    names = ("group", "number", "list", "reveals", "late", "gone", "serial")
    content = cbor_fields.exact_map(item, *names)
    raws = cbor_fields.sequence(content["reveals"], cbor_fields.octets, at_most=MAX_MEMBERS)
    senders = [envelope.parse(raw, max_size=MAX_SMALL).sender for raw in raws]
    if senders != sorted(set(senders)):
        raise cbor_fields.malformed("the reveals are not in order of their senders, one each")
    document = EpochDocument(
        host=host,
        list_raw=cbor_fields.octets(content["list"], at_most=MAX_LIST),
        reveals=dict(zip(senders, raws, strict=True)),
        late=tuple(cbor_fields.sequence(content["late"], _late, at_most=MAX_MEMBERS)),
        gone=tuple(cbor_fields.sequence(content["gone"], cbor_fields.host, at_most=MAX_MEMBERS)),
        serial=cbor_fields.integer(content["serial"], low=1),
    )
    document.check()
    if (content["group"], content["number"]) != (document.listed.group, document.number):
        raise cbor_fields.malformed("the epoch is another than that of its list")
    return document


@dataclass(frozen=True)
class Accepted:
    """A member's signed receipt of an epoch's document, by its hash."""

    hash: bytes

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the member's message to the host."""
        return documents.seal(identity, Stage.ACCEPT, recipient, {"hash": self.hash})


def read_accepted(message: Envelope, member: PublicIdentity, me: str) -> Accepted:
    """Return what a member accepted.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature` or `malformed`.

    """
    item = documents.unseal(message, Stage.ACCEPT, member, me, MAX_SMALL)
    return Accepted(cbor_fields.octets(cbor_fields.exact_map(item, "hash")["hash"], HASH_SIZE))


def _late(item: Item) -> PublicIdentity:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("who is late is a host and a key")
    return PublicIdentity(cbor_fields.host(item[0]), cbor_fields.octets(item[1], KEY_SIZE))
