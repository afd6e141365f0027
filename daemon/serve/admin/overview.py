"""How the instance is doing, on one page: who it is, what serves, what waits, how quality went."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.identity import open_identity
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.serve.context import ServeContext
from daemon.status import effects, jobs, quality, timeline, view
from daemon.status.effects import Effects
from daemon.status.jobs import Jobs
from daemon.status.quality import QualityPoint, TwoNumbers
from daemon.status.timeline import Timeline
from daemon.status.view import Status

table = Table()


@dataclass(frozen=True)
class Overview(Status):
    """How the instance is doing, how quality went, and the two newest numbers of it."""

    quality: list[QualityPoint]
    measured: TwoNumbers


@table.get("/overview", "How the instance is doing, and what waits for the admin", Overview)
async def overview(request: AdminRequest) -> Overview:
    """Read it all in one go."""
    return await request.work.read(_overview, request.context)


def _overview(context: ServeContext) -> Overview:
    config = context.config
    public = open_identity(config.identity_file, config.instance.host).public
    found = view.gather(config, context.engine, public, context.live(), context.clock())
    models = quality.trained(context.engine)
    measured = quality.two_numbers(context.engine, models)
    return Overview(**vars(found), quality=quality.over_time(models), measured=measured)


@table.get(
    "/timeline", "A year of windows, rounds, models and reverts, and of viewers who took part", Timeline
)
async def past(request: AdminRequest) -> Timeline:
    """Read what this instance knows of it."""
    return await request.work.read(timeline.read, request.engine, request.config, request.now)


@table.get("/effects", "What suggestions achieved on watch pages, counted without any viewer", Effects)
async def achieved(request: AdminRequest) -> Effects:
    """Return weekly totals, and clicks on our lists against PeerTube's own order."""
    return await request.work.read(effects.gather, request.engine, request.config, request.now)


@table.get("/jobs", "Each job: whether it runs, how it ended last, when it runs next", Jobs)
async def work(request: AdminRequest) -> Jobs:
    """Read it from the store and from this process."""
    return await request.work.read(jobs.states, request.engine, request.context.live())
