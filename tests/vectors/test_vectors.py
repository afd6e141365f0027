"""Bytes that may not change, and the published vectors of the algorithms that they are made of."""

from __future__ import annotations

import hashlib
import hmac
import json

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.signing import SigningKey, VerifyKey

from federation import keys, masks, shamir
from tests.vectors.generate import everything, path_of

FRESH = everything()


@pytest.mark.parametrize("name", sorted(FRESH))
def test_no_byte_has_changed(name: str) -> None:
    fixed = json.loads(path_of(name).read_text(encoding="utf-8"))
    assert FRESH[name] == fixed, "the protocol changed: that takes a new version, not new vectors"


def test_every_stage_is_in_the_fixed_sum() -> None:
    stages = [row["stage"] for row in FRESH["whole_sum"]["messages"]]
    expected = [s for s in ("propose", "keys", "shares", "survivors", "confirmations") for _ in range(3)]
    assert stages == expected


def test_the_fixed_sum_is_that_of_the_inputs() -> None:
    fixed = json.loads(path_of("whole_sum").read_text(encoding="utf-8"))
    assert fixed["total"] == np.sum(list(fixed["inputs"].values()), axis=0).tolist()
    assert min(fixed["total"]) < 0, "noise goes below zero"


def test_messages_are_framed_as_in_the_document() -> None:
    """From docs/protocol.md alone: magic with the version, length, header, signature, payload."""
    fixed = json.loads(path_of("whole_sum").read_text(encoding="utf-8"))
    for row in fixed["messages"]:
        for raw in (bytes.fromhex(row["request"]), bytes.fromhex(row["answer"])):
            assert raw[:6] == b"SHOAL\x02"
            end = 8 + int.from_bytes(raw[6:8], "big")
            assert hashlib.sha256(raw[end + 64 :]).digest() in raw[8:end]
    proposal = bytes.fromhex(fixed["messages"][0]["request"])
    assert hashlib.sha256(proposal).hexdigest() == fixed["round_id"]
    # Two segments in deterministic CBOR: of 4 and 3 entries, in units of 1 and 32, with noise 16 and 64.
    assert b"hsegments" in proposal
    assert bytes.fromhex("8283040110830318201840") in proposal


def test_fixed_shares_give_their_secrets() -> None:
    for row in json.loads(path_of("sharings").read_text(encoding="utf-8")):
        points = list(range(1, row["threshold"] + 1))
        shares = [bytes.fromhex(share) for share in row["shares"][: row["threshold"]]]
        assert shamir.combine(points, shares) == bytes.fromhex(row["secret"])


def test_partitions_by_another_hand() -> None:
    """From docs/protocol.md alone: hash, sort, deal."""

    def place(draw: bytes, host: str) -> bytes:
        parts = b"".join(len(part).to_bytes(8, "big") + part for part in (draw, host.encode()))
        return hashlib.sha256(b"shoal/2 epoch place\x00" + parts).digest()

    for row in json.loads(path_of("partitions").read_text(encoding="utf-8")):
        draw, parts = bytes.fromhex(row["seed"]), row["parts"]
        dealt = sorted(row["drawn"], key=lambda host: place(draw, host))
        expected = {host: number % parts for number, host in enumerate(dealt)}
        expected |= {host: int(place(draw, host).hex(), 16) % parts for host in row["late"]}
        assert expected == row["places"]
        left = [host for part in row["together"] for host in part]
        assert sorted(left) == sorted(expected.keys() - set(row["gone"]))


def test_the_hash_of_a_document_is_that_of_its_payload() -> None:
    fixed = json.loads(path_of("group").read_text(encoding="utf-8"))
    for name in ("list", "epoch", "published"):
        raw = bytes.fromhex(fixed[name])
        payload = raw[8 + int.from_bytes(raw[6:8], "big") + 64 :]
        assert hashlib.sha256(payload).hexdigest() == fixed[f"{name}_hash"]


def test_x25519_rfc_7748_section_6_1() -> None:
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    alices = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    bobs = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    assert (keys.public_of(alice), keys.public_of(bob)) == (alices, bobs)
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert keys.agree(alice, bobs, "bob").hex() == keys.agree(bob, alices, "alice").hex() == shared


def test_ed25519_rfc_8032_section_7_1() -> None:
    """Our signatures put a context in front of the message, so the library is what is checked here."""
    key = SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )
    assert bytes(key.verify_key).hex() == public
    assert key.sign(b"").signature.hex() == signature
    VerifyKey(bytes.fromhex(public)).verify(b"", bytes.fromhex(signature))


def test_chacha20_rfc_8439_appendix_a_1() -> None:
    """Test vectors 1 and 2 follow one another: key and nonce are zero, the counter is 0, then 1."""
    first = (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    second = (
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )
    assert masks.keystream(bytes(32), 128).hex() == first + second
    vector = np.zeros(32, dtype="<u4")
    masks.apply(vector, [(bytes(32), True)])
    assert vector.tobytes().hex() == first + second


def test_aead_rfc_8439_section_2_8_2() -> None:
    plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    sealed = ChaCha20Poly1305(bytes(range(0x80, 0xA0))).encrypt(
        bytes.fromhex("070000004041424344454647"), plain, bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    )
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"


def test_hkdf_rfc_5869_appendix_a_1() -> None:
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    hkdf = HKDF(algorithm=hashes.SHA256(), length=42, salt=salt, info=info)
    assert hkdf.derive(b"\x0b" * 22).hex() == expected


def test_our_derivation_is_hkdf_with_the_sum_as_salt() -> None:
    """Written out from RFC 5869: extract, then expand by one block."""
    secret, salt, info = b"s" * 32, b"i" * 32, b"shoal/2 mask key"
    extracted = hmac.digest(salt, secret, "sha256")
    assert keys.derive(secret, salt, "mask key") == hmac.digest(extracted, info + b"\x01", "sha256")
