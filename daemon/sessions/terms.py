"""From the admin's settings to the federation's objects: who is known, on which terms, in which limits."""

from __future__ import annotations

from collections.abc import Mapping

from daemon import running
from daemon.config import Config
from daemon.errors import NotRunningError, PolicyRefusedError
from federation import cbor
from federation.errors import Code, Refusal
from federation.fields import sequence, text
from federation.identity import PublicIdentity, parse_key
from federation.journal import FileJournal
from federation.limits import Limits
from policies.allowlist import Allowlist
from policies.base import AllOf
from policies.cohort import CohortPolicy
from policies.sharing import SharingPolicy

VOCABULARY = "vocabulary"
COUNTS = "counts"
COUNT_TYPE = "<u4"
PROPOSAL_FILE = "proposal"
VECTOR_FILE = "vector.npy"
"""Files between the serving process and the job that counts; their folder is removed afterwards."""
_MAX_URL = 2000


def allowlist(config: Config) -> Allowlist:
    """Return the peers that the admin approved."""
    return Allowlist(PublicIdentity(peer.host, parse_key(peer.key)) for peer in config.peers)


def urls(config: Config) -> dict[str, str]:
    """Return where each approved peer answers."""
    return {peer.host: str(peer.url) for peer in config.peers}


def policy(config: Config) -> AllOf:
    """Return what has to hold before this instance is counted in somebody's sum."""
    sharing = SharingPolicy(
        mode=config.mode,
        min_users=config.sharing.min_users,
        min_vocabulary=config.sharing.min_vocabulary,
        max_vocabulary=config.sharing.max_vocabulary,
        max_head=config.model.max_head,
    )
    return AllOf((sharing, CohortPolicy(config.instance.host, allowlist(config), config.cohort.min_cohort)))


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


def session_open(config: Config) -> bool:
    """Tell whether a session of this instance was interrupted: started again, its job goes on with it."""
    return config.journal_dir.is_dir() and bool(aggregator_journal(config).sums())


def parameters(config: Config, vocabulary: int) -> dict[str, int]:
    """Return the terms of a sum that this instance proposes."""
    return {
        "vocabulary": vocabulary,
        "min_users": config.sharing.min_users,
        "max_head": config.model.max_head,
        "max_videos_per_user": config.sharing.max_videos_per_user,
    }


def encode_vocabulary(videos: tuple[str, ...]) -> bytes:
    """Return the blob that lists the videos of a session by url, ascending."""
    return cbor.encode(list(videos))


def decode_vocabulary(blob: bytes, *, at_most: int) -> tuple[str, ...]:
    """Read such a blob.

    Raises:
        Refusal: `malformed`.

    """
    return tuple(sequence(cbor.decode(blob), lambda item: text(item, _MAX_URL), at_most=at_most))


def require_session(config: Config) -> None:
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
    needed = config.cohort.min_cohort
    if len(config.peers) < needed:
        raise PolicyRefusedError(
            f"{len(config.peers)} peers are approved, a session needs {needed}",
            advice=f"Approve {needed - len(config.peers)} more under [[peers]] in shoal.toml.",
        )
    if running.find(config.data_dir) is None:
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
