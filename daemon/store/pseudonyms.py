"""Viewers are stored under a keyed hash, so that a copy of the database alone names nobody."""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

from daemon.errors import StoreError

KEY_BYTES: Final = 32
PSEUDONYM_BYTES: Final = 16


class Pseudonyms:
    """Turns the instance's viewer identifiers into pseudonyms (BLAKE2b with a key, RFC 7693)."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a pseudonym key has {KEY_BYTES} bytes")
        self._key = key

    @classmethod
    def open(cls, path: Path) -> "Pseudonyms":
        """Read the key file; create it, readable by its owner only, where it does not exist.

        Raises:
            StoreError: the file is damaged.
        """
        try:
            # Exclusive creation: two jobs that start at once must not end up with two keys.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            key = secrets.token_bytes(KEY_BYTES)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
        if len(key) != KEY_BYTES:
            raise StoreError(
                f"{path.name} is damaged", advice=f"Delete {path.name}; the next sync makes a new one."
            )
        return cls(key)

    def of(self, viewer: str) -> bytes:
        """Return 16 bytes that stand for the viewer in this database and in no other."""
        return hashlib.blake2b(viewer.encode(), key=self._key, digest_size=PSEUDONYM_BYTES).digest()
