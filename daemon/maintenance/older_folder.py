"""A folder that was put back whole from an older copy, by what PeerTube's database knows of the ledger.

With the folder, the second copy of the ledger is older, too, and the account beside the windows: nothing in
it tells what it lacks. PeerTube's database is backed up and restored apart from it. So the plugin keeps how
far the ledger had come, and with every check of consent the daemon looks whether it still has that. Where it
lacks a decision against somebody, every peer is paused; where it lacks anything, what was given since may
be lacking as well, so everything counts as given for one data window.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Engine

from daemon.config import PeerTubeSource
from daemon.errors import SourceError
from daemon.group.after_loss import AGAINST as AGAINST_MEMBERS
from daemon.identity import open_identity
from daemon.ledger import bring_back, chain
from daemon.ledger.chain import Head, Kind
from daemon.maintenance import database_loss
from daemon.process.job_context import JobContext
from daemon.rounds.data_windows import open_windows
from daemon.source import ledger_seen
from daemon.source.ledger_seen import LedgerSeen
from daemon.source.peertube import open_client
from daemon.source.peertube_client import ExportClient
from daemon.store import ledger_rows
from daemon.store.ledger_rows import Row

logger = logging.getLogger(__name__)

_LOOKED_THROUGH: Final = 1_000
"""Entries about groups among which the newest decision is looked for; most tell of rounds."""


def look(context: JobContext) -> None:
    """Ask the plugin, where there is one, and tell it how far the ledger has come now.

    One that does not answer changes nothing: the next check asks again.
    """
    settings = context.config.source
    if not isinstance(settings, PeerTubeSource):
        return
    try:
        with open_client(settings) as client:
            compare(context, client)
    except SourceError as error:
        logger.warning("the plugin was not asked about the ledger", extra={"code": error.code})


def compare(context: JobContext, client: ExportClient) -> None:
    """Act on what the plugin knows that the ledger lacks, then tell it what there is. Raises SourceError."""
    engine, config = context.engine, context.config
    here = of_ledger(engine)
    if here is None:
        return
    seen = ledger_seen.read(client)
    if seen is not None and seen.begun == here.begun and not _has(engine, seen.entries, seen.head):
        lacks = bool(seen.decision) and not _has(engine, seen.decisions, seen.decision)
        logger.warning("the folder was put back from an older copy", extra={"entries": seen.entries})
        now = context.clock()
        identity = open_identity(config.identity_file, config.instance.host)
        open_windows(config, identity, engine, context.clock).count_as_served()
        if lacks:
            database_loss.pause_all(config, engine, now)
        here = of_ledger(engine)
    if here is not None and here != seen:
        ledger_seen.tell(client, here)


def of_ledger(engine: Engine) -> LedgerSeen | None:
    """Return how far the ledger has come, None while it has no entry."""
    first, head = ledger_rows.after(engine, 0, limit=1), chain.head(engine)
    if not first:
        return None
    decision = _newest_decision(engine)
    decided = (0, "") if decision is None else (decision.seq, decision.hash.hex())
    return LedgerSeen(first[0].hash.hex(), head.seq, head.hash.hex(), *decided)


def _newest_decision(engine: Engine) -> Row | None:
    # After a loss, peers were paused.
    kinds = [kind.value for kind in (*bring_back.AGAINST, Kind.DATABASE_LOST)]
    about_groups = ledger_rows.newest(engine, limit=_LOOKED_THROUGH, kinds=(Kind.GROUP.value,))
    of_groups = [row for row in about_groups if row.details.get("event") in AGAINST_MEMBERS]
    found = [*ledger_rows.newest(engine, limit=1, kinds=kinds), *of_groups[:1]]
    return max(found, key=lambda row: row.seq, default=None)


def _has(engine: Engine, number: int, hash_: str) -> bool:
    return chain.holds(engine, Head(number, bytes.fromhex(hash_)))
