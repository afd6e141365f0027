"""Keys are written in one form, and a signature counts in this protocol only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from federation.identity import Identity, PublicIdentity, Purpose, format_key, parse_key

SEED = bytes(range(32))


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_read_as_it_was_written(key: bytes) -> None:
    assert parse_key(format_key(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519:",
        format_key(bytes(31)),
        format_key(bytes(33)),
        format_key(bytes(32)).removeprefix("ed25519:"),
        format_key(bytes(32)).upper(),
        format_key(bytes(32)).rstrip("="),
        format_key(bytes(32)) + "\n",
        " " + format_key(bytes(32)),
        # The same 32 bytes with unused bits set.
        "ed25519:" + "A" * 42 + "B=",
        "ed25519:" + "é" * 44,
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ed25519:<44 characters"):
        parse_key(text)


def test_a_signature_is_bound_to_this_protocol() -> None:
    identity = Identity("alice.example", SEED)
    bare = SigningKey(SEED).sign(b"hello").signature
    assert identity.public.verify(b"hello", identity.sign(b"hello"))
    assert not identity.public.verify(b"hello", bare)
    assert not identity.public.verify(b"hello!", identity.sign(b"hello"))


@pytest.mark.parametrize("made", Purpose)
@pytest.mark.parametrize("checked", Purpose)
def test_a_signature_counts_for_one_purpose(made: Purpose, checked: Purpose) -> None:
    identity = Identity("alice.example", SEED)
    assert identity.public.verify(b"x", identity.sign(b"x", made), checked) == (made is checked)


def test_no_purpose_begins_like_another() -> None:
    """Else a message for one could be read as a message for the other."""
    contexts = [purpose.context for purpose in Purpose]
    assert not any(a != b and b.startswith(a) for a in contexts for b in contexts)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_what_is_no_signature_is_false_not_an_error(signature: bytes) -> None:
    assert not Identity("alice.example", SEED).public.verify(b"hello", signature)


def test_a_second_signature_cannot_be_made_from_the_first() -> None:
    """S + L verifies under the same equation; RFC 8032 forbids it, so that a message has one id."""
    identity = Identity("alice.example", SEED)
    signature = identity.sign(b"hello")
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    assert not identity.public.verify(b"hello", signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"short"])
def test_keys_that_fit_any_signature_fit_none(key: bytes) -> None:
    """With a key of small order, R = 0 and S = 0 would be a signature of everything."""
    neutral = b"\x01" + bytes(31)
    assert not PublicIdentity("mallory.example", key).verify(b"hello", neutral + bytes(32))


def test_the_seed_is_never_shown() -> None:
    identity = Identity("alice.example", SEED)
    assert repr(identity) == "Identity('alice.example')"
    assert str(identity) == repr(identity)
