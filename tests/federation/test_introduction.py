"""A list of instances counts once, for one recipient, while it is fresh; every bad one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from federation import cbor, envelope, introduction
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, ProtocolMisuse, Refusal
from federation.identity import Identity, PublicIdentity
from federation.introduction import LIFETIME, MAX_INSTANCES, MAX_INTRODUCTION, Introduction
from federation.limits import Limits

NOW = 1_800_000_000.0
ANNA, BOB = Identity("anna.example", b"a" * 32), Identity("bob.example", b"b" * 32)


def instance(number: int) -> PublicIdentity:
    return PublicIdentity(f"i{number:03}.example", number.to_bytes(32, "big"))


OTHERS = tuple(instance(number) for number in range(1, 4))


def said(**changes: Any) -> Envelope:
    """Return a message that Anna signed, whatever is in it; `how` goes to the envelope."""
    how = {"round_id": NO_ROUND, "stage": Stage.INTRODUCE, "recipient": BOB.host} | changes.pop("how", {})
    by, date = changes.pop("by", ANNA), changes.get("date", int(NOW * 1000))
    content = {
        "date": date,
        "expires": (date if isinstance(date, int) else 0) + LIFETIME * 1000,
        "instances": [[one.host, one.key] for one in OTHERS],
        **changes,
    }
    raw = envelope.seal(by, payload=cbor.encode(content), **how)
    return envelope.parse(raw, max_size=100_000)


def read(message: Envelope, now: float = NOW, **more: Any) -> Introduction:
    return introduction.read(message, ANNA.public, BOB.public, now, Limits(), **more)


def refused(message: Envelope, now: float = NOW, **more: Any) -> Code:
    with pytest.raises(Refusal) as caught:
        read(message, now, **more)
    assert caught.value.sentence
    return caught.value.code


def test_a_list_arrives_as_it_was_said() -> None:
    raw = introduction.introduce(ANNA, BOB.public, reversed(OTHERS), NOW)
    message = envelope.parse(raw, max_size=MAX_INTRODUCTION)
    found = read(message, NOW + 100)
    assert (found.introducer, found.instances) == (ANNA.host, OTHERS)
    assert (found.said, found.until) == (NOW, NOW + LIFETIME)
    answer = introduction.acknowledge(BOB, found)
    introduction.check_acknowledgement(answer, BOB.public, ANNA.public, raw)
    # Nobody takes what was said before, and an empty list takes it back.
    assert (
        read(envelope.parse(introduction.introduce(ANNA, BOB.public, [], NOW), max_size=9_999)).instances
        == ()
    )


def test_a_list_of_the_longest_hosts_fits() -> None:
    long = [PublicIdentity(f"{n:03}." + "x" * 226, instance(n).key) for n in range(1, MAX_INSTANCES + 1)]
    raw = introduction.introduce(
        Identity("a" * 230, b"a" * 32), PublicIdentity("b" * 230, bytes(32)), long, NOW
    )
    assert len(raw) <= MAX_INTRODUCTION


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"how": {"recipient": "carol.example"}}, Code.NOT_FOR_ME),
        ({"how": {"recipient": ""}}, Code.NOT_FOR_ME),
        ({"how": {"stage": Stage.HELLO}}, Code.MALFORMED),
        ({"how": {"round_id": b"s" * 32}}, Code.MALFORMED),
        ({"date": int(NOW - 301) * 1000}, Code.EXPIRED),
        ({"date": int(NOW + 301) * 1000}, Code.EXPIRED),
        ({"date": int(NOW - 200) * 1000, "expires": int(NOW - 100) * 1000}, Code.EXPIRED),
        ({"expires": int(NOW) * 1000}, Code.MALFORMED),
        ({"expires": (int(NOW) + LIFETIME + 1) * 1000}, Code.MALFORMED),
        ({"expires": -1}, Code.MALFORMED),
        ({"date": "today"}, Code.MALFORMED),
        ({"more": 1}, Code.MALFORMED),
        ({"instances": {}}, Code.MALFORMED),
        ({"instances": [[1, 2]]}, Code.MALFORMED),
        ({"instances": [["a.example", b"short"]]}, Code.MALFORMED),
        ({"instances": [["A.example", bytes(32)]]}, Code.MALFORMED),
        ({"instances": [["a.example", bytes(32), b""]]}, Code.MALFORMED),
        ({"instances": [["b.example", b"1" * 32], ["a.example", b"2" * 32]]}, Code.MALFORMED),
        ({"instances": [["a.example", b"1" * 32], ["a.example", b"2" * 32]]}, Code.MALFORMED),
        ({"instances": [["a.example", b"1" * 32], ["b.example", b"1" * 32]]}, Code.MALFORMED),
        ({"instances": [[ANNA.host, b"1" * 32]]}, Code.MALFORMED),
        ({"instances": [[BOB.host, b"1" * 32]]}, Code.MALFORMED),
        ({"instances": [["a.example", ANNA.public.key]]}, Code.MALFORMED),
        ({"instances": [["a.example", BOB.public.key]]}, Code.MALFORMED),
        ({"instances": [[instance(n).host, instance(n).key] for n in range(1, 102)]}, Code.MALFORMED),
        ({"instances": [["a" * 230, bytes(32)]] * 120}, Code.OVERSIZED),
    ],
    ids=str,
)
def test_bad_lists_are_refused_by_name(changes: dict[str, Any], code: Code) -> None:
    assert refused(said(**changes)) is code


def test_only_the_pinned_key_of_its_sender_speaks_for_it() -> None:
    assert refused(said(by=Identity(ANNA.host, b"x" * 32))) is Code.BAD_SIGNATURE
    assert refused(said(by=BOB)) is Code.BAD_SIGNATURE


def test_a_list_counts_once_and_an_older_one_never_again() -> None:
    first, second = said(), said(date=int(NOW + 10) * 1000)
    assert read(second, newest=read(first).said).said == NOW + 10
    assert refused(first, newest=NOW) is Code.REPLAYED
    assert refused(first, newest=NOW + 10) is Code.REPLAYED


def test_nobody_signs_a_list_that_would_be_refused() -> None:
    many = [instance(number) for number in range(1, 102)]
    for listed in (many, [OTHERS[0]] * 2, [ANNA.public], [BOB.public]):
        with pytest.raises(ProtocolMisuse):
            introduction.introduce(ANNA, BOB.public, listed, NOW)


@pytest.mark.parametrize(
    ("by", "to", "at", "code"),
    [
        (Identity(BOB.host, b"x" * 32), ANNA.host, NOW, Code.BAD_SIGNATURE),
        (BOB, "carol.example", NOW, Code.NOT_FOR_ME),
        (BOB, ANNA.host, NOW + 1, Code.WRONG_STAGE),
    ],
)
def test_an_answer_to_another_list_is_none(by: Identity, to: str, at: float, code: Code) -> None:
    sent = introduction.introduce(ANNA, BOB.public, OTHERS, NOW)
    answer = introduction.acknowledge(by, Introduction(to, int(at * 1000), 0, ()))
    with pytest.raises(Refusal) as caught:
        introduction.check_acknowledgement(answer, BOB.public, ANNA.public, sent)
    assert caught.value.code is code
