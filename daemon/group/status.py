"""How this instance stands to its group, as plain data and sentences. Read off the store: nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sqlalchemy import Engine

from daemon import running
from daemon.config import Config
from daemon.group import book, control, recognise, standing
from daemon.group.book import GroupMember, Membership
from daemon.identity import open_identity
from daemon.peers import book as peers
from daemon.peers.control import words_of
from daemon.running import replace_file
from federation.errors import Refusal
from federation.group.epoch import EpochDocument
from federation.words import words

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
    if running.find(config.data_dir) is None:
        return None
    try:
        return Live(**json.loads((config.group_dir / LIVE_NAME).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return Live()


def status(config: Config, engine: Engine, now: float) -> dict[str, Any]:
    """Return how things stand, with one sentence that says it all."""
    group = book.current(engine)
    if group is None:
        sentence = "This instance is in no group. Begin one: shoal group host NAME; or join one: shoal group"
        return {"group": None, "sentence": f"{sentence} join URL", "sentences": []}
    now_running = live(config)
    epoch = _epoch(config, engine, group)
    listed = members(config, engine, epoch=epoch)
    counted = _counted(config, group, listed)
    waiting = [one for one in book.members(engine) if one.state == "asked"] if group.role == "host" else []
    found = {
        "group": group.group,
        "host": group.host,
        "url": group.url,
        "role": group.role,
        "state": group.state,
        "since": group.since,
        "next_at": group.next_at or None,
        "polled": group.polled,
        "problem": group.problem,
        "running": now_running is not None,
        "connected": now_running is not None and now_running.link in ("connected", "busy"),
        "live": asdict(now_running) if now_running is not None else None,
        "epoch": _epoch_json(epoch, config.instance.host),
        "members": sum(one["state"] == "member" for one in listed),
        "counted": counted,
        "requests": len(waiting),
        "published": _published(group),
    }
    said = _sentences(config, group, found, now)
    return {**found, "sentence": " ".join(said[:1]), "sentences": said[1:]}


def members(
    config: Config, engine: Engine, *, epoch: EpochDocument | Literal["read"] | None = "read"
) -> list[dict[str, Any]]:
    """Return the members: key and words, recognised here or not, in which part of the epoch.

    At the host also who is invited or was taken out. Where this instance is in no group, nobody.
    """
    group = book.current(engine)
    if group is None:
        return []
    document = _epoch(config, engine, group) if epoch == "read" else epoch
    parts = _parts(document)
    known = peers.read(engine, config)
    shown = [one for one in book.members(engine) if one.state != "asked"]
    me = config.instance.host
    return [_described(one, group, known, parts, me) for one in shown]


def _described(
    one: GroupMember, group: Membership, known: peers.Book, parts: Mapping[str, int], me: str
) -> dict[str, Any]:
    mine = one.host == me
    return {
        "host": one.host,
        "key": one.key,
        "words": words_of(one.key),
        "state": one.state,
        "role": "host" if one.host == group.host else "member",
        "me": mine,
        "recognised": "yes" if mine else recognise.recognised(known.find(one.host), one.key),
        "part": parts.get(one.host),
        "since": one.since,
        "seen": one.seen,
    }


def _counted(config: Config, group: Membership, listed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many of those we would be summed with are recognised, as `CohortPolicy` counts them."""
    mine = next((one["part"] for one in listed if one["me"]), None)
    with_me = [one for one in listed if one["state"] == "member" and (mine is None or one["part"] == mine)]
    beside = [one for one in with_me if one["host"] != group.host]
    strangers = [one["host"] for one in with_me if one["recognised"] != "yes"]
    recognised = sum(one["recognised"] == "yes" for one in beside)
    return {
        "recognised": recognised,
        "of": len(beside),
        "needed": config.cohort.min_cohort,
        "missing": max(0, config.cohort.min_cohort - recognised),
        "strangers": strangers,
    }


# -- the epoch, and what was published ----------------------------------------------------------------------


def _epoch(config: Config, engine: Engine, group: Membership) -> EpochDocument | None:
    try:
        me = open_identity(config.identity_file, config.instance.host).public
        host = standing.host_of(engine, config, me, group)
        return None if host is None else standing.epoch_of(group, host)
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


# -- sentences ----------------------------------------------------------------------------------------------


def _sentences(config: Config, group: Membership, found: Mapping[str, Any], now: float) -> list[str]:
    said = [_standing(group, found)]
    if config.mode not in control.SPEAKING:
        said.append(f'Nothing happens while mode is "{config.mode}"; set "consume" or "contribute".')
    elif found["live"] is None:
        said.append("The daemon does not run; start it with: shoal run.")
    elif found["live"]["problem"]:
        said.append(found["live"]["problem"])
    if found["live"] is not None and found["live"]["link"] == "refused":
        said.append("The host does not let this instance's node connect yet; it is tried again.")
    if group.problem:
        said.append(f"{_capital(group.problem)}.")
    if group.state == "member":
        said += [_next(config, group, found, now), _missing(found)]
        epoch = found["epoch"]
        if epoch is not None and epoch["parts"] > 1 and epoch["mine"] is not None:
            said.append(f"This instance is summed in part {epoch['mine']} of {epoch['parts']}.")
        elif epoch is not None and epoch["mine"] is None:
            said.append(
                "It is in no part of the present epoch yet, and is taken in with one of the next sums."
            )
    if found["requests"]:
        count = found["requests"]
        who = "1 instance asks" if count == 1 else f"{count} instances ask"
        said.append(f"{who} to join: shoal group requests")
    return [sentence for sentence in said if sentence]


def _standing(group: Membership, found: Mapping[str, Any]) -> str:
    name, host = group.group, group.host
    count = found["members"]
    size = "1 member" if count == 1 else f"{count} members"
    if group.role == "host":
        return f"This instance hosts the group {name}, which has {size}."
    return {
        "asked": f"This instance asked to join the group {name}; the admin of {host} has to let it in.",
        "member": f"This instance is in the group {name} of {host}, which has {size}.",
        "refused": f"{host} did not let this instance into the group {name}.",
        "ejected": f"This instance is not in the group {name} of {host} any more: it was taken out.",
        "left": f"This instance left the group {name}; {host} has not been told yet.",
    }[group.state]


def _next(config: Config, group: Membership, found: Mapping[str, Any], now: float) -> str:
    if not group.next_at:
        needed = control.enough(config)
        if group.role == "host" and found["members"] < needed:
            return f"A sum needs {needed} members, so {needed - found['members']} more have to join."
        return "No sum is announced yet."
    wait = group.next_at - now
    if wait <= 0:
        return "The announced sum is being taken, or just was."
    return f"The next sum is announced, {_in(wait)} from now."


def _missing(found: Mapping[str, Any]) -> str:
    counted = found["counted"]
    said = (
        f"Of those it is summed with, the host not counted, {counted['recognised']} of {counted['of']} are "
        f"recognised here, itself included; {counted['needed']} are needed."
    )
    if counted["missing"] and counted["strangers"]:
        return f"{said} Recognise more to be counted: shoal group recognise HOST, or --all."
    return said


def _in(seconds: float) -> str:
    for size, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")
