"""Keeps the pages of a mapped model from counting as this process's memory once they have been used.

They are clean pages of a file: the kernel keeps them in its cache as long as there is room, and a page that
is asked for again is mapped again in about a microsecond. Without this, every page ever used would count
as memory of the daemon.
"""

import contextlib
import mmap
from pathlib import Path
from typing import Any, Final

import numpy as np

RELEASE_ABOVE_BYTES: Final = 16 * 2**20


class MappedPages:
    """The mapped files behind a model's arrays.

    It holds the mappings themselves, never their addresses: those may mean something else a moment later.
    """

    def __init__(self, model: Any) -> None:
        self._mappings = mappings(model)
        self.release()
        self._before = _resident_file_bytes()

    def release(self) -> None:
        """Let go of every page; the mappings are read-only, so the next use finds the same again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapping in self._mappings:
                mapping.madvise(mmap.MADV_DONTNEED)

    def release_if_many(self) -> None:
        """Let go when much more is resident than at the beginning."""
        if _resident_file_bytes() - self._before > RELEASE_ABOVE_BYTES:
            self.release()


def mappings(root: Any) -> list[mmap.mmap]:
    """Return the read-only mapped files of all arrays that an object, and what it holds, consists of."""
    found: dict[int, mmap.mmap] = {}
    seen: set[int] = set()
    stack = [root]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, mmap.mmap):
            found[id(value)] = value
        elif isinstance(value, np.ndarray):
            if value.base is not None and not value.flags.writeable:
                stack.append(value.base)
        elif isinstance(value, (dict, list, tuple)):
            stack += value.values() if isinstance(value, dict) else value
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            stack += vars(value).values()
    return list(found.values())


def _resident_file_bytes() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text("utf-8").split()[2]) * mmap.PAGESIZE
    return 0
