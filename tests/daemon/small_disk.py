"""A file system of a few megabytes that really is full when it is full; made without being root.

Tests that need one are run by pytest once more, in a name space in which they may mount it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

INSIDE: Final = "TESTS_MAY_MOUNT"
_UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--mount")

inside = pytest.mark.skipif(INSIDE not in os.environ, reason="run by the test of the name space")
"""Of tests that mount a file system."""


def may_mount() -> bool:
    """Tell whether this process is in a name space in which it may mount."""
    return INSIDE in os.environ


def in_name_space(command: Sequence[str]) -> list[str]:
    """Return a command that runs in a name space in which it may mount, where this system allows that."""
    mount = [*_UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    allowed = not may_mount() and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    return [*_UNSHARE, "env", f"{INSIDE}=1", *command] if allowed else list(command)


def run_inside(file: str) -> None:
    """Run the tests of a file that are `inside`; skip where this system lets nobody mount anything."""
    if may_mount():
        pytest.skip("this is the name space")
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", file]
    within = in_name_space(command)
    if within == command:
        pytest.skip("this system lets nobody mount a file system in a name space of their own")
    done = subprocess.run(within, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout


class SmallDisk:
    """One file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, *, leave: int = 0) -> None:
        """Take all the room there is, but for so many bytes."""
        self.free()
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):
            while True:
                os.write(descriptor, bytes(4096))
        os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - leave))
        os.close(descriptor)

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(mount_point: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a file system of that size, until the end of the block."""
    mount_point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", mount_point], check=True)
    try:
        yield SmallDisk(mount_point)
    finally:
        subprocess.run(["umount", "--lazy", mount_point], check=True)
