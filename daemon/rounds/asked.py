"""What an aggregator asks a data window for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from federation import cbor
from federation.proposal import Proposal


def terms_of(proposal: Proposal) -> bytes:
    """Return the hash of all that attempts in one window have in common, 32 bytes; not of time or nonce."""
    return hashlib.sha256(
        cbor.encode(
            {
                "roster": [[member.host, member.key] for member in proposal.roster],
                "threshold": proposal.threshold,
                "colluders": proposal.colluders,
                "trainer": proposal.trainer,
                "segments": [[one.length, one.unit, one.noise] for one in proposal.segments],
                "entry_bound": proposal.entry_bound,
                "ring": proposal.ring,
                "parameters": dict(proposal.parameters),
                "blobs": {name: blob.sha256 for name, blob in proposal.blobs.items()},
            }
        )
    ).digest()


def hash_of(proposal: Proposal) -> bytes:
    """Return the hash of a whole proposal, 32 bytes, by which one attempt is told from another."""
    return hashlib.sha256(proposal.to_payload()).digest()


@dataclass(frozen=True)
class Asked:
    """Who asks, and for what: `terms` are those of the window, `proposal` those of the attempt."""

    aggregator: str
    terms: bytes
    proposal: bytes
    ring: int
    early: bool = False
    redraws: bool = False
    """Whether it may be drawn anew once somebody left, a week after it was drawn."""

    @classmethod
    def of(cls, proposal: Proposal) -> Asked:
        """Return what an aggregator asks for."""
        early = bool(proposal.parameters.get("early"))
        return cls(proposal.aggregator, terms_of(proposal), hash_of(proposal), proposal.ring, early)
