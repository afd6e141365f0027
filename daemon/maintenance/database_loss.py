"""Going on after the database was lost: a new one in which nobody is approved, with the year's account.

Called by whatever opens the database for writing, before anything else is done with it.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import StoreError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append_in
from daemon.peers import repository
from daemon.process import daemon_lock
from daemon.process.job_context import JobContext
from daemon.sentences import Sentence, english, sentence
from daemon.store import loss, releases
from daemon.store.engine import writes
from daemon.store.loss import Loss

logger = logging.getLogger(__name__)

RECENT_SECONDS: Final = 30 * 86400.0

_WHAT: Final = {
    "missing": sentence("lostMissing"),
    "empty": sentence("lostEmpty"),
    "damaged": sentence("lostDamaged"),
}


def run(context: JobContext) -> dict[str, Any]:
    """Say what `shoal run` has to."""
    return {"lost": english(*told(context.engine, context.config, context.clock()))}


def recent(engine: Engine, config: Config, now: float) -> Loss | None:
    """Return a loss that the admin has to know of: a month long, and as long as peers of the file wait."""
    found = loss.recorded(engine)
    if found is None or (now - found.at >= RECENT_SECONDS and not repository.undecided(engine, config)):
        return None
    return found


def told(engine: Engine, config: Config, now: float) -> tuple[Sentence, ...]:
    """Return what to say of it, nothing where there was no loss."""
    found = recent(engine, config, now)
    return () if found is None else sentences(found)


def look(config: Config, now: float, *, thorough: bool) -> None:
    """Look whether the database was lost, and if so make room for a new one; `now` in Unix seconds.

    Raises:
        StoreError: it was lost under a running daemon, which still holds what was there.

    """
    cause = loss.find(config, thorough=thorough)
    if cause is None:
        return
    if daemon_lock.find(config.data_dir) is not None:
        raise StoreError(
            f"shoal.db is {cause}, and the daemon still runs",
            advice="Stop the daemon and restore shoal.db from a backup. Without one, start it again (shoal "
            "run): it begins a new one, with every peer paused.",
        )
    found = loss.begin_anew(config, cause, now)
    logger.warning("the database was lost", extra={"cause": cause, "kept": found.kept})


def take_over(config: Config, engine: Engine, now: float) -> None:
    """Write what a new database has to know of a loss, and what the releases beside the windows have."""
    found = loss.noted(config)
    if found is not None and loss.recorded(engine) != found:
        identity = open_identity(config.identity_file, config.instance.host)
        with writes(engine) as connection:
            loss.record(connection, found)
            append_in(
                connection, identity, Kind.DATABASE_LOST, identity.host, {"cause": found.cause}, found.at
            )
    releases.reconcile(engine, config.windows_dir, since=now - releases.KEEP_SECONDS)
    loss.settle(config)


def sentences(found: Loss) -> tuple[Sentence, ...]:
    """Return what the admin has to know."""
    kept = (sentence("lostKept"),) if found.cause == "damaged" else ()
    return (_WHAT[found.cause], sentence("lostWhat"), *kept)
