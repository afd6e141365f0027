"""Which sub-cohorts were there when things went wrong; never what one peer gave."""

from __future__ import annotations

from typing import Any

from daemon.serve.admin.responses_history import Suspects
from daemon.serve.admin.routing import Call, Table
from daemon.training.acceptance.suspect_sub_cohorts import suspects

table = Table()


@table.get("/suspects", "Sub-cohorts that were in sums which did not pass", Suspects)
async def listing(call: Call) -> dict[str, Any]:
    """Return runs of sums, newest first."""
    return {"suspects": await call.work.read(suspects, call.context.engine)}
