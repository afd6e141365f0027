"""Going on after the database was lost, or an older one was put back: with all that is known beside it.

That is the ledger, with what was decided against peers and members of a group, and the year's account.
Approvals are not put back: of a database that was lost, nobody is approved.

Called by whatever opens the database for writing, before anything else is done with it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import DatabaseDamagedError, DatabaseMissingError, StoreError
from daemon.group import after_loss
from daemon.identity import open_identity
from daemon.ledger import bring_back, second_copy
from daemon.ledger.bring_back import Lacking
from daemon.ledger.chain import Kind, append_in
from daemon.peers import repository
from daemon.peers.repository import Peer, State
from daemon.process import daemon_lock
from daemon.process.job_context import JobContext
from daemon.sentences import Sentence, english, sentence
from daemon.store import loss, releases
from daemon.store.engine import writes
from daemon.store.loss import Cause, Loss
from federation.identity import PublicIdentity

logger = logging.getLogger(__name__)

RECENT_SECONDS: Final = 30 * 86400.0

_LOST: Final[dict[Cause, type[StoreError]]] = {
    "missing": DatabaseMissingError,
    "empty": DatabaseMissingError,
    "damaged": DatabaseDamagedError,
}
_WHAT: Final = {
    "missing": sentence("lostMissing"),
    "empty": sentence("lostEmpty"),
    "damaged": sentence("lostDamaged"),
    "older": sentence("lostOlder"),
    "restored": sentence("lostRestored"),
    "copied": sentence("lostCopied"),
    "older-folder": sentence("lostOlderFolder"),
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
        raise _LOST[cause](
            f"shoal.db is {cause}, and the daemon still runs",
            advice="Stop the daemon and restore a backup: shoal restore FILE. Without one, start it again "
            "(shoal run): it begins a new one, with every peer paused.",
        )
    found = loss.begin_anew(config, cause, now)
    logger.warning("the database was lost", extra={"cause": cause, "kept": found.kept})


def take_over(config: Config, engine: Engine, now: float) -> None:
    """Put back what is known beside the database: the ledger, decisions against peers, and releases."""
    found = loss.noted(config)
    public = _public(config)
    lack = bring_back.lacking(engine, public) if public is not None else Lacking()
    if found is None and lack.any:
        found = Loss(now, "older", "")
    if found is not None and loss.recorded(engine) != found:
        _put_back(config, engine, found, lack)
    releases.reconcile(engine, config.windows_dir, since=now - releases.KEEP_SECONDS)
    second_copy.settle(engine, f"apart-{int(now)}")
    loss.settle(config)


def pause_all(config: Config, engine: Engine, now: float) -> None:
    """Pause every peer: what is here was put back from an older copy, and nothing tells what it lacks."""
    _put_back(config, engine, Loss(now, "older-folder", ""), Lacking())


def _public(config: Config) -> PublicIdentity | None:
    if not config.identity_file.exists():
        return None
    return open_identity(config.identity_file, config.instance.host, create=False).public


def _put_back(config: Config, engine: Engine, found: Loss, lack: Lacking) -> None:
    identity = open_identity(config.identity_file, config.instance.host)
    with writes(engine) as connection:
        loss.record(connection, found)
        bring_back.put_back(connection, lack)
        known = repository.read_in(connection, config)
        for host, peer in known.items():
            if (state := _state(peer, lack.decided.get(host), found)) != peer.state:
                repository.save_in(connection, replace(peer, state=state))
        details = {"cause": found.cause, "brought_back": len(lack.entries), "missing": len(lack.apart)}
        after_loss.put_back(connection, (*lack.entries, *lack.apart), identity.host, known)
        append_in(connection, identity, Kind.DATABASE_LOST, identity.host, details, found.at)
    logger.warning("the database lacked what is known beside it", extra={**details, "code": "database-lost"})


def _state(peer: Peer, decided: Kind | None, found: Loss) -> State:
    """Return the state of a peer as the database has it, or as it was decided since."""
    if decided is Kind.PEER_REVERTED:
        return "reverted"
    if peer.state not in repository.LEARNT_FROM:
        return peer.state
    if decided is Kind.PEER_REMOVED:
        return "removed"
    if decided is Kind.PEER_PAUSED or found.cause in loss.UNDECIDED:
        return "paused"
    return peer.state


def sentences(found: Loss) -> tuple[Sentence, ...]:
    """Return what the admin has to know."""
    said = [_WHAT[found.cause]]
    said.append(sentence("lostPaused") if found.cause in loss.UNDECIDED else sentence("lostDecided"))
    if found.cause in ("restored", "copied", "older-folder"):
        said.append(sentence("lostServed"))
    if found.kept:
        said.append(sentence("lostKept"))
    return tuple(said)
