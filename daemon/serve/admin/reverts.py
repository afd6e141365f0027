"""Taking a peer's learning out: at once out of service, then thoroughly, with progress and a report."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, Final

from daemon.errors import RequestError, ShoalError
from daemon.jobs.run import run_job
from daemon.process.job_context import Progress
from daemon.serve.admin.executor import Running
from daemon.serve.admin.peers import host_of, tell
from daemon.serve.admin.requests import RevertOrder
from daemon.serve.admin.responses_history import RevertInProgress, RevertReport, Reverts
from daemon.serve.admin.routing import Call, Parts, Reply, Table
from daemon.serve.context import ServeContext

table = Table()

PATIENCE: Final = 240.0
"""Seconds that a caller waits for the report; the plugin waits for five minutes."""


@table.get("/reverts", "Reverts that were done, those in progress, and how the latest ended", Reverts)
async def listing(call: Call) -> dict[str, Any]:
    """Return reverts, newest first."""
    return {
        "reverts": await call.work.read(_listing, call.context),
        "running": [_progress(running) for running in call.parts.reverts.values()],
        "last": call.parts.ended,
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
    # Not in the admin's thread: nothing that waits there may keep a peer in service.
    await asyncio.to_thread(_require_known, call.context, host)
    running = _start(call.parts, host, dry_run=asked.dry_run)
    try:
        report = await asyncio.wait_for(call.work.result_of(running), PATIENCE)
    except TimeoutError:
        return Reply(_progress(running), 202)
    return await asyncio.to_thread(_with_titles, call.context, report)


def _start(parts: Parts, host: str, *, dry_run: bool) -> Running:
    from daemon.revert import orchestrate

    context = parts.context

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
    running = parts.work.start(kind, work, urgent=not dry_run, host=host, dry_run=dry_run)
    parts.reverts[kind] = running

    def ended(task: asyncio.Task[dict[str, Any]]) -> None:
        del parts.reverts[kind]
        if not task.cancelled():
            parts.ended = {"host": host, "dry_run": dry_run, "at": context.clock(), **_outcome(task)}
            if not dry_run and task.exception() is None:
                tell(parts.work, host)

    running.task.add_done_callback(ended)
    return running


def _require_known(context: ServeContext, host: str) -> None:
    from daemon.revert.out_of_service import require_known

    require_known(context.engine, context.config, host)


def _outcome(task: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
    error = task.exception()
    if error is None:
        return {"report": task.result(), "problem": None}
    bug = {"code": "bug", "message": "it failed here", "advice": "The daemon's log has the details."}
    return {"report": None, "problem": error.as_json() if isinstance(error, ShoalError) else bug}


def _progress(running: Running) -> dict[str, Any]:
    return {
        **running.about,
        "started": running.started,
        "stage": running.stage,
        "fraction": running.fraction,
    }


def _listing(context: ServeContext) -> list[dict[str, Any]]:
    from daemon.revert.report import newest_records, with_titles

    found = newest_records(context.engine)
    return [{**asdict(record), "report": with_titles(context.engine, record.report)} for record in found]


def _with_titles(context: ServeContext, report: dict[str, Any]) -> dict[str, Any]:
    from daemon.revert.report import with_titles

    return with_titles(context.engine, report)
