"""What leaves this instance, as the job "share" finds it."""

from __future__ import annotations

from typing import Any, Final

from daemon.serve.admin.responses_history import Share
from daemon.serve.admin.routing import Call, Table

table = Table()

JOB: Final = "share"


@table.get("/share", "What would leave next, and what has left", Share)
async def share(call: Call) -> dict[str, Any]:
    """Reckon it anew; those who ask meanwhile get the same answer."""
    return await call.work.result_of(call.work.running(JOB) or call.work.start_job(JOB))
