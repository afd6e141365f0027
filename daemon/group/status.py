"""The state of this instance's group, as plain data and sentences, read from the store."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Final, Literal

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.group import commands, repository
from daemon.group.membership import key_verification, rules
from daemon.group.membership.key_verification import Approval
from daemon.group.messages import NotApproved, sentences
from daemon.group.repository import GroupMember, Membership, MemberState
from daemon.identity import open_identity
from daemon.peers import repository as peers
from daemon.peers.listing import words_of
from daemon.peers.repository import State
from daemon.process import daemon_lock
from daemon.process.daemon_lock import replace_file
from daemon.store import waits
from federation.errors import Refusal
from federation.group.epoch_document import EpochDocument
from federation.key_words import words

LIVE_NAME: Final = "live.json"


@dataclass(frozen=True)
class Live:
    """What only the running daemon knows, and writes to a file: its connection, and its hosting process.

    Attributes:
        link: state of the connection to the host's reverse proxy, empty for none.
        hosting: state of the hosting process, empty for none.
        round: whether this instance takes a sum as host now.
        problem: why this instance cannot host or take part, one sentence, or two with the advice.
    """

    link: Literal["", "waiting", "connected", "busy", "refused", "ended"] = ""
    hosting: Literal["", "starting", "ready", "failed"] = ""
    running: bool = False
    problem: str = ""

    def write(self, config: Config) -> None:
        """Write it, for the command line."""
        config.group_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(config.group_dir / LIVE_NAME, json.dumps(asdict(self)).encode())


def live(config: Config) -> Live | None:
    """Return what the running daemon wrote, None if none runs."""
    if daemon_lock.find(config.data_dir) is None:
        return None
    try:
        return Live(**json.loads((config.group_dir / LIVE_NAME).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return Live()


class Epoch(TypedDict):
    """The division into sub-cohorts that holds now.

    Attributes:
        mine: the sub-cohort that this instance is in, from 1.
        waiting: members that are left out of sums for now.
    """

    number: int
    opened_at: float
    sub_cohorts: int
    members: int
    mine: int | None
    gone: list[str]
    waiting: list[str]
    hash: str


class PublishedSum(TypedDict):
    """The newest published sum that was taken; members that received the same one see the same words."""

    run: str
    hash: str
    words: list[str]


class Counted(TypedDict):
    """Members that this instance would be summed with, not the host, and how many are approved here."""

    approved: int
    of: int
    needed: int
    missing: int
    strangers: list[str]


class LeftOut(TypedDict):
    """Why the group's sums leave this instance out for now, as the host said.

    Attributes:
        until: when the next window may begin, null if that was not told.
        rejected_by: members in the group for longer that do not approve it.
        rejects: members in the group for longer that are not approved here.
        too_many: more than a third are not approved here.
        contradicted: those of them that were seen here to join later.
    """

    until: float | None
    rejected_by: list[str]
    rejects: list[str]
    too_many: bool
    contradicted: list[str]


class Standing(TypedDict):
    """How this instance stands in its group; times in Unix seconds.

    Attributes:
        next_at: the announced start of the next sum.
        polled: when the host answered last; `problem` is why it did not, or what it refused.
        live: what the daemon does for the group now, null where none runs.
        members_needed: members that a sum needs, the host included.
        gives: whether it contributes; an instance that only learns is in no part.
    """

    group: str
    host: str
    url: str
    role: Literal["host", "member"]
    state: Literal["asked", "member", "refused", "ejected", "left"]
    since: float
    next_at: float | None
    polled: float | None
    problem: str
    connected: bool
    live: Live | None
    epoch: Epoch | None
    members: int
    members_needed: int
    gives: bool
    counted: Counted
    waits: LeftOut | None
    published: PublishedSum | None


class Status(TypedDict):
    """How this instance stands, null in no group, and what to tell its admin, the most important first."""

    standing: Standing | None
    sentences: list[str]


class Member(TypedDict):
    """A member; the host also lists instances that were invited or ejected.

    Attributes:
        part: its sub-cohort.
        waits: whether sums leave it out for now.
    """

    host: str
    key: str
    words: list[str]
    state: MemberState
    role: Literal["host", "member"]
    me: bool
    approved: Approval
    part: int | None
    waits: bool
    since: float
    seen: float | None


def status(config: Config, engine: Engine, now: float) -> Status:
    """Return the state of the group."""
    group = repository.current(engine)
    if group is None:
        none = (
            "This instance is in no group. Host one: shoal group host NAME; or join one: shoal group join URL"
        )
        return {"standing": None, "sentences": [none]}
    running = live(config)
    epoch = _epoch(config, engine, group)
    listed = members(config, engine, epoch=epoch)
    near = _near(listed, epoch, config.instance.host)
    not_approved = _not_approved(config, group, listed, near, peers.read(engine, config))
    requests = (
        [one for one in repository.members(engine) if one.state == "asked"] if group.role == "host" else []
    )
    found: Standing = {
        "group": group.group,
        "host": group.host,
        "url": group.url,
        "role": group.role,
        "state": group.state,
        "since": group.since,
        "next_at": (group.next_at or None) if not_approved.host is None else None,
        "polled": group.polled,
        "problem": group.problem,
        "connected": running is not None and running.link in ("connected", "busy"),
        "live": running,
        "epoch": _epoch_json(epoch, config.instance.host),
        "members": sum(one["state"] == "member" for one in listed),
        "members_needed": commands.members_needed(config),
        "gives": config.mode == "contribute",
        "counted": _counted(config, group, listed, near, not_approved),
        "waits": _waits(engine, config, group, epoch, listed, now),
        "published": _published(group),
    }
    return {"standing": found, "sentences": sentences(config, group, found, not_approved, len(requests), now)}


def members(
    config: Config, engine: Engine, *, epoch: EpochDocument | Literal["read"] | None = "read"
) -> list[Member]:
    """Return the members: key and words, whether approved here, in which sub-cohort of the epoch.

    At the host also those that are invited, were refused or ejected, or left. In no group, none.
    """
    group = repository.current(engine)
    if group is None:
        return []
    document = _epoch(config, engine, group) if epoch == "read" else epoch
    sub_cohorts = _sub_cohorts(document)
    waiting = frozenset(document.waiting) if document is not None else frozenset()
    known = peers.read(engine, config)
    shown = [one for one in repository.members(engine) if one.state != "asked"]
    me = config.instance.host
    return [_described(one, group, known, sub_cohorts, waiting, me) for one in shown]


def _described(
    one: GroupMember,
    group: Membership,
    known: peers.KnownPeers,
    sub_cohorts: Mapping[str, int],
    waiting: Collection[str],
    me: str,
) -> Member:
    mine = one.host == me
    return {
        "host": one.host,
        "key": one.key,
        "words": words_of(one.key),
        # Once this instance is no member any more, the list is the last one that it got.
        "state": group.state if mine and not group.active else one.state,
        "role": "host" if one.host == group.host else "member",
        "me": mine,
        "approved": "yes" if mine else key_verification.approval(known.find(one.host), one.key),
        "part": sub_cohorts.get(one.host),
        "waits": one.host in waiting,
        "since": one.since,
        "seen": one.seen,
    }


def _counted(
    config: Config,
    group: Membership,
    listed: Sequence[Member],
    near: frozenset[str],
    not_approved: NotApproved,
) -> Counted:
    """Return how many of those that this instance is summed with are approved here, as policies count.

    The noise of a group allows for its host and who reads the sum, and for nobody else: with one stranger in
    the sub-cohort `PrivacyPolicy` refuses. Strangers that joined later do not count: sums leave them out. The
    host sums only members that its admin approves.
    """
    juniors = _juniors(config, group, listed, near)
    others = [one for one in listed if one["host"] in near - juniors - {group.host}]
    approved = sum(one["approved"] == "yes" for one in others)
    least = config.cohort.min_cohort
    needed = least if group.role == "host" else max(least, len(others))
    return {
        "approved": approved,
        "of": len(others),
        "needed": needed,
        "missing": max(0, needed - approved),
        "strangers": sorted((*not_approved.same, *not_approved.juniors, *not_approved.other_key)),
    }


def _near(listed: Sequence[Member], document: EpochDocument | None, me: str) -> frozenset[str]:
    """Return the members that this instance is summed with, or would be: until it is in an epoch, all."""
    members = {one["host"] for one in listed if one["state"] == "member"}
    judged = document.judged_by(me) if document is not None else ()
    return frozenset(members & {one.host for one in judged} if judged else members)


def _juniors(
    config: Config, group: Membership, listed: Sequence[Member], near: frozenset[str]
) -> frozenset[str]:
    """Return members that are not approved here and joined later, as this instance saw it: sums omit them."""
    if group.role == "host" or config.mode != "contribute":
        return frozenset()
    mine = next((one["since"] for one in listed if one["me"]), inf)
    return frozenset(
        one["host"]
        for one in listed
        if one["host"] in near - {group.host} and one["approved"] != "yes" and one["since"] > mine
    )


def _not_approved(
    config: Config,
    group: Membership,
    listed: Sequence[Member],
    near: frozenset[str],
    known: peers.KnownPeers,
) -> NotApproved:
    """Return the members that are not approved here, by what that means."""
    juniors = _juniors(config, group, listed, near)
    same: list[str] = []
    others: list[str] = []
    later: list[str] = []
    other_key: list[str] = []
    against: dict[State, list[str]] = {}
    for one in listed:
        host, peer = one["host"], known.find(one["host"])
        if one["state"] != "member" or one["me"] or one["approved"] == "yes":
            continue
        if one["approved"] == "other-key":
            other_key.append(host)
        elif host == group.host:
            continue
        elif peer is None or peer.state in ("candidate", "approved"):
            (later if host in juniors else same if host in near else others).append(host)
        elif host not in juniors:
            against.setdefault(peer.state, []).append(host)
    return NotApproved(
        tuple(sorted(same)),
        tuple(sorted(later)),
        tuple(sorted(others)),
        tuple(sorted(other_key)),
        tuple((state, tuple(sorted(hosts))) for state, hosts in sorted(against.items())),
        _state_of_host(group, known),
    )


def _waits(
    engine: Engine,
    config: Config,
    group: Membership,
    document: EpochDocument | None,
    listed: Sequence[Member],
    now: float,
) -> LeftOut | None:
    """Return why the group's sums leave this instance out for now, as its host said; None if they do not.

    `contradicted` are members that this instance saw join later than itself, whatever the host says.
    """
    me = config.instance.host
    if group.state != "member" or document is None or me not in document.waiting:
        return None
    told = waits.find(engine, group.host, now)
    if told is None:
        # It was away when the host said why.
        return {"until": None, "rejected_by": [], "rejects": [], "too_many": False, "contradicted": []}
    since = {one["host"]: one["since"] for one in listed}
    seniors = (*told.rejected_by, *told.rejects)
    return {
        "until": told.until,
        "rejected_by": told.rejected_by,
        "rejects": told.rejects,
        "too_many": told.too_many,
        "contradicted": sorted({host for host in seniors if since.get(host, 0.0) > since.get(me, inf)}),
    }


def _state_of_host(group: Membership, known: peers.KnownPeers) -> State | None:
    peer = known.find(group.host)
    if group.role == "host" or (peer is not None and peer.approved):
        return None
    return "candidate" if peer is None else peer.state


def _epoch(config: Config, engine: Engine, group: Membership) -> EpochDocument | None:
    try:
        me = open_identity(config.identity_file, config.instance.host).public
        host = rules.host_of(engine, config, me, group)
        return None if host is None else rules.epoch_of(group, host)
    except Refusal:
        # The host's key has changed, for example: then no epoch holds.
        return None


def _sub_cohorts(document: EpochDocument | None) -> dict[str, int]:
    if document is None:
        return {}
    rosters = document.rosters
    return {one.host: number for number, roster in enumerate(rosters, 1) for one in roster}


def _epoch_json(document: EpochDocument | None, me: str) -> Epoch | None:
    if document is None:
        return None
    sub_cohorts = _sub_cohorts(document)
    return {
        "number": document.number,
        "opened_at": document.opened_at,
        "sub_cohorts": len(set(sub_cohorts.values())),
        "members": len(sub_cohorts),
        "mine": sub_cohorts.get(me),
        "gone": list(document.gone),
        "waiting": list(document.waiting),
        "hash": document.hash.hex(),
    }


def _published(group: Membership) -> PublishedSum | None:
    """Return the newest stored run, with words that are the same at all members that got the same sums."""
    if not group.run:
        return None
    digest = bytes.fromhex(group.published) if group.published else b""
    return {
        "run": group.run,
        "hash": group.published,
        "words": list(words(digest)) if digest else [],
    }
