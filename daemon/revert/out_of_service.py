"""Taking a peer out of service, at once: it is blocked, and a model that never had it serves.

Nothing here waits for a job, computes, or deletes. Each step can be repeated: after a crash between two of
them the peer is blocked all the same, and the same command goes on.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import RequestError
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.process.job_context import LOCKS
from daemon.revert import report
from daemon.revert.report import Basis
from daemon.rounds import crash_points, head_history, round_config
from daemon.rounds.aggregator_window import asked_before, group_windows, peer_windows
from daemon.store import activity, current_model, ledger_rows, model_records, sums
from daemon.store.model_records import ModelRecord
from daemon.training import deploy
from daemon.training.deploy import MayServe
from daemon.training.kept_models import loads
from federation import envelope
from federation.errors import Refusal
from federation.proposal import SignedProposal

log = logging.getLogger(__name__)

_DECISIONS = tuple(
    kind.value
    for kind in (Kind.PEER_ADDED, Kind.PEER_APPROVED, Kind.PEER_PAUSED, Kind.PEER_REMOVED, Kind.PEER_REVERTED)
)


@dataclass(frozen=True)
class Switch:
    """What serves: `before` and `now` are ids of models, None where none serves. `seconds` until then."""

    host: str
    before: str | None
    now: str | None
    basis: Basis
    seconds: float
    abandoned: tuple[str, ...] = ()


def take_out_of_service(engine: Engine, config: Config, host: str, now: float) -> Switch:
    """Block a peer and let the newest model serve that never had it; under a second, whatever jobs run.

    Raises:
        RequestError: nobody of that name was ever a peer, or it is this instance.
        JobBusyError: another process decides what serves, for too long.

    """
    began = time.monotonic()
    require_known(engine, config, host)
    basis = basis_without(engine, host)
    with deploy.turn(config):
        _block(engine, config, host, now)
        crash_points.pass_point("revert.blocked")
        # Written down before it changes: a run that goes on after a crash cannot see it any more.
        before = _begun(engine, host, serving := current_model.read(config.models_dir), now)
        chosen = choose(engine, config)
        if chosen is None:
            current_model.clear(config.models_dir)
        elif chosen.directory != serving:
            current_model.write(config.models_dir, chosen.directory)
            details = {"kind": chosen.kind, "manifest": chosen.manifest_sha256, "survivors": chosen.survivors}
            _note(engine, config, Kind.SERVED, chosen.id, details, now)
        crash_points.pass_point("revert.switched")
        model_records.make_current(engine, None if chosen is None else chosen.id)
    crash_points.pass_point("revert.recorded")
    abandoned = abandon_open_rounds(engine, config, host, now)
    crash_points.pass_point("revert.abandoned")
    seconds = time.monotonic() - began
    after = None if chosen is None else chosen.id
    log.info("a peer is out of service: %s now serves", after or "no model")
    return Switch(host, before, after, basis, seconds, abandoned)


def require_known(engine: Engine, config: Config, host: str) -> None:
    """Check that there can be anything to take out. Raises RequestError."""
    if host == config.instance.host:
        raise RequestError(
            f"{host} is this instance; its own viewers are not taken out",
            advice='Set mode = "off" to serve without federation, or see: shoal viewers.',
        )
    known = repository.read(engine, config).find(host) is not None
    if not known and not any(host in hosts for hosts in activity.survivors_by_round(engine).values()):
        raise RequestError(f"{host} was never a peer here", advice="See: shoal peers list.")


def choose(engine: Engine, config: Config, without: str = "") -> ModelRecord | None:
    """Return the model that may serve: the one in service if that may, else the best of those that are ready.

    That is the newest one learnt with others, of whom none was taken out nor is `without`; else the newest
    learnt from own viewers alone; None where there is neither. Its files are checked: the serving process
    would go on with the old model rather than with a damaged one.
    """
    may_serve = MayServe(engine, config)
    current = current_model.read(config.models_dir)

    def usable(record: ModelRecord) -> bool:
        if record.state not in ("ready", "current") or without in (may_serve.hosts(record) or ()):
            return False
        # What serves goes at the end of the next training, should somebody have left it since; nothing of its
        # kind comes back until then.
        refused = may_serve.refusal(record, serving=record.directory == current)
        return refused is None and loads(config, record)

    records = model_records.models(engine)
    ordered = [r for r in records if r.kind == "federated"] + [r for r in records if r.kind == "local"]
    # What serves goes on serving: an admin may have wanted the local one.
    ordered.sort(key=lambda record: record.directory != current)
    return next((record for record in ordered if usable(record)), None)


def basis_without(engine: Engine, host: str) -> Basis:
    """Return what is left to learn from without a host."""
    records = sums.records(engine)
    with_host = {one.run for one in records if host in one.sources}
    left = [one for one in records if host not in one.sources and one.verdict != "quarantined"]
    if any(one.run in with_host for one in left):
        return "sub-cohorts"
    return "older sum" if left else "local"


def abandon_open_rounds(engine: Engine, config: Config, host: str, now: float) -> tuple[str, ...]:
    """Give up every open sum of ours that has the host in its roster; returns the rounds.

    While the job of a round runs, it is left to that job: it looks the peer up before every stage, and
    what it has is not stored.
    """
    if not config.journal_dir.is_dir():
        return ()
    lock = FileLock(config.data_dir / LOCKS["round"])
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return ()
    try:
        return _abandon(engine, config, host, now)
    finally:
        lock.release()


def open_rounds_with(config: Config, host: str) -> list[SignedProposal]:
    """Return the proposals in our journal that have the host in their roster."""
    if not config.journal_dir.is_dir():
        return []
    journal, limits = round_config.aggregator_journal(config), round_config.limits(config)
    me = open_identity(config.identity_file, config.instance.host, create=False).public
    found = []
    for round_id in journal.ids():
        raw = journal.read(round_id, "proposal")
        if raw is None:
            continue
        try:
            signed = SignedProposal.read(envelope.parse(raw, max_size=limits.max_request), me, limits)
        except Refusal:
            # Of an identity or a version before: nobody can go on with it.
            continue
        if host in signed.proposal.hosts:
            found.append(signed)
    return found


def _block(engine: Engine, config: Config, host: str, now: float) -> None:
    def block(peer: Peer) -> Peer:
        return peer if peer.state == "reverted" else replace(peer, state="reverted", since=now)

    repository.change(engine, config, host, block)
    _forget_heads(config, host, now)
    newest = ledger_rows.newest(engine, limit=1, kinds=_DECISIONS, subject=host)
    if not newest or newest[0].kind != Kind.PEER_REVERTED:
        _note(engine, config, Kind.PEER_REVERTED, host, {}, now)


def _forget_heads(config: Config, host: str, now: float) -> None:
    """Choose no head any more from what the host was part of, and ask the others again before their time."""
    head_history.forget(config, {host})
    for hosted, windows in ((False, peer_windows), (True, group_windows)):
        if asked_before(config, hosted=hosted):
            windows(config, lambda: now).may_be_early()


def _note(
    engine: Engine, config: Config, kind: Kind, subject: str, details: dict[str, Any], now: float
) -> None:
    identity = open_identity(config.identity_file, config.instance.host)
    ledger.append(engine, identity, kind, subject, details, now)


def _begun(engine: Engine, host: str, before: str | None, now: float) -> str | None:
    """Begin the record of this revert, or find the interrupted one; returns which model was in service."""
    newest = report.newest_records(engine, host, limit=1)
    if newest and not newest[0].report.get("finished"):
        first: str | None = newest[0].report.get("served_before")
        return first
    report.begin_record(engine, host, {"served_before": before, "finished": False}, now)
    return before


def _abandon(engine: Engine, config: Config, host: str, now: float) -> tuple[str, ...]:
    journal = round_config.aggregator_journal(config)
    rounds = []
    for signed in open_rounds_with(config, host):
        round_id = signed.round_id.hex()
        known = activity.round_(engine, round_id)
        if known is not None and known.ended is None:
            reason = f"{host} was taken out"
            activity.save_round(engine, replace(known, ended=now, outcome="abandoned", reason=reason))
        journal.erase(signed.round_id)
        rounds.append(round_id)
    return tuple(dict.fromkeys(rounds))
