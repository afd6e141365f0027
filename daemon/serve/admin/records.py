"""What happened: sessions, models, sub-cohorts, the ledger."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.serve.admin.requests import Following, Latest
from daemon.serve.admin.responses_history import Ledger, Models, Sessions
from daemon.serve.admin.routing import Call, Parts, Table
from daemon.store import activity, current_model, model_records, sums
from daemon.training.acceptance.report import with_titles

table = Table()


@table.get("/sessions", "The latest secure sums, as aggregator and as member", Sessions, query=Latest)
async def sessions(call: Call) -> dict[str, Any]:
    """Return sessions, newest first."""
    asked: Latest = call.query
    return await call.work.read(_sessions, call.context.engine, asked.limit)


def _sessions(engine: Engine, limit: int) -> dict[str, Any]:
    parts = {part.session_id: part for part in sums.records(engine)}
    sizes = Counter(part.run for part in parts.values())
    found = []
    for session in activity.sessions(engine, limit=limit):
        part = parts.get(session.id)
        row = {name: value for name, value in vars(session).items() if name != "seconds"}
        # A cohort that was summed as one has no parts to speak of.
        several = part is not None and (part.sub_cohort > 0 or sizes[part.run] > 1)
        number = part.sub_cohort if part and several else None
        found.append({**row, "batch": part.run if part else "", "subcohort": number})
    return {"sessions": found}


@table.get("/models", "All models that are kept, and how they were accepted", Models)
async def models(call: Call) -> dict[str, Any]:
    """Return models, newest first."""
    return await call.work.read(_models, call.context.engine, call.context.config)


def _models(engine: Engine, config: Config) -> dict[str, Any]:
    current = current_model.read(config.models_dir)
    names = ("id", "created", "kind", "state", "survivors", "quality")
    return {
        "models": [
            {
                **{name: getattr(model, name) for name in names},
                "report": with_titles(engine, model.report),
                "current": model.directory == current,
            }
            for model in model_records.models(engine)
        ]
    }


@table.get("/ledger", "Entries of the ledger, and whether it is in order", Ledger, query=Following)
async def ledger(call: Call) -> dict[str, Any]:
    """Return entries that follow a number."""
    asked: Following = call.query
    return await call.work.read(_ledger, call.parts, asked.after, asked.limit)


def _ledger(parts: Parts, after: int, limit: int) -> dict[str, Any]:
    from daemon.identity import open_identity
    from daemon.ledger import chain

    engine, config = parts.context.engine, parts.context.config
    public = open_identity(config.identity_file, config.instance.host).public
    verification = parts.ledger.run(engine, public)
    found = chain.entries(engine, after, limit + 1)
    page = found[:limit]
    return {
        "entries": [
            {
                "seq": entry.seq,
                "at": entry.at,
                "kind": entry.kind,
                "subject": entry.subject,
                "details": entry.details,
                "hash": entry.hash.hex(),
            }
            for entry in page
        ],
        "next": page[-1].seq if len(found) > limit else None,
        "newest": verification.head.seq,
        "verified": verification.ok,
        "problem": verification.problem,
    }
