"""What survives a crash: named byte strings per sum, written before anything that depends on them is sent.

Each write is atomic and durable: after a crash a name holds its old content or its new content in full.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Protocol

_LENGTH_SIZE = 8
_NAME = re.compile(r"[a-z0-9.:\[\]-]{1,300}")


class Journal(Protocol):
    """Byte strings by sum and name."""

    def write(self, round_id: bytes, name: str, data: bytes) -> None:
        """Store `data`, durably, in place of what the name held."""

    def read(self, round_id: bytes, name: str) -> bytes | None:
        """Return what the name holds."""

    def names(self, round_id: bytes) -> list[str]:
        """Return the names of one sum, sorted."""

    def ids(self) -> list[bytes]:
        """Return the ids of all sums, sorted."""

    def erase(self, round_id: bytes, *names: str) -> None:
        """Remove these names, or the whole sum where none is given. Absent names are no error."""


class MemoryJournal:
    """A journal that lives as long as the object: for simulations, which crash everything else around it."""

    def __init__(self) -> None:
        self._sums: dict[bytes, dict[str, bytes]] = {}

    def write(self, round_id: bytes, name: str, data: bytes) -> None:
        """Store."""
        self._sums.setdefault(round_id, {})[name] = bytes(data)

    def read(self, round_id: bytes, name: str) -> bytes | None:
        """Return or None."""
        return self._sums.get(round_id, {}).get(name)

    def names(self, round_id: bytes) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._sums.get(round_id, {}))

    def ids(self) -> list[bytes]:
        """Return the ids, sorted."""
        return sorted(self._sums)

    def erase(self, round_id: bytes, *names: str) -> None:
        """Remove."""
        if not names:
            self._sums.pop(round_id, None)
        for name in names:
            self._sums.get(round_id, {}).pop(name, None)


class FileJournal:
    """A journal in a directory: one folder per sum, one file per name, readable by its owner only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # Sub-cohorts are asked at once, in threads: what one is writing is not what a crash left.
        self._changing = threading.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def write(self, round_id: bytes, name: str, data: bytes) -> None:
        """Store: temporary file, flush to disk, rename, flush the folder."""
        with self._changing:
            self._write(self.path(round_id, name), data)

    def _write(self, target: Path, data: bytes) -> None:
        if not target.parent.exists():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            _flush_folder(self._directory)
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _flush_folder(target.parent)

    def read(self, round_id: bytes, name: str) -> bytes | None:
        """Return or None."""
        try:
            return self.path(round_id, name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, round_id: bytes) -> list[str]:
        """Return the names, sorted; what a crash left half-written has no name."""
        try:
            return sorted(
                file.name for file in (self._directory / round_id.hex()).iterdir() if file.name[0] != "."
            )
        except FileNotFoundError:
            return []

    def ids(self) -> list[bytes]:
        """Return the ids, sorted."""
        return sorted(
            bytes.fromhex(folder.name)
            for folder in self._directory.iterdir()
            if re.fullmatch(r"[0-9a-f]{64}", folder.name)
        )

    def erase(self, round_id: bytes, *names: str) -> None:
        """Remove, and with it what a crash left half-written; durably, so that secrets do not come back."""
        with self._changing:
            self._erase(round_id, *names)

    def _erase(self, round_id: bytes, *names: str) -> None:
        folder = self._directory / round_id.hex()
        if not folder.exists():
            return
        if not names:
            shutil.rmtree(folder)
            _flush_folder(self._directory)
            return
        for file in [self.path(round_id, name) for name in names] + list(folder.glob(".*")):
            file.unlink(missing_ok=True)
        _flush_folder(folder)

    def path(self, round_id: bytes, name: str) -> Path:
        """Return the file of a name, for streaming it.

        Raises:
            ValueError: the name could leave the folder.

        """
        if not _NAME.fullmatch(name) or name.startswith("."):
            raise ValueError(f"not a journal name: {name!r}")
        return self._directory / round_id.hex() / name


def join_record(request: bytes, answer: bytes) -> bytes:
    """Return one entry that holds a request and its answer."""
    return len(request).to_bytes(_LENGTH_SIZE, "big") + request + answer


def split_record(entry: bytes) -> tuple[bytes, bytes]:
    """Return request and answer."""
    end = _LENGTH_SIZE + int.from_bytes(entry[:_LENGTH_SIZE], "big")
    return entry[_LENGTH_SIZE:end], entry[end:]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
