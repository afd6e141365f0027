"""The job that counts what this instance adds to a proposed sum; what it writes is all that can leave.

Every claim of the aggregator that can be checked against our own data is checked here: the vocabulary is the
sorted list that was declared, our own counts fit into the counts it shows, and the head follows from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.jobs.registry import JobContext
from daemon.jobs.training_data import interactions
from daemon.sessions import terms
from daemon.sessions.counting import over
from daemon.store.reading import read
from federation.errors import Code, Refusal
from federation.proposal import Proposal
from models import statistics
from models.errors import SumError
from models.interactions import Interactions
from models.trainer import GramState, GramTrainer
from policies.sharing import check_vocabulary


def run(context: JobContext) -> dict[str, Any]:
    """Count into `vector.npy`, in the folder named by the argument `folder`; report a refusal as a result."""
    folder = Path(context.arguments["folder"])
    limits = terms.limits(context.config)
    proposal = Proposal.from_payload((folder / terms.PROPOSAL_FILE).read_bytes(), limits)
    blobs = {name: (folder / f"blob.{name}").read_bytes() for name in proposal.blobs}
    catalogue, engagements = read(context.engine)
    limit = min(context.config.sharing.max_videos_per_user, proposal.parameters["max_videos_per_user"])
    own = interactions(engagements, len(catalogue), limit=limit)
    try:
        vocabulary = terms.decode_vocabulary(
            blobs[terms.VOCABULARY], at_most=context.config.sharing.max_vocabulary
        )
        check_vocabulary(vocabulary, proposal)
        users = over(vocabulary, catalogue, own)
        vector = contribution(proposal, blobs, users)
    except Refusal as refusal:
        return {"refused": refusal.code.value, "sentence": refusal.sentence}
    np.save(folder / terms.VECTOR_FILE, vector, allow_pickle=False)
    return {"users": users.users, "entries": int(vector.size)}


def contribution(proposal: Proposal, blobs: dict[str, bytes], users: Interactions) -> NDArray[np.int64]:
    """Return this instance's vector, (length,) int64, for users over the session's vocabulary.

    Raises:
        Refusal: `blob-mismatch` for impossible counts, `parameters-refused` for a head that does not follow.

    """
    trainer = GramTrainer(proposal.parameters["min_users"], proposal.parameters["max_head"])
    state: GramState = trainer.start(users.videos)
    if proposal.round > 0:
        counts = read_counts(blobs[terms.COUNTS], users.videos)
        if (statistics.counts(users) > counts).any():
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


def read_counts(blob: bytes, vocabulary: int) -> NDArray[np.int64]:
    """Return the cohort's counts per video, (vocabulary,) int64.

    Raises:
        Refusal: `blob-mismatch`.

    """
    if len(blob) != vocabulary * np.dtype(terms.COUNT_TYPE).itemsize:
        raise Refusal(Code.BLOB_MISMATCH, "the counts do not have the length of the vocabulary")
    return np.frombuffer(blob, terms.COUNT_TYPE).astype(np.int64)


def write_counts(counts: NDArray[np.int64]) -> bytes:
    """Return the blob for such counts."""
    return counts.astype(terms.COUNT_TYPE).tobytes()
