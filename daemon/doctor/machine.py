"""Checks of this machine: space on the disk, memory for jobs, the clock."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from daemon.doctor.check import Result, failure, ok, sentence, unchecked, warning
from daemon.process.limits import LEAST_MB
from daemon.process.preflight import LEAST_FREE
from daemon.source.plugin_probe import CLOCK_LIMIT, Outcome, Probe

ROOM: Final = 256 * 2**20
"""Bytes for logs, windows and sums beside what the next sync and training write."""
SMALL_SKEW: Final = 30.0
"""Seconds that clocks may differ before anybody should care: `Date` headers and slow answers have some."""
MEMINFO: Final = Path("/proc/meminfo")

Free = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes that this user may still write below a folder. Raises OSError."""
    return shutil.disk_usage(folder).free


def disk(folder: Path, written: int, free: Free = free_bytes) -> Result:
    """Check the space for `folder`, of which the next sync and training write `written` bytes anew."""
    there = _existing(folder)
    try:
        left = free(there)
    except OSError as error:
        return unchecked("disk", f"The disk of {folder} does not tell its space ({error.strerror}).", _MOUNT)
    told = f"{size(left)} free for {folder}"
    if left < LEAST_FREE:
        return failure(
            "disk",
            f"The disk is full: {told}.",
            "Free some space. Until then nothing is read, learnt or recorded.",
        )
    if left < written + ROOM:
        return warning(
            "disk",
            f"The disk is nearly full: {told}, and the next sync and training write {size(written)}.",
            "Free some space, or lower model.keep.",
        )
    return ok("disk", f"{told}.")


def will_be_written(database: Path, model: Path | None) -> int:
    """Return how many bytes the next sync and the next training write, judged by what there is."""
    found = database.stat().st_size if database.exists() else 0
    if model is not None and model.is_dir():
        found += sum(path.stat().st_size for path in model.iterdir() if path.is_file())
    return found


def memory(limit_mb: int, available_mb: int | None) -> Result:
    """Check the memory for jobs, which may take `limit_mb` MiB of what is `available_mb`."""
    if available_mb is None:
        return unchecked(
            "memory",
            "This system does not tell how much memory is free.",
            "Keep 1,400 MiB free for training.",
        )
    told = f"{available_mb:,} MiB available, jobs may take {limit_mb:,}"
    if available_mb < LEAST_MB:
        return failure(
            "memory",
            f"Too little memory: {told}, and training needs {LEAST_MB} at least.",
            "Stop something, or add memory; a swap file of 1 GB is enough for small instances.",
        )
    if available_mb < limit_mb:
        return warning(
            "memory",
            f"Memory is short: {told}.",
            f"Set limits.job_memory_mb = {max(LEAST_MB, available_mb // 2)}, so that jobs stay within it.",
        )
    return ok("memory", f"{told}.")


def available_memory(meminfo: Path = MEMINFO) -> int | None:
    """Return the MiB that can be used without swapping, None where the system does not tell."""
    with suppress(OSError, ValueError, StopIteration):
        lines = meminfo.read_text("ascii").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        return kib // 1024
    return None


def clock(found: Probe | None) -> Result:
    """Check this machine's clock against PeerTube's, as the answer to a probe was dated."""
    if found is None or found.clock_ahead is None:
        return unchecked(
            "clock",
            "Nothing was there to compare the clock with.",
            "It is compared as soon as PeerTube answers.",
        )
    off = abs(found.clock_ahead)
    if off <= SMALL_SKEW:
        return ok("clock", "The clock agrees with PeerTube's.")
    named = replace(found, outcome=Outcome.CLOCK)
    judge = failure if off > CLOCK_LIMIT else warning
    return judge("clock", sentence(named.message), named.advice)


def size(number: int) -> str:
    """Write a number of bytes with a unit."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


_MOUNT: Final = "Keep data_dir on a local disk."


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above that exists."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
