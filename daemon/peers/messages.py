"""What the admin reads about peers: sentences about each, and whether there are enough for a sum."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from daemon.peers.repository import KnownPeers, Peer
from daemon.sentences import Sentence, sentence


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
    sentences: tuple[Sentence, ...]


def cohort(
    known: KnownPeers, needed: int, in_group: Collection[Sentence] = (), summed: Collection[str] = ()
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
        _mutual(len(approved), len(mutual)),
        *([sentence("cohortOnWordAlone", count=alone)] if alone else []),
        *_enough([peer for peer in mutual if not peer.on_word_alone], len(approved), needed, summed),
        *([sentence("cohortMissing", hosts=missing)] if missing else []),
    ]
    return Cohort(len(approved), len(mutual), alone, needed, missing, tuple(sentences))


def _enough(
    counted: Sequence[Peer], approved: int, needed: int, summed: Collection[str]
) -> Iterator[Sentence]:
    if not approved:
        yield sentence("cohortNeedsPeers", needed=needed)
        return
    if len(counted) < needed:
        yield sentence("cohortNeedsMore", needed=needed, more=needed - len(counted))
        if approved < 3:
            yield sentence("cohortTooFew")
        return
    # Each member of a finished sum counted enough of the others as approved.
    together = sum(peer.host in summed for peer in counted)
    if together >= needed:
        yield sentence("cohortTogether", together=together)
    else:
        yield sentence("cohortOneAnother", needed=needed)


def _mutual(count: int, mutual: int) -> Sentence:
    if not count:
        return sentence("cohortNobody")
    if not mutual:
        return sentence("cohortNoneMutual", count=count)
    if mutual == count:
        return sentence("cohortAllMutual", count=count)
    return sentence("cohortSomeMutual", approved=count, mutual=mutual)


def of(peer: Peer, now: float) -> list[Sentence]:
    """Return the state of one peer, and what the admin can do."""
    if peer.next_key and peer.state in {"approved", "paused"}:
        return [sentence("peerNewKey")]
    if peer.state == "candidate":
        return [_candidate(peer)]
    if peer.state == "paused":
        return [sentence("peerIsPaused")]
    if peer.state == "removed":
        asks = [sentence("peerAsks")] if peer.theirs == "asked" else []
        return [sentence("peerIsRemoved"), *asks]
    if peer.state == "reverted":
        return [sentence("peerIsReverted")]
    alone = [sentence("peerOnWordAlone")] if peer.on_word_alone else []
    return [_each_other(peer), *alone, *_passed_on(peer), *_unreachable(peer, now)]


def _candidate(peer: Peer) -> Sentence:
    if peer.theirs == "asked" and not peer.url:
        return sentence("peerAsksWithoutCard") if peer.failures else sentence("peerAsksCardRead")
    if peer.theirs == "asked":
        return sentence("peerAsksCompare")
    if peer.key:
        return sentence("peerRunsShoal")
    if peer.version:
        return sentence("peerWithoutDaemon")
    return sentence("peerNotReached") if peer.failures else sentence("peerWithoutShoal")


def _passed_on(peer: Peer) -> list[Sentence]:
    why = peer.sum_refused.rstrip(".")
    return [sentence("peerSumRefused", why=why)] if why else []


def _each_other(peer: Peer) -> Sentence:
    if peer.theirs == "approved":
        return sentence("peerBothApprove")
    if peer.theirs == "declined":
        return sentence("peerDeclines")
    return sentence("peerMayNotApprove")


def _unreachable(peer: Peer, now: float) -> list[Sentence]:
    if not peer.failures:
        return []
    if peer.retry_at is None or peer.retry_at <= now:
        return [sentence("peerRetriedSoon", count=peer.failures)]
    return [sentence("peerRetried", count=peer.failures, at=peer.retry_at)]
