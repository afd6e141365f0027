"""Who is summed together: members say whom of a roster they do not approve, and are told if they wait. Pure.

Before a roster is fixed for a window, the aggregator asks: peers with a ROSTER, members of a group with the
epoch's document, from which each knows its roster. The answer to both is an ACCEPT, and only the aggregator
sees it. Whoever waits is told why with a WAIT. The rule by which somebody waits is the aggregator's to follow
(`policies.junior_waits`); no member can check it, and none has to: each refuses a sum that it does not want.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from federation import cbor_fields
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.documents import HASH_SIZE, MAX_ROSTER, MILLISECONDS
from federation.identity import KEY_SIZE, Identity, PublicIdentity
from federation.limits import Limits

MAX_ROSTER_MESSAGE = 64_000
"""Bytes of each of these messages: twice 128 hosts of at most 230 bytes. Usually under 10,000."""
_MOST_NAMED = 2 * MAX_ROSTER
"""Hosts in one list: a sub-cohort of a group, and the one that it is merged with."""
_YES, _NO = "yes", "no"


@dataclass(frozen=True)
class ProposedRoster:
    """Whom an aggregator wants to sum: the members, sorted, and when it asked (Unix milliseconds)."""

    roster: tuple[PublicIdentity, ...]
    date: int

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 (32 bytes) of its content, which the answer names."""
        return documents.hash_of(self._content())

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the aggregator's message to a member."""
        return documents.seal(identity, Stage.ROSTER, recipient, self._content())

    def _content(self) -> dict[str, Item]:
        return {"roster": [[member.host, member.key] for member in self.roster], "date": self.date}


def read_roster(
    message: Envelope, aggregator: PublicIdentity, me: PublicIdentity, now: float, limits: Limits
) -> ProposedRoster:
    """Return whom a peer wants to sum with this instance; `now` in Unix seconds.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed`, `expired`, or
            `roster-invalid` for one that no proposal could have.

    """
    item = documents.unseal(message, Stage.ROSTER, aggregator, me.host, MAX_ROSTER_MESSAGE)
    content = cbor_fields.exact_map(item, "roster", "date")
    asked = ProposedRoster(
        tuple(cbor_fields.sequence(content["roster"], _member, at_most=limits.max_members)),
        documents.date(content["date"]),
    )
    documents.check_fresh(asked.date, now, limits, aggregator.host)
    hosts = [member.host for member in asked.roster]
    if hosts != sorted(set(hosts)) or me not in asked.roster or aggregator.host in hosts:
        raise Refusal(
            Code.ROSTER_INVALID,
            "the roster is not sorted, is without this instance, or with the aggregator",
            aggregator.host,
        )
    return asked


@dataclass(frozen=True)
class Accepted:
    """A member's receipt of a document, by its hash, and whom of its roster in it the member rejects.

    `rejects` is sorted. Who is rejected learns it only from being left out.
    """

    hash: bytes
    rejects: tuple[str, ...] = ()

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the member's message to whoever asked."""
        content: dict[str, Item] = {"hash": self.hash, "rejects": list(self.rejects)}
        return documents.seal(identity, Stage.ACCEPT, recipient, content)


def read_accepted(message: Envelope, member: PublicIdentity, me: str) -> Accepted:
    """Return what a member accepted, and whom it rejects.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature` or `malformed`.

    """
    item = documents.unseal(message, Stage.ACCEPT, member, me, MAX_ROSTER_MESSAGE)
    content = cbor_fields.exact_map(item, "hash", "rejects")
    return Accepted(cbor_fields.octets(content["hash"], HASH_SIZE), _hosts(content["rejects"]))


@dataclass(frozen=True)
class Wait:
    """Tells a member why it is left out of a window.

    Attributes:
        until: when the next roster is made, Unix milliseconds.
        rejected_by: members, longer there than it, that do not approve it; sorted.
        rejects: members, longer there than it, that it does not approve; sorted.
        too_many: it does not approve more than a third of the roster.

    """

    until: int
    rejected_by: tuple[str, ...]
    rejects: tuple[str, ...]
    too_many: bool

    @property
    def until_at(self) -> float:
        """When the next roster is made, Unix seconds."""
        return self.until / MILLISECONDS

    @property
    def hash(self) -> bytes:
        """SHA-256 (32 bytes) of its content, which the receipt names."""
        return documents.hash_of(self._content())

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the aggregator's message to the member."""
        return documents.seal(identity, Stage.WAIT, recipient, self._content())

    def _content(self) -> dict[str, Item]:
        return {
            "until": self.until,
            "rejected_by": list(self.rejected_by),
            "rejects": list(self.rejects),
            "too_many": _YES if self.too_many else _NO,
        }


def read_wait(message: Envelope, aggregator: PublicIdentity, me: str) -> Wait:
    """Return why this instance waits.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature` or `malformed`.

    """
    item = documents.unseal(message, Stage.WAIT, aggregator, me, MAX_ROSTER_MESSAGE)
    content = cbor_fields.exact_map(item, "until", "rejected_by", "rejects", "too_many")
    too_many = content["too_many"]
    if too_many not in (_YES, _NO):
        raise cbor_fields.malformed('"too_many" is neither yes nor no')
    return Wait(
        until=documents.date(content["until"]),
        rejected_by=_hosts(content["rejected_by"]),
        rejects=_hosts(content["rejects"]),
        too_many=too_many == _YES,
    )


def _member(item: Item) -> PublicIdentity:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a member is a host and a key")
    return PublicIdentity(cbor_fields.host(item[0]), cbor_fields.octets(item[1], KEY_SIZE))


def _hosts(item: Item) -> tuple[str, ...]:
    hosts = tuple(cbor_fields.sequence(item, cbor_fields.host, at_most=_MOST_NAMED))
    if list(hosts) != sorted(set(hosts)):
        raise cbor_fields.malformed("hosts are not sorted, or one is named twice")
    return hosts
