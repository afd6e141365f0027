"""The lock of a data directory: one daemon serves it at a time, and says where it can be reached."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from daemon.errors import AlreadyRunningError

LOCK_NAME: Final = "lock"
STATE_NAME: Final = "daemon.json"


@dataclass(frozen=True)
class Running:
    """A running daemon: process id, `host:port` of its listeners ("" where it has none), Unix seconds."""

    pid: int
    api: str
    federation: str
    started: float


@contextmanager
def only_daemon(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock; the kernel frees it however this process ends.

    Raises:
        AlreadyRunningError: another daemon holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(data_dir / LOCK_NAME)
    try:
        # A process that looks whether a daemon runs holds the lock for a moment.
        lock.acquire(timeout=1.0)
    except Timeout:
        raise AlreadyRunningError(
            "another daemon already serves this data directory",
            advice="Stop it first with `shoal stop`, or set another data_dir.",
        ) from None
    # A daemon that was killed could not remove its file.
    (data_dir / STATE_NAME).unlink(missing_ok=True)
    try:
        yield
    finally:
        (data_dir / STATE_NAME).unlink(missing_ok=True)
        lock.release()


def announce(data_dir: Path, running: Running) -> None:
    """Write down where this daemon can be reached, for the command line."""
    replace_file(data_dir / STATE_NAME, json.dumps(asdict(running)).encode())


def find(data_dir: Path) -> Running | None:
    """Return the daemon that serves this data directory, None when there is none."""
    lock = FileLock(data_dir / LOCK_NAME)
    try:
        if not data_dir.is_dir():
            return None
        lock.acquire(timeout=0)
    except Timeout:
        try:
            return Running(**json.loads((data_dir / STATE_NAME).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
    lock.release()
    return None


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file so that readers see the old or the new content, never a part, also after a power cut."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make durable which files a folder has."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
