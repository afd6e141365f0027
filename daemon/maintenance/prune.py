"""Deletes what is no longer needed: superseded models, sums and old records, never the serving model."""

import shutil
from typing import Any, Final

from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.store import (
    activity,
    current_model,
    loss,
    model_records,
    releases,
    sums,
    traffic,
    viewer_numbers,
)
from daemon.training.acceptance.reference_models import month_old_record

KEEP_SUMS: Final = 2
KEEP_JOBS_SECONDS: Final = 90 * 86400.0


def run(context: JobContext) -> dict[str, Any]:
    """Keep the current model, the configured number of others, and those to fall back on.

    These are the newest local model, the newest learnt with each set of peers, and the one of a month ago.
    """
    config, now = context.config, context.clock()
    known = model_records.models(context.engine)
    current = current_model.read(config.models_dir)
    newest_local = next((model.id for model in known if model.kind == "local"), None)
    kept = {model.id for model in known[: config.model.keep]} | {newest_local, current}
    kept |= {model.id for model in known if model.directory == current}
    kept |= _fallbacks(known, config.model.keep)
    month_old = month_old_record(known, repository.read(context.engine, config), now=now)
    kept |= {month_old.id} if month_old is not None else set()
    dropped = [model for model in known if model.id not in kept]
    # The row first: a folder without a row is swept below, a row without its folder would be a lie.
    model_records.forget(context.engine, [model.id for model in dropped])
    folders = {model.directory for model in known if model.id in kept} | {current}
    swept = 0
    for path in config.models_dir.iterdir() if config.models_dir.is_dir() else ():
        if path.is_dir() and path.name not in folders:
            shutil.rmtree(path)
            swept += 1
    before = now - config.schedule.keep_rounds.total_seconds()
    return {
        "models": len(dropped),
        "folders": swept,
        "sums": sums.prune(context.engine, config.sums_dir, keep=KEEP_SUMS),
        "rounds": activity.prune_rounds(context.engine, before=before),
        "releases": releases.prune(context.engine, before=now - releases.KEEP_SECONDS),
        "traffic": traffic.prune(context.engine, before=traffic.month_of(now - releases.KEEP_SECONDS)),
        "days": viewer_numbers.prune(context.engine, before=now - releases.KEEP_SECONDS),
        "damaged": loss.discard_damaged(config, before=now - loss.KEEP_DAMAGED_SECONDS),
        "jobs": activity.prune_jobs(context.engine, before=now - KEEP_JOBS_SECONDS),
    }


def _fallbacks(known: list[model_records.ModelRecord], at_most: int) -> set[str]:
    """Return the newest model of each set of peers: one of them may be without a peer that is taken out."""
    newest: dict[tuple[str, ...], str] = {}
    for model in known:
        if model.kind == "federated" and model.state in ("ready", "current"):
            newest.setdefault(tuple(model.survivors), model.id)
    return set(list(newest.values())[:at_most])
