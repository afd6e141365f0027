"""From the admin's settings to the federation's objects: who is known, on which terms, in which limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from daemon.config import Config
from daemon.peers.repository import KnownPeers, Peer
from daemon.store.sums import SumPrivacy
from federation import cbor
from federation.cbor_fields import malformed, sequence, text
from federation.errors import Code, Refusal
from federation.identity import PublicIdentity
from federation.journal import FileJournal
from federation.limits import Limits
from federation.proposal import Proposal, Segment
from models.noise import SumNoise
from models.weights import UNIT
from policies.allowlist import Allowlist
from policies.base import AllOf, Rule
from policies.cohort import CohortPolicy
from policies.privacy import PROTECTION, Level, PrivacyPolicy, Protection, head_minimum
from policies.sharing import SharingPolicy, counts_and_pairs

VOCABULARY = "vocabulary"
HEAD = "head"
_POSITION_TYPE = "<u4"
PROPOSAL_FILE = "proposal"
VECTOR_FILE = "vector.npy"
"""Files between the serving process and the job that counts; their folder is removed afterwards."""
_MAX_URL = 2000


def policy(config: Config, known: Allowlist, *others: Rule) -> AllOf:
    """Return what has to hold before this instance is counted in somebody's round; `known` are our peers.

    The `others` are asked first.
    """
    sharing = SharingPolicy(
        mode=config.mode,
        max_vocabulary=config.sharing.max_vocabulary,
        max_head=config.model.max_head,
    )
    privacy = PrivacyPolicy(
        me=config.instance.host,
        allowlist=known,
        level=Level(config.privacy.level),
        min_users=config.sharing.min_users,
        allow_publication=config.privacy.allow_published_vectors,
    )
    cohort = CohortPolicy(config.instance.host, known, config.cohort.min_cohort)
    return AllOf((*others, sharing, cohort, privacy))


def limits(config: Config) -> Limits:
    """Return the federation's limits for the largest sums that the settings allow."""
    head = config.model.max_head
    return Limits(max_length=head * (head - 1) // 2 + config.sharing.max_vocabulary)


def member_journal(config: Config) -> FileJournal:
    """Return what this instance must remember as a member."""
    return FileJournal(config.journal_dir / "member")


def aggregator_journal(config: Config) -> FileJournal:
    """Return what this instance must remember as an aggregator."""
    return FileJournal(config.journal_dir / "aggregator")


def hosted_journal(config: Config) -> FileJournal:
    """Return what this instance must remember as the aggregator of a group that it hosts."""
    return FileJournal(config.group_dir / "host" / "sums")


COLLUDERS = 1
"""Assumed for rounds of our own: ourselves, whom no member need trust. All members are approved here."""
READ_BY_OTHERS = 2
"""Assumed where others read the sum, in a group or because it may be passed on: its aggregator, and whoever
reads it and knows the noise that it added itself."""
LEAST_TO_PASS_ON = 5
"""Members from which a sum may be passed on. With four, one of whom may be lost, only one member's noise
would be left beside two that work together, and it had to be as much as the whole sum needs."""


def colluders(roster: Collection[PublicIdentity], book: KnownPeers) -> int:
    """Return for how many that work together a round among our own peers is laid out.

    Whoever was only introduced may work together with its introducer, as its neighbours will count, too.
    """
    introduced = sum(peer.on_word_alone for peer in book.approved() if peer.identity in roster)
    return introduced + (READ_BY_OTHERS if len(roster) >= LEAST_TO_PASS_ON else COLLUDERS)


def protection(config: Config) -> Protection:
    """Return the numbers of the configured privacy level."""
    return PROTECTION[Level(config.privacy.level)]


def videos_per_user(config: Config) -> int:
    """Return how many videos of one viewer count: the lower of the setting and the level's limit."""
    return min(config.sharing.max_videos_per_user, protection(config).max_videos_per_user)


def parameters(
    config: Config, vocabulary: int, head: int, *, sub_cohorts: int = 1, early: bool = False, pass_on: bool
) -> dict[str, int]:
    """Return the terms of a round that this instance proposes, over so many videos."""
    level = protection(config)
    return {
        "vocabulary": vocabulary,
        "head": head,
        "sub_cohorts": sub_cohorts,
        "min_users": head_minimum(config.sharing.min_users, sub_cohorts * level.counts_noise),
        "max_videos_per_user": videos_per_user(config),
        "publish": int(config.privacy.publish_vectors and level.pairs_noise > 0),
        "pass_on": int(pass_on),
        "early": int(early),
    }


def segments(config: Config, vocabulary: int, head: int) -> tuple[Segment, Segment]:
    """Return the layout of the vector: counts of the vocabulary, then pairs of the head."""
    level = protection(config)
    return (
        Segment(vocabulary, UNIT, level.counts_noise * UNIT**2),
        Segment(head * (head - 1) // 2, UNIT, level.pairs_noise * UNIT**2),
    )


def noise_in(proposal: Proposal, members: int) -> SumNoise:
    """Return the variances of the noise in a sum over so many members, in viewers squared."""
    counts, pairs = (float(members * variance / UNIT**2) for variance in proposal.share_variances)
    return SumNoise(counts=counts, pairs=pairs)


def privacy_of(proposal: Proposal, *, survivors: int) -> SumPrivacy:
    """Return what is kept with a sum, and in the manifest of each model trained from it."""
    terms = proposal.parameters
    counts, pairs = counts_and_pairs(proposal)
    realised = noise_in(proposal, survivors)
    return SumPrivacy(
        counts_noise=counts.noise // UNIT**2,
        pairs_noise=pairs.noise // UNIT**2,
        counts_noise_realised=realised.counts,
        pairs_noise_realised=realised.pairs,
        max_videos_per_user=terms["max_videos_per_user"],
        min_users=terms["min_users"],
        sub_cohorts=terms["sub_cohorts"],
        members=len(proposal.roster),
        threshold=proposal.threshold,
        colluders=proposal.colluders,
        survivors=survivors,
        publish=bool(terms["publish"]),
    )


def encode_vocabulary(videos: tuple[str, ...]) -> bytes:
    """Return the blob that lists the videos of a round by url, ascending."""
    return cbor.encode(list(videos))


def decode_vocabulary(blob: bytes, *, at_most: int) -> tuple[str, ...]:
    """Read such a blob.

    Raises:
        Refusal: `malformed`.

    """
    return tuple(sequence(cbor.decode(blob), lambda item: text(item, _MAX_URL), at_most=at_most))


def encode_head(positions: NDArray[np.int64]) -> bytes:
    """Return the blob that lists the head by position in the vocabulary, ascending."""
    return positions.astype(_POSITION_TYPE).tobytes()


def decode_head(blob: bytes) -> NDArray[np.int64]:
    """Read such a blob, (h,) int64.

    Raises:
        Refusal: `malformed`.

    """
    if len(blob) % np.dtype(_POSITION_TYPE).itemsize:
        raise malformed("the head does not consist of whole positions")
    return np.frombuffer(blob, _POSITION_TYPE).astype(np.int64)


def asked(book: KnownPeers) -> tuple[Peer, ...]:
    """Return the peers that a sum of ours is proposed to: approved, and not known to decline."""
    return tuple(peer for peer in book.approved() if peer.theirs != "declined")


def missing(config: Config, book: KnownPeers) -> int:
    """Return how many approvals a round still needs; who was only introduced does not count."""
    counted = sum(not peer.on_word_alone for peer in asked(book))
    return max(0, config.cohort.min_cohort - counted)


def refusal_from(result: Mapping[str, object]) -> Refusal | None:
    """Return the refusal that a contribution job reported, if any."""
    refused = result.get("refused")
    if not isinstance(refused, str):
        return None
    return Refusal(Code(refused), str(result.get("sentence", "")))
