"""Whether the daemon is up and can answer, and how it is doing; only the admin hears of viewers and peers."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from daemon.peers import repository
from daemon.serve.admin.access import ACCESS
from daemon.serve.api.metrics import CONTENT_TYPE
from daemon.serve.context import CONTEXT, ServeContext
from daemon.serve.middleware import error_answer, json_answer
from daemon.store import activity, source_state

routes = web.RouteTableDef()


@routes.get("/health/live")
async def live(_request: web.Request) -> web.Response:
    """Answer 200 while the process answers at all."""
    return json_answer({"live": True})


@routes.get("/health/ready")
async def ready(request: web.Request) -> web.Response:
    """Answer 200 once a model serves, 503 with the reason before."""
    model = request.app[CONTEXT].model
    if model.loaded is None:
        return error_answer(503, "not-ready", model.problem, "Run `shoal sync`, then `shoal train`.")
    return json_answer({"ready": True, "model": model.loaded.id})


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Answer in the text format of Prometheus; without a credential only about model and process."""
    context = request.app[CONTEXT]
    numbers, loaded = context.metrics, context.model.loaded
    numbers.model_loaded.set(loaded is not None)
    numbers.model_failures.set(context.model.failures)
    if loaded is not None:
        numbers.model_since.set(loaded.since)
        numbers.model_trained.set(_trained(loaded.model.manifest))
        numbers.model_videos.set(len(loaded.model.labels))
    private = request.app[ACCESS].admits(request)
    text = await asyncio.to_thread(numbers.render, private=private)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


def _trained(manifest: Mapping[str, Any]) -> float:
    made = manifest.get("created")
    return datetime.fromisoformat(made).timestamp() if made else 0.0


@routes.get("/v1/status")
async def status(request: web.Request) -> web.Response:
    """Answer with host, mode, uptime and model; with a credential also viewers, peers, jobs and rounds."""
    context = request.app[CONTEXT]
    told = _for_anybody(context)
    if request.app[ACCESS].admits(request):
        told |= await asyncio.to_thread(_for_the_admin, context)
    return json_answer(told)


def _for_anybody(context: ServeContext) -> dict[str, Any]:
    loaded = context.model.loaded
    model = (
        None
        if loaded is None
        else {"id": loaded.id, "videos": len(loaded.model.labels), "since": loaded.since}
    )
    return {
        "host": context.config.instance.host,
        "mode": context.config.mode,
        "uptime_seconds": round(context.clock() - context.started, 1),
        "model": model,
        "problem": context.model.problem,
    }


def _for_the_admin(context: ServeContext) -> dict[str, Any]:
    jobs = activity.jobs(context.engine, limit=10)
    found = activity.rounds(context.engine, limit=10)
    return {
        "addresses": context.addresses,
        "next": dict(context.upcoming()),
        "running": dict(context.running()),
        "list_filled": context.list_filled,
        "peers": [peer.host for peer in repository.read(context.engine, context.config).approved()],
        "jobs": [vars(job) for job in jobs],
        "rounds": [
            {"id": s.id, "role": s.role, "outcome": s.outcome, "reason": s.reason, "started": s.started}
            for s in found
        ],
        "refusals": activity.refusals(context.engine),
        "source": _source(context),
    }


def _source(context: ServeContext) -> dict[str, Any]:
    known = source_state.read(context.engine)
    # What is stored may still be of a source that was configured before.
    kind = context.config.source.kind
    stored = known if known is not None and known.kind == kind else None
    return {
        "kind": kind,
        "participants": stored.participants if stored else 0,
        "viewers": stored.viewers if stored else 0,
        "follows": stored.follows if stored else 0,
        "last_sync": stored.synced if stored else None,
        "last_check": stored.checked if stored else None,
        "exact_own": context.config.serve.exact_own,
    }
