"""Hello: one instance tells another which key it has, and whether its admin approves the other one.

A hello is signed with the key that it names. That proves nothing but possession of the key; whether the key
speaks for the host is for the receiver to know: because it is pinned, or because keys that were pinned before
hand over to it, one after the other (`Rotation`). The answer to a hello is a hello. Between a member of a
group and its host, both also say how things stand there (`federation.group.enrolment`).
"""

from __future__ import annotations

from dataclasses import dataclass

from federation import cbor, cbor_fields, envelope
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, Refusal
from federation.group.enrolment import Admission, Enrolment, read_about_group
from federation.identity import KEY_SIZE, SIGNATURE_SIZE, Identity, PublicIdentity, Purpose
from federation.limits import Limits

MAX_HELLO = 4_000
"""Bytes of a whole message: a host twice, two keys, four handovers and an enrolment are under 2,500."""
MAX_ROTATIONS = 4
"""A peer that missed more of them approves the newest key as it did the first."""
_MAX_VERSION = 32
_MILLISECONDS = 1_000
_LATEST = 2**53
_YES, _NO = "yes", "no"


@dataclass(frozen=True)
class Rotation:
    """The statement, signed with the old key, that the new one takes its place; `date` in Unix milliseconds.

    It cannot be taken back: whoever has the old key can sign one. So a receiver also asks the host's domain.
    """

    host: str
    old: bytes
    new: bytes
    date: int
    signature: bytes

    @classmethod
    def sign(cls, old: Identity, new: PublicIdentity, now: float) -> Rotation:
        """Hand over from `old` to `new`; `now` in Unix seconds."""
        date = int(now * _MILLISECONDS)
        statement = _statement(old.host, old.public.key, new.key, date)
        return cls(old.host, old.public.key, new.key, date, old.sign(statement, Purpose.ROTATION))

    @property
    def valid(self) -> bool:
        """Whether the old key signed it."""
        statement = _statement(self.host, self.old, self.new, self.date)
        return PublicIdentity(self.host, self.old).verify(statement, self.signature, Purpose.ROTATION)


@dataclass(frozen=True)
class Hello:
    """What one instance says to another.

    Attributes:
        approves: whether its admin approved the receiver.
        version: of Shoal, empty where the receiver need not know.
        date: Unix milliseconds; of two hellos of a host only the later one counts.
        yours: the receiver's key as the sender has it pinned, empty where it has none.
        rotations: from keys that the receiver may have pinned to the present one, oldest first.
        group: to the host of a group an enrolment, from it an admission.
    """

    host: str
    key: bytes
    approves: bool
    version: str
    date: int
    yours: bytes = b""
    rotations: tuple[Rotation, ...] = ()
    group: Enrolment | Admission | None = None

    @property
    def said(self) -> float:
        """When it was said, Unix seconds."""
        return self.date / _MILLISECONDS

    def succeeds(self, pinned: bytes) -> bool:
        """Tell whether an unbroken chain of handovers leads from a pinned key to the one of this hello."""
        places = [place for place, rotation in enumerate(self.rotations) if rotation.old == pinned]
        if not places:
            return False
        chain = self.rotations[places[-1] :]
        keys = [*(rotation.old for rotation in chain), self.key]
        follows = all(rotation.new == after for rotation, after in zip(chain, keys[1:], strict=True))
        return follows and all(rotation.valid for rotation in chain)

    def seal(self, identity: Identity, recipient: str) -> bytes:
        """Return the signed message to `recipient`, a host."""
        payload = cbor.encode(
            {
                "host": self.host,
                "key": self.key,
                "approves": _YES if self.approves else _NO,
                "version": self.version,
                "date": self.date,
                "yours": self.yours,
                "rotations": [[r.old, r.new, r.date, r.signature] for r in self.rotations],
                "group": None if self.group is None else self.group.content(),
            }
        )
        return envelope.seal(
            identity, round_id=NO_ROUND, stage=Stage.HELLO, recipient=recipient, payload=payload
        )


def say(
    identity: Identity,
    recipient: str,
    now: float,
    *,
    approves: bool,
    version: str = "",
    yours: bytes = b"",
    rotations: tuple[Rotation, ...] = (),
    group: Enrolment | Admission | None = None,
) -> bytes:
    """Return a signed hello of this instance; `now` in Unix seconds, the rest as in `Hello`."""
    date = int(now * _MILLISECONDS)
    me = identity.public
    chain = rotations[-MAX_ROTATIONS:]
    return Hello(me.host, me.key, approves, version, date, yours, chain, group).seal(identity, recipient)


def read(message: Envelope, me: str, now: float, limits: Limits, *, at_most: int = MAX_HELLO) -> Hello:
    """Return what a message says that claims to be a hello to `me`, now (Unix seconds).

    Its signature is checked against the key in it, and against nothing else. `at_most` is how many bytes it
    may have: more where an admission is expected.

    Raises:
        Refusal: `oversized`, `malformed`, `not-for-me`, `wrong-sender`, `expired` or `bad-signature`; for
            what it says about a group also `keys-invalid` or `roster-invalid`.

    """
    if len(message.raw) > at_most:
        raise Refusal(Code.OVERSIZED, f"a hello has at most {at_most} bytes")
    if message.stage is not Stage.HELLO or message.round_id != NO_ROUND:
        raise cbor_fields.malformed("a hello was expected, which belongs to no sum")
    if message.recipient != me:
        raise Refusal(Code.NOT_FOR_ME, "the hello is addressed to somebody else", message.sender)
    hello = _read(cbor.decode(bytes(message.payload)))
    if hello.host != message.sender:
        raise cbor_fields.malformed("the hello names another host than its sender")
    if hello.host == me:
        raise Refusal(Code.WRONG_SENDER, "the hello claims to come from this instance itself", me)
    message.verify(PublicIdentity(hello.host, hello.key))
    if abs(now - hello.said) > limits.max_clock_skew:
        raise Refusal(
            Code.EXPIRED, "the hello is too old, or dated in the future; set the clocks", hello.host
        )
    if isinstance(hello.group, Enrolment):
        if hello.group.wish == "join" and not hello.approves:
            raise cbor_fields.malformed("whoever joins a group approves its host")
        hello.group.check(PublicIdentity(hello.host, hello.key), hello.date)
    return hello


def _read(item: cbor.Item) -> Hello:
    names = ("host", "key", "approves", "version", "date", "yours", "rotations", "group")
    content = cbor_fields.exact_map(item, *names)
    host = cbor_fields.host(content["host"])
    approves = cbor_fields.text(content["approves"])
    if approves not in (_YES, _NO):
        raise cbor_fields.malformed('"approves" is neither yes nor no')
    yours = cbor_fields.octets(content["yours"], at_most=KEY_SIZE)
    if len(yours) not in (0, KEY_SIZE):
        raise cbor_fields.malformed("it holds something that is no key")
    version = content["version"]
    return Hello(
        host=host,
        key=cbor_fields.octets(content["key"], KEY_SIZE),
        approves=approves == _YES,
        version="" if version == "" else cbor_fields.text(version, _MAX_VERSION),
        date=cbor_fields.integer(content["date"], high=_LATEST),
        yours=yours,
        rotations=tuple(
            cbor_fields.sequence(
                content["rotations"], lambda part: _rotation(host, part), at_most=MAX_ROTATIONS
            )
        ),
        group=read_about_group(content["group"]),
    )


def _rotation(host: str, item: cbor.Item) -> Rotation:
    if not isinstance(item, list) or len(item) != 4:
        raise cbor_fields.malformed("expected a handover of four parts")
    old, new, date, signature = item
    return Rotation(
        host,
        cbor_fields.octets(old, KEY_SIZE),
        cbor_fields.octets(new, KEY_SIZE),
        cbor_fields.integer(date, high=_LATEST),
        cbor_fields.octets(signature, SIGNATURE_SIZE),
    )


def _statement(host: str, old: bytes, new: bytes, date: int) -> bytes:
    return cbor.encode({"host": host, "old": old, "new": new, "date": date})
