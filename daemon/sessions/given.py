"""The member's record of what it gave: windows hold it to one contribution, releases add up what it cost."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from daemon.sessions.windows import Windows
from daemon.store import releases
from daemon.store.releases import ReleaseRecord
from federation.envelope import Stage
from federation.proposal import Proposal


class GivenRecord:
    """Implements `federation.contributions.Contributions` for one instance."""

    def __init__(self, windows: Windows, engine: Engine, clock: Callable[[], float]) -> None:
        self._windows = windows
        self._engine = engine
        self._clock = clock

    def check(self, sum_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Ask the window; before the survivors are confirmed, write down what the sum costs."""
        window = self._windows.check(proposal)
        if stage is Stage.SURVIVORS:
            record = release_of(sum_id, proposal, window, now=self._clock())
            releases.save(self._engine, record)

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Hold the window to these survivors."""
        self._windows.release(proposal, survivors)


def release_of(sum_id: bytes, proposal: Proposal, window: str, *, now: float) -> ReleaseRecord:
    """Return what goes on record for a contribution to a sum."""
    head = (1 + int((1 + 8 * proposal.length) ** 0.5)) // 2
    return ReleaseRecord(
        window=window,
        round=proposal.round,
        at=now,
        aggregator=proposal.aggregator,
        session_id=(proposal.parent or sum_id).hex(),
        noise=proposal.noise,
        share_variance=float(proposal.share_variance),
        max_videos_per_user=proposal.parameters["max_videos_per_user"],
        videos=head if proposal.round else proposal.length,
    )
