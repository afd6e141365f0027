"""Removing what was learnt from a peer: at once out of service, then thoroughly, and with a report."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.errors import Problem, RequestError, ShoalError
from daemon.jobs.run import run_job
from daemon.process.job_context import Progress
from daemon.revert import orchestrate
from daemon.revert.out_of_service import require_known
from daemon.revert.report import RevertReport, newest_records, with_titles
from daemon.serve.admin.executor import Running
from daemon.serve.admin.peers import host_of, tell
from daemon.serve.admin.requests import RevertOrder
from daemon.serve.admin.routing import AdminRequest, AdminState, EndedRevert, Reply, Table

table = Table()


class Revert(TypedDict):
    """A revert; its report is null while it is not through with the comparison."""

    id: int
    at: float
    host: str
    report: RevertReport | None


class RevertInProgress(TypedDict):
    """A revert, or the preview of one, that is being worked on; `fraction` of it is done."""

    host: str
    dry_run: bool
    started: float
    stage: str
    fraction: float


class RevertEnded(TypedDict):
    """How the latest revert or preview of this run of the daemon ended: one of the two is null."""

    host: str
    dry_run: bool
    at: float
    report: RevertReport | None
    problem: Problem | None


class Reverts(TypedDict):
    """Newest first."""

    reverts: list[Revert]
    running: list[RevertInProgress]
    last: RevertEnded | None


PATIENCE: Final = 240.0
"""Seconds that a caller waits for the report; the plugin waits for five minutes."""


@table.get("/reverts", "Past reverts, those in progress, and how the latest ended", Reverts)
async def listing(request: AdminRequest) -> Reverts:
    """Return reverts, newest first."""
    engine = request.engine

    def read() -> list[Revert]:
        return [
            {"id": one.id, "at": one.at, "host": one.host, "report": _shown(engine, one.report)}
            for one in newest_records(engine)
        ]

    def read_last(one: EndedRevert) -> RevertEnded:
        return {
            "host": one.host,
            "dry_run": one.dry_run,
            "at": one.at,
            "report": _shown(engine, one.report),
            "problem": one.problem,
        }

    last = request.state.revert_ended

    return {
        "reverts": await request.work.read(read),
        "running": [_progress(running) for running in request.state.reverts.values()],
        "last": None if last is None else await request.work.read(read_last, last),
    }


@table.post(
    "/peers/{host}/revert",
    "Remove what was learnt from a peer, or preview what that would change",
    RevertReport,
    body=RevertOrder,
    later=RevertInProgress,
)
async def revert(request: AdminRequest) -> RevertReport | Reply:
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


def _start(state: AdminState, host: str, *, dry_run: bool) -> Running[dict[str, Any]]:
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
            state.revert_ended = EndedRevert(host, dry_run, context.clock(), *_outcome(task))
            if not dry_run and task.exception() is None:
                tell(state.work, host)

    running.task.add_done_callback(ended)
    return running


def _shown(engine: Engine, report: dict[str, Any] | None) -> RevertReport | None:
    return with_titles(engine, report) if report and "changed" in report else None


def _outcome(task: asyncio.Task[dict[str, Any]]) -> tuple[dict[str, Any] | None, Problem | None]:
    error = task.exception()
    if error is None:
        return task.result(), None
    if isinstance(error, ShoalError):
        return None, error.as_json()
    details = "The daemon's log has the details."
    return None, {"code": "bug", "message": "the revert failed", "advice": details}


def _progress(running: Running[dict[str, Any]]) -> RevertInProgress:
    return {
        "host": running.details["host"],
        "dry_run": running.details["dry_run"],
        "started": running.started,
        "stage": running.stage,
        "fraction": running.fraction,
    }
