"""A backup: one file with all that an instance needs, made while its daemon runs, checked when it is read.

It is a compressed tar file. First comes what it is a backup of, last the SHA-256 of every file in it, so that
one that was cut short or altered is refused, and `tar` and `sha256sum -c` can read it without Shoal. The
database is a consistent copy (SQLite's online backup). What viewers watched and liked is not in it: the next
sync reads that again, without those who left since. Neither is what was given to peers in the data window: a
restored instance counts all of it as given.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Final

from daemon.config import FILE_NAME, Config
from daemon.config.schema import DATABASE, IDENTITY
from daemon.errors import RequestError, StoreError
from daemon.ledger import second_copy
from daemon.peers import rotation
from daemon.process.daemon_lock import sync_folder
from daemon.process.full_disk import is_full
from daemon.store import releases, withdrawn
from daemon.store.engine import damaged, explained, open_checked
from daemon.store.tables import SCHEMA

FORMAT: Final = 1
HEADER: Final = "shoal-backup.json"
SUMS: Final = "SHA256SUMS"
PSEUDONYMS: Final = "viewers.key"
FOLDERS: Final = ("models", "sums", "group", "journal")
_PAGES: Final = 2_000
_MAX_HEADER: Final = 100_000
_LEFT_OUT: Final = re.compile(r"^\.|\.lock$|\.sock$|^live\.json$|^preparing$")
_NAME: Final = re.compile(r"[A-Za-z0-9_\[\]:.-]{1,300}")
_BROKEN: Final = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError)


@dataclass(frozen=True)
class Header:
    """What a file is a backup of: `made` in Unix seconds, `schema` of the database, `shoal` the version."""

    format: int
    host: str
    made: float
    shoal: str
    schema: str


@dataclass(frozen=True)
class Made:
    """A backup that was written, and its size in bytes."""

    header: Header
    files: int
    size: int


def make(config: Config, config_file: Path, destination: Path, now: float) -> Made:
    """Write a backup to a new file, which only its owner can read; whole, or not at all.

    Raises:
        RequestError: the file exists, or cannot be written.
        StoreError: the database cannot be used, or the disk is full.
    """
    if destination.exists():
        raise RequestError(f"{destination} exists already", advice="Give a new file.")
    open_checked(config.database).dispose()
    header = Header(FORMAT, config.instance.host, now, version("shoal"), SCHEMA)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{destination.name}.", dir=destination.parent) as scratch:
            snapshot = Path(scratch) / DATABASE
            _copy_database(config.database, snapshot)
            draft = Path(scratch) / "backup"
            files = _write(draft, header, {**dict(_files(config, config_file)), DATABASE: snapshot})
            size = draft.stat().st_size
            # Not over a file that somebody made meanwhile.
            os.link(draft, destination)
    except FileExistsError:
        raise RequestError(f"{destination} exists already", advice="Give a new file.") from None
    except OSError as error:
        if is_full(error):
            raise
        raise RequestError(
            f"{destination} cannot be written ({error.strerror or type(error).__name__})",
            advice="Give a file in a folder that this user may write.",
        ) from None
    sync_folder(destination.parent)
    return Made(header, files, size)


def unpack(file: Path, folder: Path) -> Header:
    """Check a backup from its first byte to its last, and unpack it into an empty folder.

    Raises:
        StoreError: it is damaged, no backup of Shoal, or made by a newer one.
        RequestError: it cannot be read.
    """
    sums: dict[str, str] = {}
    told: dict[str, str] | None = None
    header = None
    try:
        with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|gz") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None or not _is_safe(member.name) or told is not None:
                    raise _no_backup(file)
                if header is None:
                    header = _header(member, content, file)
                elif member.name == SUMS:
                    told = _told(content.read())
                else:
                    sums[member.name] = _unpack(content, folder / member.name)
    except _BROKEN as error:
        raise _no_backup(file) from error
    except OSError as error:
        if is_full(error):
            raise
        raise RequestError(
            f"{file} cannot be read ({error.strerror or type(error).__name__})", advice="Give another file."
        ) from None
    if header is None or told != sums or not {DATABASE, IDENTITY} <= sums.keys():
        raise _no_backup(file)
    return header


def _files(config: Config, config_file: Path) -> Iterator[tuple[str, Path]]:
    """Yield names in the backup with their files, those that exist."""
    windows = config.windows_dir
    single = [
        (FILE_NAME, config_file),
        (IDENTITY, config.identity_file),
        *((name, config.data_dir / name) for name in (PSEUDONYMS, rotation.FILE_NAME, second_copy.NAME)),
        *((f"windows/{name}", windows / name) for name in (releases.COPY_NAME, *withdrawn.NAMES)),
    ]
    yield from ((name, path) for name, path in single if path.is_file())
    for name in FOLDERS:
        yield from _below(config.data_dir / name, PurePosixPath(name))


def _below(folder: Path, name: PurePosixPath) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _LEFT_OUT.search(path.name) or path.is_symlink():
            continue
        if path.is_dir():
            yield from _below(path, name / path.name)
        elif path.is_file():
            yield str(name / path.name), path


def _copy_database(source: Path, target: Path) -> None:
    with (
        explained(source),
        contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True)) as database,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        database.backup(copy, pages=_PAGES, sleep=0.01)
        if copy.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise damaged()
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.execute("DELETE FROM engagements")
        # So that the daemon reads them again at once.
        copy.execute("DELETE FROM jobs WHERE name = 'sync'")
        copy.commit()
        copy.execute("VACUUM")


def _write(draft: Path, header: Header, files: dict[str, Path]) -> int:
    sums: dict[str, str] = {}
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w|gz") as archive:
            _add(archive, HEADER, json.dumps(asdict(header)).encode(), header.made)
            for name, path in files.items():
                try:
                    with path.open("rb") as file:
                        sums[name] = _add_file(archive, name, file, header.made)
                except FileNotFoundError:
                    # Superseded meanwhile, as a model is.
                    continue
            lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
            _add(archive, SUMS, lines.encode(), header.made)
        raw.flush()
        os.fsync(raw.fileno())
    return len(sums)


def _add(archive: tarfile.TarFile, name: str, content: bytes, now: float) -> None:
    archive.addfile(_member(name, len(content), now), io.BytesIO(content))


def _add_file(archive: tarfile.TarFile, name: str, file: IO[bytes], now: float) -> str:
    # What is only appended to may grow meanwhile.
    size = os.fstat(file.fileno()).st_size
    reader = _Hashing(file)
    archive.addfile(_member(name, size, now), reader)
    return reader.digest


def _member(name: str, size: int, now: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(now), 0o600
    return member


class _Hashing(io.RawIOBase):
    """Hashes what is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sum = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        data = self._file.read(size)
        self._sum.update(data)
        return data

    @property
    def digest(self) -> str:
        """SHA-256 of what was read, in hexadecimal."""
        return self._sum.hexdigest()


def _header(member: tarfile.TarInfo, content: IO[bytes], file: Path) -> Header:
    if member.name != HEADER or member.size > _MAX_HEADER:
        raise _no_backup(file)
    try:
        found = json.loads(content.read())
        made, number, schema = str(found["shoal"]), int(found["format"]), str(found["schema"])
        if number <= FORMAT and schema <= SCHEMA:
            return Header(number, str(found["host"]), float(found["made"]), made, schema)
    except (ValueError, KeyError, TypeError):
        raise _no_backup(file) from None
    raise StoreError(
        f"{file} was made by a newer Shoal ({made}, schema {schema}; this program knows {SCHEMA})",
        advice=f"Install Shoal {made} or a later one, then restore it.",
    )


def _told(content: bytes) -> dict[str, str]:
    lines = (line.split("  ", 1) for line in content.decode().splitlines())
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2}


def _unpack(content: IO[bytes], target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as written:
        while data := content.read(1_000_000):
            found.update(data)
            written.write(data)
        written.flush()
        os.fsync(written.fileno())
    return found.hexdigest()


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and all(_NAME.fullmatch(part) and part not in (".", "..") for part in parts)


def _no_backup(file: Path) -> StoreError:
    return StoreError(
        f"{file} is damaged, or no backup of Shoal", advice="Nothing was changed. Use another backup."
    )
