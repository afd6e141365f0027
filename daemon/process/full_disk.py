"""A full disk, told in the same words wherever it is met; and what a log says of a fault."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from daemon.errors import DiskFullError, ShoalError

NO_ROOM: Final = 256 * 2**10
"""Bytes below which a write that failed did so for want of space: SQLite's own files grow by less."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHORT_WRITE: Final = "requested and"
"""What NumPy says, without a number of the error, of a file that took a part of an array."""


def disk_full() -> DiskFullError:
    """Return what to say of a full disk."""
    return DiskFullError(
        "the disk is full",
        advice="Free some space elsewhere on the disk of data_dir, then try again. Nothing was lost, and "
        "nothing in data_dir should be deleted.",
    )


def is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it came from, says that the disk is full."""
    while error is not None:
        if isinstance(error, DiskFullError):
            return True
        # What safetensors, written in Rust, raises has the words of the system alone.
        text = str(error)
        if isinstance(error, OSError) and (error.errno in _FULL or _SHORT_WRITE in text):
            return True
        if os.strerror(errno.ENOSPC) in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def has_no_room(folder: Path) -> bool:
    """Tell whether next to nothing can be written below a folder."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < NO_ROOM


def fields_of(error: BaseException) -> dict[str, str]:
    """Return what a line of the log says of an error: no trace where it is no bug."""
    told = disk_full() if is_full(error) else error
    if isinstance(told, ShoalError):
        return {"code": told.code, "problem": told.message, "advice": told.advice}
    return {"code": type(told).__name__}
