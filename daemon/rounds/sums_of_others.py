"""Sums that somebody else took and handed over: this instance's part is taken out, and they are stored.

What this instance contributed is known to it exactly: the vector is frozen for the data window, noise
included. What is left is the sum of the others, with their noise; our viewers are added in the clear when
training, as with a sum of one's own peers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.contribution_log import question_of
from daemon.store import sums
from daemon.store.activity import Role, RoundRecord, save_round
from federation.errors import Code, Refusal
from federation.proposal import Proposal, SignedProposal
from models.errors import SumError
from models.statistics import Statistic
from policies.sharing import PARAMETERS, TRAINER


@dataclass(frozen=True)
class OthersSum:
    """A sub-cohort's sum over a head of h videos, checked, without this instance's contribution.

    Attributes:
        round_id: names it here; as a member, this instance keeps a record under the round's own id.
        counts: (h,) int64; `pairs` (h(h-1)/2,) int64.
    """

    round_id: str
    role: Role
    number: int
    signed: SignedProposal
    survivors: tuple[str, ...]
    counts: NDArray[np.int64]
    pairs: NDArray[np.int64]


def without_own(
    context: JobContext,
    role: Role,
    number: int,
    signed: SignedProposal,
    survivors: tuple[str, ...],
    head: tuple[str, ...],
    counts: NDArray[np.int64],
    pairs: NDArray[np.int64],
) -> OthersSum:
    """Return a sub-cohort's sum without what this instance contributed, if it is among the survivors.

    Raises:
        Refusal: `parameters-refused`, `blob-mismatch`; `sum-implausible` where no viewers of the others can
            have made these numbers, with the noise drawn; or as `own_contribution`.

    """
    me, proposal, size = context.config.instance.host, signed.proposal, len(head)
    if tuple(sorted(proposal.parameters)) != PARAMETERS or proposal.trainer != TRAINER:
        raise Refusal(Code.PARAMETERS_REFUSED, "the sum is for another trainer")
    if counts.shape != (size,) or pairs.shape != (size * (size - 1) // 2,):
        raise Refusal(Code.BLOB_MISMATCH, "the numbers do not match the number of videos")
    if me in survivors:
        own_counts, own_pairs = own_contribution(context, proposal, head)
        counts, pairs = counts - own_counts, pairs - own_pairs
    others = tuple(host for host in survivors if host != me)
    try:
        Statistic(np.arange(size), counts, pairs).check(round_config.noise_in(proposal, len(others)))
    except SumError as error:
        raise Refusal(Code.SUM_IMPLAUSIBLE, f"no viewers can have made these numbers ({error})") from None
    round_id = hashlib.sha256(role.encode() + signed.round_id).hexdigest()
    return OthersSum(round_id, role, number, signed, others, counts, pairs)


def own_contribution(
    context: JobContext, proposal: Proposal, head: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return this instance's contribution to a sum, over its head: counts (h,) and pairs (h(h-1)/2,), int64.

    Raises:
        Refusal: `window-open` if that is not known (any more), `blob-mismatch` if it was contributed for
            another head.

    """
    windows = windows_of(context)
    config, aggregator = context.config, proposal.aggregator
    void = Refusal(
        Code.WINDOW_OPEN, "this instance's contribution is void, and cannot be taken out of the sum"
    )
    try:
        window = windows.check(proposal)
    except Refusal:
        # A peer would be told less.
        raise void from None
    frozen, question = windows.frozen(aggregator), question_of(config, aggregator, window)
    if frozen is None or question is None:
        raise void
    if question.head_videos != head:
        raise Refusal(
            Code.BLOB_MISMATCH, "the pairs are published for another head than they were contributed for"
        )
    vector = np.frombuffer(frozen, f"<i{proposal.ring // 8}").astype(np.int64)
    counts, pairs = proposal.split(vector)
    return counts[question.head], pairs


def save(
    context: JobContext,
    one: OthersSum,
    head: tuple[str, ...],
    *,
    aggregator: str,
    run: str,
    now: float,
) -> None:
    """Store a sum and its round; `aggregator` is who handed it over, `now` in Unix seconds."""
    config, proposal = context.config, one.signed.proposal
    record = RoundRecord(
        id=one.round_id,
        role=one.role,
        aggregator=aggregator,
        started=float(proposal.created),
        ended=now,
        outcome="done",
        roster=[host for host in proposal.hosts if host != config.instance.host],
        survivors=list(one.survivors),
    )
    save_round(context.engine, record)
    sums.save(
        context.engine,
        config.sums_dir,
        round_id=one.round_id,
        urls=head,
        counts=one.counts,
        triangle=one.pairs,
        privacy=round_config.privacy_of(proposal, survivors=len(one.survivors)),
        now=now,
        run=run,
        sub_cohort=one.number,
        proposal=one.signed.raw,
    )
