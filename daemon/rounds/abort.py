"""Leaving every open round at once: as a member, and as its aggregator.

A daemon that is restarted goes on with its rounds. One that an admin stops must not: what it answered in them
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
    """How many rounds of others, and how many of our own, were left."""

    as_member: int
    own: int


def leave_all(engine: Engine, config: Config, *, now: float | None = None) -> Left:
    """Leave all rounds; the daemon must not run. A round's job that still runs ends at its next answer."""
    now = time.time() if now is None else now
    if not config.journal_dir.is_dir():
        return Left(0, 0)
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    # A node that knows no peer can continue nothing: it closes whatever it finds.
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
        for round_id in journal.ids():
            journal.erase(round_id)
            own += 1
    rounds = [
        found for found in activity.rounds(engine, limit=1000) if found.outcome in {"running", "waiting"}
    ]
    for round_ in rounds:
        activity.save_round(engine, replace(round_, ended=now, outcome="abandoned", reason=REASON))
    left = Left(
        sum(round_.role == "member" for round_ in rounds),
        sum(round_.role in ("aggregator", "host") for round_ in rounds),
    )
    if rounds or own:
        append(
            engine,
            identity,
            Kind.STOPPED,
            config.instance.host,
            {"rounds_of_others": left.as_member, "own_rounds": left.own},
            now=now,
        )
    return left
