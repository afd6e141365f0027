"""An enrolment binds both keys of its sender, fresh, to one host; an admission is what the host answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import cbor, envelope
from federation.envelope import NO_SUM, Stage
from federation.errors import Code, Refusal
from federation.group.enrolment import (
    MAX_ADMISSION,
    MAX_ENROLMENT,
    Admission,
    Enrolment,
    GroupMember,
    Wish,
    read_admission,
)
from federation.group.node_key import new_node_key, public_node_key
from federation.identity import Identity
from tests.federation.group.table import ALICE, GROUP, HOST, LIMITS, NOW, altered, parsed, person

PEM = new_node_key()
SAID = Enrolment.say(ALICE, PEM, GROUP, HOST.host, NOW, "join")
ADMISSION = Admission(
    group=GROUP,
    host=ALICE.host,
    state="member",
    proxy="host.example:9743",
    ca="-----BEGIN CERTIFICATE-----\n",
    next=1_800_003_600_000,
    poll_ms=250,
    batch=b"b" * 32,
    members=tuple(GroupMember(p.host, p.public.key, f"https://{p.host}") for p in map(person, range(3))),
    date=int(NOW * 1000),
)


def read(raw: bytes, me: str = HOST.host, now: float = NOW) -> Enrolment:
    return Enrolment.read(parsed(raw), me, now, LIMITS)


def code_of(raw: bytes, me: str = HOST.host, now: float = NOW) -> Code | None:
    try:
        read(raw, me, now)
    except Refusal as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("wish", ["join", "leave", "status"])
@pytest.mark.parametrize("epoch", [b"", b"e" * 32])
def test_what_is_said_is_read(wish: Wish, epoch: bytes) -> None:
    said = read(Enrolment.say(ALICE, PEM, GROUP, HOST.host, NOW, wish, epoch))
    assert (said.group, said.identity, said.wish, said.epoch) == (GROUP, ALICE.public, wish, epoch)
    assert (said.node_key, said.said) == (public_node_key(PEM), NOW)


def test_the_longest_enrolment_fits() -> None:
    long = Identity("x" * 230, b"x" * 32)
    raw = Enrolment.say(long, PEM, "ü" * 64, "y" * 230, NOW, "status", b"e" * 32)
    assert len(raw) <= MAX_ENROLMENT
    assert read(raw, "y" * 230).host == long.host


def test_to_somebody_else_too_late_too_early_too_long() -> None:
    assert code_of(SAID, me="other.example") is Code.NOT_FOR_ME
    assert code_of(SAID, now=NOW + 301) is Code.EXPIRED
    assert code_of(SAID, now=NOW - 301) is Code.EXPIRED
    assert code_of(SAID, now=NOW + 299) is None
    assert code_of(altered(SAID, {"group": "x" * MAX_ENROLMENT})) is Code.OVERSIZED


@pytest.mark.parametrize("name", sorted(Enrolment.__dataclass_fields__))
def test_no_field_may_be_missing(name: str) -> None:
    assert code_of(altered(SAID, {}, without=name)) is Code.MALFORMED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"wish": "rule"}, Code.MALFORMED),
        ({"wish": None}, Code.MALFORMED),
        ({"epoch": b"short"}, Code.MALFORMED),
        ({"host": "bob.example"}, Code.MALFORMED),
        ({"extra": 1}, Code.MALFORMED),
        ({"node_key": b""}, Code.KEYS_INVALID),
        ({"group": "another"}, Code.BAD_SIGNATURE),
        ({"date": int(NOW * 1000) + 1}, Code.BAD_SIGNATURE),
        ({"key": person(1).public.key}, Code.BAD_SIGNATURE),
    ],
)
def test_the_node_key_signed_exactly_this(changes: dict[str, cbor.Item], code: Code) -> None:
    assert code_of(altered(SAID, changes)) is code


@given(place=st.integers(0, len(SAID) - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_is_taken(place: int, bit: int) -> None:
    changed = bytearray(SAID)
    changed[place] ^= 1 << bit
    assert code_of(bytes(changed)) is not None


def admitted(admission: Admission, by: Identity = HOST, me: str = ALICE.host, now: float = NOW) -> Admission:
    return read_admission(parsed(admission.seal(by, ALICE.host)), HOST.public, me, now, LIMITS)


def refusal_of(admission: Admission, by: Identity = HOST, me: str = ALICE.host, now: float = NOW) -> Code:
    with pytest.raises(Refusal) as refused:
        admitted(admission, by, me, now)
    return refused.value.code


def test_an_admission_is_read_as_it_was_sealed() -> None:
    assert admitted(ADMISSION) == ADMISSION
    stranger = replace(ADMISSION, state="asked", proxy="", ca="", next=0, members=())
    assert admitted(stranger) == stranger
    assert (admitted(ADMISSION).next_at, admitted(stranger).next_at) == (1_800_003_600.0, 0)


def test_a_thousand_members_fit_and_one_more_does_not() -> None:
    rows = tuple(
        GroupMember(f"{n:04}".ljust(230, "x"), n.to_bytes(32, "big"), "https://".ljust(250, "y"))
        for n in range(1001)
    )
    full = replace(ADMISSION, members=rows[:1000], ca="c" * 16_000)
    assert len(full.seal(HOST, ALICE.host)) <= MAX_ADMISSION
    assert admitted(full) == full
    small = tuple(replace(row, url="u", host=row.host[:4]) for row in rows)
    assert refusal_of(replace(ADMISSION, members=small)) is Code.MALFORMED


def test_an_admission_by_another_or_of_another_or_old_is_refused() -> None:
    assert refusal_of(ADMISSION, by=Identity(HOST.host, b"f" * 32)) is Code.BAD_SIGNATURE
    assert refusal_of(ADMISSION, me="bob.example") is Code.NOT_FOR_ME
    assert refusal_of(replace(ADMISSION, host="bob.example")) is Code.NOT_FOR_ME
    assert refusal_of(ADMISSION, now=NOW + 301) is Code.EXPIRED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "king"}, Code.MALFORMED),
        ({"fence": "no host"}, Code.MALFORMED),
        ({"ca": "c" * 16_001}, Code.MALFORMED),
        ({"ca": "ü"}, Code.MALFORMED),
        ({"poll_ms": 0}, Code.MALFORMED),
        ({"next": -1}, Code.MALFORMED),
        ({"members": [["a.example", b"k" * 32]]}, Code.MALFORMED),
        ({"members": [["a.example", b"k" * 31, "u"]]}, Code.MALFORMED),
        ({"members": [["b.example", b"k" * 32, "u"], ["a.example", b"l" * 32, "u"]]}, Code.ROSTER_INVALID),
        ({"members": [["a.example", b"k" * 32, "u"], ["b.example", b"k" * 32, "u"]]}, Code.ROSTER_INVALID),
        ({"members": [["a.example", b"k" * 32, "u"], ["a.example", b"l" * 32, "u"]]}, Code.ROSTER_INVALID),
    ],
)
def test_an_admission_has_exactly_these_fields(changes: dict[str, cbor.Item], code: Code) -> None:
    raw = altered(ADMISSION.seal(HOST, ALICE.host), changes, by=HOST)
    with pytest.raises(Refusal) as refused:
        read_admission(parsed(raw), HOST.public, ALICE.host, NOW, LIMITS)
    assert refused.value.code is code


def test_an_enrolment_is_no_admission_and_none_is_a_hello() -> None:
    with pytest.raises(Refusal) as refused:
        read_admission(parsed(SAID), ALICE.public, HOST.host, NOW, LIMITS)
    assert refused.value.code is Code.WRONG_STAGE
    hello = envelope.seal(ALICE, sum_id=NO_SUM, stage=Stage.HELLO, recipient=HOST.host, payload=b"")
    assert code_of(hello) is Code.WRONG_STAGE
    in_a_sum = envelope.seal(
        ALICE, sum_id=b"s" * 32, stage=Stage.ENROL, recipient=HOST.host, payload=parsed(SAID).payload
    )
    assert code_of(in_a_sum) is Code.WRONG_STAGE
