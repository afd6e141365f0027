"""What an entry says, as a sentence for the admin; `shoal ledger show --details` shows all it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from daemon.ledger.chain import Kind
from daemon.store.ledger_rows import Row

_ID = 12
"""Characters of a round's id that people are shown."""
_NAMED = 4
"""Hosts that a sentence names; it only counts the rest."""

_ROUND = re.compile("[0-9a-f]{64}")

Details = Mapping[str, Any]


def sentence(entry: Row) -> str:
    """Return one sentence, for a kind of a later version only its name and subject."""
    tell = _SENTENCES.get(entry.kind)
    if tell is None:
        return f"{entry.kind}: {entry.subject}"
    return tell(entry.subject, entry.details)


def hosts(names: object) -> str:
    """Name some hosts, "nobody" for none."""
    known = (
        [str(name) for name in names] if isinstance(names, Sequence) and not isinstance(names, str) else []
    )
    if not known:
        return "nobody"
    more = len(known) - _NAMED
    return ", ".join(known) if more <= 1 else f"{', '.join(known[:_NAMED])} and {more} more"


def whose(role: object, aggregator: object) -> str:
    """Say which sum a round of this role was; one of a later version's goes by who added it up."""
    return {
        "aggregator": "our own sum",
        "host": "the sum of our group",
        "group": f"what the other members of the group of {aggregator} gave",
        "newcomer": f"the sum that {aggregator} passed on",
    }.get(str(role), f"the sum of {aggregator}")


def _because(details: Details) -> str:
    reason = str(details.get("reason") or "").rstrip(".")
    return f": {reason}" if reason else ""


def _round(subject: str, details: Details) -> str:
    name = f"Round {subject[:_ID]}, {whose(details.get('role'), details.get('aggregator'))}"
    if details.get("outcome") != "done":
        return f"{name}, was abandoned{_because(details)}."
    survivors, roster = details.get("survivors") or (), details.get("roster") or ()
    return f"{name}: {len(survivors)} of {len(roster)} members were summed ({hosts(survivors)})."


def _refused(subject: str, details: Details) -> str:
    return f"Refused a sum that {subject} proposed{_because(details)}."


def _sum(subject: str, details: Details) -> str:
    head = details.get("head")
    over = f" over {head} videos" if isinstance(head, int) else ""
    return f"Stored the sum of round {subject[:_ID]}{over}, with {hosts(details.get('survivors'))} in it."


def _model(subject: str, details: Details) -> str:
    survivors = details.get("survivors")
    others = f"{hosts(survivors)} and our own viewers" if survivors else "our own viewers alone"
    return f"Trained model {subject} from {others}."


def _acceptance(subject: str, details: Details) -> str:
    # Of a sum that nothing could be trained on there is no model.
    what = f"The sum of round {subject[:_ID]}" if _ROUND.fullmatch(subject) else f"Model {subject}"
    verdict = {
        "accepted": "was accepted",
        "awaiting": "waits for you to look at it",
        "quarantined": "was quarantined",
    }.get(str(details.get("verdict")), "was judged")
    by = " by the admin" if details.get("by") == "admin" else ""
    failed = ", ".join(str(check) for check in details.get("failed") or ())
    return f"{what} {verdict}{by}{f': {failed}' if failed else _because(details)}."


def _rotated(subject: str, details: Details) -> str:
    return f"{subject} has a new key: {details.get('new')}."


def _changed(subject: str, details: Details) -> str:
    if details.get("proven") is True:
        return f"{subject} has a new key, confirmed by its old one."
    return f"{subject} uses a key that you have not approved; it counts in no sum until you do."


def _approved(subject: str, details: Details) -> str:
    if details.get("resumed"):
        return f"{subject} is learnt from again."
    if by := details.get("introduced_by"):
        alone = "" if details.get("evidence") else ", and counts as a stranger until more stands for it"
        return f"{subject} was approved as a peer, introduced by {hosts(by)}{alone}."
    return f"{subject} was approved as a peer{', with a new key' if details.get('old') else ''}."


def _introduced(subject: str, details: Details) -> str:
    if not details.get("hosts"):
        return f"Nobody is introduced to {subject} any more."
    return f"Introduced to {subject}: {hosts(details.get('hosts'))}."


def _vouched_for(subject: str, details: Details) -> str:
    why = {
        "followed": "this PeerTube has followed it for 30 days",
        "vouched": "two peers vouch for it",
    }.get(str(details.get("evidence")), "more than an introduction stands for it")
    return f"{subject} counts as an approved peer from now on: {why}."


def _reverted(subject: str, details: Details) -> str:
    gone = [_counted(len(details.get(f"{one}s") or ()), one) for one in ("sum", "model")]
    now = details.get("served_now")
    serves = f"; model {now} now serves" if now else ""
    return f"What was learnt from {subject} was taken out: {' and '.join(gone)} deleted{serves}."


def _counted(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _stopped(_subject: str, details: Details) -> str:
    others, own = details.get("rounds_of_others") or 0, details.get("own_rounds") or 0
    return f"Stopped all open rounds: {own} of our own, {others} of others."


def _withdrawal(_subject: str, details: Details) -> str:
    number = details.get("viewers")
    who = f"{number} viewers" if isinstance(number, int) and number != 1 else "A viewer"
    return f"{who} withdrew. No later sum or model includes their data."


_LOSSES: Final = {
    "older": "The database was older than the second copy of the ledger",
    "restored": "The database was restored from a backup",
    "copied": "The database was restored from a backup, and every peer paused",
}


def _number(count: Any, one: str, many: str) -> str:
    return f"1 {one}" if count == 1 else f"{count} {many}"


def _lost(_subject: str, details: Details) -> str:
    cause, brought, missing = (details.get(name) for name in ("cause", "brought_back", "missing"))
    told = _LOSSES.get(str(cause), f"The database was lost ({cause})" if cause else "The database was lost")
    if missing:
        return f"{told}: {_number(missing, 'entry', 'entries')} of the ledger are missing before this one."
    if brought:
        return f"{told}: {_number(brought, 'entry', 'entries')} of the ledger were brought back."
    return f"{told}." if cause in _LOSSES else f"{told}: this ledger begins anew, without earlier entries."


def _group(subject: str, details: Details) -> str:
    tell, name = _OF_GROUPS.get(str(details.get("event"))), str(details.get("group") or "")
    return f"The group {name}: {subject}." if tell is None else tell(subject, name, details)


def _approved_in(subject: str, name: str, details: Details) -> str:
    if details.get("invited"):
        return f"{subject} was invited to the group {name}."
    return f"{subject} was admitted to the group {name}."


def _epoch(subject: str, name: str, details: Details) -> str:
    # By part, each a list of hosts.
    members, sub_cohorts = details.get("members"), details.get("sub_cohorts")
    lists = members if isinstance(members, Sequence) and not isinstance(members, str) else ()
    count = sum(len(part) for part in lists if isinstance(part, Sequence)) or None
    size = f": {_counted(count, 'member')}" if isinstance(count, int) else ""
    many = isinstance(sub_cohorts, int) and sub_cohorts > 1
    divided = f", divided into {sub_cohorts} sub-cohorts" if many else ""
    return f"The group {name} of {subject} has a new member list{size}{divided}."


def _published(subject: str, name: str, details: Details) -> str:
    survivors, left_out = details.get("survivors"), details.get("left_out")
    parts = survivors if isinstance(survivors, Sequence) and not isinstance(survivors, str) else ()
    whom = sorted(str(host) for part in parts if isinstance(part, list) for host in part)
    learnt = f", learnt from {hosts(whom)}" if whom else ", and nothing was learnt from it"
    why = [str(reason).rstrip(".") for reason in left_out] if isinstance(left_out, Sequence) else []
    without = f". {_counted(len(why), 'sub-cohort')} left out: {'; '.join(why)}" if why else ""
    return f"{subject} published a sum of the group {name}{learnt}{without}."


def _passed_on(subject: str, details: Details) -> str:
    return f"{subject} passed on a sum of {hosts(details.get('survivors'))}; it was stored, and is judged."


_OF_GROUPS: dict[str, Callable[[str, str, Details], str]] = {
    "hosted": lambda _subject, name, _details: f"This instance now hosts the group {name}.",
    "asked": lambda subject, name, _details: f"{subject} asked to join the group {name}.",
    "approved": _approved_in,
    "refused": lambda subject, name, _details: f"{subject} was refused admission to the group {name}.",
    "ejected": lambda subject, name, details: (
        f"{subject} was removed from the group {name}{_because(details)}."
    ),
    "joined": lambda subject, name, _details: f"This instance joined the group {name} of {subject}.",
    "left": lambda subject, name, details: (
        f"This instance left the group {name} of {subject}."
        if details.get("own")
        else f"{subject} left the group {name}."
    ),
    "closed": lambda _subject, name, _details: f"The group {name} was closed.",
    "epoch": _epoch,
    "published": _published,
}


def _plain(text: str) -> Callable[[str, Details], str]:
    return lambda subject, details: f"{text.format(subject)}{_because(details)}."


_SENTENCES: dict[str, Callable[[str, Details], str]] = {
    Kind.OPENED: lambda subject, details: (
        f"The ledger of {subject} begins with the key {details.get('key')}."
    ),
    Kind.ROUND: _round,
    Kind.DATABASE_LOST: _lost,
    Kind.REFUSED: _refused,
    Kind.SUM: _sum,
    Kind.MODEL: _model,
    Kind.ACCEPTANCE: _acceptance,
    Kind.SERVED: _plain("Model {} now serves"),
    Kind.PEER_ADDED: _plain("{} became a candidate"),
    Kind.PEER_ASKED: _plain("{} asked to be approved"),
    Kind.PEER_APPROVED: _approved,
    Kind.PEER_VOUCHED_FOR: _vouched_for,
    Kind.PEERS_INTRODUCED: _introduced,
    Kind.PEER_PAUSED: _plain("{} was paused: it is in no new sums"),
    Kind.PEER_REMOVED: _plain("{} was removed from the peers"),
    Kind.PEER_REVERTED: _plain("{} was blocked; what was learnt from it is being taken out"),
    Kind.KEY_ROTATED: _rotated,
    Kind.KEY_CHANGED: _changed,
    Kind.REVERT: _reverted,
    Kind.WITHDRAWAL: _withdrawal,
    Kind.STOPPED: _stopped,
    Kind.GROUP: _group,
    Kind.PASSED_ON: _passed_on,
}
