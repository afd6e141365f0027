"""Joining a group, leaving it, asking for its status: ENROL from a member to the host, ADMIT back.

An enrolment binds the two keys of an instance: the message is signed with its Ed25519 key, and its node key,
by which Flower knows it, signs a statement that names both. So nobody can claim another's key. Whether the
Ed25519 key speaks for the host is for the receiver to know, as with a hello.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, cast, get_args

from federation import cbor, cbor_fields
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.documents import HASH_SIZE, MAX_MEMBERS, MILLISECONDS
from federation.group.node_key import (
    MAX_NODE_KEY,
    MAX_NODE_SIGNATURE,
    public_node_key,
    sign_with_node_key,
    verify_node_key,
)
from federation.identity import KEY_SIZE, Identity, PublicIdentity
from federation.limits import Limits

MAX_ENROLMENT = 2_000
"""Bytes of a whole message: three hosts, both keys and signatures are under 1,500."""
MAX_ADMISSION = 600_000
"""Bytes of a whole message: a thousand members at 512 bytes, and the certificate."""
_MAX_URL = 250
_MAX_CA = 16_000
_MAX_POLL = 3_600_000
_CONTEXT = b"shoal/1 enrolment\x00"
"""Prefix of what the node key signs. The same key signs dates for Flower, which never begin like this."""
ANY_GROUP = "*"
"""In place of a group's name in a `status` enrolment: whichever group the receiver hosts."""

_YES, _NO = "yes", "no"

Wish = Literal["join", "leave", "status"]
State = Literal["asked", "member", "refused", "ejected", "left"]


@dataclass(frozen=True)
class Enrolment:
    """What an instance says to the host of a group.

    Attributes:
        host, key: of the sender; the message is signed with this key.
        node_key: its public node key, PEM.
        date: Unix milliseconds; of two enrolments of a host only the later one counts, which is the
            receiver's to check.
        gives: whether it contributes to sums; a member that only learns is in no sub-cohort.
        epoch: hash of the newest epoch document it has, empty where it has none.
        node_signature: by the node key, over group, host, key, node key and date.

    """

    group: str
    host: str
    key: bytes
    node_key: bytes
    wish: Wish
    gives: bool
    date: int
    epoch: bytes
    node_signature: bytes

    @property
    def said(self) -> float:
        """When it was said, Unix seconds."""
        return self.date / MILLISECONDS

    @property
    def identity(self) -> PublicIdentity:
        """Who says so; to be compared with the pinned one."""
        return PublicIdentity(self.host, self.key)

    @classmethod
    def say(
        cls,
        identity: Identity,
        node_pem: bytes,
        group: str,
        recipient: str,
        now: float,
        wish: Wish,
        epoch: bytes = b"",
        *,
        gives: bool = True,
    ) -> bytes:
        """Return the signed message to the group's host; `node_pem` is private, `now` Unix seconds."""
        me, node_key, date = identity.public, public_node_key(node_pem), int(now * MILLISECONDS)
        signature = sign_with_node_key(node_pem, _statement(group, me, node_key, date))
        content: dict[str, Item] = {
            "group": group,
            "host": me.host,
            "key": me.key,
            "node_key": node_key,
            "wish": wish,
            "gives": _YES if gives else _NO,
            "date": date,
            "epoch": epoch,
            "node_signature": signature,
        }
        return documents.seal(identity, Stage.ENROL, recipient, content)

    @classmethod
    def read(cls, message: Envelope, me: str, now: float, limits: Limits) -> Enrolment:
        """Return what an enrolment to `me` says, both its signatures checked against the keys in it.

        Raises:
            Refusal: `oversized`, `wrong-stage`, `not-for-me`, `malformed`, `bad-signature`, `keys-invalid` or
                `expired`.

        """
        documents.check_frame(message, Stage.ENROL, me, MAX_ENROLMENT)
        names = tuple(cls.__dataclass_fields__)
        content = cbor_fields.exact_map(cbor.decode(bytes(message.payload)), *names)
        epoch = cbor_fields.octets(content["epoch"], at_most=HASH_SIZE)
        if len(epoch) not in (0, HASH_SIZE):
            raise cbor_fields.malformed("the epoch is neither empty nor a hash")
        said = cls(
            group=cbor_fields.text(content["group"]),
            host=cbor_fields.host(content["host"]),
            key=cbor_fields.octets(content["key"], KEY_SIZE),
            node_key=cbor_fields.octets(content["node_key"], at_most=MAX_NODE_KEY),
            wish=_wish(content["wish"]),
            gives=_gives(content["gives"]),
            date=documents.date(content["date"]),
            epoch=epoch,
            node_signature=cbor_fields.octets(content["node_signature"], at_most=MAX_NODE_SIGNATURE),
        )
        if said.host != message.sender:
            raise cbor_fields.malformed("the enrolment names another host than its sender")
        message.verify(said.identity)
        documents.check_fresh(said.date, now, limits, said.host)
        statement = _statement(said.group, said.identity, said.node_key, said.date)
        if not verify_node_key(said.node_key, statement, said.node_signature):
            raise Refusal(
                Code.BAD_SIGNATURE, f"{said.host} does not hold the node key that it names", said.host
            )
        return said


@dataclass(frozen=True)
class GroupMember:
    """A member as the host names it; nobody but itself can vouch for its key."""

    host: str
    key: bytes
    url: str


@dataclass(frozen=True)
class Admission:
    """What the host answers.

    Attributes:
        host: of the instance that is answered.
        proxy: `HOST:PORT` of the host's reverse proxy, which gives access to the Fleet API; empty for
            non-members. Called `fence` on the wire.
        ca: PEM of the authority that signed the reverse proxy's certificate; empty if it is a public one.
        next: when the next sum is taken, Unix milliseconds; 0 where that is not known.
        poll_ms: how often to ask during a session, milliseconds.
        batch: id of the newest run whose sums were published (32 bytes); empty if there is none.
        members: sorted by host, at most 1,000; empty for an instance that was refused or ejected.
        date: Unix milliseconds.

    """

    group: str
    host: str
    state: State
    proxy: str
    ca: str
    next: int
    poll_ms: int
    batch: bytes
    members: tuple[GroupMember, ...]
    date: int

    @property
    def next_at(self) -> float:
        """When the next sum is taken, Unix seconds; 0 where that is not known."""
        return self.next / MILLISECONDS

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the message to `recipient`, signed by the group's host."""
        content: dict[str, Item] = {
            "group": self.group,
            "host": self.host,
            "state": self.state,
            "fence": self.proxy,
            "ca": self.ca,
            "next": self.next,
            "poll_ms": self.poll_ms,
            "batch": self.batch,
            "members": [[member.host, member.key, member.url] for member in self.members],
            "date": self.date,
        }
        return documents.seal(identity, Stage.ADMIT, recipient, content)


_ADMISSION_KEYS: Final = tuple(
    "fence" if field.name == "proxy" else field.name for field in fields(Admission)
)
"""What the fields of an admission are called on the wire."""


def read_admission(
    message: Envelope, host_identity: PublicIdentity, me: str, now: float, limits: Limits
) -> Admission:
    """Return what the host of a group (its pinned identity) answers to `me`.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed`, `expired` or
            `roster-invalid`.

    """
    item = documents.unseal(message, Stage.ADMIT, host_identity, me, MAX_ADMISSION)
    content = cbor_fields.exact_map(item, *_ADMISSION_KEYS)
    members = tuple(cbor_fields.sequence(content["members"], _member, at_most=MAX_MEMBERS))
    said = Admission(
        group=cbor_fields.text(content["group"]),
        host=cbor_fields.host(content["host"]),
        state=_state(content["state"]),
        proxy="" if content["fence"] == "" else cbor_fields.host(content["fence"]),
        ca=_certificate(content["ca"]),
        next=documents.date(content["next"]),
        poll_ms=cbor_fields.integer(content["poll_ms"], low=1, high=_MAX_POLL),
        batch=_run_id(content["batch"]),
        members=members,
        date=documents.date(content["date"]),
    )
    documents.check_fresh(said.date, now, limits, message.sender)
    if said.host != me:
        raise Refusal(Code.NOT_FOR_ME, "the admission is that of another instance", message.sender)
    hosts = [member.host for member in members]
    if hosts != sorted(set(hosts)) or len({member.key for member in members}) != len(members):
        raise Refusal(
            Code.ROSTER_INVALID, "the members are not sorted, or a host or key is named twice", message.sender
        )
    return said


def _wish(item: Item) -> Wish:
    if item not in get_args(Wish):
        raise cbor_fields.malformed('"wish" is not join, leave or status')
    return cast(Wish, item)


def _gives(item: Item) -> bool:
    if item not in (_YES, _NO):
        raise cbor_fields.malformed('"gives" is neither yes nor no')
    return item == _YES


def _state(item: Item) -> State:
    if item not in get_args(State):
        raise cbor_fields.malformed('"state" is not a state of a member')
    return cast(State, item)


def _run_id(item: Item) -> bytes:
    run_id = cbor_fields.octets(item, at_most=HASH_SIZE)
    if len(run_id) not in (0, HASH_SIZE):
        raise cbor_fields.malformed("the batch is neither empty nor an id")
    return run_id


def _certificate(item: Item) -> str:
    if not isinstance(item, str) or len(item) > _MAX_CA or not item.isascii():
        raise cbor_fields.malformed(f"a certificate is ASCII of at most {_MAX_CA} characters")
    return item


def _member(item: Item) -> GroupMember:
    if not isinstance(item, list) or len(item) != 3:
        raise cbor_fields.malformed("a member is a host, a key and an address")
    host, key, url = item
    return GroupMember(
        cbor_fields.host(host), cbor_fields.octets(key, KEY_SIZE), cbor_fields.text(url, _MAX_URL)
    )


def _statement(group: str, member: PublicIdentity, node_key: bytes, date: int) -> bytes:
    return _CONTEXT + cbor.encode(
        {"group": group, "host": member.host, "key": member.key, "node_key": node_key, "date": date}
    )
