"""What a job process may take from the machine, and when it must end."""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

LOCK_WAIT_SECONDS: Final = 60.0
NICENESS: Final = 10
_PR_SET_PDEATHSIG: Final = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, however it dies (prctl(2), Linux only)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before the call above: the signal would never come.
        os._exit(1)


def be_modest(memory_mb: int) -> None:
    """Lower the priority and bound the memory this process can write to, in MiB."""
    os.nice(NICENESS)
    # RLIMIT_AS would count address space that numerical libraries reserve and never touch.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
