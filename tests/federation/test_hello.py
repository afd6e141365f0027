"""A hello says what its sender signed, to whom it was meant, once; and keys hand over to one another."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import cbor, envelope
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, Refusal
from federation.hello import MAX_HELLO, MAX_ROTATIONS, Hello, Rotation, read, say
from federation.identity import Identity, Purpose
from federation.limits import Limits

LIMITS = Limits()
NOW = 1_800_000_000.25
ALICE, BOB = Identity("alice.example", b"a" * 32), Identity("bob.example", b"b" * 32)


def key(number: int, host: str = "alice.example") -> Identity:
    return Identity(host, bytes([number]) * 32)


def chain(*numbers: int) -> tuple[Rotation, ...]:
    keys = [key(number) for number in numbers]
    return tuple(Rotation.sign(old, new.public, NOW) for old, new in pairwise(keys))


def parsed(raw: bytes) -> Envelope:
    return envelope.parse(raw, max_size=LIMITS.max_request)


def code_of(raw: bytes, me: str = BOB.host, now: float = NOW) -> Code | None:
    try:
        read(parsed(raw), me, now, LIMITS)
    except Refusal as refusal:
        return refusal.code
    return None


def with_payload(changes: dict[str, cbor.Item], without: str = "") -> bytes:
    """Return a validly signed hello with another payload."""
    sender = ALICE
    content: dict[str, cbor.Item] = {
        "host": sender.host,
        "key": sender.public.key,
        "approves": "yes",
        "version": "1",
        "date": int(NOW * 1000),
        "yours": b"",
        "rotations": [],
        "group": None,
    }
    content.update(changes)
    content.pop(without, None)
    payload = cbor.encode(content)
    return envelope.seal(sender, round_id=NO_ROUND, stage=Stage.HELLO, recipient=BOB.host, payload=payload)


@given(st.booleans(), st.sampled_from(["", "0.1.0"]), st.sampled_from([b"", b"k" * 32]), st.integers(0, 4))
def test_it_is_read_as_it_was_said(approves: bool, version: str, yours: bytes, links: int) -> None:
    rotations = chain(*range(1, links + 1), 0x61)
    raw = say(ALICE, BOB.host, NOW, approves=approves, version=version, yours=yours, rotations=rotations)
    hello = read(parsed(raw), BOB.host, NOW, LIMITS)
    assert hello == Hello(ALICE.host, ALICE.public.key, approves, version, int(NOW * 1000), yours, rotations)
    assert hello.said == NOW


def test_the_largest_one_is_under_the_limit() -> None:
    me = Identity("a" * 230, b"a" * 32)
    rotations = tuple(Rotation.sign(me, BOB.public, NOW) for _ in range(9))
    raw = say(me, "b" * 230, NOW, approves=True, version="v" * 32, yours=bytes(32), rotations=rotations)
    assert len(read(parsed(raw), "b" * 230, NOW, LIMITS).rotations) == MAX_ROTATIONS
    assert len(raw) < MAX_HELLO / 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"approves": "maybe"}, Code.MALFORMED),
        ({"approves": True}, Code.MALFORMED),
        ({"version": "v" * 33}, Code.MALFORMED),
        ({"version": "a\x1b[2J"}, Code.MALFORMED),
        ({"yours": b"short"}, Code.MALFORMED),
        ({"key": b"short"}, Code.MALFORMED),
        ({"key": BOB.public.key}, Code.BAD_SIGNATURE),
        ({"host": "mallory.example"}, Code.MALFORMED),
        ({"host": "Alice.example"}, Code.MALFORMED),
        ({"date": -1}, Code.MALFORMED),
        ({"date": 2**62}, Code.MALFORMED),
        ({"rotations": [[b"", b"", 0, b""]]}, Code.MALFORMED),
        ({"rotations": [[bytes(32)] * 4]}, Code.MALFORMED),
        ({"rotations": [[bytes(32), bytes(32), 0, bytes(64)]] * 5}, Code.MALFORMED),
        ({"more": 1}, Code.MALFORMED),
    ],
    ids=str,
)
def test_other_content_is_refused(changes: dict[str, cbor.Item], code: Code) -> None:
    assert code_of(with_payload({})) is None
    assert code_of(with_payload(changes)) is code


@pytest.mark.parametrize("name", ["host", "key", "approves", "version", "date", "yours", "rotations"])
def test_every_field_is_there(name: str) -> None:
    assert code_of(with_payload({}, without=name)) is Code.MALFORMED


@pytest.mark.parametrize("seconds", [LIMITS.max_clock_skew + 1, -LIMITS.max_clock_skew - 1])
def test_it_counts_only_around_its_date(seconds: float) -> None:
    raw = say(ALICE, BOB.host, NOW, approves=True)
    assert code_of(raw, now=NOW + seconds) is Code.EXPIRED
    assert code_of(raw, now=NOW + seconds * 0.9) is None


def test_it_is_for_one_receiver() -> None:
    raw = say(ALICE, BOB.host, NOW, approves=True)
    assert code_of(raw, me="carol.example") is Code.NOT_FOR_ME
    to_all = say(ALICE, "", NOW, approves=True)
    assert code_of(to_all) is Code.NOT_FOR_ME


def test_another_stage_and_a_hello_of_a_sum_are_none() -> None:
    payload = bytes(parsed(say(ALICE, BOB.host, NOW, approves=True)).payload)
    for round_id, stage in ((NO_ROUND, Stage.PROPOSE), (b"s" * 32, Stage.HELLO)):
        raw = envelope.seal(ALICE, round_id=round_id, stage=stage, recipient=BOB.host, payload=payload)
        assert code_of(raw) is Code.MALFORMED


def test_a_padded_one_is_refused_before_it_is_read() -> None:
    raw = envelope.seal(
        ALICE, round_id=NO_ROUND, stage=Stage.HELLO, recipient=BOB.host, payload=bytes(MAX_HELLO)
    )
    assert code_of(raw) is Code.OVERSIZED


@given(st.data())
def test_no_changed_bit_passes(data: st.DataObject) -> None:
    raw = say(ALICE, BOB.host, NOW, approves=True, rotations=chain(1, 0x61))
    place = data.draw(st.integers(0, len(raw) * 8 - 1))
    changed = bytearray(raw)
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(Refusal):
        read(parsed(bytes(changed)), BOB.host, NOW, LIMITS)


def told(rotations: tuple[Rotation, ...], last: int) -> Hello:
    return Hello("alice.example", key(last).public.key, True, "", int(NOW * 1000), b"", rotations)


def test_a_chain_leads_from_every_key_in_it_to_the_present_one() -> None:
    hello = told(chain(1, 2, 3, 4), 4)
    for number in (1, 2, 3):
        assert hello.succeeds(key(number).public.key)
    assert not hello.succeeds(key(5).public.key)
    assert not hello.succeeds(b"")


@pytest.mark.parametrize(
    "rotations",
    [
        (),
        chain(1, 2),
        (*chain(1, 2), *chain(3, 4)),
        (*chain(2, 4), *chain(1, 2)),
        (*chain(1, 2), replace(chain(2, 4)[0], signature=bytes(64))),
        (*chain(1, 2), replace(chain(2, 4)[0], date=0)),
        (replace(chain(1, 2)[0], new=key(4).public.key),),
        (replace(chain(1, 4)[0], host="mallory.example"),),
    ],
    ids=["none", "elsewhere", "gap", "order", "unsigned", "date", "other key", "other host"],
)
def test_a_broken_chain_leads_nowhere(rotations: tuple[Rotation, ...]) -> None:
    assert told(chain(1, 2, 4), 4).succeeds(key(1).public.key)
    assert not told(rotations, 4).succeeds(key(1).public.key)


def test_a_message_is_no_handover_and_a_handover_no_message() -> None:
    """What the old key signed for one purpose counts for no other."""
    rotation = chain(1, 2)[0]
    statement = cbor.encode(
        {"host": rotation.host, "old": rotation.old, "new": rotation.new, "date": rotation.date}
    )
    assert key(1).public.verify(statement, rotation.signature, Purpose.ROTATION)
    assert not key(1).public.verify(statement, rotation.signature)
    assert not replace(rotation, signature=key(1).sign(statement)).valid
