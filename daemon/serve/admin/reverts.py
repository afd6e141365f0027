"""Removing what was learnt from a peer: at once out of service, then thoroughly, and with a report."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, Final

from daemon.errors import RequestError, ShoalError
from daemon.jobs.run import run_job
from daemon.process.job_context import Progress
from daemon.revert import orchestrate
from daemon.revert.out_of_service import require_known
from daemon.revert.report import newest_records, with_titles
from daemon.serve.admin.executor import Running
from daemon.serve.admin.peers import host_of, tell
from daemon.serve.admin.requests import RevertOrder
from daemon.serve.admin.responses_history import RevertInProgress, RevertReport, Reverts
from daemon.serve.admin.routing import AdminRequest, AdminState, Reply, Table

table = Table()

PATIENCE: Final = 240.0
"""Seconds that a caller waits for the report; the plugin waits for five minutes."""


@table.get("/reverts", "Past reverts, those in progress, and how the latest ended", Reverts)
async def listing(request: AdminRequest) -> dict[str, Any]:
    """Return reverts, newest first."""
    engine = request.engine

    def read() -> list[dict[str, Any]]:
        found = newest_records(engine)
        return [{**asdict(record), "report": with_titles(engine, record.report)} for record in found]

    return {
        "reverts": await request.work.read(read),
        "running": [_progress(running) for running in request.state.reverts.values()],
        "last": request.state.revert_ended,
    }


@table.post(
    "/peers/{host}/revert",
    "Remove what was learnt from a peer, or preview what that would change",
    RevertReport,
    body=RevertOrder,
    later=RevertInProgress,
)
async def revert(request: AdminRequest) -> Any:
    """Answer with the report; with 202 where that takes longer than a caller can be kept waiting."""
    order: RevertOrder = request.body
    host = host_of(request)
    if order.confirm != host:
        raise RequestError(
            "the confirmation names another host", advice=f'Send "confirm": "{host}" to revert {host}.'
        )
    # Not in the admin's thread: nothing that waits there may keep a peer in service.
    await asyncio.to_thread(require_known, request.engine, request.config, host)
    running = _start(request.state, host, dry_run=order.dry_run)
    try:
        report = await asyncio.wait_for(request.work.result_of(running), PATIENCE)
    except TimeoutError:
        return Reply(_progress(running), 202)
    return await asyncio.to_thread(with_titles, request.engine, report)


def _start(state: AdminState, host: str, *, dry_run: bool) -> Running:
    context = state.context

    async def work(progress: Progress) -> dict[str, Any]:
        if dry_run:
            return await orchestrate.rehearse(context.config, context.config_file, host, run_job, progress)
        # The peer is out of service before this waits for any other job.
        return await orchestrate.carry_out(
            context.engine,
            context.config,
            context.config_file,
            host,
            run_job,
            progress=progress,
            clock=context.clock,
        )

    # A preview must not keep the real one waiting, nor one peer's revert that of another.
    kind = "preview of a revert" if dry_run else f"revert of {host}"
    running = state.work.start(kind, work, urgent=not dry_run, host=host, dry_run=dry_run)
    state.reverts[kind] = running

    def ended(task: asyncio.Task[dict[str, Any]]) -> None:
        del state.reverts[kind]
        if not task.cancelled():
            state.revert_ended = {"host": host, "dry_run": dry_run, "at": context.clock(), **_outcome(task)}
            if not dry_run and task.exception() is None:
                tell(state.work, host)

    running.task.add_done_callback(ended)
    return running


def _outcome(task: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
    error = task.exception()
    if error is None:
        return {"report": task.result(), "problem": None}
    bug = {"code": "bug", "message": "the revert failed", "advice": "The daemon's log has the details."}
    return {"report": None, "problem": error.as_json() if isinstance(error, ShoalError) else bug}


def _progress(running: Running) -> dict[str, Any]:
    return {
        **running.details,
        "started": running.started,
        "stage": running.stage,
        "fraction": running.fraction,
    }
