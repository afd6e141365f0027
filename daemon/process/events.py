"""Events of a child process for its parent: one JSON object per line, on what was its standard output.

Standard library only: a member's connection to its group imports this, and is kept small.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from typing import Any, Final, TextIO

SMALLEST_STEP: Final = 0.02
"""As a share of the whole job; smaller steps of progress cannot be seen."""


def claim_stdout() -> TextIO:
    """Return the real standard output. What else is printed from now on, by libraries too, goes to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stream


class EventWriter:
    """Writes events, from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._last = ("", 0.0)

    def send(self, event: str, **values: Any) -> None:
        """Write one event at once; a parent that is gone is no reason to stop."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(json.dumps({"event": event, **values}) + "\n")
            self._stream.flush()

    def progress(self, stage: str, fraction: float) -> None:
        """Report how much of the work is done, in [0, 1]; steps too small to see are left out."""
        part = round(min(max(fraction, 0.0), 1.0), 4)
        known, before = self._last
        if stage != known or part - before >= SMALLEST_STEP or part == 1.0:
            self._last = (stage, part)
            self.send("progress", stage=stage, fraction=part)


def read_event(line: str | bytes) -> Mapping[str, Any] | None:
    """Return the event on a line, None where there is none."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict):
            return event
    return None
