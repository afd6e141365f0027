"""Proposals of a group's parts and what its host publishes of them, over an epoch that was drawn."""

from __future__ import annotations

import hashlib

from federation.group.documents import MILLISECONDS
from federation.group.epoch_document import EpochDocument
from federation.group.published import (
    HEAD,
    Published,
    PublishedSubCohort,
    counts_blob,
    pairs_blob,
    proposal_blob,
)
from federation.identity import Identity, PublicIdentity
from federation.proposal import BlobReference, Proposal, Segment, SignedProposal, least_threshold
from tests.federation.group.table import HOST, LIMITS, NOW

VIDEOS = 10


def proposed(roster: tuple[PublicIdentity, ...], by: Identity = HOST, **changes: object) -> Proposal:
    terms: dict[str, object] = {
        "aggregator": by.host,
        "roster": roster,
        "threshold": least_threshold(len(roster)),
        "trainer": "gram/2",
        "segments": (Segment(VIDEOS), Segment(VIDEOS * (VIDEOS - 1) // 2)),
        "entry_bound": 1000,
        "ring": 32,
        "nonce": b"n" * 16,
        "created": int(NOW),
        "expires": int(NOW) + 3600,
    }
    return Proposal(**(terms | changes))  # type: ignore[arg-type]


def signed(proposal: Proposal, by: Identity = HOST) -> bytes:
    return SignedProposal.sign(proposal, by, LIMITS).raw


def publish(document: EpochDocument, *raws: bytes, head: int = VIDEOS) -> Published:
    """Return what an honest host would publish of these proposals: everybody survived."""
    sub_cohorts, blobs = [], {HEAD: BlobReference(b"h" * 32, 100)}
    for number, raw in enumerate(raws):
        digest = hashlib.sha256(raw).digest()
        roster = document.rosters[number]
        sub_cohorts.append(PublishedSubCohort(digest, tuple(member.host for member in roster)))
        blobs[proposal_blob(number)] = BlobReference(digest, len(raw))
        blobs[counts_blob(number)] = BlobReference(b"c" * 32, 4 * head)
        blobs[pairs_blob(number)] = BlobReference(b"p" * 32, 2 * head * (head - 1))
    return Published(
        group=document.listed.group,
        run=b"b" * 32,
        epoch=document.hash,
        made=int(NOW * MILLISECONDS),
        sub_cohorts=tuple(sub_cohorts),
        blobs=blobs,
    )
