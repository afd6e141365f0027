"""What an entry says, as a sentence for the admin; `shoal ledger show --details` shows all it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daemon.ledger.chain import Kind
from daemon.sentences import Sentence, english, sentence
from daemon.store.ledger_rows import Row

_ID = 12
"""Characters of a round's id that people are shown."""
_NAMED = 4
"""Hosts that a sentence names; it only counts the rest."""

_ROUND = re.compile("[0-9a-f]{64}")

Details = Mapping[str, Any]


def said(entry: Row) -> Sentence:
    """Return one sentence, for a kind of a later version only its name and subject."""
    tell = _SENTENCES.get(entry.kind)
    if tell is None:
        return sentence("ledger_other", kind=entry.kind, subject=entry.subject)
    return tell(entry.subject, entry.details)


def in_english(entry: Row) -> str:
    """Return the same in English words."""
    return english(said(entry))


def hosts(names: object) -> str:
    """Name some hosts, "nobody" for none."""
    return english(_named(names))


def whose(role: object, aggregator: object) -> Sentence:
    """Say which sum a round of this role was; one of a later version's goes by who added it up."""
    host = str(aggregator)
    match role:
        case "aggregator":
            return sentence("ledger_ownSum")
        case "host":
            return sentence("ledger_groupSum")
        case "group":
            return sentence("ledger_othersGave", host=host)
        case "newcomer":
            return sentence("ledger_passedOnSum", host=host)
        case _:
            return sentence("ledger_sumOf", host=host)


def _texts(names: object) -> list[str]:
    if not isinstance(names, Sequence) or isinstance(names, str):
        return []
    return [str(name) for name in names]


def _named(names: object) -> Sentence:
    known = _texts(names)
    if not known:
        return sentence("ledger_nobody")
    more = len(known) - _NAMED
    if more <= 1:
        return sentence("ledger_hosts", hosts=known)
    return sentence("ledger_hostsAndMore", hosts=", ".join(known[:_NAMED]), more=more)


def _because(what: Sentence, details: Details) -> Sentence:
    reason = str(details.get("reason") or "").rstrip(".")
    return sentence("ledger_because", what=what, why=reason) if reason else what


def _opened(subject: str, details: Details) -> Sentence:
    return sentence("ledger_opened", host=subject, key=str(details.get("key")))


def _round(subject: str, details: Details) -> Sentence:
    number, of = subject[:_ID], whose(details.get("role"), details.get("aggregator"))
    if details.get("outcome") != "done":
        return _because(sentence("ledger_roundAbandoned", round=number, whose=of), details)
    survivors, roster = _texts(details.get("survivors")), _texts(details.get("roster"))
    return sentence(
        "ledger_round",
        round=number,
        whose=of,
        count=len(survivors),
        total=len(roster),
        who=_named(survivors),
    )


def _refused(subject: str, details: Details) -> Sentence:
    return _because(sentence("ledger_refused", host=subject), details)


def _sum(subject: str, details: Details) -> Sentence:
    head, who = details.get("head"), _named(details.get("survivors"))
    if not isinstance(head, int):
        return sentence("ledger_sum", round=subject[:_ID], who=who)
    return sentence("ledger_sumOver", round=subject[:_ID], count=head, who=who)


def _model(subject: str, details: Details) -> Sentence:
    if survivors := details.get("survivors"):
        return sentence("ledger_modelTogether", model=subject, who=_named(survivors))
    return sentence("ledger_modelAlone", model=subject)


def _acceptance(subject: str, details: Details) -> Sentence:
    # Of a sum that nothing could be trained on there is no model.
    what = (
        sentence("ledger_theSum", round=subject[:_ID])
        if _ROUND.fullmatch(subject)
        else sentence("ledger_theModel", model=subject)
    )
    by_admin = details.get("by") == "admin"
    match details.get("verdict"):
        case "accepted" if by_admin:
            found = sentence("ledger_acceptedByAdmin", what=what)
        case "accepted":
            found = sentence("ledger_accepted", what=what)
        case "awaiting":
            found = sentence("ledger_awaiting", what=what)
        case "quarantined" if by_admin:
            found = sentence("ledger_quarantinedByAdmin", what=what)
        case "quarantined":
            found = sentence("ledger_quarantined", what=what)
        case _:
            found = sentence("ledger_judged", what=what)
    failed = ", ".join(_texts(details.get("failed")))
    return sentence("ledger_because", what=found, why=failed) if failed else _because(found, details)


def _changed(subject: str, details: Details) -> Sentence:
    if details.get("proven") is True:
        return sentence("ledger_keyProven", host=subject)
    return sentence("ledger_keyUnproven", host=subject)


def _approved(subject: str, details: Details) -> Sentence:
    if details.get("resumed"):
        return sentence("ledger_resumed", host=subject)
    if by := details.get("introduced_by"):
        if details.get("evidence"):
            return sentence("ledger_approvedIntroduced", host=subject, who=_named(by))
        return sentence("ledger_approvedOnWord", host=subject, who=_named(by))
    if details.get("old"):
        return sentence("ledger_approvedNewKey", host=subject)
    return sentence("ledger_approved", host=subject)


def _introduced(subject: str, details: Details) -> Sentence:
    if not details.get("hosts"):
        return sentence("ledger_introducedNobody", host=subject)
    return sentence("ledger_introduced", host=subject, who=_named(details.get("hosts")))


def _vouched_for(subject: str, details: Details) -> Sentence:
    match details.get("evidence"):
        case "followed":
            return sentence("ledger_vouchedFollowed", host=subject)
        case "vouched":
            return sentence("ledger_vouchedByPeers", host=subject)
        case _:
            return sentence("ledger_vouchedOther", host=subject)


def _reverted(subject: str, details: Details) -> Sentence:
    gone = {one: len(details.get(f"{one}s") or ()) for one in ("sum", "model")}
    found = sentence("ledger_reverted", host=subject, sums=gone["sum"], models=gone["model"])
    now = details.get("served_now")
    return sentence("ledger_revertedServes", what=found, model=str(now)) if now else found


def _stopped(_subject: str, details: Details) -> Sentence:
    own, others = details.get("own_rounds") or 0, details.get("rounds_of_others") or 0
    return sentence("ledger_stopped", own=own, others=others)


def _settings(_subject: str, details: Details) -> Sentence:
    changed = details.get("changed")
    pairs = changed.items() if isinstance(changed, Mapping) else ()
    written = [f"{key} = {_written(pair[-1])}" for key, pair in pairs if isinstance(pair, Sequence) and pair]
    return sentence("ledger_settings", what=written)


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _withdrawal(_subject: str, details: Details) -> Sentence:
    number = details.get("viewers")
    return sentence("ledger_withdrawal", count=number if isinstance(number, int) else 1)


def _lost(_subject: str, details: Details) -> Sentence:
    cause, brought, missing = (details.get(name) for name in ("cause", "brought_back", "missing"))
    match cause:
        case "older":
            told = sentence("ledger_lostOlder")
        case "restored":
            told = sentence("ledger_lostRestored")
        case "copied":
            told = sentence("ledger_lostCopied")
        case "older-folder":
            told = sentence("ledger_lostOlderFolder")
        case None | "":
            told = sentence("ledger_lostUnknown")
        case _:
            told = sentence("ledger_lostCause", cause=str(cause))
    if missing:
        return sentence("ledger_lostMissing", what=told, count=missing)
    if brought:
        return sentence("ledger_lostBrought", what=told, count=brought)
    if cause in ("older", "restored", "copied", "older-folder"):
        return sentence("ledger_lostAlone", what=told)
    return sentence("ledger_lost", what=told)


def _group(subject: str, details: Details) -> Sentence:
    tell, name = _OF_GROUPS.get(str(details.get("event"))), str(details.get("group") or "")
    if tell is None:
        return sentence("ledger_groupOther", group=name, subject=subject)
    return tell(subject, name, details)


def _approved_in(subject: str, name: str, details: Details) -> Sentence:
    if details.get("invited"):
        return sentence("ledger_groupInvited", host=subject, group=name)
    return sentence("ledger_groupAdmitted", host=subject, group=name)


def _left(subject: str, name: str, details: Details) -> Sentence:
    if details.get("own"):
        return sentence("ledger_groupWeLeft", host=subject, group=name)
    return sentence("ledger_groupLeft", host=subject, group=name)


def _epoch(subject: str, name: str, details: Details) -> Sentence:
    # By part, each a list of hosts.
    members, parts = details.get("members"), details.get("sub_cohorts")
    lists = members if isinstance(members, Sequence) and not isinstance(members, str) else ()
    count = sum(len(part) for part in lists if isinstance(part, Sequence))
    if isinstance(parts, int) and parts > 1:
        return sentence("ledger_groupEpochParts", host=subject, group=name, count=count, parts=parts)
    return sentence("ledger_groupEpoch", host=subject, group=name, count=count)


def _published(subject: str, name: str, details: Details) -> Sentence:
    survivors = details.get("survivors")
    parts = survivors if isinstance(survivors, Sequence) and not isinstance(survivors, str) else ()
    whom = sorted(str(host) for part in parts if isinstance(part, list) for host in part)
    found = (
        sentence("ledger_groupPublished", host=subject, group=name, who=_named(whom))
        if whom
        else sentence("ledger_groupPublishedNothing", host=subject, group=name)
    )
    why = [reason.rstrip(".") for reason in _texts(details.get("left_out"))]
    if not why:
        return found
    return sentence("ledger_groupPublishedWithout", what=found, count=len(why), why="; ".join(why))


def _plain(say: Callable[[str], Sentence]) -> Callable[[str, Details], Sentence]:
    return lambda subject, details: _because(say(subject), details)


_OF_GROUPS: dict[str, Callable[[str, str, Details], Sentence]] = {
    "hosted": lambda _subject, name, _details: sentence("ledger_groupHosted", group=name),
    "asked": lambda subject, name, _details: sentence("ledger_groupAsked", host=subject, group=name),
    "approved": _approved_in,
    "refused": lambda subject, name, _details: sentence("ledger_groupRefused", host=subject, group=name),
    "ejected": lambda subject, name, details: _because(
        sentence("ledger_groupEjected", host=subject, group=name), details
    ),
    "joined": lambda subject, name, _details: sentence("ledger_groupJoined", host=subject, group=name),
    "left": _left,
    "closed": lambda _subject, name, _details: sentence("ledger_groupClosed", group=name),
    "epoch": _epoch,
    "published": _published,
}


_SENTENCES: dict[str, Callable[[str, Details], Sentence]] = {
    Kind.OPENED: _opened,
    Kind.ROUND: _round,
    Kind.DATABASE_LOST: _lost,
    Kind.REFUSED: _refused,
    Kind.SUM: _sum,
    Kind.MODEL: _model,
    Kind.ACCEPTANCE: _acceptance,
    Kind.SERVED: _plain(lambda model: sentence("ledger_served", model=model)),
    Kind.PEER_ADDED: _plain(lambda host: sentence("ledger_added", host=host)),
    Kind.PEER_ASKED: _plain(lambda host: sentence("ledger_asked", host=host)),
    Kind.PEER_APPROVED: _approved,
    Kind.PEER_VOUCHED_FOR: _vouched_for,
    Kind.PEERS_INTRODUCED: _introduced,
    Kind.PEER_PAUSED: _plain(lambda host: sentence("ledger_paused", host=host)),
    Kind.PEER_REMOVED: _plain(lambda host: sentence("ledger_removed", host=host)),
    Kind.PEER_REVERTED: _plain(lambda host: sentence("ledger_blocked", host=host)),
    Kind.KEY_ROTATED: lambda subject, details: sentence(
        "ledger_newKey", host=subject, key=str(details.get("new"))
    ),
    Kind.KEY_CHANGED: _changed,
    Kind.REVERT: _reverted,
    Kind.WITHDRAWAL: _withdrawal,
    Kind.STOPPED: _stopped,
    Kind.SETTINGS: _settings,
    Kind.GROUP: _group,
    Kind.PASSED_ON: lambda subject, details: sentence(
        "ledger_passedOn", host=subject, who=_named(details.get("survivors"))
    ),
}
