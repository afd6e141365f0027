"""Public data that came with a message over Flower, by its hash, until the message is dealt with."""

from __future__ import annotations

import hashlib
from pathlib import Path

from federation.proposal import BlobReference


class BlobCache:
    """A folder that the link writes to and the serving process reads from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, reference: BlobReference) -> bytes | None:
        """Return the data of a reference, None where it is not here."""
        path = self._folder / reference.sha256.hex()
        try:
            if path.stat().st_size != reference.size:
                return None
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).digest() == reference.sha256 else None

    def remove(self, reference: BlobReference) -> None:
        """Remove the data of a reference."""
        (self._folder / reference.sha256.hex()).unlink(missing_ok=True)
