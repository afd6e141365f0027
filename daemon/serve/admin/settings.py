"""The settings that the admin chooses on the page, what levels cost, and jobs that the admin starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from daemon.config import choices
from daemon.disclosure.level_plans import LevelPlans
from daemon.errors import PolicyRefusedError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.process.job_context import Progress
from daemon.sentences import english
from daemon.serve.admin.executor import BusyError
from daemon.serve.admin.requests import ChosenSettings, StartOrder
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.serve.context import ServeContext
from daemon.status import choosable, startable
from daemon.status.choosable import Changed, Settings
from daemon.status.startable import Live, StartableJobs

table = Table()
logger = logging.getLogger(__name__)

CHANGE: Final = "settings"
PLANS: Final = "level-plans"


@table.get("/settings", "Settings that the page may change, and what each value would let out", Settings)
async def settings(request: AdminRequest) -> Settings:
    """Return what holds."""
    return await request.work.read(choosable.view, request.context.config_file)


@table.post("/settings", "Change settings; they hold at once", Settings, body=ChosenSettings)
async def choose(request: AdminRequest) -> Settings:
    """Check a change, store it, write it into the ledger, and let it hold."""
    order: ChosenSettings = request.body
    context, work = request.context, request.work

    change = await work.read(choosable.proposed, context.config_file, order.wanted())
    choosable.require_agreed(change, order.agreed)

    async def carry_out(_progress: Progress) -> dict[str, Any]:
        await _carry_out(request, order)
        return {}

    # Once begun it is finished, whether or not the page still waits.
    await work.result_of(work.start(CHANGE, carry_out, urgent=True))
    return await work.read(choosable.view, context.config_file)


@table.get("/settings/levels", "What each privacy level costs, and what it is worth", LevelPlans)
async def levels(request: AdminRequest) -> dict[str, Any]:
    """Reckon it in a job; those who ask meanwhile get the same answer."""
    work = request.work
    return await work.result_of(work.running(PLANS) or work.start_job(PLANS))


@table.get("/start", "Jobs that the admin may start, and how each stands", StartableJobs)
async def jobs(request: AdminRequest) -> StartableJobs:
    """Return how they stand."""
    context = request.context
    return await request.work.read(
        startable.states, context.config, context.engine, _live(context), context.clock()
    )


@table.post("/start", "Start a job now", StartableJobs, body=StartOrder)
async def start(request: AdminRequest) -> StartableJobs:
    """Begin what the schedule would begin.

    Raises:
        BusyError: it runs already, or waits for its turn.
        PolicyRefusedError: something is in its way.
    """
    order: StartOrder = request.body
    context = request.context
    hindrance = await request.work.read(
        startable.hindrance, context.config, context.engine, order.job, context.clock()
    )
    if hindrance is not None:
        raise PolicyRefusedError(english(hindrance), advice="See the tab Settings.")
    if order.job in context.begun():
        raise BusyError(f"already in progress: {order.job}", advice="Wait until it has ended.")
    context.begin(order.job)
    return await jobs(request)


async def _carry_out(request: AdminRequest, order: ChosenSettings) -> None:
    context, work = request.context, request.work
    # Once more: another change may have come in between.
    change = await work.read(choosable.proposed, context.config_file, order.wanted())
    if not change.changed:
        return
    choosable.require_agreed(change, order.agreed)
    before = await work.read(choices.read, context.config.data_dir)
    await work.read(_record, context, change.chosen, change.changed)
    try:
        await context.reconfigure(change.after)
    except BaseException:
        back = {key: (new, old) for key, (old, new) in change.changed.items()}
        await work.read(_record, context, before, back)
        raise


def _record(context: ServeContext, chosen: Mapping[str, choices.Choice], changed: Changed) -> None:
    """Store choices and write the change into the ledger, or do neither."""
    folder, host = context.config.data_dir, context.config.instance.host
    before = choices.read(folder)
    choosable.store(folder, chosen)
    try:
        identity = open_identity(context.config.identity_file, host)
        details = {"changed": {key: [old, new] for key, (old, new) in changed.items()}}
        append(context.engine, identity, Kind.SETTINGS, host, details, now=context.clock())
    except BaseException:
        choosable.store(folder, before)
        raise


def _live(context: ServeContext) -> Live:
    return Live(context.running(), context.progress(), context.waiting(), context.upcoming())
