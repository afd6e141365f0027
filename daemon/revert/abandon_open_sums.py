"""Sums of our own that a peer takes part in and that are not finished: they are given up with it."""

from __future__ import annotations

import time
from dataclasses import replace

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from daemon.config import Config
from daemon.identity import open_identity
from daemon.process.job_context import LOCKS
from daemon.rounds import round_config
from daemon.store import activity
from federation import envelope
from federation.errors import Refusal
from federation.proposal import SignedProposal


def abandon(engine: Engine, config: Config, host: str, now: float) -> tuple[str, ...]:
    """Give up every open sum of ours that has the host in its roster; returns the sessions.

    While the job of a session runs, it is left to that job: it asks the book of peers before every stage, and
    what it has is not stored.
    """
    if not config.journal_dir.is_dir():
        return ()
    lock = FileLock(config.data_dir / LOCKS["session"])
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return ()
    try:
        return _abandon(engine, config, host, now)
    finally:
        lock.release()


def named(config: Config, host: str) -> list[SignedProposal]:
    """Return the proposals in our journal that have the host in their roster."""
    if not config.journal_dir.is_dir():
        return []
    journal, limits = round_config.aggregator_journal(config), round_config.limits(config)
    me = open_identity(config.identity_file, config.instance.host, create=False).public
    found = []
    for sum_id in journal.sums():
        raw = journal.read(sum_id, "proposal")
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


def _abandon(engine: Engine, config: Config, host: str, now: float) -> tuple[str, ...]:
    journal = round_config.aggregator_journal(config)
    sessions = []
    for signed in named(config, host):
        proposal = signed.proposal
        session_id = (proposal.parent or signed.sum_id).hex()
        if host in proposal.survivors:
            # The counts were opened with the host. Its neighbours give no sum with others in this window, so
            # that asking them for one would only cost them time.
            round_config.asking(config, time.time).answered(session_id)
        known = activity.session(engine, session_id)
        if known is not None and known.ended is None:
            reason = f"{host} was taken out"
            activity.save_session(engine, replace(known, ended=now, outcome="abandoned", reason=reason))
        journal.erase(signed.sum_id)
        sessions.append(session_id)
    return tuple(dict.fromkeys(sessions))
