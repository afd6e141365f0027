"""What a node of the stock app is: a folder with an instance's key, the keys it knows, and its vector.

    instance.json   {"host": ..., "seed": 64 hex digits, "known": {host: "ed25519:..."}}
    vector.npy      int64, one dimension

The folder holds a private key: it is readable by its owner only.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from federation.errors import Code, FederationError, Refusal
from federation.identity import Identity, PublicIdentity, format_key, parse_key
from federation.journal import Journal
from federation.limits import Limits
from federation.masks import RING
from federation.node import MemberNode, Preparation
from federation.proposal import Proposal, Segment, SignedProposal, least_threshold

NAME = "instance.json"
VECTOR = "vector.npy"
LIFETIME = 3600
"""Seconds for a sum; stock nodes take half a minute."""
TRAINER = "stock-app"
Values = NDArray[np.int64]


class InstanceError(FederationError):
    """An instance's folder cannot be used; the sentence says what is wrong with it."""


@dataclass(frozen=True)
class Instance:
    """One instance: `known` are the identities it adds up with, `values` gives its vector for a proposal."""

    identity: Identity
    known: Mapping[str, PublicIdentity]
    values: Callable[[Proposal], Values] = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time

    def node(self, journal: Journal) -> MemberNode:
        """Return the member side, restored from what the journal holds."""
        return MemberNode(
            self.identity,
            journal,
            peer=self.known.get,
            check_policies=self._check_policies,
            clock=self.clock,
            random=secrets.token_bytes,
            limits=self.limits,
        )

    def answer(self, node: MemberNode, request: bytes) -> bytes:
        """Return the node's answer, with this instance's vector where a sum is proposed.

        Raises:
            Refusal: the node refuses.

        """
        answer = node.receive(request)
        if isinstance(answer, Preparation):
            return node.accept(answer, self.values(answer.proposal))
        return answer

    def propose(self, *, length: int, entry_bound: int) -> SignedProposal:
        """Sign a proposal to everybody known here, this instance among them where it knows itself."""
        roster = tuple(member for _, member in sorted(self.known.items()))
        now = int(self.clock())
        proposal = Proposal(
            aggregator=self.identity.host,
            roster=roster,
            threshold=least_threshold(len(roster)),
            trainer=TRAINER,
            segments=(Segment(length),),
            entry_bound=entry_bound,
            ring=RING,
            nonce=secrets.token_bytes(16),
            created=now,
            expires=now + LIFETIME,
        )
        return SignedProposal.sign(proposal, self.identity, self.limits)

    def _check_policies(self, proposal: Proposal) -> None:
        for member in proposal.roster:
            if self.known.get(member.host) != member:
                raise Refusal(
                    Code.ROSTER_INVALID, f"{member.host} is not known here with this key", member.host
                )


def write(folder: Path, identity: Identity, known: Iterable[PublicIdentity], vector: Values | None) -> None:
    """Write an instance's folder; without a vector it can only be an aggregator."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    content = {
        "host": identity.host,
        "seed": identity.seed.hex(),
        "known": {other.host: format_key(other.key) for other in known},
    }
    descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    if vector is not None:
        np.save(folder / VECTOR, vector, allow_pickle=False)


def read(folder: Path) -> Instance:
    """Read an instance's folder.

    Raises:
        InstanceError: it is missing or damaged.

    """
    try:
        content = json.loads((folder / NAME).read_text("utf-8"))
        identity = Identity(content["host"], bytes.fromhex(content["seed"]))
        known = {host: PublicIdentity(host, parse_key(key)) for host, key in content["known"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Never the content: it holds a private key.
        raise InstanceError(f"{NAME} cannot be used ({type(error).__name__}): write it again") from None

    def values(_: Proposal) -> Values:
        try:
            vector = np.load(folder / VECTOR, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InstanceError(f"{VECTOR} cannot be read ({type(error).__name__}): write it again") from None
        if vector.dtype != np.int64 or vector.ndim != 1:
            raise InstanceError(f"{VECTOR} must be int64 with one dimension")
        return np.asarray(vector)

    return Instance(identity, known, values)
