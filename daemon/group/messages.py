"""What an admin reads about the group: pure sentences over what `status` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from daemon.config import Config
from daemon.group.repository import Membership
from daemon.ledger.messages import hosts as named
from daemon.peers.repository import LEARNT_FROM, State
from daemon.sentences import Sentence, sentence

if TYPE_CHECKING:
    from daemon.group.status import Epoch, LeftOut, Standing

_DECIDED_AGAINST: Final[Mapping[State, str]] = {
    "paused": "paused here",
    "removed": "removed here",
    "reverted": "reverted here",
}


@dataclass(frozen=True)
class NotApproved:
    """Members that are not approved here by the key they are listed with.

    Attributes:
        same: undecided, and summed with this instance.
        juniors: undecided, and joined later: sums of this instance leave them out.
        others: undecided, and in another sub-cohort, or in none yet.
        other_key: approved here by another key.
        against: hosts that the admin decided against, by the decision.
        host: the state of the group's host here, None if it is approved, or is this instance.
    """

    same: tuple[str, ...] = ()
    juniors: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    other_key: tuple[str, ...] = ()
    against: tuple[tuple[State, tuple[str, ...]], ...] = ()
    host: State | None = None


def sentences(
    config: Config,
    group: Membership,
    found: Standing,
    not_approved: NotApproved,
    requests: int,
    now: float,
) -> list[str]:
    """Return the state of the group for the command line, the most important sentence first."""
    said = [_membership(group, found)]
    cut_off = not_approved.host is not None and group.state in ("asked", "member")
    if not_approved.host is not None and cut_off:
        said.append(_host(group.host, not_approved.host))
    if not config.federates:
        said.append(f'Nothing happens while mode is "{config.mode}"; set "consume" or "contribute".')
    elif found["live"] is None:
        said.append("The daemon is not running; start it with: shoal run.")
    elif found["live"].problem:
        said.append(found["live"].problem)
    if found["live"] is not None and found["live"].link == "refused" and not cut_off:
        said.append("The host does not accept this instance's node yet; the daemon tries again.")
    if group.problem and not cut_off:
        said.append(f"{_capital(group.problem)}.")
    if group.state == "member":
        if not cut_off:
            said += _next(group, found, now)
        said += [*_not_approved(config, group, not_approved), _counted(config, group, found)]
        if not cut_off:
            said += _waits(group, found["waits"]) or [_sub_cohort(config, found["epoch"])]
    if requests:
        ask = "1 instance asks" if requests == 1 else f"{requests} instances ask"
        said.append(f"{ask} to join: shoal group requests")
    return [sentence for sentence in said if sentence]


def _membership(group: Membership, found: Standing) -> str:
    name, host = group.group, group.host
    count = found["members"]
    size = "1 member" if count == 1 else f"{count} members"
    if group.role == "host":
        return f"This instance hosts the group {name}, which has {size}."
    return {
        "asked": f"This instance asked to join the group {name}; the admin of {host} has to approve that.",
        "member": f"This instance is in the group {name} of {host}, which has {size}.",
        "refused": f"{host} refused the request of this instance to join the group {name}.",
        "ejected": f"This instance is no longer in the group {name}: {host} ejected it.",
        "left": f"This instance left the group {name}; {host} has not been told yet.",
    }[group.state]


def _host(host: str, state: State) -> str:
    """Say what holds while the group's host is not approved."""
    how = _DECIDED_AGAINST.get(state, "not approved here")
    was = "was" if state in ("removed", "reverted") else "is"
    return (
        f"Its host, {host}, {was} {how}, so nothing is sent to it and it takes no sum with this instance. "
        f"Approve it again: shoal peers approve {host}, or leave: shoal group leave"
    )


def _next(group: Membership, found: Standing, now: float) -> list[str]:
    said = []
    count, needed = found["members"], found["members_needed"]
    if count < needed:
        # Also while a sum is announced: it will not be taken, or not with this instance.
        whose = "A sum needs" if group.role == "host" else "For this instance a sum needs"
        more = "1 more has" if needed - count == 1 else f"{needed - count} more have"
        said.append(f"{whose} {needed} members, so {more} to join.")
    wait = group.next_at - now
    if not group.next_at:
        return said or ["No sum is announced yet."]
    if wait <= 0:
        return [*said, "The announced sum is being taken, or has just been taken."]
    return [*said, f"The next sum is announced: {_in(wait)} from now."]


def _sub_cohort(config: Config, epoch: Epoch | None) -> str:
    if epoch is None or (epoch["mine"] is None and config.mode != "contribute"):
        return ""
    if epoch["mine"] is None:
        return (
            "This instance is in no sub-cohort of the present epoch yet; one of the next sums adds it to one."
        )
    if epoch["sub_cohorts"] > 1:
        return f"This instance is in sub-cohort {epoch['mine']} of {epoch['sub_cohorts']}."
    return ""


def _waits(group: Membership, waits: LeftOut | None) -> list[str]:
    """Say that the group's sums leave this instance out, until when, why, and what its admin can do."""
    if waits is None:
        return []
    if waits["until"] is None:
        why = "it and a member that is in the group for longer do not both approve each other"
        return [
            f"This instance is left out of the next sum: {why}. Once it is connected, its host says more."
        ]
    until = f"{datetime.fromtimestamp(waits['until'], UTC):%Y-%m-%d}"
    reasons = []
    if waits["too_many"]:
        reasons.append(
            "more than a third of the members that it would be summed with are not approved here. Approve "
            "those you know: shoal group approve HOST"
        )
    if waits["rejected_by"]:
        does = "does" if len(waits["rejected_by"]) == 1 else "do"
        reasons.append(
            f"{named(waits['rejected_by'])}, in the group for longer, {does} not approve this instance. Ask "
            f"{'its admin' if does == 'does' else 'their admins'} to"
        )
    if waits["rejects"]:
        reasons.append(
            f"this instance does not approve {named(waits['rejects'])}, in the group for longer. Compare the "
            f"words (shoal group members), then: shoal group approve {_typed(waits['rejects'])}"
        )
    said = [f"This instance is left out of the group's sums until {until}: {reason}." for reason in reasons]
    if waits["contradicted"]:
        said.append(
            f"But this instance saw {named(waits['contradicted'])} join later than itself. Ask the admin of "
            f"{group.host} why it waits."
        )
    return said


def _not_approved(config: Config, group: Membership, not_approved: NotApproved) -> list[str]:
    if group.role == "host":
        # Sums leave out members that the host's admin does not approve, so that nobody else is affected.
        against = [host for _, hosts in not_approved.against for host in hosts]
        undecided = (*not_approved.same, *not_approved.juniors, *not_approved.others)
        return _left_out([*undecided, *not_approved.other_key, *against])
    gives = config.mode == "contribute"
    said = []
    for hosts, same in ((not_approved.same, True), (not_approved.others, False)):
        if hosts:
            are, they = _forms(hosts)
            loss = _loss(they, are, same=same, gives=gives, learns=False)
            said.append(
                f"{named(hosts)} {are} not approved here: until {they} {are}, {loss}. Compare the words "
                f"(shoal group members), then: shoal group approve {_typed(hosts)}"
            )
    if not_approved.juniors:
        are, they = _forms(not_approved.juniors)
        said.append(
            f"{named(not_approved.juniors)} {are} not approved here and joined the group later: until {they} "
            f"{are}, sums with this instance leave {'it' if they == 'it' else 'them'} out. Compare the words "
            f"(shoal group members), then: shoal group approve {_typed(not_approved.juniors)}"
        )
    if not_approved.other_key:
        are, they = _forms(not_approved.other_key)
        loss = f": while {they} {are}, this instance is not counted" if gives else ""
        said.append(
            f"{named(not_approved.other_key)} {are} listed with another key than the one approved "
            f"here{loss}. Ask {'its admin' if they == 'it' else 'their admins'} which one is right, and "
            "compare the words."
        )
    for state, hosts in not_approved.against:
        if not gives and state in LEARNT_FROM:
            continue
        are, they = _forms(hosts)
        were = are if state == "paused" else "was" if they == "it" else "were"
        loss = _loss(they, are, same=True, gives=gives, learns=state in LEARNT_FROM)
        said.append(
            f"{named(hosts)} {were} {_DECIDED_AGAINST[state]} and {are} in the group: while {they} {are}, "
            f"{loss}. To approve {'it' if they == 'it' else 'them'} again: shoal peers approve "
            f"{_typed(hosts)}; to leave: shoal group leave"
        )
    return said


def _loss(they: str, are: str, *, same: bool, gives: bool, learns: bool) -> str:
    """Say what is lost while members are not approved; `learns`: what they contributed may still be used."""
    unlearnt = f"does not learn from sums that {they} {are} in"
    if not gives:
        return f"this instance {unlearnt}"
    with_them = "" if same else f" with {'it' if they == 'it' else 'them'}"
    counted = f"this instance is not counted{with_them}"
    return counted if learns else f"{counted} and {unlearnt}"


def _left_out(hosts: Sequence[str]) -> list[str]:
    if not hosts:
        return []
    are, they = _forms(hosts)
    it = "it" if they == "it" else "them"
    said = f"{named(sorted(hosts))} {are} not approved here by the listed key: sums leave {it} out. "
    advice = f"Approve {it}: shoal peers approve {_typed(hosts)}, or eject {it}: shoal group eject "
    return [said + advice + _typed(hosts)]


def _counted(config: Config, group: Membership, found: Standing) -> str:
    counted = found["counted"]
    if group.role == "member" and config.mode != "contribute":
        return ""
    needed = "all of them" if counted["needed"] == counted["of"] else counted["needed"]
    return (
        "Of the members summed with this instance, itself included but not the host, "
        f"{counted['approved']} of {counted['of']} are approved here; a sum needs {needed}."
    )


def _forms(hosts: Sequence[str]) -> tuple[str, str]:
    return ("is", "it") if len(hosts) == 1 else ("are", "they")


def _typed(hosts: Sequence[str]) -> str:
    return hosts[0] if len(hosts) == 1 else "HOST"


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


def learns_in_group(group: Membership | None) -> list[Sentence]:
    """Return what to say of peers while this instance learns through a group; empty if it is in none."""
    if group is None or not group.active:
        return []
    whose = (
        sentence("groupTakesSums", group=group.group)
        if group.role == "host"
        else sentence("groupHostTakesSums", group=group.group, host=group.host)
    )
    return [whose, sentence("groupApprovals")]
