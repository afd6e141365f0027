"""What only the running daemon knows of itself: it tells this to its admin, and to commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Live:
    """The state of a serving process; times in Unix seconds.

    Attributes:
        started: when it began to serve.
        model: the id of the model in service, None while there is none; `problem` then says why.
        model_since: when it began to serve.
        upcoming: when each scheduled job runs next.
        running: the jobs that run now, and since when.
        list_filled: when a list was last answered with videos, None if none was since the start.
    """

    started: float
    model: str | None = None
    model_since: float | None = None
    problem: str = ""
    upcoming: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, float] = field(default_factory=dict)
    list_filled: float | None = None

    @classmethod
    def of_status(cls, answer: Mapping[str, Any], now: float) -> Live:
        """Read it from the admin's `/v1/status`. Raises KeyError, TypeError: that is another program's."""
        model = answer["model"] or {}
        return cls(
            started=now - answer["uptime_seconds"],
            model=model.get("id"),
            model_since=model.get("since"),
            problem=answer["problem"],
            upcoming=dict(answer["next"]),
            running=dict(answer["running"]),
            list_filled=answer["list_filled"],
        )
