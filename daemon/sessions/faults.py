"""Dying on purpose, so that tests and the demo can show what a crash does: TEST_SHOAL_DIE_AT=<stage>.

The process ends by SIGKILL when a request of that stage arrives, before it is handled.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from federation.envelope import Stage

VARIABLE = "TEST_SHOAL_DIE_AT"


def from_environment() -> Callable[[Stage], None]:
    """Return what to call for each request's stage."""
    wanted = os.environ.get(VARIABLE, "")

    def on_stage(stage: Stage) -> None:
        if stage.value == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_stage
