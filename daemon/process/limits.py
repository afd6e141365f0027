"""What a job process may take from the machine, and when it must end."""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

LOCK_WAIT_SECONDS: Final = 60.0
NICENESS: Final = 10
LEAST_MB, MOST_MB = 512, 4096
"""Of the memory of a job: loading what trains takes more than 400, and no training needs more than 4,096."""
_PR_SET_PDEATHSIG: Final = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, however it dies (prctl(2), Linux only)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before the call above: the signal would never come.
        os._exit(1)


def job_memory(setting_mb: int) -> int:
    """Return the most memory that a job may use, in MiB: as set, or half of what there is."""
    if setting_mb:
        return max(setting_mb, LEAST_MB)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        # In a container, what it may use; "max" where nothing is set.
        there = min(there, int(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    return max(LEAST_MB, min(MOST_MB, there // 2**21))


def be_modest(memory_mb: int) -> None:
    """Lower the priority and bound the memory this process can write to, in MiB."""
    os.nice(NICENESS)
    # RLIMIT_AS would count address space that numerical libraries reserve and never touch.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
