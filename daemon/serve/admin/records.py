"""What happened here: what left, sums, the ledger."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from sqlalchemy import Engine

from daemon.identity import open_identity
from daemon.ledger import chain
from daemon.ledger.chain import Verification
from daemon.serve.admin.requests import LedgerQuery, SessionsQuery
from daemon.serve.admin.responses_history import Ledger, Sessions, Share
from daemon.serve.admin.routing import AdminRequest, AdminState, Table
from daemon.store import activity, sums

table = Table()

SHARE: Final = "share"
TRUSTED_SECONDS: Final = 600.0
"""How long what was verified of the ledger is trusted; what follows it is verified each time."""


@table.get("/share", "What would leave next, and what has left", Share)
async def share(request: AdminRequest) -> dict[str, Any]:
    """Work it out anew in a job; those who ask meanwhile get the same answer."""
    work = request.work
    return await work.result_of(work.running(SHARE) or work.start_job(SHARE))


@table.get("/sessions", "The latest secure sums, as aggregator and as member", Sessions, query=SessionsQuery)
async def sessions(request: AdminRequest) -> dict[str, Any]:
    """Return sessions, newest first."""
    query: SessionsQuery = request.query
    return await request.work.read(_sessions, request.engine, query.limit)


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
        found.append({**row, "batch": part.run if part else "", "sub_cohort": number})
    return {"sessions": found}


@table.get("/ledger", "Entries of the ledger, and whether it verifies", Ledger, query=LedgerQuery)
async def ledger(request: AdminRequest) -> dict[str, Any]:
    """Return entries that follow a number."""
    query: LedgerQuery = request.query
    return await request.work.read(_ledger, request.state, query.after, query.limit)


def _ledger(state: AdminState, after: int, limit: int) -> dict[str, Any]:
    engine = state.context.engine
    verification = _verified(state)
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


def _verified(state: AdminState) -> Verification:
    """Verify the ledger without reading all of it for every look at the page; for one thread at a time."""
    config, now = state.context.config, time.monotonic()
    known, since = state.ledger
    if known is None or now - since > TRUSTED_SECONDS:
        known, since = None, now
    public = open_identity(config.identity_file, config.instance.host).public
    found = chain.verify(state.context.engine, public, known)
    state.ledger = found, since
    return found
