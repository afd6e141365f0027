"""A host and members at one table: an epoch drawn as it is over the wire, each message parsed anew."""

from __future__ import annotations

from dataclasses import dataclass

from federation import cbor, envelope
from federation.envelope import NO_ROUND, Envelope
from federation.group.epoch_document import EpochDocument, read_epoch
from federation.group.epoch_opening import (
    Gather,
    Listed,
    MembershipList,
    read_commitment,
    read_gather,
    read_list,
    read_reveal,
)
from federation.group.epoch_rules import answer_gather, answer_list, check_epoch
from federation.identity import Identity
from federation.limits import Limits

LIMITS = Limits()
NOW = 1_800_000_000.25
LENGTH = 180 * 86_400.0
GROUP = "Films of the coast"
HOST = Identity("host.example", b"h" * 32)
ALICE = Identity("alice.example", b"a" * 32)


def parsed(raw: bytes) -> Envelope:
    return envelope.parse(raw, max_size=2_000_000)


def person(number: int) -> Identity:
    return Identity(f"m{number:03}.example", number.to_bytes(32, "big"))


def altered(raw: bytes, changes: dict[str, cbor.Item], without: str = "", by: Identity = ALICE) -> bytes:
    """Return the same message with another payload, validly signed."""
    message = parsed(raw)
    content = cbor.decode(bytes(message.payload))
    assert isinstance(content, dict)
    content = {name: item for name, item in (content | changes).items() if name != without}
    return envelope.seal(
        by,
        round_id=NO_ROUND,
        stage=message.stage,
        recipient=message.recipient,
        payload=cbor.encode(content),
    )


@dataclass
class Member:
    """What a member remembers, and how it answers."""

    identity: Identity
    epoch: EpochDocument | None = None
    revealed: MembershipList | None = None

    @property
    def name(self) -> str:
        return self.identity.host

    @property
    def list_of_epoch(self) -> MembershipList | None:
        return self.epoch.listed if self.epoch else None

    def gather(self, raw: bytes, now: float) -> bytes:
        gather = read_gather(parsed(raw), HOST.public, self.name, now, LIMITS)
        return answer_gather(
            self.identity,
            HOST.host,
            gather,
            epoch=self.list_of_epoch,
            revealed=self.revealed,
            length=LENGTH,
            now=now,
        )

    def list(self, raw: bytes, now: float) -> bytes:
        listed = read_list(parsed(raw), HOST.public)
        answer = answer_list(
            self.identity, HOST.host, listed, epoch=self.list_of_epoch, revealed=self.revealed, now=now
        )
        self.revealed = listed
        return answer

    def take(self, raw: bytes, now: float) -> None:
        document = read_epoch(parsed(raw), HOST.public)
        check_epoch(
            self.epoch, document, me=self.identity.public, revealed=self.revealed, length=LENGTH, now=now
        )
        self.epoch = document


@dataclass
class Group:
    """An honest host and its members; tests replace what they make lie."""

    members: list[Member]
    now: float = NOW
    parts: int = 1
    least: int = 4
    number: int = 0

    @classmethod
    def of(cls, size: int, parts: int = 1, least: int = 4, now: float = NOW) -> Group:
        members = [Member(HOST), *(Member(person(n)) for n in range(size - 1))]
        return cls(members, now=now, parts=parts, least=least)

    def member(self, host: str) -> Member:
        return next(member for member in self.members if member.name == host)

    def gather(self) -> Gather:
        self.number += 1
        return Gather(GROUP, self.number, int(self.now * 1000))

    def commitments(self, gather: Gather) -> tuple[Listed, ...]:
        rows = []
        for member in self.members:
            raw = member.gather(gather.seal(HOST, member.name), self.now)
            said = read_commitment(parsed(raw), member.identity.public, HOST.host, gather)
            rows.append(Listed(member.name, member.identity.public.key, said.commitment))
        return tuple(sorted(rows))

    def list(self, gather: Gather, rows: tuple[Listed, ...]) -> MembershipList:
        return MembershipList(gather.group, gather.number, gather.opened, self.parts, self.least, rows)

    def reveal(self, listed: MembershipList) -> dict[str, bytes]:
        reveals = {}
        for member in self.members:
            reveals[member.name] = member.list(listed.seal(HOST), self.now)
            read_reveal(parsed(reveals[member.name]), listed, HOST.host)
        return reveals

    def draw(self) -> EpochDocument:
        """Play it all honestly; nobody has taken the document yet."""
        gather = self.gather()
        listed = self.list(gather, self.commitments(gather))
        return EpochDocument(HOST.public, listed.seal(HOST), self.reveal(listed))

    def begin(self) -> EpochDocument:
        """Play it all honestly, and let everybody take the document."""
        document = self.draw()
        self.take(document)
        return document

    def take(self, document: EpochDocument) -> None:
        raw = document.seal(HOST)
        for member in self.members:
            member.take(raw, self.now)
