"""The job that counts what this instance adds to a proposed sum; what it writes is all that can leave.

Every claim of the aggregator that can be checked against our own data is checked here: the vocabulary is the
sorted list that was declared, our own counts fit into the counts it shows, and the head follows from them.
Then the
data window decides: what was given before is given again, or fresh counts get their noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.config import Config
from daemon.identity import open_identity
from daemon.process.job_context import JobContext
from daemon.rounds import round_config, yearly_budget
from daemon.rounds.contribution_log import note_videos, videos_of
from daemon.rounds.data_windows import DataWindows, open_windows
from daemon.rounds.own_statistics import OwnStatistics, over, own_viewers
from federation.errors import Code, Refusal
from federation.noise import share_variance, tail
from federation.proposal import Proposal
from models.errors import SumError
from models.interactions import Interactions
from models.noise import SumNoise
from models.trainer import GramState, GramTrainer, PairCounting
from policies.privacy import Level
from policies.sharing import check_vocabulary


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


def windows_of(context: JobContext) -> DataWindows:
    """Return the data windows of the instance that a job runs for."""
    identity = open_identity(context.config.identity_file, context.config.instance.host)
    return open_windows(context.config, identity, context.engine, context.clock)


def noisy(
    context: JobContext, proposal: Proposal, blobs: dict[str, bytes], own: OwnStatistics, windows: DataWindows
) -> NDArray[np.int64]:
    """Return what this instance gives to a sum, (length,) int64: its counts with its share of the noise.

    Raises:
        Refusal: `window-open`, `budget-spent`, `noise-too-low`, or what `contribution` raises.

    """
    vocabulary = round_config.decode_vocabulary(
        blobs[round_config.VOCABULARY], at_most=context.config.sharing.max_vocabulary
    )
    check_vocabulary(vocabulary, proposal)

    def count() -> NDArray[np.int64]:
        _check_audience(context.config, proposal, blobs)
        yearly_budget.require(context, proposal, windows)
        users = over(vocabulary, own.catalogue, own.limited(proposal.parameters["max_videos_per_user"]))
        before = windows.given(proposal, 0) if proposal.round else None
        return contribution(proposal, blobs, users, before)

    with yearly_budget.turn(context.config):
        vector = windows.contribution(proposal, own.digests, count)
    window = windows.check(proposal)
    if videos_of(context.config, proposal.aggregator, window, proposal.round) is None:
        asked = _asked_about(proposal, blobs, vocabulary)
        note_videos(context.config, proposal.aggregator, window, proposal.round, asked)
    return vector


def _asked_about(proposal: Proposal, blobs: dict[str, bytes], vocabulary: tuple[str, ...]) -> tuple[str, ...]:
    """Return the videos of a sum that was answered: in round 1, of pairs, those of the head."""
    if proposal.round == 0:
        return vocabulary
    trainer = trainer_of(proposal)
    state = trainer.advance(
        trainer.start(len(vocabulary)), read_counts(blobs[round_config.COUNTS], len(vocabulary))
    )
    return tuple(vocabulary[place] for place in state.head) if isinstance(state, PairCounting) else ()


def contribution(
    proposal: Proposal, blobs: dict[str, bytes], users: Interactions, before: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return this instance's counts, (length,) int64, without noise, for users over the session's vocabulary.

    `before` are the noisy counts that it gave in round 0. What the aggregator shows is held against them,
    and not
    against the exact ones: whether a sum is refused would otherwise tell an aggregator that lies an exact
    count.

    Raises:
        Refusal: `blob-mismatch` for impossible counts, `parameters-refused` for a head that does not follow.

    """
    trainer = trainer_of(proposal)
    state: GramState = trainer.start(users.videos)
    if proposal.round > 0:
        counts = read_counts(blobs[round_config.COUNTS], users.videos)
        # What the noise of the others, the aggregator among them, can have taken away at most.
        share = share_variance(proposal.parameters["counts_noise"], proposal.threshold, proposal.colluders)
        slack = proposal.parameters["parts"] * (len(proposal.survivors) + 1) * tail(share)
        if before is None or before.shape != counts.shape or (before > counts + slack).any():
            raise Refusal(
                Code.BLOB_MISMATCH,
                "the aggregator shows smaller counts than this instance alone contributed",
            )
        try:
            state = trainer.advance(state, counts)
        except SumError as error:
            raise Refusal(Code.BLOB_MISMATCH, str(error)) from None
    if trainer.done(state):
        raise Refusal(Code.PARAMETERS_REFUSED, "no pair of videos has enough users; there is nothing to sum")
    vector = trainer.contribution(state, users)
    if vector.shape != (proposal.length,):
        raise Refusal(
            Code.PARAMETERS_REFUSED, "the head that follows from the counts has another size than proposed"
        )
    return vector


def trainer_of(proposal: Proposal) -> GramTrainer:
    """Return the trainer that both sides of a session run."""
    parameters, members = proposal.parameters, len(proposal.roster)
    parts = parameters["parts"]
    counts, pairs = (
        share_variance(parameters[name], proposal.threshold, proposal.colluders)
        for name in ("counts_noise", "pairs_noise")
    )
    # The counts that members are shown are those of all parts, and have the aggregator's own share in them as
    # well. Other parts may have one member more.
    noise = SumNoise(counts=float((parts * (members + 1) + 1) * counts), pairs=float(members * pairs))
    return GramTrainer(parameters["min_users"], parameters["max_head"], noise)


def read_counts(blob: bytes, vocabulary: int) -> NDArray[np.int64]:
    """Return the cohort's noisy counts per video, (vocabulary,) int64.

    Raises:
        Refusal: `blob-mismatch`.

    """
    if len(blob) != vocabulary * np.dtype(round_config.COUNT_TYPE).itemsize:
        raise Refusal(Code.BLOB_MISMATCH, "the counts do not have the length of the vocabulary")
    return np.frombuffer(blob, round_config.COUNT_TYPE).astype(np.int64)


def write_counts(counts: NDArray[np.int64]) -> bytes:
    """Return the blob for such counts."""
    return counts.astype(round_config.COUNT_TYPE).tobytes()


def _check_audience(config: Config, proposal: Proposal, blobs: dict[str, bytes]) -> None:
    """Refuse pairs for a cohort so small that the level's noise leaves nothing of them."""
    needed = round_config.protection(config).least_audience
    if proposal.round == 0 or not needed:
        return
    most = int(read_counts(blobs[round_config.COUNTS], proposal.parameters["vocabulary"]).max())
    if most < needed:
        raise Refusal(
            Code.COHORT_TOO_SMALL,
            f'the level "{Level.USER_LEVEL}" needs a cohort whose most watched video has {needed:,} viewers; '
            f"here it has {most:,}",
        )
