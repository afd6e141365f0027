"""How this instance stands to its group, as plain data and sentences. Read off the store: nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sqlalchemy import Engine

from daemon.config import Config
from daemon.group import repository
from daemon.group.membership import key_verification, rules
from daemon.group.messages import NotApproved, sentences
from daemon.group.repository import GroupMember, Membership
from daemon.identity import open_identity
from daemon.peers import repository as peers
from daemon.peers.commands import words_of
from daemon.peers.repository import State
from daemon.process import daemon_lock
from daemon.process.daemon_lock import replace_file
from federation.errors import Refusal
from federation.group.epoch import EpochDocument
from federation.key_words import words

LIVE_NAME: Final = "live.json"


@dataclass(frozen=True)
class Live:
    """What the daemon alone knows, and writes down: whether the link is up and the host's part runs.

    `problem` is why not, one sentence, or two with the advice.
    """

    link: Literal["", "waiting", "connected", "busy", "refused", "ended"] = ""
    hosting: Literal["", "starting", "ready", "failed"] = ""
    session: bool = False
    problem: str = ""

    def write(self, config: Config) -> None:
        """Tell the command line."""
        config.group_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(config.group_dir / LIVE_NAME, json.dumps(asdict(self)).encode())


def live(config: Config) -> Live | None:
    """Return what the daemon says, None while none runs."""
    if daemon_lock.find(config.data_dir) is None:
        return None
    try:
        return Live(**json.loads((config.group_dir / LIVE_NAME).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return Live()


def status(config: Config, engine: Engine, now: float) -> dict[str, Any]:
    """Return how things stand, with one sentence that says it all."""
    group = repository.current(engine)
    if group is None:
        sentence = "This instance is in no group. Begin one: shoal group host NAME; or join one: shoal group"
        return {"group": None, "sentence": f"{sentence} join URL", "sentences": []}
    now_running = live(config)
    epoch = _epoch(config, engine, group)
    listed = members(config, engine, epoch=epoch)
    shunned = _shunned(group, listed, peers.read(engine, config))
    waiting = (
        [one for one in repository.members(engine) if one.state == "asked"] if group.role == "host" else []
    )
    found = {
        "group": group.group,
        "host": group.host,
        "url": group.url,
        "role": group.role,
        "state": group.state,
        "since": group.since,
        "next_at": (group.next_at or None) if shunned.host is None else None,
        "polled": group.polled,
        "problem": group.problem,
        "running": now_running is not None,
        "connected": now_running is not None and now_running.link in ("connected", "busy"),
        "live": asdict(now_running) if now_running is not None else None,
        "epoch": _epoch_json(epoch, config.instance.host),
        "members": sum(one["state"] == "member" for one in listed),
        "counted": _counted(config, group, listed, shunned),
        "requests": len(waiting),
        "published": _published(group),
    }
    said = sentences(config, group, found, shunned, now)
    return {**found, "sentence": " ".join(said[:1]), "sentences": said[1:]}


def members(
    config: Config, engine: Engine, *, epoch: EpochDocument | Literal["read"] | None = "read"
) -> list[dict[str, Any]]:
    """Return the members: key and words, recognised here or not, in which part of the epoch.

    At the host also who is invited or was taken out. Where this instance is in no group, nobody.
    """
    group = repository.current(engine)
    if group is None:
        return []
    document = _epoch(config, engine, group) if epoch == "read" else epoch
    parts = _parts(document)
    known = peers.read(engine, config)
    shown = [one for one in repository.members(engine) if one.state != "asked"]
    me = config.instance.host
    return [_described(one, group, known, parts, me) for one in shown]


def _described(
    one: GroupMember, group: Membership, known: peers.KnownPeers, parts: Mapping[str, int], me: str
) -> dict[str, Any]:
    mine = one.host == me
    return {
        "host": one.host,
        "key": one.key,
        "words": words_of(one.key),
        # Once it is out itself, the list is the last one that it was told.
        "state": group.state if mine and not group.active else one.state,
        "role": "host" if one.host == group.host else "member",
        "me": mine,
        "recognised": "yes" if mine else key_verification.recognised(known.find(one.host), one.key),
        "part": parts.get(one.host),
        "since": one.since,
        "seen": one.seen,
    }


def _counted(
    config: Config, group: Membership, listed: Sequence[Mapping[str, Any]], shunned: NotApproved
) -> dict[str, Any]:
    """Return how many of those we would be summed with are recognised, as our policies count them.

    The noise of a group is laid out for its host and whoever reads the sum, and for nobody else: one stranger
    in the part, and `PrivacyPolicy` refuses. The host sums only those that its admin approves.
    """
    beside = [one for one in _with_me(listed) if one["host"] != group.host]
    recognised = sum(one["recognised"] == "yes" for one in beside)
    least = config.cohort.min_cohort
    needed = least if group.role == "host" else max(least, len(beside))
    return {
        "recognised": recognised,
        "of": len(beside),
        "needed": needed,
        "missing": max(0, needed - recognised),
        "strangers": sorted((*shunned.beside, *shunned.other_key)),
    }


def _with_me(listed: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the members that this instance is summed with: until it is in a part, all of them."""
    mine = next((one["part"] for one in listed if one["me"]), None)
    return [one for one in listed if one["state"] == "member" and (mine is None or one["part"] == mine)]


def _shunned(group: Membership, listed: Sequence[Mapping[str, Any]], known: peers.KnownPeers) -> NotApproved:
    """Return who is not approved here, by what that means."""
    beside = {one["host"] for one in _with_me(listed)}
    undecided: tuple[list[str], list[str]] = ([], [])
    other_key: list[str] = []
    against: dict[State, list[str]] = {}
    for one in listed:
        host, peer = one["host"], known.find(one["host"])
        if one["state"] != "member" or one["me"] or one["recognised"] == "yes":
            continue
        if one["recognised"] == "other-key":
            other_key.append(host)
        elif host == group.host:
            continue
        elif peer is None or peer.state in ("candidate", "approved"):
            undecided[host not in beside].append(host)
        else:
            against.setdefault(peer.state, []).append(host)
    return NotApproved(
        tuple(sorted(undecided[0])),
        tuple(sorted(undecided[1])),
        tuple(sorted(other_key)),
        tuple((state, tuple(sorted(hosts))) for state, hosts in sorted(against.items())),
        _state_of_host(group, known),
    )


def _state_of_host(group: Membership, known: peers.KnownPeers) -> State | None:
    peer = known.find(group.host)
    if group.role == "host" or (peer is not None and peer.approved):
        return None
    return "candidate" if peer is None else peer.state


# -- the epoch, and what was published ----------------------------------------------------------------------


def _epoch(config: Config, engine: Engine, group: Membership) -> EpochDocument | None:
    try:
        me = open_identity(config.identity_file, config.instance.host).public
        host = rules.host_of(engine, config, me, group)
        return None if host is None else rules.epoch_of(group, host)
    except Refusal:
        # By a key that is not the host's any more, say: then there is no division that holds.
        return None


def _parts(document: EpochDocument | None) -> dict[str, int]:
    if document is None:
        return {}
    rosters = document.rosters
    return {one.host: number for number, roster in enumerate(rosters, 1) for one in roster}


def _epoch_json(document: EpochDocument | None, me: str) -> dict[str, Any] | None:
    if document is None:
        return None
    parts = _parts(document)
    return {
        "number": document.number,
        "opened_at": document.opened_at,
        "parts": len(set(parts.values())),
        "members": len(parts),
        "mine": parts.get(me),
        "gone": list(document.gone),
        "hash": document.hash.hex(),
    }


def _published(group: Membership) -> dict[str, Any] | None:
    """Return the newest sum that was taken, and words for it: the same at all who were given the same."""
    if not group.batch:
        return None
    digest = bytes.fromhex(group.published) if group.published else b""
    return {
        "batch": group.batch,
        "hash": group.published,
        "words": list(words(digest)) if digest else [],
    }
