"""What waits for the admin, read off the store: peers that ask, sums that did not pass, spent budgets.

Nothing is kept of a notice but that it was told: it is there as long as its cause is. Subjects are hosts of
peers and ids of models and sums; there is nothing about viewers or videos in any of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from sqlalchemy import Engine, func, select

from daemon.config import Config
from daemon.group import repository as group_book
from daemon.group.repository import GroupMember, Membership
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.process.daemon_lock import replace_file
from daemon.store import model_records, sums
from daemon.store.engine import reads
from daemon.store.model_records import ModelRecord
from daemon.store.tables import Refusal

logger = logging.getLogger(__name__)

Kind = Literal[
    "peer-request",
    "quarantine",
    "awaiting",
    "budget",
    "key-changed",
    "unreachable",
    "group-request",
    "group-out",
    "group-member",
    "group-host",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
UNREACHABLE_SECONDS: Final = 86400.0
POLLS_IN_VAIN: Final = 3
"""So many times its host is asked in vain before that is told, and for a day at least."""
WINDOWS_OF_A_REFUSAL: Final = 2
"""Peers ask once per data window: a budget that refused nothing for so many has room again."""
TOLD_NAME: Final = "told.json"
_NAMED: Final = 4
"""Hosts of a group that a notice names; of more, their number."""


@dataclass(frozen=True)
class Notice:
    """One thing that waits for the admin; `at` in Unix seconds, `id` the same as long as its cause lasts."""

    id: str
    kind: Kind
    at: float
    subject: str
    sentence: str
    advice: str


def current(engine: Engine, config: Config, now: float) -> list[Notice]:
    """Return everything that waits now, newest first."""
    found = [
        *_of_peers(engine, config, now),
        *_of_models(engine),
        *_of_budgets(engine, config, now),
        *_of_group(engine, config, now),
    ]
    return sorted(found, key=lambda notice: (-notice.at, notice.id))


def _of_peers(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    for host, peer in repository.read(engine, config).peers.items():
        if peer.state == "candidate" and peer.theirs in {"asked", "approved"}:
            yield Notice(
                f"peer-request:{host}",
                "peer-request",
                peer.said or peer.since,
                host,
                f"{host} asks to learn together with this instance.",
                f"Compare its words with its admin, then: shoal peers approve {host}",
            )
        if peer.next_key and peer.state in repository.LEARNT_FROM:
            yield Notice(
                f"key-changed:{host}:{peer.next_key[-12:]}",
                "key-changed",
                peer.seen or peer.since,
                host,
                f"{host} uses a new key without a proof that it may; sums go without it until you decide.",
                f"Ask its admin. If the key is theirs, approve it again: shoal peers approve {host}",
            )
        if peer.state == "approved" and _silent_since(peer) < now - UNREACHABLE_SECONDS:
            yield Notice(
                f"unreachable:{host}",
                "unreachable",
                _silent_since(peer) + UNREACHABLE_SECONDS,
                host,
                f"{host} has not answered for more than a day.",
                "It is tried again by itself; sums go without it meanwhile.",
            )


def _silent_since(peer: Peer) -> float:
    """Return when a peer last answered, Unix seconds; endless where nobody has tried in vain."""
    return (peer.seen or peer.since) if peer.failures else float("inf")


def _of_models(engine: Engine) -> Iterator[Notice]:
    models = model_records.models(engine)
    parts = sums.records(engine)
    summed = {name: part.created for part in parts for name in (part.session_id, part.run) if name}

    def asked(model: ModelRecord) -> float:
        # By its sum: an older, accepted one is trained again right after a newer one was put aside.
        return summed.get(model.session_id or "", model.created)

    good = max(
        (asked(m) for m in models if m.kind == "federated" and m.state in {"ready", "current"}), default=0.0
    )
    for model in models:
        if asked(model) > good and model.state == "quarantined":
            yield _quarantine(model.id, model.created, model.survivors, model.report)
        if asked(model) > good and model.state == "awaiting":
            yield _awaiting(model.id, model.created, model.survivors)
    trained = {model.session_id for model in models}
    accepted = max((part.created for part in parts if part.verdict == "accepted"), default=0.0)
    batches = {part.run: part for part in parts if part.created > accepted}
    for batch, first in batches.items():
        members = [part for part in parts if part.run == batch]
        if first.verdict != "quarantined" or trained & {batch, *(part.session_id for part in members)}:
            continue
        hosts = sorted(host for part in members for host in part.survivors)
        yield _quarantine(batch, first.created, hosts, first.report)


def _quarantine(subject: str, at: float, hosts: Iterable[str], report: dict[str, object]) -> Notice:
    why = f" {report['sentence']}" if report.get("sentence") else ""
    return Notice(
        f"quarantine:{subject}",
        "quarantine",
        at,
        subject,
        f"What was learnt with {_listed(hosts)} did not pass and does not serve.{why}",
        "The model before stays. See: shoal peers suspects, shoal models list",
    )


def _awaiting(subject: str, at: float, hosts: Iterable[str]) -> Notice:
    return Notice(
        f"awaiting:{subject}",
        "awaiting",
        at,
        subject,
        f"The model learnt with {_listed(hosts)} is ready and waits for your look.",
        f"Look at what it would change, then: shoal models accept {subject}",
    )


def _of_budgets(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    with reads(engine) as connection:
        last = connection.execute(select(func.max(Refusal.last)).where(Refusal.code == "budget-spent"))
        at = last.scalar()
    if at is not None and now - at < WINDOWS_OF_A_REFUSAL * config.privacy.window.total_seconds():
        yield Notice(
            "budget",
            "budget",
            at,
            config.instance.host,
            "The yearly privacy budget is spent: this instance contributes nothing until it has room again.",
            "See: shoal privacy show. What serves is not touched.",
        )


def _of_group(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    group = group_book.current(engine)
    if group is None:
        return
    if group.state in {"refused", "ejected"}:
        what = "did not let this instance into" if group.state == "refused" else "took this instance out of"
        yield Notice(
            f"group-out:{group.group}:{group.state}",
            "group-out",
            group.polled or group.since,
            group.host,
            f"{group.host} {what} the group {group.group}.",
            "Ask its admin, or end it here, too: shoal group leave",
        )
    if group.role == "member":
        yield from _of_host(group, config, now)
    members = group_book.members(engine)
    if group.role == "host":
        for one in members:
            if one.state == "asked":
                yield Notice(
                    f"group-request:{one.host}",
                    "group-request",
                    one.since,
                    one.host,
                    f"{one.host} asks to join the group {group.group}.",
                    f"Compare its words with its admin, then: shoal group approve {one.host}",
                )
    if group.active:
        yield from _of_strangers(engine, config, group, members)


def _of_host(group: Membership, config: Config, now: float) -> Iterator[Notice]:
    silent = group.polled or group.since
    patience = max(UNREACHABLE_SECONDS, POLLS_IN_VAIN * config.group.poll.total_seconds())
    # After a time without power nobody has been asked in vain yet.
    waits = group.state in {"asked", "member"} and bool(group.problem)
    if waits and config.mode in {"consume", "contribute"} and silent < now - patience:
        yield Notice(
            f"group-host:{group.host}",
            "group-host",
            silent + patience,
            group.host,
            f"The host of the group {group.group}, {group.host}, has not answered for more than a day.",
            "It is tried again by itself; there are no sums meanwhile. See: shoal group status",
        )


def _of_strangers(
    engine: Engine, config: Config, group: Membership, members: Iterable[GroupMember]
) -> Iterator[Notice]:
    known = repository.read(engine, config)
    strangers = {}
    for one in members:
        peer = known.find(one.host)
        recognised = peer is not None and peer.approved and peer.key == one.key
        # Of whom the admin decided against there is nothing to say any more.
        undecided = peer is None or peer.state in {"candidate", "approved"}
        if one.state == "member" and one.host != config.instance.host and not recognised and undecided:
            strangers[one.host] = one.since
    if strangers:
        hosts = sorted(strangers)
        named = hosts[:_NAMED] if len(hosts) > _NAMED + 1 else hosts
        more = f" and {len(hosts) - len(named)} more" if len(named) < len(hosts) else ""
        are = "is a member" if len(hosts) == 1 else "are members"
        digest = hashlib.sha256(" ".join(hosts).encode()).hexdigest()[:12]
        yield Notice(
            f"group-member:{digest}",
            "group-member",
            max(strangers.values()),
            group.group,
            f"{', '.join(named)}{more} {are} of the group {group.group} and not approved here yet.",
            "Compare the words (shoal group members), then: shoal group recognise HOST",
        )


def _listed(hosts: Iterable[str]) -> str:
    names = list(hosts)
    return ", ".join(names) if names else "peers"


class Told:
    """Tells each notice once in the log, when it appears; across restarts, by a small file."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / TOLD_NAME
        self._known = self._read()

    def tell(self, notices: Iterable[Notice]) -> list[Notice]:
        """Log those that were not there the last time, and return them."""
        there = {notice.id: notice for notice in notices}
        new = [notice for name, notice in there.items() if name not in self._known]
        for notice in new:
            logger.warning("for the admin", extra={"code": notice.kind, "subject": notice.subject})
        if there.keys() != self._known:
            # Before the next look, so that a restart repeats nothing.
            self._known = set(there)
            replace_file(self._file, json.dumps(sorted(there)).encode())
        return new

    def _read(self) -> set[str]:
        try:
            known = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return set()
        return {name for name in known if isinstance(name, str)} if isinstance(known, list) else set()
