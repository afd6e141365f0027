"""Who asks for the next sum, and with whom this instance would be in it: its peers, or its group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine

from daemon.config import Config
from daemon.group import repository as group_book
from daemon.group.membership import rules
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.peers.repository import KnownPeers
from daemon.rounds import round_config
from daemon.rounds.aggregator_window import AggregatorWindows
from federation.errors import Refusal
from federation.group.epoch_document import EpochDocument
from federation.identity import PublicIdentity
from federation.journal import FileJournal
from policies.base import Rule
from policies.group import GroupPolicy

Drawn = Literal["epoch", "listed", "peers"]


@dataclass(frozen=True)
class Asker:
    """The next sum as this instance would be asked for it.

    Attributes:
        hosts: who may ask.
        aggregator: the host of the group; of peers any, for whom this instance stands.
        roster: who would be in it, sorted by host.
        drawn: how that is known: `epoch`, this instance's part of the group's epoch; `listed`, the members
            as the host lists them, while no part is drawn; `peers`, all approved ones.
        parts: in how many parts the group is summed.
        rule: what a group adds to the rules; None outside of one.
        group: its name, empty outside of one.
    """

    hosts: tuple[str, ...]
    aggregator: str
    roster: tuple[PublicIdentity, ...]
    drawn: Drawn
    colluders: int = round_config.COLLUDERS
    parts: int = 1
    rule: Rule | None = None
    group: str = ""

    @property
    def members(self) -> tuple[str, ...]:
        """Return with whom this instance would be summed, itself included."""
        return tuple(one.host for one in self.roster)


def next_asker(config: Config, engine: Engine, known: KnownPeers) -> Asker:
    """Return who asks next. While this instance is in a group, that is its host and nobody else."""
    group = group_book.current(engine)
    if group is None or not group.active:
        hosts = tuple(peer.host for peer in known.approved())
        return Asker(hosts, config.instance.host, known.allowlist().members(), "peers")
    me = open_identity(config.identity_file, config.instance.host, create=False).public
    document = _document(config, engine, me, group)
    part = None if document is None else document.part_of(me.host)
    # Drawn shortly before the sum: until then it is judged as if all were in one part.
    roster = part or _listed(engine, me)
    return Asker(
        (group.host,),
        group.host,
        roster,
        "epoch" if part else "listed",
        colluders=round_config.GROUP_COLLUDERS,
        parts=len(document.rosters) if part and document is not None else 1,
        rule=rules.rule(engine, config, me) if part else GroupPolicy(me.host, roster, group.host),
        group=group.group,
    )


def asking(config: Config, engine: Engine, now: float) -> AggregatorWindows | None:
    """Return what this instance asks others in this data window: for its group, or its own peers."""
    group = group_book.current(engine)
    if group is not None and group.active:
        folder = config.group_dir / "host" / "asking"
        if group.role != "host" or not folder.is_dir():
            return None
        return AggregatorWindows(FileJournal(folder), config.privacy.window, lambda: now)
    return round_config.asking(config, lambda: now) if (config.journal_dir / "asking").is_dir() else None


def _listed(engine: Engine, me: PublicIdentity) -> tuple[PublicIdentity, ...]:
    inside = [one for one in group_book.members(engine) if one.state == "member" and one.key]
    # Whoever only learns is in no part.
    listed = [one.identity for one in inside if one.gives]
    return tuple(sorted({one.host: one for one in (me, *listed)}.values(), key=lambda one: one.host))


def _document(config: Config, engine: Engine, me: PublicIdentity, group: Membership) -> EpochDocument | None:
    try:
        host = rules.host_of(engine, config, me, group)
        return None if host is None else rules.epoch_of(group, host)
    except Refusal:
        # Signed by a key that is not the host's any more: no division holds.
        return None
