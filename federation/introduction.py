"""Introduction: an instance tells an approved peer which instances its own admin approved, by host and key.

The list is signed, dated, expires, and is addressed to one recipient, so it cannot be shown around. It proves
that the introducer says so, and nothing else: whose key it is, is for the host's own domain to show, and what
the word of the introducer counts for is the receiver's to decide (`policies.introductions`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from federation import cbor, cbor_fields, envelope
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, ProtocolMisuse, Refusal
from federation.identity import KEY_SIZE, Identity, PublicIdentity
from federation.limits import Limits

MAX_INSTANCES = 100
"""The receiver reads a card for each, and its admin looks at each: a longer list helps nobody."""
MAX_INTRODUCTION = 30_000
"""Bytes of a whole message: 100 instances with the longest hosts are under 28,000."""
LIFETIME = 30 * 86400
"""Seconds for which a list holds. Introducers send it again long before; one that is gone vouches no more."""
_MAX_ACKNOWLEDGEMENT = 1_200
"""Bytes: two hosts and a date."""
_MILLISECONDS = 1_000
_LATEST = 2**53


@dataclass(frozen=True)
class Introduction:
    """What an introducer says to one recipient.

    Attributes:
        date: Unix milliseconds; of two lists of an introducer only the later one counts.
        expires: Unix milliseconds, at most `LIFETIME` after the date.
        instances: whom its admin approved, sorted by host; empty takes back what was said before.
    """

    introducer: str
    date: int
    expires: int
    instances: tuple[PublicIdentity, ...]

    @property
    def said(self) -> float:
        """When it was said, Unix seconds."""
        return self.date / _MILLISECONDS

    @property
    def until(self) -> float:
        """Until when it holds, Unix seconds."""
        return self.expires / _MILLISECONDS


def introduce(
    identity: Identity, recipient: PublicIdentity, instances: Iterable[PublicIdentity], now: float
) -> bytes:
    """Return the signed message to `recipient`; `now` in Unix seconds.

    Raises:
        ProtocolMisuse: too many instances, one of them twice, or the sender or recipient among them.

    """
    listed = tuple(sorted(instances))
    problem = _problem(listed, identity.public, recipient)
    if problem:
        raise ProtocolMisuse(problem)
    date = int(now * _MILLISECONDS)
    payload = cbor.encode(
        {
            "date": date,
            "expires": date + LIFETIME * _MILLISECONDS,
            "instances": [[one.host, one.key] for one in listed],
        }
    )
    return envelope.seal(
        identity, round_id=NO_ROUND, stage=Stage.INTRODUCE, recipient=recipient.host, payload=payload
    )


def read(
    message: Envelope,
    introducer: PublicIdentity,
    me: PublicIdentity,
    now: float,
    limits: Limits,
    *,
    newest: float | None = None,
) -> Introduction:
    """Return what a message says that claims to be an introduction by `introducer` to `me`.

    `newest` is when the newest known list of this introducer was said; it and `now` are Unix seconds.

    Raises:
        Refusal: `oversized`, `malformed`, `not-for-me`, `bad-signature`, `expired` or `replayed`.

    """
    _check_envelope(message, introducer, me, Stage.INTRODUCE, MAX_INTRODUCTION)
    content = cbor_fields.exact_map(cbor.decode(bytes(message.payload)), "date", "expires", "instances")
    found = Introduction(
        introducer=introducer.host,
        date=cbor_fields.integer(content["date"], high=_LATEST),
        expires=cbor_fields.integer(content["expires"], high=_LATEST),
        instances=tuple(cbor_fields.sequence(content["instances"], _instance, at_most=MAX_INSTANCES)),
    )
    _check_dates(found, now, limits)
    problem = _problem(found.instances, introducer, me)
    if problem:
        raise cbor_fields.malformed(problem)
    if newest is not None and found.said <= newest:
        raise Refusal(
            Code.REPLAYED, "this list of instances, or a later one, arrived before", introducer.host
        )
    return found


def acknowledge(identity: Identity, introduction: Introduction) -> bytes:
    """Return the signed answer: the list of this date was taken."""
    return envelope.seal(
        identity,
        round_id=NO_ROUND,
        stage=Stage.INTRODUCED,
        recipient=introduction.introducer,
        payload=cbor.encode({"date": introduction.date}),
    )


def check_acknowledgement(raw: bytes, recipient: PublicIdentity, me: PublicIdentity, sent: bytes) -> None:
    """Check that `recipient` took the list in the message that was `sent`.

    Raises:
        Refusal: `oversized`, `malformed`, `not-for-me`, `bad-signature`, or `wrong-stage` for another list.

    """
    message = envelope.parse(raw, max_size=_MAX_ACKNOWLEDGEMENT)
    _check_envelope(message, recipient, me, Stage.INTRODUCED, _MAX_ACKNOWLEDGEMENT)
    taken = cbor_fields.exact_map(cbor.decode(bytes(message.payload)), "date")
    said = cbor.decode(bytes(envelope.parse(sent, max_size=MAX_INTRODUCTION).payload))
    if not isinstance(said, dict) or taken["date"] != said["date"]:
        raise Refusal(Code.WRONG_STAGE, "another list than the one that was sent was taken", recipient.host)


def _check_envelope(
    message: Envelope, sender: PublicIdentity, me: PublicIdentity, stage: Stage, most: int
) -> None:
    if len(message.raw) > most:
        raise Refusal(Code.OVERSIZED, f"the message {stage.value} has at most {most} bytes")
    if message.stage is not stage or message.round_id != NO_ROUND:
        raise cbor_fields.malformed(f"the message {stage.value} was expected, which belongs to no sum")
    if message.recipient != me.host:
        raise Refusal(Code.NOT_FOR_ME, "the list of instances is addressed to somebody else", message.sender)
    message.verify(sender)


def _check_dates(found: Introduction, now: float, limits: Limits) -> None:
    if not found.date < found.expires <= found.date + LIFETIME * _MILLISECONDS:
        raise cbor_fields.malformed(f"a list of instances holds for at most {LIFETIME // 86400} days")
    if abs(now - found.said) > limits.max_clock_skew or found.until <= now:
        raise Refusal(
            Code.EXPIRED,
            "the list of instances has expired, is too old, or is dated in the future; set the clocks",
            found.introducer,
        )


def _problem(listed: tuple[PublicIdentity, ...], introducer: PublicIdentity, me: PublicIdentity) -> str:
    """Return why instances make no list from an introducer to `me`, empty where they do."""
    if len(listed) > MAX_INSTANCES:
        return f"a list has at most {MAX_INSTANCES} instances"
    hosts = [one.host for one in listed]
    if hosts != sorted(set(hosts)):
        return "the instances are not sorted, or one is named twice"
    if introducer.host in hosts:
        return "the list names its sender"
    if me.host in hosts:
        return "the list names its recipient"
    # Two names with one key are one instance, which would vouch for itself.
    if len({introducer.key, me.key, *(one.key for one in listed)}) != len(listed) + 2:
        return "two instances in the list have one key"
    return ""


def _instance(item: cbor.Item) -> PublicIdentity:
    if not isinstance(item, list) or len(item) != 2:
        raise cbor_fields.malformed("expected a host and its key")
    host, key = item
    return PublicIdentity(cbor_fields.host(host), cbor_fields.octets(key, KEY_SIZE))
