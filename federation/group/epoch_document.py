"""An epoch of a group: the signed list, all reveals, who joined late and who has left, and the sub-cohorts.

The document carries everything that the division is computed from, so that each member checks it alone: one
seed from all of them, and arithmetic on it. Nobody is ever moved: a place depends on the seed and the draw
alone, not on who joins or leaves afterwards. (A sub-cohort that has become too small is merged into another
for as long as it is.) Late joiners go where their hash says, not where the fewest are: the host decides who
joins and in which order, and could otherwise put anybody where it likes. Where that sub-cohort is full they
wait for the next epoch. Within an epoch only the document's serial grows: who joins is appended, who leaves
is marked, and does not come back. Who waits, since two members do not approve each other, is left out of the
sub-cohorts as long as it does, and keeps its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from federation import cbor_fields, envelope
from federation.cbor import Item
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.documents import EVERYBODY, MAX_MEMBERS, MAX_ROSTER
from federation.group.epoch_opening import MAX_LIST, MAX_SMALL, MembershipList, read_list, read_reveal
from federation.identity import KEY_SIZE, Identity, PublicIdentity
from federation.keys import commitment
from federation.proposal import least_threshold

MAX_EPOCH = 1_800_000
"""Bytes of a whole message: a list, and a reveal from each of a thousand members. Usually under 500 each."""


@dataclass(frozen=True)
class EpochDocument:
    """What the host signs when an epoch begins (serial 1), and again whenever somebody joins or leaves.

    Attributes:
        host: of the group, with its key.
        list_raw: the signed list, as it came.
        reveals: the signed reveals, as they came, by host. A listed member that did not reveal is in no
            sub-cohort, and can be appended to `late`.
        late: members that joined since, in this order.
        gone: members that left since, sorted.
        waiting: members that are in no sub-cohort for now, sorted; see `policies.junior_waits`.

    """

    host: PublicIdentity
    list_raw: bytes
    reveals: Mapping[str, bytes]
    late: tuple[PublicIdentity, ...] = ()
    gone: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
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
        """All members that ever were in a sub-cohort, by host."""
        drawn = {entry.host: entry.identity for entry in self.listed.members if entry.host in self.reveals}
        return drawn | {identity.host: identity for identity in self.late}

    @property
    def dropped(self) -> tuple[str, ...]:
        """Members that are listed without a reveal: they were away, or the host left their reveal out."""
        return tuple(entry.host for entry in self.listed.members if entry.host not in self.reveals)

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 (32 bytes) of its content; two members with the same one were told the same."""
        return documents.hash_of(self._content())

    @cached_property
    def seed(self) -> bytes:
        """What the division is drawn from (32 bytes); nobody chose it."""
        return partition_seed(self.listed.hash, self.nonces)

    @cached_property
    def rosters(self) -> tuple[tuple[PublicIdentity, ...], ...]:
        """The sub-cohorts, each sorted: who is summed together."""
        return self.rosters_without(self.waiting)

    def rosters_without(self, waiting: Iterable[str]) -> tuple[tuple[PublicIdentity, ...], ...]:
        """Return the sub-cohorts, each sorted, as they are when exactly these members wait."""
        hosts = sub_cohorts_of(self._places, {*self.gone, *waiting}, self.listed.least)
        return tuple(tuple(self.members[host] for host in sub_cohort) for sub_cohort in hosts)

    def roster_of(self, host: str) -> tuple[PublicIdentity, ...] | None:
        """Return the sub-cohort that a host is in, None if it is in none."""
        return next((roster for roster in self.rosters if any(m.host == host for m in roster)), None)

    def judged_by(self, host: str) -> tuple[PublicIdentity, ...]:
        """Return whom a member says of whether it approves them: its sub-cohort, sorted.

        With those that wait, so that they are asked about again; where it is merged with another one, all of
        both. Empty for a host that is in none.
        """
        whole = [{one.host for one in roster} for roster in self.rosters_without(())]
        own = next((hosts for hosts in whole if host in hosts), set())
        merged = own.union(*(hosts for roster in self.rosters if own & (hosts := {m.host for m in roster})))
        near = own.union(*(hosts for hosts in whole if hosts & merged))
        return tuple(sorted(self.members[host] for host in near))

    @cached_property
    def _places(self) -> dict[str, int]:
        late = [identity.host for identity in self.late]
        return draw_places(self.seed, self.reveals, self.listed.sub_cohorts, late)

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
            raise Refusal(Code.ROSTER_INVALID, "the members that left are not a sorted subset of all members")
        if list(self.waiting) != sorted(set(self.waiting)) or not set(self.waiting) <= (
            self.members.keys() - set(self.gone)
        ):
            raise Refusal(Code.ROSTER_INVALID, "those who wait are not a sorted subset of the members")
        if self.serial == 1 and (self.late or self.gone or self.waiting):
            raise Refusal(Code.ROSTER_INVALID, "an epoch begins with nobody late, gone or waiting")

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
            "waiting": list(self.waiting),
            "serial": self.serial,
        }


def read_epoch(message: Envelope, host: PublicIdentity) -> EpochDocument:
    """Return the document that the host signed for all, everything inside verified.

    Raises:
        Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed`, `wrong-sender`,
            `key-mismatch` or `roster-invalid`.

    """
    item = documents.unseal(message, Stage.EPOCH, host, EVERYBODY, MAX_EPOCH)
    names = ("group", "number", "list", "reveals", "late", "gone", "waiting", "serial")
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
        waiting=tuple(cbor_fields.sequence(content["waiting"], cbor_fields.host, at_most=MAX_MEMBERS)),
        serial=cbor_fields.integer(content["serial"], low=1),
    )
    document.check()
    if (content["group"], content["number"]) != (document.listed.group, document.number):
        raise cbor_fields.malformed("the epoch does not match its list")
    return document


def _late(item: Item) -> PublicIdentity:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("a late member is a host and a key")
    return PublicIdentity(cbor_fields.host(item[0]), cbor_fields.octets(item[1], KEY_SIZE))


def partition_seed(list_hash: bytes, nonces: Mapping[str, bytes]) -> bytes:
    """Return the seed of a partition (32 bytes) from the list's hash and the revealed nonces, by host."""
    return commitment("epoch seed", list_hash, *(nonces[host] for host in sorted(nonces)))


def draw_places(seed: bytes, drawn: Iterable[str], count: int, late: Iterable[str] = ()) -> dict[str, int]:
    """Return each host's sub-cohort, 0 to `count` - 1: `drawn` by the order of their hashes, `late` by hash.

    Sorting by a hash with the seed is a shuffle that any language can repeat. Late ones beyond `MAX_ROSTER`
    in their sub-cohort have no place; who leaves frees none, so that a place does not depend on who left.
    """
    dealt = sorted(drawn, key=lambda host: _place(seed, host))
    placed = {host: place % count for place, host in enumerate(dealt)}
    sizes = Counter(placed.values())
    for host in late:
        place = int.from_bytes(_place(seed, host), "big") % count
        if sizes[place] < MAX_ROSTER:
            placed[host] = place
            sizes[place] += 1
    return placed


def sub_cohorts_of(placed: Mapping[str, int], gone: Iterable[str], least: int) -> tuple[tuple[str, ...], ...]:
    """Return who is summed together: the sub-cohorts without `gone`, each sorted and of at least `least`.

    A smaller one is merged into the smallest other one, ties by name, until one is left. Where that would
    have more than `MAX_ROSTER` members, the smaller one is not summed.
    """
    drawn: dict[int, list[str]] = {}
    for host in sorted(placed.keys() - set(gone)):
        drawn.setdefault(placed[host], []).append(host)
    sub_cohorts = sorted(drawn.values(), key=_by_size)
    while len(sub_cohorts) > 1 and len(sub_cohorts[0]) < least:
        small, other, *rest = sub_cohorts
        merged = sorted(small + other) if len(small) + len(other) <= MAX_ROSTER else other
        sub_cohorts = sorted((merged, *rest), key=_by_size)
    return tuple(sorted(tuple(sub_cohort) for sub_cohort in sub_cohorts))


def _place(seed: bytes, host: str) -> bytes:
    return commitment("epoch place", seed, host.encode("ascii"))


def _by_size(sub_cohort: list[str]) -> tuple[int, list[str]]:
    return len(sub_cohort), sub_cohort
