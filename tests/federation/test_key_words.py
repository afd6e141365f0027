"""Words of a key: eight, always the same, and others for any other key."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from federation.identity import Identity
from federation.key_words import COUNT, same, words

LIST = Mnemonic("english").wordlist


def test_known_keys_have_these_words_for_good() -> None:
    """Peers compare them on the telephone, across versions."""
    assert " ".join(words(bytes(32))) == "office crisp observe mind hill cement gold exercise"
    public = Identity("alice.example", bytes(range(32))).public
    assert words(public.key) == words(bytes(public.key))


@given(st.binary(min_size=32, max_size=32))
def test_the_words_are_the_first_88_bits_of_the_hash(key: bytes) -> None:
    bits = "".join(f"{LIST.index(word):011b}" for word in words(key))
    digest = hashlib.sha256(b"shoal/2 fingerprint\x00" + key).digest()
    assert len(words(key)) == COUNT
    assert int(bits, 2) == int.from_bytes(digest[:11], "big")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_what_is_no_key_has_no_words(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        words(bytes(size))


def test_words_are_compared_as_people_type_them() -> None:
    known = " ".join(words(bytes(32)))
    assert same(known.upper().replace(" ", "-"), known)
    assert same(known.replace(" ", ",  ") + "\n", known)
    assert not same(known.rsplit(" ", 1)[0], known)
    assert not same("", known)
