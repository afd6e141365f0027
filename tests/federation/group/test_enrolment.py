"""A hello binds both keys of who joins a group, fresh, to one host; back it says how things stand there."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import cbor, hello
from federation.errors import Code, Refusal
from federation.group.enrolment import MAX_ADMISSION, Admission, Enrolment, GroupMember, Wish
from federation.group.node_key import new_node_key, public_node_key
from federation.hello import MAX_HELLO, MAX_ROTATIONS, Hello, Rotation
from federation.identity import Identity
from tests.federation.group.table import ALICE, GROUP, HOST, LIMITS, NOW, altered, parsed, person

PEM = new_node_key()
ADMISSION = Admission(
    group=GROUP,
    state="member",
    proxy="host.example:9743",
    ca="-----BEGIN CERTIFICATE-----\n",
    next=1_800_003_600_000,
    poll_ms=250,
    run=b"b" * 32,
    members=tuple(GroupMember(p.host, p.public.key, f"https://{p.host}") for p in map(person, range(3))),
)


def enrolled(wish: Wish = "join", pem: bytes = PEM, *, approves: bool = True, gives: bool = True) -> bytes:
    said = Enrolment.of(ALICE.public, pem, GROUP, wish, NOW, gives=gives)
    return hello.say(ALICE, HOST.host, NOW, approves=approves, group=said)


SAID = enrolled()


def within(raw: bytes, changes: dict[str, cbor.Item], without: str = "", by: Identity = ALICE) -> bytes:
    """Return the hello with another part about the group, validly signed."""
    content = cbor.decode(bytes(parsed(raw).payload))
    assert isinstance(content, dict)
    about = content["group"]
    assert isinstance(about, dict)
    return altered(raw, {"group": {n: i for n, i in (about | changes).items() if n != without}}, by=by)


def read(raw: bytes, me: str = HOST.host, now: float = NOW) -> Hello:
    return hello.read(parsed(raw), me, now, LIMITS)


def code_of(raw: bytes, me: str = HOST.host, now: float = NOW) -> Code | None:
    try:
        read(raw, me, now)
    except Refusal as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("wish", ["join", "leave", "status"])
@pytest.mark.parametrize("gives", [True, False])
def test_what_is_said_is_read(wish: Wish, *, gives: bool) -> None:
    said = read(enrolled(wish, gives=gives)).group
    assert isinstance(said, Enrolment)
    assert (said.group, said.wish, said.gives) == (GROUP, wish, gives)
    assert said.node_key == public_node_key(PEM)


def test_only_a_look_needs_no_node_key_and_only_who_approves_the_host_joins() -> None:
    look = read(enrolled("status", b"", approves=False)).group
    assert isinstance(look, Enrolment)
    assert look.node_key == b""
    assert code_of(enrolled("join", b"")) is Code.MALFORMED
    assert code_of(enrolled("leave", b"")) is Code.MALFORMED
    assert code_of(enrolled("join", approves=False)) is Code.MALFORMED
    assert code_of(enrolled("leave", approves=False)) is None


def test_the_longest_hello_fits() -> None:
    long, later = Identity("x" * 230, b"x" * 32), Identity("x" * 230, b"y" * 32)
    chain = (Rotation.sign(long, later.public, NOW),) * MAX_ROTATIONS
    said = Enrolment.of(later.public, PEM, "ü" * 64, "status", NOW)
    raw = hello.say(
        later,
        "y" * 230,
        NOW,
        approves=True,
        version="v" * 32,
        yours=bytes(32),
        rotations=chain,
        group=said,
    )
    assert len(raw) <= MAX_HELLO
    assert read(raw, "y" * 230).group == said


def test_to_somebody_else_too_late_too_early_too_long() -> None:
    assert code_of(SAID, me="other.example") is Code.NOT_FOR_ME
    assert code_of(SAID, now=NOW + 301) is Code.EXPIRED
    assert code_of(SAID, now=NOW - 301) is Code.EXPIRED
    assert code_of(SAID, now=NOW + 299) is None
    assert code_of(within(SAID, {"group": "x" * MAX_HELLO})) is Code.OVERSIZED


@pytest.mark.parametrize("name", [one.name for one in fields(Enrolment)])
def test_no_field_may_be_missing(name: str) -> None:
    assert code_of(within(SAID, {}, without=name)) is Code.MALFORMED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"wish": "rule"}, Code.MALFORMED),
        ({"wish": None}, Code.MALFORMED),
        ({"gives": "maybe"}, Code.MALFORMED),
        ({"extra": 1}, Code.MALFORMED),
        ({"node_key": b""}, Code.MALFORMED),
        ({"node_key": b"key"}, Code.KEYS_INVALID),
        ({"node_signature": b""}, Code.BAD_SIGNATURE),
        ({"group": "another"}, Code.BAD_SIGNATURE),
    ],
)
def test_the_node_key_signed_exactly_this(changes: dict[str, cbor.Item], code: Code) -> None:
    assert code_of(within(SAID, changes)) is code


@pytest.mark.parametrize("changes", [{"date": int(NOW * 1000) + 1}, {"key": person(1).public.key}])
def test_the_node_key_signed_it_for_this_hello(changes: dict[str, cbor.Item]) -> None:
    by = Identity(ALICE.host, person(1).seed) if "key" in changes else ALICE
    assert code_of(altered(SAID, changes, by=by)) is Code.BAD_SIGNATURE


@given(place=st.integers(0, len(SAID) - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_is_taken(place: int, bit: int) -> None:
    changed = bytearray(SAID)
    changed[place] ^= 1 << bit
    assert code_of(bytes(changed)) is not None


def told(admission: Admission) -> bytes:
    return hello.say(HOST, ALICE.host, NOW, approves=True, group=admission)


def admitted(raw: bytes) -> Admission:
    answer = hello.read(parsed(raw), ALICE.host, NOW, LIMITS, at_most=MAX_ADMISSION).group
    assert isinstance(answer, Admission)
    return answer


def test_an_admission_is_read_as_it_was_told() -> None:
    assert admitted(told(ADMISSION)) == ADMISSION
    stranger = replace(ADMISSION, state="asked", proxy="", ca="", next=0, run=b"", members=())
    assert admitted(told(stranger)) == stranger
    assert (ADMISSION.next_at, stranger.next_at) == (1_800_003_600.0, 0)


def test_a_thousand_members_fit_and_one_more_does_not() -> None:
    rows = tuple(
        GroupMember(f"{n:04}".ljust(230, "x"), n.to_bytes(32, "big"), "https://".ljust(250, "y"))
        for n in range(1001)
    )
    full = replace(ADMISSION, members=rows[:1000], ca="c" * 16_000)
    raw = told(full)
    assert len(raw) <= MAX_ADMISSION
    assert admitted(raw) == full
    # Only where an admission was asked for.
    assert code_of(raw, me=ALICE.host) is Code.OVERSIZED
    small = tuple(replace(row, url="u", host=row.host[:4]) for row in rows)
    with pytest.raises(Refusal) as refused:
        admitted(told(replace(ADMISSION, members=small)))
    assert refused.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "king"}, Code.MALFORMED),
        ({"fence": "no host"}, Code.MALFORMED),
        ({"ca": "c" * 16_001}, Code.MALFORMED),
        ({"ca": "ü"}, Code.MALFORMED),
        ({"poll_ms": 0}, Code.MALFORMED),
        ({"next": -1}, Code.MALFORMED),
        ({"run": b"short"}, Code.MALFORMED),
        ({"extra": 1}, Code.MALFORMED),
        ({"members": [["a.example", b"k" * 32]]}, Code.MALFORMED),
        ({"members": [["a.example", b"k" * 31, "u"]]}, Code.MALFORMED),
        ({"members": [["b.example", b"k" * 32, "u"], ["a.example", b"l" * 32, "u"]]}, Code.ROSTER_INVALID),
        ({"members": [["a.example", b"k" * 32, "u"], ["b.example", b"k" * 32, "u"]]}, Code.ROSTER_INVALID),
        ({"members": [["a.example", b"k" * 32, "u"], ["a.example", b"l" * 32, "u"]]}, Code.ROSTER_INVALID),
    ],
)
def test_an_admission_has_exactly_these_fields(changes: dict[str, cbor.Item], code: Code) -> None:
    with pytest.raises(Refusal) as refused:
        admitted(within(told(ADMISSION), changes, by=HOST))
    assert refused.value.code is code


@pytest.mark.parametrize("about", [[], "member", 1, {}])
def test_about_a_group_a_hello_says_one_of_these_or_nothing(about: cbor.Item) -> None:
    assert code_of(altered(SAID, {"group": about})) is Code.MALFORMED
    assert read(altered(SAID, {"group": None})).group is None
