"""Dying on purpose, so that tests and the demo can show what a crash does.

With TEST_SHOAL_DIE_AT=member.<stage> the serving process ends by SIGKILL when a request of that stage
arrives, before it is handled; with aggregator.<stage> a round's job ends so after the first answer to it.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "TEST_SHOAL_DIE_AT"


def pass_point(name: str) -> None:
    """End this process if it was told to die at this point."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
