"""One request of a run that waits for its answer."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from federation.flower.objects import Node


@dataclass(eq=False)
class Ask:
    """One request to one node."""

    host: str
    node: int
    content: Node
    max_answer: int
    deadline: float
    answer: Future[bytes] = field(default_factory=Future)
    sent: int = 0
    next: float = 0.0
    """When it is due to be sent (again), monotonic."""

    def settle(self, outcome: bytes | BaseException) -> None:
        """Set the outcome, unless there is one already."""
        with contextlib.suppress(InvalidStateError):
            if isinstance(outcome, bytes):
                self.answer.set_result(outcome)
            else:
                self.answer.set_exception(outcome)
