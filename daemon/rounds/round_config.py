"""From the admin's settings to the federation's objects: who is known, on which terms, in which limits."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.config import Config
from daemon.errors import NotRunningError, PolicyRefusedError
from daemon.peers.repository import KnownPeers, Peer
from daemon.process import daemon_lock
from daemon.store.sums import SumPrivacy
from federation import cbor
from federation.cbor_fields import sequence, text
from federation.errors import Code, Refusal
from federation.journal import FileJournal
from federation.limits import Limits
from federation.noise import share_variance
from federation.proposal import Proposal
from policies.allowlist import Allowlist
from policies.base import AllOf, Rule
from policies.cohort import CohortPolicy
from policies.privacy import PROTECTION, Level, PrivacyPolicy, Protection, head_minimum
from policies.sharing import SharingPolicy

VOCABULARY = "vocabulary"
COUNTS = "counts"
COUNT_TYPE = "<i4"
"""Signed: noise may leave a count below zero."""
PROPOSAL_FILE = "proposal"
VECTOR_FILE = "vector.npy"
"""Files between the serving process and the job that counts; their folder is removed afterwards."""
_MAX_URL = 2000


def policy(config: Config, known: Allowlist, *others: Rule) -> AllOf:
    """Return what has to hold before this instance is counted in somebody's sum; `known` are our peers.

    The `others` are asked first.
    """
    sharing = SharingPolicy(
        mode=config.mode,
        min_vocabulary=config.sharing.min_vocabulary,
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
    return Limits(max_length=max(head * (head - 1) // 2, config.sharing.max_vocabulary))


def member_journal(config: Config) -> FileJournal:
    """Return what this instance must remember as a member."""
    return FileJournal(config.journal_dir / "member")


def aggregator_journal(config: Config) -> FileJournal:
    """Return what this instance must remember as an aggregator."""
    return FileJournal(config.journal_dir / "aggregator")


def hosted_journal(config: Config) -> FileJournal:
    """Return what this instance must remember as the aggregator of a group that it hosts."""
    return FileJournal(config.group_dir / "host" / "sums")


def session_open(config: Config) -> bool:
    """Tell whether a session of this instance was interrupted: started again, its job goes on with it."""
    return config.journal_dir.is_dir() and bool(aggregator_journal(config).sums())


COLLUDERS = 1
"""Assumed for sums of our own: ourselves, whom no member need trust. All members are approved here."""
GROUP_COLLUDERS = 2
"""Assumed in a group: its host, and whoever reads the sum and knows the noise that it added itself."""


def protection(config: Config) -> Protection:
    """Return the numbers of the configured privacy level."""
    return PROTECTION[Level(config.privacy.level)]


def videos_per_user(config: Config) -> int:
    """Return how many videos of one viewer count: the lower of the setting and the level's limit."""
    return min(config.sharing.max_videos_per_user, protection(config).max_videos_per_user)


def parameters(config: Config, vocabulary: int, *, parts: int = 1) -> dict[str, int]:
    """Return the terms of a sum that this instance proposes, taken in so many parts."""
    level = protection(config)
    return {
        "vocabulary": vocabulary,
        "parts": parts,
        "min_users": head_minimum(config.sharing.min_users, parts * level.counts_noise),
        "max_head": config.model.max_head,
        "max_videos_per_user": videos_per_user(config),
        "counts_noise": level.counts_noise,
        "pairs_noise": level.pairs_noise,
        "publish": int(config.privacy.publish_vectors and level.pairs_noise > 0),
    }


def privacy_of(proposal: Proposal, *, survivors: int) -> SumPrivacy:
    """Return what is kept with a sum, and in the manifest of each model trained from it."""
    terms = proposal.parameters
    counts, pairs = (
        float(survivors * share_variance(terms[name], proposal.threshold, proposal.colluders))
        for name in ("counts_noise", "pairs_noise")
    )
    return SumPrivacy(
        counts_noise=terms["counts_noise"],
        pairs_noise=terms["pairs_noise"],
        counts_noise_realised=counts,
        pairs_noise_realised=pairs,
        max_videos_per_user=terms["max_videos_per_user"],
        min_users=terms["min_users"],
        parts=terms["parts"],
        members=len(proposal.roster),
        threshold=proposal.threshold,
        colluders=proposal.colluders,
        survivors=survivors,
        publish=bool(terms["publish"]),
    )


def encode_vocabulary(videos: tuple[str, ...]) -> bytes:
    """Return the blob that lists the videos of a session by url, ascending."""
    return cbor.encode(list(videos))


def decode_vocabulary(blob: bytes, *, at_most: int) -> tuple[str, ...]:
    """Read such a blob.

    Raises:
        Refusal: `malformed`.

    """
    return tuple(sequence(cbor.decode(blob), lambda item: text(item, _MAX_URL), at_most=at_most))


def asked(book: KnownPeers) -> tuple[Peer, ...]:
    """Return the peers that a sum of ours is proposed to: approved, and not known to decline."""
    return tuple(peer for peer in book.approved() if peer.theirs != "declined")


def require_session(config: Config, book: KnownPeers) -> None:
    """Check that a session can be started at all.

    Raises:
        PolicyRefusedError: the mode forbids it, or too few peers are approved.
        NotRunningError: the daemon, from which members fetch what a session is about, does not run.

    """
    if config.mode == "off":
        raise PolicyRefusedError(
            'federation is switched off (mode "off")',
            advice='Set mode = "simulate", "consume" or "contribute" in shoal.toml and restart the daemon.',
        )
    if config.mode == "simulate":
        return
    needed, ready = config.cohort.min_cohort, len(asked(book))
    if ready < needed:
        raise PolicyRefusedError(
            f"{ready} peers are approved and do not decline, a session needs {needed}",
            advice=f"Approve {needed - ready} more: `shoal peers list` shows who is missing.",
        )
    if daemon_lock.find(config.data_dir) is None:
        raise NotRunningError(
            "the daemon is not running; members fetch from it what a session is about",
            advice="Start it with `shoal run`, then try again.",
        )


def refusal_from(result: Mapping[str, object]) -> Refusal | None:
    """Return the refusal that a contribution job reported, if any."""
    refused = result.get("refused")
    if not isinstance(refused, str):
        return None
    return Refusal(Code(refused), str(result.get("sentence", "")))
