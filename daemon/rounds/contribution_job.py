"""The job that counts what this instance adds to a proposed round; what it writes is all that can leave.

Every claim of the aggregator that can be checked against our own data is checked here: vocabulary and head
are the lists that were declared, and enough of the videos are known here. Then the data window decides: what
was given before is given again, or fresh counts get their noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.identity import open_identity
from daemon.process.job_context import JobContext
from daemon.rounds import round_config, yearly_budget
from daemon.rounds.contribution_log import Question, note_question, question_of
from daemon.rounds.data_windows import DataWindows, open_windows
from daemon.rounds.own_statistics import OwnStatistics, over, own_viewers
from daemon.store import sums
from federation.errors import Code, Refusal
from federation.proposal import Proposal
from models import counting
from models.weights import UNIT
from policies.privacy import Level
from policies.sharing import check_head, check_known, check_vocabulary


def run(context: JobContext) -> dict[str, Any]:
    """Count into `vector.npy`, in the folder named by the argument `folder`; report a refusal as a result."""
    folder = Path(context.arguments["folder"])
    config = context.config
    proposal = Proposal.from_payload(
        (folder / round_config.PROPOSAL_FILE).read_bytes(), round_config.limits(config)
    )
    blobs = {name: (folder / f"blob.{name}").read_bytes() for name in proposal.blobs}
    own = own_viewers(context.engine, config, now=context.clock())
    try:
        vector = noisy(context, proposal, blobs, own, windows_of(context))
    except Refusal as refusal:
        return {"refused": refusal.code.value, "sentence": refusal.sentence}
    np.save(folder / round_config.VECTOR_FILE, vector, allow_pickle=False)
    return {"users": own.interactions.users, "entries": int(vector.size)}


def windows_of(context: JobContext, *, least_changed: int | None = None) -> DataWindows:
    """Return the data windows of the instance that a job runs for; see `open_windows`."""
    config = context.config
    identity = open_identity(config.identity_file, config.instance.host)
    return open_windows(config, identity, context.engine, context.clock, least_changed=least_changed)


def noisy(
    context: JobContext,
    proposal: Proposal,
    blobs: Mapping[str, bytes],
    own: OwnStatistics,
    windows: DataWindows,
) -> NDArray[np.int64]:
    """Return what this instance gives to a round, (length,) int64: its statistic with its share of the noise.

    Raises:
        Refusal: `window-open`, `budget-spent`, `cohort-too-small`, or what `read_question` raises.

    """
    config, aggregator = context.config, proposal.aggregator
    question = read_question(proposal, blobs, at_most=config.sharing.max_vocabulary)
    check_known(question.vocabulary, own.catalogue.urls, config.sharing.min_vocabulary)

    new = yearly_budget.of_proposal(proposal)

    def count() -> NDArray[np.int64]:
        _check_audience(context, own)
        yearly_budget.require(context, new, aggregator, windows)
        return contribution(proposal, question, own)

    with yearly_budget.turn(config):
        stretch = yearly_budget.stretch(context, new, aggregator, windows)
        vector = windows.contribution(proposal, own, count, stretch)
    window = windows.check(proposal)
    if question_of(config, aggregator, window) is None:
        note_question(config, aggregator, window, question)
    return vector


def read_question(proposal: Proposal, blobs: Mapping[str, bytes], *, at_most: int) -> Question:
    """Return what a proposal asks about.

    Raises:
        Refusal: `malformed`, or `blob-mismatch` for other lists than were declared.

    """
    vocabulary = round_config.decode_vocabulary(blobs[round_config.VOCABULARY], at_most=at_most)
    check_vocabulary(vocabulary, proposal)
    head = round_config.decode_head(blobs[round_config.HEAD])
    check_head(head.tolist(), proposal)
    return Question(vocabulary, head)


def contribution(proposal: Proposal, question: Question, own: OwnStatistics) -> NDArray[np.int64]:
    """Return this instance's counts and pairs, (length,) int64, without noise."""
    users = own.limited(proposal.parameters["max_videos_per_user"])
    return counting.contribution(over(question.vocabulary, own.catalogue, users), question.head)


def _check_audience(context: JobContext, own: OwnStatistics) -> None:
    """Refuse a level of privacy that leaves nothing of sums over an audience as small as the last one was.

    Before the first sum only public counters tell how many watch.
    """
    config = context.config
    needed = round_config.protection(config).least_audience
    if not needed:
        return
    last = sums.newest(context.engine, config.sums_dir)
    seen = own.catalogue.views if last is None else last.counts // UNIT
    most = int(seen.max(initial=0))
    if most < needed:
        raise Refusal(
            Code.COHORT_TOO_SMALL,
            f'the level "{Level.USER_LEVEL}" needs a cohort whose most watched video has {needed:,} viewers; '
            f"the last that was heard of is {most:,}",
        )
