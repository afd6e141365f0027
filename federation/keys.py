"""Every key of one secure sum, derived from 32 random bytes that never leave the instance.

Two X25519 key pairs (RFC 7748): one seals shares, the other agrees on pairwise masks. They differ because the
second one's private half is revealed when its owner vanishes, and that must open no sealed share. Derived
keys are HKDF-SHA256 (RFC 5869) with the sum's id as salt and a label that names purpose and parties.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from federation import shamir
from federation.errors import Code, Refusal
from federation.masks import keystream

KEY_SIZE = 32
_ZERO_NONCE = bytes(12)
_FIELD = 2**255 - 19


def derive(secret: bytes, round_id: bytes, label: str, size: int = KEY_SIZE) -> bytes:
    """Return `size` bytes that depend on the secret, the sum and the purpose named by `label`."""
    info = b"shoal/2 " + label.encode("utf-8")
    return HKDF(algorithm=hashes.SHA256(), length=size, salt=round_id, info=info).derive(secret)


def commitment(purpose: str, *parts: bytes) -> bytes:
    """Return SHA-256 over the purpose and the length-prefixed parts (32 bytes)."""
    prefixed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(b"shoal/2 " + purpose.encode("utf-8") + b"\x00" + prefixed).digest()


def agree(private: bytes, public: bytes, owner: str) -> bytes:
    """Return the X25519 shared secret (32 bytes) with the key that `owner` advertised.

    Raises:
        Refusal: `keys-invalid`, when the key is of low order, so that the secret would be known to anyone,
            or not in its shortest form, so that one key could pass for two (RFC 7748, section 5, reads both).

    """
    if int.from_bytes(public, "little") >= _FIELD:
        raise Refusal(Code.KEYS_INVALID, f"{owner} advertised a key that is not in its shortest form", owner)
    try:
        return crypto_scalarmult(private, public)
    except RuntimeError as error:
        raise Refusal(Code.KEYS_INVALID, f"{owner} advertised a key of low order", owner) from error


def check_public(public: bytes, owner: str) -> None:
    """Check that others can agree on a secret with a key that `owner` advertised.

    Raises:
        Refusal: `keys-invalid`.

    """
    # Whether the result is zero does not depend on the private key: all are multiples of the cofactor.
    agree(bytes(KEY_SIZE), public, owner)


def public_of(private: bytes) -> bytes:
    """Return the X25519 public key of a private key."""
    return crypto_scalarmult_base(private)


def mask_key(private: bytes, public: bytes, round_id: bytes, one: str, other: str) -> bytes:
    """Return the ChaCha20 key of the mask between `one` (`private`) and `other` (`public`); symmetric."""
    first, second = sorted((one, other))
    return derive(agree(private, public, other), round_id, f"pairwise mask {first} {second}")


def self_mask_key(self_seed: bytes, round_id: bytes) -> bytes:
    """Return the ChaCha20 key of a member's own mask."""
    return derive(self_seed, round_id, "self mask")


@dataclass(frozen=True)
class RoundSecrets:
    """A member's secrets in one sum, all derived from `root` (32 random bytes). Erase `root`, erase all."""

    root: bytes
    round_id: bytes

    @cached_property
    def seal_private(self) -> bytes:
        """X25519 private key that opens shares sealed to me."""
        return derive(self.root, self.round_id, "seal key")

    @cached_property
    def mask_private(self) -> bytes:
        """X25519 private key of my pairwise masks; shared among the cohort."""
        return derive(self.root, self.round_id, "mask key")

    @cached_property
    def self_seed(self) -> bytes:
        """Seed of my own mask; shared among the cohort."""
        return derive(self.root, self.round_id, "self seed")

    @cached_property
    def seal_public(self) -> bytes:
        """Public half of `seal_private`."""
        return public_of(self.seal_private)

    @cached_property
    def mask_public(self) -> bytes:
        """Public half of `mask_private`."""
        return public_of(self.mask_private)

    @cached_property
    def seed_commitment(self) -> bytes:
        """What a reconstructed self seed is checked against."""
        return commitment("self seed", self.round_id, self.self_seed)

    def shares(self, secret: bytes, purpose: str, *, members: int, threshold: int) -> list[bytes]:
        """Return one share of `secret` per member, 33 bytes each."""
        key = derive(self.root, self.round_id, f"shamir {purpose}")
        randomness = keystream(key, shamir.randomness_size(threshold))
        return shamir.split(secret, shares=members, threshold=threshold, randomness=randomness)


class Sealer:
    """Seals shares from one member to another with ChaCha20-Poly1305 (RFC 8439).

    Each direction of each pair has its own key, used for one message, so the nonce can be constant.
    """

    def __init__(self, secrets: RoundSecrets, me: str, other: str, other_public: bytes) -> None:
        secret = agree(secrets.seal_private, other_public, other)
        self._round_id = secrets.round_id
        self._me, self._other = me, other
        self._secret = secret

    def seal(self, plain: bytes) -> bytes:
        """Return `plain` sealed from me to the other; 16 bytes longer."""
        label = f"sealed share {self._me} {self._other}"
        return ChaCha20Poly1305(derive(self._secret, self._round_id, label)).encrypt(
            _ZERO_NONCE, plain, self._round_id
        )

    def open(self, sealed: bytes) -> bytes:
        """Return what the other sealed to me.

        Raises:
            Refusal: `share-invalid`.

        """
        label = f"sealed share {self._other} {self._me}"
        try:
            return ChaCha20Poly1305(derive(self._secret, self._round_id, label)).decrypt(
                _ZERO_NONCE, sealed, self._round_id
            )
        except InvalidTag as error:
            raise Refusal(
                Code.SHARE_INVALID, f"a share from {self._other} does not open", self._other
            ) from error
