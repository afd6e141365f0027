"""One Ed25519 key per instance (RFC 8032): who says so, and who is meant."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import StrEnum

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

KEY_SIZE = 32
SIGNATURE_SIZE = 64
_PREFIX = "ed25519:"


class Purpose(StrEnum):
    """What a signature is for. It stands before what is signed, so that it counts for nothing else."""

    MESSAGE = "message"
    LEDGER = "ledger"
    HANDOVER = "handover"
    MANIFEST = "manifest"
    ROTATION = "rotation"

    @property
    def context(self) -> bytes:
        """The bytes before what is signed; the zero byte lets none of them be the beginning of another."""
        return f"shoal/2 {self.value}\x00".encode()


@dataclass(frozen=True, order=True)
class PublicIdentity:
    """A host name and the Ed25519 public key (32 bytes) it signs with."""

    host: str
    key: bytes

    def verify(self, message: bytes, signature: bytes, purpose: Purpose = Purpose.MESSAGE) -> bool:
        """Tell whether `signature` (64 bytes) over `message` is by this key, and for this purpose."""
        try:
            VerifyKey(self.key).verify(purpose.context + message, signature)
        except (BadSignatureError, ValueError):
            return False
        return True


class Identity:
    """An instance's private signing key. Its representation never shows the key."""

    def __init__(self, host: str, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self._seed = seed
        self.public = PublicIdentity(host, bytes(self._key.verify_key))

    @property
    def host(self) -> str:
        """The host name that this key speaks for."""
        return self.public.host

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for storing the key and deriving local storage keys."""
        return self._seed

    def sign(self, message: bytes, purpose: Purpose = Purpose.MESSAGE) -> bytes:
        """Return the 64-byte signature over `message`, which verifies for no other purpose or protocol."""
        return self._key.sign(purpose.context + message).signature

    def __repr__(self) -> str:
        return f"Identity({self.host!r})"


def format_key(key: bytes) -> str:
    """Return a public key as `ed25519:<base64>`, the form used in configuration and cards."""
    return _PREFIX + base64.b64encode(key).decode("ascii")


def parse_key(text: str) -> bytes:
    """Return the 32 bytes of `ed25519:<base64>`.

    Raises:
        ValueError: `text` has another form.

    """
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else b""
    except ValueError:
        key = b""
    # Base64 leaves bits of its last digit unused: without the second test two texts would be one key.
    if len(key) != KEY_SIZE or format_key(key) != text:
        raise ValueError("expected a key of the form ed25519:<44 characters of base64>")
    return key
