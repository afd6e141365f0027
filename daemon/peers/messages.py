"""What the admin reads about peers: a sentence about each, and whether there are enough for a sum."""

from __future__ import annotations

from collections.abc import Sequence
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
        needed: how many a sum needs.
        missing: approved peers that are not known to approve this instance.
    """

    approved: int
    mutual: int
    needed: int
    missing: tuple[str, ...]
    sentence: str


def cohort(known: KnownPeers, needed: int, in_group: Sequence[str] = ()) -> Cohort:
    """Count the peers for a sum, and say what is missing.

    `in_group` holds the sentences to say instead while this instance learns through a group.
    """
    approved = known.approved()
    mutual = [peer for peer in approved if peer.theirs == "approved"]
    missing = tuple(peer.host for peer in approved if peer.theirs != "approved")
    sentence = " ".join(in_group or _cohort(len(approved), len(mutual), needed, missing))
    return Cohort(len(approved), len(mutual), needed, missing, sentence)


def _cohort(count: int, mutual: int, needed: int, missing: tuple[str, ...]) -> list[str]:
    if not count:
        return [
            "No peer is approved: recommendations come from your own viewers and from tags.",
            f"A sum needs {needed} peers that approve this instance and one another.",
        ]
    said = [_mutual(count, mutual)]
    if mutual >= needed:
        said.append(f"A sum needs {needed} of them, which must also approve one another.")
    else:
        said.append(f"A sum needs {needed}, so {needed - mutual} more must be approved by both sides.")
        if count < 3:
            said.append(
                "Until then there are no sums, since a sum of so few would reveal each other's numbers; "
                "recommendations come from your own viewers and from tags."
            )
    if missing:
        said.append(f"Not known to approve this instance: {_names(missing)}.")
    return said


def _mutual(count: int, mutual: int) -> str:
    # Each is a sentence of its own: the page translates them.
    if count == 1 and mutual:
        return "1 peer is approved, and approves this instance."
    if count == 1:
        return "1 peer is approved, and is not known to approve this instance."
    if mutual == count:
        return f"{count} peers are approved, and all of them approve this instance."
    if mutual:
        return f"{count} peers are approved, and {mutual} of them are known to approve this instance."
    return f"{count} peers are approved, and none of them is known to approve this instance."


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
    return f"{_approval(peer)}{_unreachable(peer, now)}"


def _candidate(peer: Peer) -> str:
    if peer.theirs == "asked" and not peer.url:
        return "It asks to be approved. Add it to read its card; then its words are shown."
    if peer.theirs == "asked":
        return "It asks to be approved. Compare its words with its admin, then approve it."
    if peer.key:
        return "It runs Shoal. Approve it if you know and trust its admin."
    if peer.version:
        return "It has Shoal's plugin, but its daemon does not answer."
    return "It could not be reached." if peer.failures else "It does not run Shoal."


def _approval(peer: Peer) -> str:
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
