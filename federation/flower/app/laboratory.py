"""Members whose keys and vectors follow from a seed, so that anybody can check a sum: experiments only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from federation.flower.app.instance import Instance, Values
from federation.identity import Identity
from federation.proposal import Proposal

ENTRY_BOUND = 1000


@dataclass(frozen=True)
class Laboratory:
    """So many members. The first of them is the aggregator too, as the host of a group is."""

    members: int
    seed: int

    def host(self, number: int) -> str:
        """Return the name of a member, counted from 0."""
        return f"m{number:04}.example"

    def instance(self, number: int) -> Instance:
        """Return a member; everybody knows everybody."""
        identities = _identities(self)
        known = {identity.host: identity.public for identity in identities}

        def values(proposal: Proposal) -> Values:
            return self.vector(number, proposal.length)

        return Instance(identities[number], known, values)

    def vector(self, number: int, length: int) -> Values:
        """Return what a member adds to a sum, (length,) int64 in 0 ... `ENTRY_BOUND`."""
        rng = np.random.default_rng([self.seed, number, length])
        return rng.integers(0, ENTRY_BOUND, length, endpoint=True)

    def total(self, hosts: tuple[str, ...], length: int) -> Values:
        """Return the sum of these hosts' vectors, (length,) int64."""
        total = np.zeros(length, np.int64)
        for number in range(self.members):
            if self.host(number) in hosts:
                total += self.vector(number, length)
        return total


@lru_cache(maxsize=4)
def _identities(laboratory: Laboratory) -> tuple[Identity, ...]:
    return tuple(
        Identity(laboratory.host(number), hashlib.sha256(f"{laboratory.seed}/{number}".encode()).digest())
        for number in range(laboratory.members)
    )
