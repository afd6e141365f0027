"""Leaving every open session at once: as a member, and as the one who asked.

A daemon that is restarted goes on with its sums. One that an admin stops must not: what it answered in them
is erased, so that it can neither be asked further nor go on by itself later.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from daemon.config import Config
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.rounds import round_config
from daemon.store import activity
from federation.node import MemberNode

REASON = "stopped by the admin"


@dataclass(frozen=True)
class Left:
    """How many sessions of others, and how many of our own, were left."""

    as_member: int
    own: int


def leave_all(engine: Engine, config: Config, *, now: float | None = None) -> Left:
    """Leave all sums; the daemon must not run. A session's job that still runs ends at its next answer."""
    now = time.time() if now is None else now
    if not config.journal_dir.is_dir():
        return Left(0, 0)
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    # A node that knows no peer can continue nothing: it closes whatever it finds, between two rounds, too.
    MemberNode(
        identity,
        round_config.member_journal(config),
        peer=lambda _host: None,
        check_policies=lambda _proposal: None,
        clock=lambda: now,
        random=secrets.token_bytes,
        limits=round_config.limits(config),
    )
    own = 0
    for journal in (round_config.aggregator_journal(config), round_config.hosted_journal(config)):
        for sum_id in journal.sums():
            journal.erase(sum_id)
            own += 1
    sessions = [found for found in activity.sessions(engine, limit=1000) if found.outcome == "running"]
    for session in sessions:
        activity.save_session(engine, replace(session, ended=now, outcome="abandoned", reason=REASON))
    left = Left(
        sum(session.role == "member" for session in sessions),
        sum(session.role in ("aggregator", "host") for session in sessions),
    )
    if sessions or own:
        append(
            engine,
            identity,
            Kind.STOPPED,
            config.instance.host,
            {"sums_of_others": left.as_member, "own_sessions": left.own},
            now=now,
        )
    return left
