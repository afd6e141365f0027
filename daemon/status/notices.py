"""What waits for the admin, read from the store: requests of peers, quarantined sums, a spent budget.

A notice is there as long as its cause is. Its subject is the host of a peer, or the id of a model or sum;
there is nothing about viewers or videos in any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from sqlalchemy import Engine, func, select

from daemon.config import Config
from daemon.doctor import silent_lists
from daemon.group import repository as group_book
from daemon.group.repository import GroupMember, Membership
from daemon.maintenance import database_loss
from daemon.peers import circle, repository
from daemon.peers.repository import Peer
from daemon.store import model_records, source_state, sums
from daemon.store.engine import reads
from daemon.store.model_records import ModelRecord
from daemon.store.tables import Refusal
from daemon.training import exact_own

Kind = Literal[
    "database-lost",
    "peer-request",
    "introductions",
    "quarantine",
    "awaiting",
    "budget",
    "exact-own",
    "lists-silent",
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
"""The host of a group counts as silent after so many polls in vain, and after a day at the earliest."""
WINDOWS_OF_A_REFUSAL: Final = 2
"""Peers ask once per data window: a budget that refused nothing for so many windows has room again."""
_NAMED: Final = 4
"""Members that a notice names; of the others it says how many."""


@dataclass(frozen=True)
class Notice:
    """One thing that waits for the admin; `at` in Unix seconds, `id` the same as long as its cause lasts."""

    id: str
    kind: Kind
    at: float
    subject: str
    sentence: str
    advice: str


def _notice(kind: Kind, at: float, subject: str, sentence: str, advice: str, *, cause: str = "") -> Notice:
    return Notice(f"{kind}:{cause or subject}", kind, at, subject, sentence, advice)


def current(engine: Engine, config: Config, now: float) -> list[Notice]:
    """Return everything that waits now, newest first."""
    found = [
        *_of_loss(engine, config, now),
        *_of_peers(engine, config, now),
        *_of_circle(engine, config, now),
        *_of_models(engine),
        *_of_budgets(engine, config, now),
        *_of_exact_own(engine, config),
        *_of_silent_lists(engine, config, now),
        *_of_group(engine, config, now),
    ]
    return sorted(found, key=lambda notice: (-notice.at, notice.id))


def _of_loss(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    found = database_loss.recent(engine, config, now)
    if found is not None:
        yield _notice(
            "database-lost",
            found.at,
            config.instance.host,
            " ".join(database_loss.sentences(found)),
            "If you have a backup of shoal.db, stop the daemon and restore it. Otherwise approve the peers "
            "that you trust again: shoal peers list",
        )


def _of_peers(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    group = group_book.current(engine)
    hosts = group is not None and group.role == "host"
    # Whoever asks to join the group hosted here asks to be approved as well; one decision is about both.
    joining = {one.host for one in group_book.members(engine) if hosts and one.state in ("asked", "refused")}
    for host, peer in repository.read(engine, config).peers.items():
        if peer.state == "candidate" and peer.theirs in {"asked", "approved"} and host not in joining:
            yield _notice(
                "peer-request",
                peer.said or peer.since,
                host,
                f"{host} asks to learn together with this instance.",
                f"Compare its words with its admin, then: shoal peers approve {host}",
            )
        if peer.next_key and peer.state in repository.LEARNT_FROM:
            yield _notice(
                "key-changed",
                peer.seen or peer.since,
                host,
                f"{host} uses a new key, without proof that it may: sums leave it out until you decide.",
                f"Ask its admin. If the key is theirs, approve it again: shoal peers approve {host}",
                cause=f"{host}:{peer.next_key[-12:]}",
            )
        if peer.state == "approved" and _silent_since(peer) < now - UNREACHABLE_SECONDS:
            yield _notice(
                "unreachable",
                _silent_since(peer) + UNREACHABLE_SECONDS,
                host,
                f"{host} has not answered for more than a day.",
                "The daemon keeps trying; sums leave it out meanwhile.",
            )


def _of_circle(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    found = circle.waiting(engine, config, now)
    if not found.instances:
        return
    hosts = [one.host for one in found.instances]
    introducers = sorted({host for one in found.instances for host in one.vouchers})
    if len(introducers) == 1:
        who = introducers[0]
        sentence = f"{who} introduces {len(hosts)} instances."
        sentence = f"{who} introduces 1 instance." if len(hosts) == 1 else sentence
    else:
        sentence = f"Your peers introduce {len(hosts)} instances."
        sentence = "Your peers introduce 1 instance." if len(hosts) == 1 else sentence
    yield _notice(
        "introductions",
        max(found.lists[host].said for host in introducers),
        introducers[0] if len(introducers) == 1 else "",
        sentence,
        "See what stands for each, and approve all ticked in one decision: shoal peers circle",
        cause=_cause(hosts),
    )


def _cause(hosts: Iterable[str]) -> str:
    """Return what stays the same while it is about the same hosts."""
    return hashlib.sha256(" ".join(sorted(hosts)).encode()).hexdigest()[:12]


def _named(hosts: list[str]) -> str:
    """Name some hosts, and say how many more there are."""
    named = hosts[:_NAMED] if len(hosts) > _NAMED + 1 else hosts
    more = f" and {len(hosts) - len(named)} more" if len(named) < len(hosts) else ""
    return f"{', '.join(named)}{more}"


def _silent_since(peer: Peer) -> float:
    """Return when a silent peer last answered, Unix seconds; endless for one that answers."""
    return (peer.seen or peer.since) if peer.failures else float("inf")


def _of_models(engine: Engine) -> Iterator[Notice]:
    models = model_records.models(engine)
    stored = sums.records(engine)
    summed = {name: one.created for one in stored for name in (one.round_id, one.run) if name}

    def asked(model: ModelRecord) -> float:
        # By its sum: an older, accepted one is trained again right after a newer one was quarantined.
        return summed.get(model.round_id or "", model.created)

    good = max(
        (asked(m) for m in models if m.kind == "federated" and m.state in {"ready", "current"}), default=0.0
    )
    for model in models:
        if asked(model) > good and model.state == "quarantined":
            yield _quarantine(model.id, model.created, model.survivors, model.report)
        if asked(model) > good and model.state == "awaiting":
            yield _awaiting(model.id, model.created, model.survivors)
    trained = {model.round_id for model in models}
    accepted = max((one.created for one in stored if one.verdict == "accepted"), default=0.0)
    runs = {one.run: one for one in stored if one.created > accepted}
    for run, first in runs.items():
        same = [one for one in stored if one.run == run]
        if first.verdict != "quarantined" or trained & {run, *(one.round_id for one in same)}:
            continue
        hosts = sorted(host for one in same for host in one.survivors)
        yield _quarantine(run, first.created, hosts, first.report)


def _quarantine(subject: str, at: float, hosts: Iterable[str], report: dict[str, object]) -> Notice:
    why = f" {report['sentence']}" if report.get("sentence") else ""
    return _notice(
        "quarantine",
        at,
        subject,
        f"What was learnt with {_listed(hosts)} was quarantined: it does not serve.{why}",
        "The previous model stays in service. See: shoal peers suspects, shoal models list",
    )


def _awaiting(subject: str, at: float, hosts: Iterable[str]) -> Notice:
    return _notice(
        "awaiting",
        at,
        subject,
        f"The model learnt with {_listed(hosts)} is ready and awaits your approval.",
        f"See what it would change, then: shoal models accept {subject}",
    )


def _of_budgets(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    with reads(engine) as connection:
        last = connection.execute(select(func.max(Refusal.last)).where(Refusal.code == "budget-spent"))
        at = last.scalar()
    if at is not None and now - at < WINDOWS_OF_A_REFUSAL * config.privacy.window_max.total_seconds():
        yield _notice(
            "budget",
            at,
            config.instance.host,
            "The yearly privacy budget is spent: this instance contributes nothing until it has room again.",
            "See: shoal privacy show. The model in service is not affected.",
        )


def _of_exact_own(engine: Engine, config: Config) -> Iterator[Notice]:
    if not config.serve.exact_own:
        return
    known = source_state.read(engine)
    sentence = exact_own.no_effect(engine, config)
    cause = "ignored" if sentence else "on"
    advice = "Put that right, or set serve.exact_own = false in shoal.toml and restart the daemon."
    if not sentence:
        sentence = (
            "Lists rest on exact numbers of your viewers (serve.exact_own): a member who compares lists can "
            "find out what single other members watched."
        )
        advice = (
            "Keep it only where every member may know that. To end it, set serve.exact_own = false in "
            "shoal.toml, restart the daemon, and train."
        )
    at = 0.0 if known is None else known.synced
    yield _notice("exact-own", at, config.instance.host, sentence, advice, cause=cause)


def _of_silent_lists(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    found = silent_lists.find(engine, config, now)
    if found is not None:
        at, host = found.since + silent_lists.DAY, config.instance.host
        yield _notice("lists-silent", at, host, found.sentence, found.advice)


def _of_group(engine: Engine, config: Config, now: float) -> Iterator[Notice]:
    group = group_book.current(engine)
    if group is None:
        return
    if group.state in {"refused", "ejected"}:
        what = "did not admit this instance to" if group.state == "refused" else "ejected this instance from"
        yield _notice(
            "group-out",
            group.polled or group.since,
            group.host,
            f"{group.host} {what} the group {group.group}.",
            "Ask its admin, or leave the group here, too: shoal group leave",
            cause=f"{group.group}:{group.state}",
        )
    if group.role == "member":
        yield from _of_host(group, config, now)
    members = group_book.members(engine)
    if group.role == "host":
        for one in members:
            if one.state == "asked":
                yield _notice(
                    "group-request",
                    one.since,
                    one.host,
                    f"{one.host} asks to join the group {group.group}.",
                    f"Compare its words with its admin, then: shoal group admit {one.host}",
                )
    if group.active:
        yield from _of_strangers(engine, config, group, members)


def _of_host(group: Membership, config: Config, now: float) -> Iterator[Notice]:
    silent = group.polled or group.since
    patience = max(UNREACHABLE_SECONDS, POLLS_IN_VAIN * config.group.poll.total_seconds())
    # After a time without power nobody has been asked in vain yet.
    waits = group.state in {"asked", "member"} and bool(group.problem)
    if waits and config.federates and silent < now - patience:
        yield _notice(
            "group-host",
            silent + patience,
            group.host,
            f"The host of the group {group.group}, {group.host}, has not answered for more than a day.",
            "The daemon keeps trying; there are no rounds meanwhile. See: shoal group status",
        )


def _of_strangers(
    engine: Engine, config: Config, group: Membership, members: Iterable[GroupMember]
) -> Iterator[Notice]:
    known = repository.read(engine, config)
    strangers = {}
    for one in members:
        peer = known.find(one.host)
        approved = peer is not None and peer.approved and peer.key == one.key
        # Of those that the admin decided against there is nothing more to say.
        undecided = peer is None or peer.state in {"candidate", "approved"}
        if one.state == "member" and one.host != config.instance.host and not approved and undecided:
            strangers[one.host] = one.since
    if strangers:
        hosts = sorted(strangers)
        are = "is a member" if len(hosts) == 1 else "are members"
        yield _notice(
            "group-member",
            max(strangers.values()),
            group.group,
            f"{_named(hosts)} {are} of the group {group.group} and not approved here yet.",
            "Compare the words (shoal group members), then: shoal group approve HOST",
            cause=_cause(hosts),
        )


def _listed(hosts: Iterable[str]) -> str:
    names = list(hosts)
    return ", ".join(names) if names else "peers"
