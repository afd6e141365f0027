"""Sums of one run that a peer passes on to a newcomer: PASSED_ON answers a FETCH that is of no round.

The numbers cannot be checked: nobody but the peer has seen the sums. What can be checked is that the peer
signed for each sub-cohort a proposal that fits, and that enough of its members survived. Whether these agreed
that the sum is passed on is in the proposal's parameters, which mean something to the caller only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from federation import cbor_fields
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.published import MAX_PUBLISHED, SumsOfRun, read_sums
from federation.identity import Identity, PublicIdentity
from federation.limits import Limits
from federation.proposal import SignedProposal

NEWEST = "newest"
"""What a FETCH of no round asks for; the blobs are fetched under the id of the run."""


@dataclass(frozen=True)
class PassedOn(SumsOfRun):
    """Sums that a peer passes on; `made` is when it answered, so that nobody else can send it again later."""

    def seal(self, identity: Identity, newcomer: str) -> bytes:
        """Return the peer's answer to one newcomer, after the checks that it will make. Raises: Refusal."""
        self.check()
        return documents.seal(identity, Stage.PASSED_ON, newcomer, self.content())

    @classmethod
    def read(cls, message: Envelope, peer: PublicIdentity, me: str, now: float, limits: Limits) -> PassedOn:
        """Return what a peer passes on to this instance.

        Raises:
            Refusal: `oversized`, `wrong-stage`, `not-for-me`, `bad-signature`, `malformed`,
                `survivors-invalid` or `expired`.

        """
        item = documents.unseal(message, Stage.PASSED_ON, peer, me, MAX_PUBLISHED)
        content = cbor_fields.exact_map(item, *cls.__dataclass_fields__)
        found = cls(**vars(read_sums(content, limits, peer.host)))
        documents.check_fresh(found.made, now, limits, peer.host)
        return found

    def check_sub_cohorts(
        self, proposals: Mapping[int, bytes], peer: PublicIdentity, now: float, limits: Limits
    ) -> tuple[SignedProposal, ...]:
        """Return the proposal of each sub-cohort; all ask the same, on the same terms.

        Raises:
            Refusal: `parameters-refused` where they differ, `roster-invalid` where somebody is in two of
                them, `survivors-invalid`, or as `signed_proposals` and `Proposal.check`.

        """
        signed = self.signed_proposals(proposals, peer, limits)
        self.check_survivors(signed)
        found = [one.proposal for one in signed]
        for proposal in found:
            # It has expired since; that it was never valid is another matter.
            proposal.check(limits=limits, now=min(now, proposal.created))
        asked = [(one.segments, one.parameters, one.blobs, one.trainer) for one in found]
        if any(one != asked[0] for one in asked):
            raise Refusal(Code.PARAMETERS_REFUSED, "the sub-cohorts were not asked the same", peer.host)
        hosts = [host for proposal in found for host in proposal.hosts]
        if len(set(hosts)) != len(hosts):
            raise Refusal(Code.ROSTER_INVALID, "somebody is in two sub-cohorts", peer.host)
        return signed
