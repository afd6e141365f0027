"""A message is what its sender signed, to the last bit."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import cbor, envelope
from federation.envelope import MAGIC, NO_ROUND, Stage
from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity

ALICE = Identity("alice.example", b"a" * 32)
BOB = Identity("bob.example", b"b" * 32)
PAYLOAD = b"what alice says"
RAW = envelope.seal(ALICE, round_id=b"s" * 32, stage=Stage.KEYS, recipient=BOB.host, payload=PAYLOAD)
LIMIT = 10_000


def refusal_of(raw: bytes, sender: PublicIdentity = ALICE.public) -> Code | None:
    try:
        envelope.parse(raw, max_size=LIMIT).verify(sender)
    except Refusal as refusal:
        return refusal.code
    return None


def with_header(**changes: cbor.Item) -> bytes:
    """Return a validly signed message with another header."""
    content: dict[str, cbor.Item] = {
        "v": 2,
        "round": b"s" * 32,
        "stage": "keys",
        "from": ALICE.host,
        "to": BOB.host,
        "payload": hashlib.sha256(PAYLOAD).digest(),
    }
    header = cbor.encode(content | changes)
    return b"".join((MAGIC, len(header).to_bytes(2, "big"), header, ALICE.sign(header), PAYLOAD))


def test_what_was_sealed_is_what_is_read() -> None:
    message = envelope.parse(RAW, max_size=LIMIT)
    message.verify(ALICE.public)
    assert (message.round_id, message.stage) == (b"s" * 32, Stage.KEYS)
    assert (message.sender, message.recipient) == (ALICE.host, BOB.host)
    assert bytes(message.payload) == PAYLOAD
    assert message.digest == hashlib.sha256(RAW).digest()
    assert with_header() == RAW


def test_no_single_bit_can_change() -> None:
    seen = set()
    for bit in range(len(RAW) * 8):
        flipped = bytearray(RAW)
        flipped[bit // 8] ^= 1 << bit % 8
        code = refusal_of(bytes(flipped))
        assert code is not None, f"bit {bit}"
        seen.add(code)
    # One bit of the magic is the version.
    assert seen == {Code.MALFORMED, Code.BAD_SIGNATURE, Code.UPDATE}


def test_no_end_can_be_cut_or_added() -> None:
    assert all(refusal_of(RAW[:size]) is Code.MALFORMED for size in range(len(RAW)))
    assert refusal_of(RAW + b"\x00") is Code.MALFORMED


@given(st.binary(max_size=300))
def test_any_bytes_are_malformed(data: bytes) -> None:
    assert refusal_of(data) is Code.MALFORMED
    assert refusal_of(MAGIC + data) is Code.MALFORMED


@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_another_version_of_the_protocol_is_told_to_update(version: int) -> None:
    """Whatever follows, which only that version can read."""
    for rest in (RAW[len(MAGIC) :], b"", b"\x00\x01", bytes(500)):
        with pytest.raises(Refusal) as refused:
            envelope.parse(b"SHOAL" + bytes([version]) + rest + bytes(2), max_size=LIMIT)
        assert refused.value.code is Code.UPDATE
        assert f"protocol {version}, this instance speaks 2" in refused.value.sentence


def test_size_is_checked_before_anything_else() -> None:
    assert refusal_of(bytes(LIMIT + 1)) is Code.OVERSIZED


def test_only_the_named_sender_with_its_key_passes() -> None:
    assert refusal_of(RAW, BOB.public) is Code.BAD_SIGNATURE
    assert refusal_of(RAW, PublicIdentity(ALICE.host, BOB.public.key)) is Code.BAD_SIGNATURE
    assert refusal_of(RAW, PublicIdentity(BOB.host, ALICE.public.key)) is Code.BAD_SIGNATURE
    assert refusal_of(RAW, PublicIdentity(ALICE.host, bytes(32))) is Code.BAD_SIGNATURE


def test_a_signature_of_another_message_does_not_fit() -> None:
    other = envelope.seal(ALICE, round_id=NO_ROUND, stage=Stage.KEYS, recipient=BOB.host, payload=PAYLOAD)
    one, two = (envelope.parse(raw, max_size=LIMIT) for raw in (RAW, other))
    assert refusal_of(RAW.replace(one.signature, two.signature)) is Code.BAD_SIGNATURE


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 1},
        {"v": 3},
        {"v": True},
        {"round": b"short"},
        {"round": "s" * 32},
        {"stage": "unheard-of"},
        {"stage": 5},
        {"from": ""},
        {"from": "Alice.example"},
        {"from": "../alice"},
        {"from": "a" * 231},
        {"to": None},
        {"to": "bob example"},
        {"payload": bytes(32)},
        {"payload": b""},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_well_signed_header_of_another_shape_is_malformed(changes: dict[str, cbor.Item]) -> None:
    assert refusal_of(with_header(**changes)) is Code.MALFORMED


def test_a_header_has_a_limit() -> None:
    header = cbor.encode({"v": 2, "padding": bytes(2000)})
    raw = b"".join((MAGIC, len(header).to_bytes(2, "big"), header, ALICE.sign(header), PAYLOAD))
    assert refusal_of(raw) is Code.MALFORMED


def test_an_empty_recipient_is_the_whole_cohort() -> None:
    raw = envelope.seal(ALICE, round_id=NO_ROUND, stage=Stage.PROPOSE, recipient="", payload=b"")
    assert envelope.parse(raw, max_size=LIMIT).recipient == ""
