"""What happened here: what left, rounds, the ledger."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final, cast

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.disclosure.share_report import Share
from daemon.identity import open_identity
from daemon.ledger import chain, messages
from daemon.ledger.chain import Verification
from daemon.sentences import Sentence
from daemon.serve.admin.requests import LedgerQuery, RoundsQuery, SharedVideosQuery
from daemon.serve.admin.routing import AdminRequest, AdminState, Table
from daemon.serve.admin.shared_videos import SharedVideosPage, page
from daemon.store import activity, sums
from daemon.store.activity import Outcome, Role

table = Table()

TRUSTED_SECONDS: Final = 600.0
"""How long what was verified of the ledger is trusted; what follows it is verified each time."""


class Round(TypedDict):
    """One secure sum, from its proposal to its result.

    Attributes:
        outcome: waiting where members may have opened it already, so that it is resumed.
        run: the run of this instance that its sum belongs to, or empty.
        sub_cohort: of a run that was divided.
    """

    id: str
    role: Role
    aggregator: str
    started: float
    ended: float | None
    outcome: Outcome
    reason: str
    roster: list[str]
    survivors: list[str]
    bytes_in: int
    bytes_out: int
    run: str
    sub_cohort: int | None


class Rounds(TypedDict):
    """Newest first."""

    rounds: list[Round]


class LedgerEntry(TypedDict):
    """An entry of the ledger; `hash` chains it to the one before, `sentence` says what it tells."""

    sentence: Sentence
    seq: int
    at: float
    kind: str
    subject: str
    details: dict[str, Any]
    hash: str


class Ledger(TypedDict):
    """Entries in order.

    Attributes:
        next: what to ask `after` for the following ones.
        newest: number of the newest entry, 0 where there is none.
        problem: why the ledger does not verify.
    """

    entries: list[LedgerEntry]
    next: int | None
    newest: int
    verified: bool
    problem: str


@table.get("/share", "What would leave next, and what has left", Share)
async def share(request: AdminRequest) -> Share:
    """Work it out anew in a job."""
    return cast("Share", await request.state.shared.report(request.context, request.work))


@table.get("/share/videos", "The videos in it, a page at a time", SharedVideosPage, query=SharedVideosQuery)
async def share_videos(request: AdminRequest) -> SharedVideosPage:
    """Look through what was counted some minutes ago at most."""
    query: SharedVideosQuery = request.query
    counted = await request.state.shared.counted(request.context, request.work)
    return await request.work.read(page, counted, query.q, query.offset, query.limit)


@table.get("/rounds", "The latest rounds, as aggregator and as member", Rounds, query=RoundsQuery)
async def rounds(request: AdminRequest) -> Rounds:
    """Return rounds, newest first."""
    query: RoundsQuery = request.query
    return await request.work.read(_rounds, request.engine, query.limit)


def _rounds(engine: Engine, limit: int) -> Rounds:
    stored = {one.round_id: one for one in sums.records(engine)}
    sizes = Counter(one.run for one in stored.values())
    found: list[Round] = []
    for round_ in activity.rounds(engine, limit=limit):
        one = stored.get(round_.id)
        # A cohort that was not divided has no sub-cohorts to speak of.
        divided = one is not None and (one.sub_cohort > 0 or sizes[one.run] > 1)
        number = one.sub_cohort if one and divided else None
        found.append(
            {
                "id": round_.id,
                "role": round_.role,
                "aggregator": round_.aggregator,
                "started": round_.started,
                "ended": round_.ended,
                "outcome": round_.outcome,
                "reason": round_.reason,
                "roster": round_.roster,
                "survivors": round_.survivors,
                "bytes_in": round_.bytes_in,
                "bytes_out": round_.bytes_out,
                "run": one.run if one else "",
                "sub_cohort": number,
            }
        )
    return {"rounds": found}


@table.get("/ledger", "Entries of the ledger, and whether it verifies", Ledger, query=LedgerQuery)
async def ledger(request: AdminRequest) -> Ledger:
    """Return entries that follow a number."""
    query: LedgerQuery = request.query
    return await request.work.read(_ledger, request.state, query.after, query.limit)


def _ledger(state: AdminState, after: int, limit: int) -> Ledger:
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
                "sentence": messages.said(entry),
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
