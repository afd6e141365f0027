"""What a level costs in quality on own viewers: runs `measure_process`, which says how."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from daemon.errors import JobError
from daemon.jobs.run import run_job


@dataclass(frozen=True)
class SumSettings:
    """What is tried: noise in the sum with everybody alive, and in its own release; videos per viewer.

    Noise is a variance, in viewers squared.
    """

    counts: float
    pairs: float
    own_counts: float
    own_pairs: float
    limit: int


def measured(
    config_file: Path,
    settings: Sequence[SumSettings],
    members: int,
    *,
    time_limit: float,
    progress: Callable[[str, float], None] = lambda _stage, _part: None,
) -> tuple[int, list[float]]:
    """Return how many viewers were judged, and the NDCG@10 of each setting; in a child process.

    Must be called from the main thread. Raises JobError where there are too few viewers, or the process
    fails or takes longer than `time_limit` seconds.
    """
    tried = json.dumps([asdict(one) for one in settings])
    outcome = asyncio.run(
        run_job(
            "measure",
            config_file,
            time_limit=time_limit,
            on_progress=progress,
            arguments={"settings": tried, "members": str(members)},
            module="daemon.lab.measure_process",
        )
    )
    if not outcome.ok:
        raise JobError(outcome.message, advice=outcome.advice)
    return outcome.result["viewers"], outcome.result["ndcg10"]
