"""The blobs that came with a message over Flower, as files named by their hash, until the message is handled.

The fleet client writes them and the serving process reads them. Kept small, as the fleet client imports it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from federation.errors import Code, Refusal

if TYPE_CHECKING:
    from federation.proposal import BlobReference

FOLDER: Final = "blobs"
"""Below the folder of the group."""
MAX_BYTES: Final = 268_435_456
"""Of all blobs that a host sends for one sum: a vocabulary, counts and pairs of several sub-cohorts."""
_HEX: Final = 64


class BlobCache:
    """A folder of blobs. The oldest are deleted when there are more than `max_bytes`."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lock = threading.Lock()

    def put(self, blobs: Mapping[str, bytes]) -> None:
        """Write all blobs of one message, each under the hash of its content.

        Raises:
            Refusal: `oversized`, when they are more than the folder may hold.

        """
        named = {hashlib.sha256(blob).hexdigest(): blob for blob in blobs.values()}
        if sum(map(len, named.values())) > self._max_bytes:
            raise Refusal(Code.OVERSIZED, f"the blobs of a message have at most {self._max_bytes} bytes")
        with self._lock:
            self._make_room(named)
            for name, blob in named.items():
                self._write(name, blob)

    def read(self, reference: BlobReference) -> bytes | None:
        """Return the blob of a reference, None if it is not here."""
        path = self._folder / reference.sha256.hex()
        try:
            if path.stat().st_size != reference.size:
                return None
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).digest() == reference.sha256 else None

    def remove(self, reference: BlobReference) -> None:
        """Delete the blob of a reference."""
        (self._folder / reference.sha256.hex()).unlink(missing_ok=True)

    def _make_room(self, named: Mapping[str, bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = self._max_bytes - sum(map(len, named.values()))
        others = []
        for path in self._folder.iterdir():
            if path.name.startswith("."):
                # What a fleet client that was killed had begun to write.
                path.unlink(missing_ok=True)
            elif len(path.name) == _HEX and path.name not in named:
                with contextlib.suppress(FileNotFoundError):
                    found = path.stat()
                    others.append((found.st_mtime, found.st_size, path))
        for _, size, path in sorted(others, reverse=True):
            left -= size
            if left < 0:
                path.unlink(missing_ok=True)

    def _write(self, name: str, blob: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(blob)
            Path(temporary).replace(self._folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
