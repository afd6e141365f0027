"""One instance's side of a round of a group, as large as it gets, with made-up data and no network.

Two rounds of real state machines. One is complete and short: every member is there, and the sum must be
exact, integer for integer. In the other this machine does what a member has to do with a whole vector: it
draws the noise, deals and opens shares, and masks; what the other members send up to there is real as well.
How long the last two stages take does not depend on the vector.
"""

from __future__ import annotations

import resource
import secrets
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.config import Config
from daemon.errors import JobError
from daemon.jobs.__main__ import main
from daemon.lab.simulate import sizes
from daemon.lab.simulate.costs import ADDRESS_BYTES, FULL_HEAD, FULL_VOCABULARY, HEAD_BYTES, Videos
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from federation import envelope
from federation.aggregator import REQUESTS, Aggregator
from federation.envelope import Stage
from federation.errors import FederationError
from federation.flower.app.laboratory import ENTRY_BOUND, Laboratory
from federation.journal import MemoryJournal
from federation.member import Member
from federation.noise import skellam
from federation.proposal import Proposal, SignedProposal

_SHORT: Final = 1_000
"""Entries of the complete round."""
_ME: Final = 1
"""Number of the member that this machine plays; 0 is the host."""
_SEED: Final = 1
_DOES: Final = dict(zip(REQUESTS, ("advertise", "share", "mask", "confirm", "unmask"), strict=True))
"""What a member does at each request."""
_BUG: Final = "Please report it, with: shoal support dump"


@dataclass
class _Work:
    """What one member did: seconds of computing and bytes by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    up: dict[str, int] = field(default_factory=dict)
    down: dict[str, int] = field(default_factory=dict)


def check(context: JobContext) -> dict[str, Any]:
    """Run both rounds for a group of `members`; returns what they took.

    Raises:
        JobError: a round did not complete, or its sum was wrong.

    """
    members = int(context.arguments["members"])
    largest = max(sizes.divide(members))
    laboratory = Laboratory(largest, _SEED)
    videos = Videos(min(FULL_VOCABULARY, context.config.sharing.max_vocabulary), FULL_HEAD)
    try:
        context.progress("a complete round", 0.0)
        short = _complete(laboratory)
        context.progress("a whole vector", 0.3)
        proposal = _proposal(laboratory, context.config, videos)
        whole = _with_whole_vector(laboratory, proposal)
    except FederationError as error:
        raise JobError(f"the dry round failed: {error}", advice=_BUG) from error
    lists = videos.vocabulary * ADDRESS_BYTES + videos.head * HEAD_BYTES
    last = ("confirm", "unmask")
    return {
        "sub_cohort": largest,
        "threshold": proposal.proposal.threshold,
        "videos": videos.vocabulary,
        "head": videos.head,
        "seconds": {**whole.seconds, **{stage: short.seconds[stage] for stage in last}},
        "sent": sum(whole.up.values()) + sum(short.up[stage] for stage in last),
        "received": lists + sum(whole.down.values()) + sum(short.down[stage] for stage in last),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _complete(laboratory: Laboratory) -> _Work:
    """Run a short round to its end. Raises JobError unless its sum is exact."""
    instances = [laboratory.instance(number) for number in range(laboratory.members)]
    nodes = {one.identity.host: (one, one.node(MemoryJournal())) for one in instances}
    signed = instances[0].propose(length=_SHORT, entry_bound=ENTRY_BOUND)
    aggregator = Aggregator(signed, instances[0].identity, MemoryJournal(), instances[0].limits)
    mine = _Work()
    while (stage := aggregator.stage) is not None:
        for host, request in aggregator.requests().items():
            begun = time.process_time()
            instance, node = nodes[host]
            answer = instance.answer(node, request)
            if host == laboratory.host(_ME):
                _note(mine, stage, request, answer, begun)
            aggregator.receive(host, answer)
        aggregator.close()
    found = aggregator.result
    if not np.array_equal(found.total, laboratory.total(found.survivors, _SHORT)):
        raise JobError("the sum of the dry round is wrong", advice=_BUG)
    return mine


def _proposal(laboratory: Laboratory, config: Config, videos: Videos) -> SignedProposal:
    """Return what a host would propose about so many videos, at this instance's level."""
    host = laboratory.instance(0)
    plain = host.propose(length=videos.length, entry_bound=config.sharing.max_users).proposal
    segments = round_config.segments(config, videos.vocabulary, videos.head)
    whole = replace(plain, segments=segments, colluders=round_config.READ_BY_OTHERS)
    return SignedProposal.sign(whole, host.identity, host.limits)


def _with_whole_vector(laboratory: Laboratory, signed: SignedProposal) -> _Work:
    host, me = laboratory.instance(0), replace(laboratory.instance(_ME), values=_made_up)
    node = me.node(MemoryJournal())
    others = {
        one.identity.host: (
            one.identity,
            Member(signed, one.identity.host, secrets.token_bytes(32), one.limits),
        )
        for one in (laboratory.instance(number) for number in range(laboratory.members))
        if one.identity.host != me.identity.host
    }
    aggregator = Aggregator(signed, host.identity, MemoryJournal(), host.limits)
    mine = _Work()
    while (stage := aggregator.stage) is not None:
        for to, request in aggregator.requests().items():
            if to == me.identity.host:
                begun = time.process_time()
                answer = me.answer(node, request)
                _note(mine, stage, request, answer, begun)
                if stage is Stage.SHARES:
                    return mine
            elif stage is Stage.SHARES:
                # The vectors of the others are theirs to mask.
                continue
            else:
                identity, member = others[to]
                message = envelope.parse(request, max_size=host.limits.max_request)
                payload = member.advertise() if stage is Stage.PROPOSE else member.share(message)
                answer = envelope.seal(
                    identity,
                    round_id=signed.round_id,
                    stage=Stage.ADVERTISE if stage is Stage.PROPOSE else Stage.SHARE,
                    recipient=host.identity.host,
                    payload=payload,
                )
            aggregator.receive(to, answer)
        aggregator.close()
    raise JobError("the dry round ended too early", advice=_BUG)


def _made_up(proposal: Proposal) -> NDArray[np.int64]:
    """Return noise alone, (length,) int64: as a member without a single viewer gives it."""
    return np.concatenate(
        [
            skellam(variance, segment.length, secrets.token_bytes(32))
            for segment, variance in zip(proposal.segments, proposal.share_variances, strict=True)
        ]
    )


def _note(work: _Work, stage: Stage, request: bytes, answer: bytes, begun: float) -> None:
    does = _DOES[stage]
    work.seconds[does] = round(time.process_time() - begun, 3)
    work.down[does], work.up[does] = len(request), len(answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {"group-check": check}))
