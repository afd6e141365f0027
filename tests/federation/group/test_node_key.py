"""Node keys are P-384 in the one form in which Flower's nodes send them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, ProtocolMisuse, Refusal
from federation.group.node_key import (
    MAX_NODE_KEY,
    MAX_NODE_SIGNATURE,
    check_node_key,
    new_node_key,
    public_node_key,
    sign_with_node_key,
    verify_node_key,
)

PEM = new_node_key()
PUBLIC = public_node_key(PEM)


def pem_of(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_signature_verifies_with_its_key_over_its_data_only() -> None:
    signature = sign_with_node_key(PEM, b"data")
    assert len(signature) <= MAX_NODE_SIGNATURE
    assert verify_node_key(PUBLIC, b"data", signature)
    assert not verify_node_key(PUBLIC, b"datum", signature)
    assert not verify_node_key(public_node_key(new_node_key()), b"data", signature)
    assert not verify_node_key(PUBLIC, b"data", b"no signature")


def test_flower_reads_and_writes_the_same_bytes() -> None:
    flower = pytest.importorskip("flwr.supercore.primitives.asymmetric")
    private = flower.bytes_to_private_key(PEM)
    public = flower.bytes_to_public_key(PUBLIC)
    assert flower.uses_nist_ec_curve(public)
    assert flower.public_key_to_bytes(private.public_key()) == PUBLIC
    assert flower.private_key_to_bytes(private) == PEM
    assert verify_node_key(PUBLIC, b"time", flower.sign_message(private, b"time"))
    assert flower.verify_signature(public, b"time", sign_with_node_key(PEM, b"time"))


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        PEM,
        PUBLIC.replace(b"\n", b"\r\n"),
        PUBLIC + b"\n",
        b"comment\n" + PUBLIC,
        PUBLIC.ljust(MAX_NODE_KEY + 1, b"\n"),
        pem_of(ec.generate_private_key(ec.SECP256R1()).public_key()),
        pem_of(ed25519.Ed25519PrivateKey.generate().public_key()),
    ],
    ids=["empty", "private", "crlf", "newline", "comment", "long", "p256", "ed25519"],
)
def test_one_key_has_one_form_and_no_other_kind_is_taken(wrong: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        check_node_key(wrong)
    assert refused.value.code is Code.KEYS_INVALID


@given(place=st.integers(0, len(PUBLIC) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_is_another_key(place: int, bit: int) -> None:
    changed = bytearray(PUBLIC)
    changed[place] ^= 1 << bit
    try:
        key = check_node_key(bytes(changed))
    except Refusal:
        return
    assert key != check_node_key(PUBLIC)


@pytest.mark.parametrize("damaged", [b"", PEM[:100], PUBLIC], ids=["empty", "cut", "public"])
def test_an_own_key_that_is_damaged_says_what_to_do(damaged: bytes) -> None:
    with pytest.raises(ProtocolMisuse, match="join the group again"):
        public_node_key(damaged)
