"""Taking a peer's learning out: at once out of service, then thoroughly, with progress and a report."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Final

from daemon.errors import RequestError
from daemon.jobs.process import JobOutcome
from daemon.serve.admin.asked import RevertOrder
from daemon.serve.admin.peers import host_of
from daemon.serve.admin.shapes import RevertInProgress, RevertReport, Reverts
from daemon.serve.admin.table import Call, Parts, Reply, Table
from daemon.serve.admin.work import Running
from daemon.store import reverts

table = Table()

JOB: Final = "revert"
PATIENCE: Final = 240.0
"""Seconds that a caller waits for the report; the plugin waits for five minutes."""


@dataclass(frozen=True)
class Ended:
    """How the latest revert, or preview of one, of this run of the daemon ended."""

    host: str
    dry_run: bool
    at: float
    outcome: JobOutcome

    def as_json(self) -> dict[str, Any]:
        """Return the report, or the problem."""
        outcome = self.outcome
        problem = {"code": outcome.code, "message": outcome.message, "advice": outcome.advice}
        return {
            "host": self.host,
            "dry_run": self.dry_run,
            "at": self.at,
            "report": outcome.result if outcome.ok else None,
            "problem": None if outcome.ok else problem,
        }


@table.get("/reverts", "Reverts that were done, the one in progress, and how the latest ended", Reverts)
async def listing(call: Call) -> dict[str, Any]:
    """Return reverts, newest first."""
    found = await call.work.read(reverts.newest, call.context.engine)
    running = call.work.running(JOB)
    last = call.parts.ended.get(JOB)
    return {
        "reverts": [asdict(record) for record in found],
        "running": None if running is None else _progress(running),
        "last": None if last is None else last.as_json(),
    }


@table.post(
    "/peers/{host}/revert",
    "Take a peer's learning out, or show what that would change",
    RevertReport,
    body=RevertOrder,
    later=RevertInProgress,
)
async def revert(call: Call) -> Any:
    """Answer with the report; with 202 where that takes longer than a caller can be kept waiting."""
    asked: RevertOrder = call.body
    host = host_of(call)
    if asked.confirm != host:
        raise RequestError(
            "the confirmation names another host", advice=f'Send "confirm": "{host}" to revert {host}.'
        )
    if not asked.dry_run:
        # First and at once, whatever else runs: from here on viewers see nothing of the peer.
        from daemon.revert import steps

        context = call.context
        await asyncio.to_thread(steps.out_of_service, context.engine, context.config, host, context.clock())
        while (other := call.work.running(JOB)) is not None:
            await asyncio.wait({other.task})
    running = call.work.start(JOB, {"host": host, "dry_run": "1" if asked.dry_run else "0"})
    running.task.add_done_callback(lambda task: _remember(call.parts, running, task))
    try:
        return (await asyncio.wait_for(call.work.end_of(running), PATIENCE)).result
    except TimeoutError:
        return Reply(_progress(running), 202)


def _progress(running: Running) -> dict[str, Any]:
    return {
        "host": running.arguments["host"],
        "dry_run": running.arguments["dry_run"] == "1",
        "started": running.started,
        "stage": running.stage,
        "fraction": running.fraction,
    }


def _remember(parts: Parts, running: Running, task: asyncio.Task[JobOutcome]) -> None:
    if not task.cancelled() and task.exception() is None:
        arguments = running.arguments
        parts.ended[JOB] = Ended(
            arguments["host"], arguments["dry_run"] == "1", parts.context.clock(), task.result()
        )
