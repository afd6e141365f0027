"""What a later sum of a session shares with the one before it, as its members remember that one."""

from __future__ import annotations

from federation import envelope, messages
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.journal import Journal, split_record
from federation.limits import Limits
from federation.proposal import SignedProposal


def check_succession(
    signed: SignedProposal, parent: SignedProposal | None, journal: Journal, limits: Limits
) -> None:
    """Check that a later round continues `parent`, a sum finished here, with the people confirmed here.

    Raises:
        Refusal: `unknown-sum`, `roster-invalid`, `parameters-refused`, `survivors-differ` or
            `stage-repeated`, when another sum continues the parent already.

    """
    proposal = signed.proposal
    if not proposal.parent:
        return
    record = journal.read(proposal.parent, Stage.SURVIVORS.value)
    if parent is None or record is None:
        raise Refusal(Code.UNKNOWN_SUM, "the parent of this sum was not finished here")
    before = parent.proposal
    same = (before.aggregator, before.roster, before.threshold, before.trainer, before.round + 1)
    if same != (
        proposal.aggregator,
        proposal.roster,
        proposal.threshold,
        proposal.trainer,
        proposal.round,
    ):
        raise Refusal(Code.ROSTER_INVALID, "this sum does not continue its parent")
    kept = {name: proposal.blobs.get(name) for name in before.blobs}
    if proposal.parameters != before.parameters or kept != before.blobs:
        raise Refusal(
            Code.PARAMETERS_REFUSED, "this sum changes the parameters or the public data of its parent"
        )
    request = envelope.parse(split_record(record)[0], max_size=limits.max_request)
    if messages.decode_hosts(bytes(request.payload), limits) != proposal.survivors:
        raise Refusal(Code.SURVIVORS_DIFFER, "other survivors are required than those of the parent sum")
    child = journal.read(proposal.parent, "child")
    if child is not None and child != signed.sum_id:
        raise Refusal(Code.STAGE_REPEATED, "another sum already continues this parent")
