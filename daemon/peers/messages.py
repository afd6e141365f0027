"""What the admin reads about peers: one sentence each, and one about whether they are enough for a sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.peers.repository import KnownPeers, Peer

_NAMED = 5
"""So many missing peers are named; of more, their number."""


@dataclass(frozen=True)
class Cohort:
    """Whether there are enough peers for a sum.

    Attributes:
        approved: how many this admin approved.
        mutual: how many of them approved this instance too.
        needed: how many a sum needs.
        missing: approved peers that are not known to approve this instance.
    """

    approved: int
    mutual: int
    needed: int
    missing: tuple[str, ...]
    sentence: str


def cohort(book: KnownPeers, needed: int, through: Sequence[str] = ()) -> Cohort:
    """Count the peers of a sum, and say what works with them.

    `through` is what to say instead where this instance learns through a group.
    """
    approved = book.approved()
    mutual = [peer for peer in approved if peer.theirs == "approved"]
    missing = tuple(peer.host for peer in approved if peer.theirs != "approved")
    sentence = " ".join(through or _cohort(approved, len(mutual), needed, missing))
    return Cohort(len(approved), len(mutual), needed, missing, sentence)


def _cohort(approved: Sequence[Peer], mutual: int, needed: int, missing: tuple[str, ...]) -> list[str]:
    count = len(approved)
    if not count:
        return [
            "No peer is approved: recommendations come from the own viewers and from tags.",
            f"A sum needs {needed} peers that approve this instance, too.",
        ]
    said = [_who_agrees(count, mutual)]
    if mutual >= needed:
        said.append(f"A sum needs {needed}: there are enough, once they approve each other, too.")
    else:
        said.append(f"A sum needs {needed}, so {needed - mutual} more must agree on both sides.")
        if count < 3:
            said.append(
                "Until then nothing is summed, since a sum of so few would show each other's numbers; "
                "recommendations come from the own viewers and from tags."
            )
    if missing:
        said.append(f"Not agreed yet: {_names(missing)}.")
    return said


def _who_agrees(count: int, mutual: int) -> str:
    # Each a sentence of its own: the page says them in other languages.
    if count == 1 and mutual:
        return "1 peer is approved and approves this instance, too."
    if count == 1:
        return "1 peer is approved and is not known to approve this instance, too."
    if mutual == count:
        return f"{count} peers are approved; all approve this instance, too."
    if mutual:
        return f"{count} peers are approved, {mutual} of them known to approve this instance, too."
    return f"{count} peers are approved, none of them known to approve this instance, too."


def _names(hosts: tuple[str, ...]) -> str:
    if len(hosts) > _NAMED:
        return f"{', '.join(hosts[:_NAMED])} and {len(hosts) - _NAMED} more"
    return ", ".join(hosts)


def of(peer: Peer, now: float) -> str:
    """Say how things stand with one peer, and what the admin may do."""
    if peer.next_key and peer.state in {"approved", "paused"}:
        return (
            "It shows a new key, which its old one did not hand over to. Sums go without it. Ask its admin, "
            "compare the words, then approve it again."
        )
    if peer.state == "candidate":
        return _candidate(peer)
    if peer.state == "paused":
        return "Paused: nothing new is learnt with it; what was learnt with it stays."
    if peer.state == "removed":
        asks = " It asks to be approved." if peer.theirs == "asked" else ""
        return f"Removed: nothing is learnt with it, and sums that hold it are not used any more.{asks}"
    if peer.state == "reverted":
        return "Reverted: what was learnt with it is gone, and it is blocked until you approve it again."
    return f"{_agreed(peer)}{_unreached(peer, now)}"


def _candidate(peer: Peer) -> str:
    if peer.theirs == "asked" and not peer.url:
        return "It asks to be approved. Its words are shown once its card was read: add it for that."
    if peer.theirs == "asked":
        return "It asks to be approved. Compare its words with its admin, then approve it."
    if peer.key:
        return "It runs Shoal. Approve it if you know and trust its admin."
    if peer.version:
        return "It has Shoal's plugin, but its daemon does not answer."
    return "It could not be reached." if peer.failures else "It does not run Shoal."


def _agreed(peer: Peer) -> str:
    if peer.theirs == "approved":
        return "You approve each other."
    if peer.theirs == "declined":
        return "You approve it; it does not approve you (yet). Its admin can."
    return "You approve it; it has not said whether it approves you."


def _unreached(peer: Peer, now: float) -> str:
    if not peer.failures:
        return ""
    wait = (peer.retry_at or now) - now
    soon = f"in {_time(wait)}" if wait > 0 else "soon"
    times = "once" if peer.failures == 1 else f"{peer.failures} times"
    return f" Tried {times} in vain; again {soon}."


def _time(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.0f} hours"
    minutes = max(round(seconds / 60), 1)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
