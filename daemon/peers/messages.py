"""What the admin reads about peers: a sentence about each, and whether there are enough for a sum."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from daemon.peers.repository import KnownPeers, Peer

_NAMED = 5
"""How many peers are named; of more, only the number is given."""


@dataclass(frozen=True)
class Cohort:
    """Whether there are enough peers for a sum.

    Attributes:
        approved: how many this admin approved.
        mutual: how many of them approved this instance too.
        on_word_alone: how many of those approved count as strangers, since they were only introduced.
        needed: how many a sum needs, strangers not counted.
        missing: approved peers that are not known to approve this instance.
    """

    approved: int
    mutual: int
    on_word_alone: int
    needed: int
    missing: tuple[str, ...]
    sentence: str


def cohort(
    known: KnownPeers, needed: int, in_group: Sequence[str] = (), summed: Collection[str] = ()
) -> Cohort:
    """Count the peers for a sum, and say what is missing.

    `in_group` holds the sentences to say instead while this instance learns through a group; `summed` the
    members of the newest sum that this instance received.
    """
    approved = known.approved()
    mutual = [peer for peer in approved if peer.theirs == "approved"]
    alone = sum(peer.on_word_alone for peer in approved)
    missing = tuple(peer.host for peer in approved if peer.theirs != "approved")
    sentences = in_group or [
        *_mutual(len(approved), len(mutual)),
        *_on_word_alone(alone),
        *_enough([peer for peer in mutual if not peer.on_word_alone], len(approved), needed, summed),
        *([f"Not known to approve this instance: {_names(missing)}."] if missing else []),
    ]
    return Cohort(len(approved), len(mutual), alone, needed, missing, " ".join(sentences))


def _enough(counted: Sequence[Peer], approved: int, needed: int, summed: Collection[str]) -> Iterator[str]:
    if not approved:
        yield f"A sum needs {needed} peers that approve this instance and one another."
        return
    if len(counted) < needed:
        yield f"A sum needs {needed}, so {needed - len(counted)} more must be approved by both sides."
        if approved < 3:
            yield (
                "Until then there are no sums, since a sum of so few would reveal each other's numbers; "
                "recommendations come from your own viewers and from tags."
            )
        return
    # Each member of a finished sum counted enough of the others as approved.
    together = sum(peer.host in summed for peer in counted)
    if together >= needed:
        yield f"The newest sum had {together} of them in it."
    else:
        yield f"A sum needs {needed} of them, which must also approve one another."


def _on_word_alone(count: int) -> Iterator[str]:
    if count == 1:
        yield "1 peer was only introduced and counts as a stranger until more stands for it."
    elif count:
        yield f"{count} peers were only introduced and count as strangers until more stands for them."


def _mutual(count: int, mutual: int) -> Iterator[str]:
    # Each is a sentence of its own: the page translates them.
    if not count:
        yield "No peer is approved: recommendations come from your own viewers and from tags."
    elif count == 1 and mutual:
        yield "1 peer is approved, and approves this instance."
    elif count == 1:
        yield "1 peer is approved, and is not known to approve this instance."
    elif mutual == count:
        yield f"{count} peers are approved, and all of them approve this instance."
    elif mutual:
        yield f"{count} peers are approved, and this instance is known to be approved by {mutual} of them."
    else:
        yield f"{count} peers are approved, and none of them is known to approve this instance."


def _names(hosts: tuple[str, ...]) -> str:
    if len(hosts) > _NAMED:
        return f"{', '.join(hosts[:_NAMED])} and {len(hosts) - _NAMED} more"
    return ", ".join(hosts)


def of(peer: Peer, now: float) -> str:
    """Return the state of one peer, and what the admin can do."""
    if peer.next_key and peer.state in {"approved", "paused"}:
        return (
            "It uses a new key, which its old key did not hand over to. Sums leave it out. Ask its admin, "
            "compare the words, then approve it again."
        )
    if peer.state == "candidate":
        return _candidate(peer)
    if peer.state == "paused":
        return "Paused: nothing new is learnt from it; what was learnt from it stays."
    if peer.state == "removed":
        asks = " It asks to be approved." if peer.theirs == "asked" else ""
        return f"Removed: nothing is learnt from it, and sums that include it are no longer used.{asks}"
    if peer.state == "reverted":
        return "Reverted: what was learnt from it is deleted, and it is blocked until you approve it again."
    return f"{_approval(peer)}{_passed_on(peer)}{_unreachable(peer, now)}"


def _candidate(peer: Peer) -> str:
    if peer.theirs == "asked" and not peer.url:
        if peer.failures:
            return (
                "It asks to be approved, but its domain does not show its card. If its Shoal answers "
                "elsewhere, add it with that address."
            )
        return "It asks to be approved. Its card is being read from its domain; then its words are shown."
    if peer.theirs == "asked":
        return "It asks to be approved. Compare its words with its admin, then approve it."
    if peer.key:
        return "It runs Shoal. Approve it if you know and trust its admin."
    if peer.version:
        return "It has Shoal's plugin, but its daemon does not answer."
    return "It could not be reached." if peer.failures else "It does not run Shoal."


def _approval(peer: Peer) -> str:
    if peer.on_word_alone:
        return (
            f"{_each_other(peer)} It was only introduced, and counts as a stranger until more stands for it."
        )
    return _each_other(peer)


def _passed_on(peer: Peer) -> str:
    why = peer.sum_refused.rstrip(".")
    return f" A sum that it passes on was refused. {why[:1].upper()}{why[1:]}." if why else ""


def _each_other(peer: Peer) -> str:
    if peer.theirs == "approved":
        return "You approve each other."
    if peer.theirs == "declined":
        return "You approve it; it does not approve you. Its admin can change that."
    return "You approve it; it is not known whether it approves you."


def _unreachable(peer: Peer, now: float) -> str:
    if not peer.failures:
        return ""
    wait = (peer.retry_at or now) - now
    when = f"in {_time(wait)}" if wait > 0 else "soon"
    attempts = "The last attempt" if peer.failures == 1 else f"The last {peer.failures} attempts"
    return f" {attempts} to reach it failed; the next one is {when}."


def _time(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.0f} hours"
    minutes = max(round(seconds / 60), 1)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
