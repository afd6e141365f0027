"""What a hello says about a group: to its host that the sender joins, leaves or asks; back how things stand.

An enrolment binds the two keys of an instance: its Ed25519 key signs the hello, and its node key, by which
Flower knows it, signs a statement that names both. So nobody can claim another's key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeVar, get_args

from federation import cbor, cbor_fields
from federation.cbor import Item
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
from federation.identity import KEY_SIZE, PublicIdentity

MAX_ADMISSION = 600_000
"""Bytes of a hello with an admission: a thousand members at 512 bytes, and the certificate."""
_MAX_URL = 250
_MAX_CA = 16_000
_MAX_POLL = 3_600_000
_CONTEXT = b"shoal/2 enrolment\x00"
"""Prefix of what the node key signs. The same key signs dates for Flower, which never begin like this."""
ANY_GROUP = "*"
"""In place of a group's name in a `status` enrolment: whichever group the receiver hosts."""

_GIVES: Final = ("no", "yes")

Wish = Literal["join", "leave", "status"]
State = Literal["asked", "member", "refused", "ejected", "left"]
_WISHES: Final[tuple[Wish, ...]] = get_args(Wish)
_STATES: Final[tuple[State, ...]] = get_args(State)
_Choice = TypeVar("_Choice", bound=str)


@dataclass(frozen=True)
class Enrolment:
    """What an instance says to the host of a group.

    Attributes:
        gives: whether it contributes to sums; a member that only learns is in no sub-cohort.
        node_key: its public node key, PEM; empty in a `status` of an instance that is no member.
        node_signature: by the node key, over group, host and key of the sender, node key and date.

    """

    group: str
    wish: Wish
    gives: bool
    node_key: bytes = b""
    node_signature: bytes = b""

    @classmethod
    def of(
        cls, me: PublicIdentity, node_pem: bytes, group: str, wish: Wish, now: float, *, gives: bool = True
    ) -> Enrolment:
        """Return what `me` says in a hello of `now` (Unix seconds); `node_pem` is private, or empty."""
        if not node_pem:
            return cls(group, wish, gives)
        key = public_node_key(node_pem)
        statement = _statement(group, me, key, int(now * MILLISECONDS))
        return cls(group, wish, gives, key, sign_with_node_key(node_pem, statement))

    def content(self) -> Item:
        """Return the map that a hello holds."""
        return {
            "group": self.group,
            "wish": self.wish,
            "gives": _GIVES[self.gives],
            "node_key": self.node_key,
            "node_signature": self.node_signature,
        }

    def check(self, sender: PublicIdentity, date: int) -> None:
        """Check that the sender of the hello of this date (Unix milliseconds) holds the node key.

        Raises:
            Refusal: `bad-signature`, `keys-invalid`, or `malformed` without a node key where one is needed.

        """
        if not self.node_key and not self.node_signature and self.wish == "status":
            return
        if not self.node_key:
            raise cbor_fields.malformed("whoever joins or leaves names its node key")
        statement = _statement(self.group, sender, self.node_key, date)
        if not verify_node_key(self.node_key, statement, self.node_signature):
            raise Refusal(
                Code.BAD_SIGNATURE, f"{sender.host} does not hold the node key that it names", sender.host
            )


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
        state: of the instance that is answered.
        proxy: `HOST:PORT` of the host's reverse proxy, which gives access to the Fleet API; empty for
            non-members. Called `fence` on the wire.
        ca: PEM of the authority that signed the reverse proxy's certificate; empty if it is a public one.
        next: when the next sum is taken, Unix milliseconds; 0 where that is not known.
        poll_ms: how often to ask during a round, milliseconds.
        run: id of the newest run whose sums were published (32 bytes); empty if there is none.
        members: sorted by host, at most 1,000; empty for an instance that was refused or ejected.

    """

    group: str
    state: State
    proxy: str
    ca: str
    next: int
    poll_ms: int
    run: bytes
    members: tuple[GroupMember, ...]

    @property
    def next_at(self) -> float:
        """When the next sum is taken, Unix seconds; 0 where that is not known."""
        return self.next / MILLISECONDS

    def content(self) -> Item:
        """Return the map that a hello holds."""
        return {
            "group": self.group,
            "state": self.state,
            "fence": self.proxy,
            "ca": self.ca,
            "next": self.next,
            "poll_ms": self.poll_ms,
            "run": self.run,
            "members": [[member.host, member.key, member.url] for member in self.members],
        }


def read_about_group(item: Item) -> Enrolment | Admission | None:
    """Return what a hello says about a group, None where it says nothing.

    Raises:
        Refusal: `malformed` or `roster-invalid`.

    """
    if item is None:
        return None
    if isinstance(item, dict) and "wish" in item:
        return _enrolment(item)
    return _admission(item)


def _enrolment(item: Item) -> Enrolment:
    content = cbor_fields.exact_map(item, "group", "wish", "gives", "node_key", "node_signature")
    return Enrolment(
        group=cbor_fields.text(content["group"]),
        wish=_one_of(_WISHES, content["wish"]),
        gives=_one_of(_GIVES, content["gives"]) == "yes",
        node_key=cbor_fields.octets(content["node_key"], at_most=MAX_NODE_KEY),
        node_signature=cbor_fields.octets(content["node_signature"], at_most=MAX_NODE_SIGNATURE),
    )


def _admission(item: Item) -> Admission:
    names = ("group", "state", "fence", "ca", "next", "poll_ms", "run", "members")
    content = cbor_fields.exact_map(item, *names)
    members = tuple(cbor_fields.sequence(content["members"], _member, at_most=MAX_MEMBERS))
    hosts = [member.host for member in members]
    if hosts != sorted(set(hosts)) or len({member.key for member in members}) != len(members):
        raise Refusal(Code.ROSTER_INVALID, "the members are not sorted, or a host or key is named twice")
    run = cbor_fields.octets(content["run"], at_most=HASH_SIZE)
    if len(run) not in (0, HASH_SIZE):
        raise cbor_fields.malformed("the run is neither empty nor an id")
    return Admission(
        group=cbor_fields.text(content["group"]),
        state=_one_of(_STATES, content["state"]),
        proxy="" if content["fence"] == "" else cbor_fields.host(content["fence"]),
        ca=_certificate(content["ca"]),
        next=documents.date(content["next"]),
        poll_ms=cbor_fields.integer(content["poll_ms"], low=1, high=_MAX_POLL),
        run=run,
        members=members,
    )


def _one_of(choices: tuple[_Choice, ...], item: Item) -> _Choice:
    for choice in choices:
        if item == choice:
            return choice
    raise cbor_fields.malformed(f"expected one of {', '.join(choices)}")


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
