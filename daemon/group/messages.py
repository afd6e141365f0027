"""What an admin reads about the group: pure sentences over what `status` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from daemon.config import Config
from daemon.group import commands
from daemon.group.repository import Membership
from daemon.ledger.messages import hosts as named
from daemon.peers.repository import LEARNT_FROM, State

_TURNED_AWAY: Final[Mapping[State, str]] = {
    "paused": "paused here",
    "removed": "removed here",
    "reverted": "reverted here",
}


@dataclass(frozen=True)
class NotApproved:
    """Members that are not approved here by the key they are listed with.

    Attributes:
        beside: undecided, and summed with this instance; `elsewhere` in another part, or in none yet.
        other_key: approved here by another key.
        against: hosts that the admin decided against, by what was decided.
        host: how the host of the group stands here, empty where it is approved, or is this instance.
    """

    beside: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    other_key: tuple[str, ...] = ()
    against: tuple[tuple[State, tuple[str, ...]], ...] = ()
    host: State | None = None


def sentences(
    config: Config, group: Membership, found: Mapping[str, Any], shunned: NotApproved, now: float
) -> list[str]:
    """Return how things stand, the most important first; `found` as programs are told it."""
    said = [_standing(group, found)]
    deaf = shunned.host is not None and group.state in ("asked", "member")
    if shunned.host is not None and deaf:
        said.append(_host(group.host, shunned.host))
    if not config.federates:
        said.append(f'Nothing happens while mode is "{config.mode}"; set "consume" or "contribute".')
    elif found["live"] is None:
        said.append("The daemon does not run; start it with: shoal run.")
    elif found["live"]["problem"]:
        said.append(found["live"]["problem"])
    if found["live"] is not None and found["live"]["link"] == "refused" and not deaf:
        said.append("The host does not let this instance's node connect yet; it is tried again.")
    if group.problem and not deaf:
        said.append(f"{_capital(group.problem)}.")
    if group.state == "member":
        if not deaf:
            said += _next(config, group, found, now)
        said += [*_shunned(config, group, shunned), _counted(config, group, found)]
        said.append("" if deaf else _part(config, found["epoch"]))
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


def _host(host: str, state: State) -> str:
    """Say what holds while the group's host is not approved."""
    how = _TURNED_AWAY.get(state, "not approved here")
    was = "was" if state in ("removed", "reverted") else "is"
    return (
        f"Its host, {host}, {was} {how}, so nothing is asked of it and no sum is taken with it. Approve it "
        f"again: shoal peers approve {host}, or leave: shoal group leave"
    )


# -- the next sum -------------------------------------------------------------------------------------------


def _next(config: Config, group: Membership, found: Mapping[str, Any], now: float) -> list[str]:
    said = []
    there, needed = found["members"], commands.enough(config)
    if there < needed:
        # Also while a sum is announced: it will not be taken, or not with this instance.
        whose = "A sum needs" if group.role == "host" else "For this instance a sum needs"
        more = "1 more has" if needed - there == 1 else f"{needed - there} more have"
        said.append(f"{whose} {needed} members, so {more} to join.")
    wait = group.next_at - now
    if not group.next_at:
        return said or ["No sum is announced yet."]
    if wait <= 0:
        return [*said, "The announced sum is being taken, or just was."]
    return [*said, f"The next sum is announced, {_in(wait)} from now."]


def _part(config: Config, epoch: Mapping[str, Any] | None) -> str:
    if epoch is None or (epoch["mine"] is None and config.mode != "contribute"):
        return ""
    if epoch["mine"] is None:
        return "It is in no part of the present epoch yet, and is taken in with one of the next sums."
    if epoch["parts"] > 1:
        return f"This instance is summed in part {epoch['mine']} of {epoch['parts']}."
    return ""


# -- who is recognised --------------------------------------------------------------------------------------


def _shunned(config: Config, group: Membership, shunned: NotApproved) -> list[str]:
    if group.role == "host":
        # Whom the host's admin does not approve is left out for all, so that nobody suffers by it.
        against = [host for _, hosts in shunned.against for host in hosts]
        return _left_out([*shunned.beside, *shunned.elsewhere, *shunned.other_key, *against])
    gives = config.mode == "contribute"
    said = []
    for hosts, beside in ((shunned.beside, True), (shunned.elsewhere, False)):
        if hosts:
            are, they = _forms(hosts)
            lost = _lost(they, are, beside=beside, gives=gives, learns=False)
            said.append(
                f"{named(hosts)} {are} not recognised here: until {they} {are}, {lost}. Compare the words "
                f"(shoal group members), then: shoal group recognise {_typed(hosts)}"
            )
    if shunned.other_key:
        are, they = _forms(shunned.other_key)
        lost = f": while {they} {are}, this instance is not counted" if gives else ""
        said.append(
            f"{named(shunned.other_key)} {are} listed with another key than the one approved here{lost}. Ask "
            f"{'its admin' if they == 'it' else 'their admins'} which one is right, and compare the words."
        )
    for state, hosts in shunned.against:
        if not gives and state in LEARNT_FROM:
            continue
        are, they = _forms(hosts)
        were = are if state == "paused" else "was" if they == "it" else "were"
        lost = _lost(they, are, beside=True, gives=gives, learns=state in LEARNT_FROM)
        said.append(
            f"{named(hosts)} {were} {_TURNED_AWAY[state]} and {are} in the group: while {they} {are}, "
            f"{lost}. To approve {'it' if they == 'it' else 'them'} again: shoal peers approve "
            f"{_typed(hosts)}; else leave: shoal group leave"
        )
    return said


def _lost(they: str, are: str, *, beside: bool, gives: bool, learns: bool) -> str:
    """Say what it costs that members are not approved here; `learns`: what they gave may still be used."""
    unlearnt = f"does not learn from sums that {they} {are} in"
    if not gives:
        return f"this instance {unlearnt}"
    with_them = "" if beside else f" beside {'it' if they == 'it' else 'them'}"
    counted = f"this instance is not counted{with_them}"
    return counted if learns else f"{counted} and {unlearnt}"


def _left_out(hosts: Sequence[str]) -> list[str]:
    if not hosts:
        return []
    are, they = _forms(hosts)
    it = "it" if they == "it" else "them"
    said = f"{named(sorted(hosts))} {are} not approved here by the listed key: sums go without {it}. "
    advice = f"Approve {it}: shoal peers approve {_typed(hosts)}, or take {it} out: shoal group eject "
    return [said + advice + _typed(hosts)]


def _counted(config: Config, group: Membership, found: Mapping[str, Any]) -> str:
    counted = found["counted"]
    if group.role == "member" and config.mode != "contribute":
        return ""
    everybody = counted["needed"] == counted["of"]
    return (
        f"Of those it is summed with, the host not counted, {counted['recognised']} of {counted['of']} are "
        f"recognised here, itself included; {'all' if everybody else counted['needed']} are needed."
    )


def _forms(hosts: Sequence[str]) -> tuple[str, str]:
    return ("is", "it") if len(hosts) == 1 else ("are", "they")


def _typed(hosts: Sequence[str]) -> str:
    return hosts[0] if len(hosts) == 1 else "HOST"


# -- words --------------------------------------------------------------------------------------------------


def _in(seconds: float) -> str:
    for size, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


def _capital(text: str) -> str:
    first = text.split(" ", 1)[0]
    # A host's name is written as it is.
    whole = text if "." in first or ":" in first else text[:1].upper() + text[1:]
    return whole.rstrip(".")


def through(group: Membership | None) -> list[str]:
    """Return what to say of peers while this instance learns through a group; nothing where it is in none."""
    if group is None or not group.active:
        return []
    whose = (
        f"This instance hosts the group {group.group} and takes its sums."
        if group.role == "host"
        else f"This instance is in the group {group.group}, whose host {group.host} takes the sums."
    )
    return [
        whose,
        "What counts there is which members are recognised here, whatever others approve.",
        "See: shoal group status",
    ]
