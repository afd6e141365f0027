"""Runs one secure sum from proposal to result: the event loop around an `Aggregator`.

At each stage it asks all members at once over a `Carrier`, hands answers to the aggregator, and closes the
stage when everybody answered, or a while after enough have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from federation.aggregator import Aggregator, SumResult
from federation.carrier import Carrier, PeerRefused, PeerUnreachable
from federation.envelope import Stage
from federation.errors import Refusal

OnStage = Callable[[str, str, str], None]
"""Called with stage, host and outcome: `answered`, or the reason it is out."""


@dataclass(frozen=True)
class StageTimeouts:
    """How long a stage waits, in seconds."""

    propose: float = 300.0
    """Members fetch the vocabulary and count before they answer a proposal."""
    stage: float = 120.0
    """All other stages: a masked vector of 33 MB over a slow line."""
    grace: float = 30.0
    """Once enough have answered, how much longer the rest is waited for."""
    at_once: int = 4
    """Masked vectors that are received at one time: bounds memory."""


async def drive(
    aggregator: Aggregator,
    carrier: Carrier,
    *,
    timeouts: StageTimeouts | None = None,
    on_stage: OnStage = lambda _stage, _host, _outcome: None,
    before_stage: Callable[[Stage], None] = lambda _stage: None,
) -> SumResult:
    """Run the sum to its end; `before_stage` is called before anybody is asked.

    Raises:
        CohortLost: too few members are left; nothing was learned.
        Refusal: the last stage gave no sum.

    """
    timeouts = timeouts or StageTimeouts()
    while (stage := aggregator.stage) is not None:
        await asyncio.to_thread(before_stage, stage)
        await _stage(aggregator, carrier, timeouts, on_stage)
        await asyncio.to_thread(aggregator.close)
    return aggregator.result


async def _stage(
    aggregator: Aggregator,
    carrier: Carrier,
    timeouts: StageTimeouts,
    on_stage: OnStage,
) -> None:
    stage = aggregator.stage
    name = str(stage)
    limit = timeouts.propose if stage is Stage.PROPOSE else timeouts.stage
    gate = asyncio.Semaphore(timeouts.at_once if stage is Stage.SHARES else len(aggregator.awaited))

    async def ask(host: str, request: bytes) -> None:
        try:
            async with gate:
                answer = await carrier.send(host, request, max_answer=aggregator.max_answer, timeout=limit)
                aggregator.receive(host, answer)
        except PeerRefused as refused:
            outcome = "unreachable" if refused.by_proxy else f"refused: {refused.code}"
        except PeerUnreachable:
            outcome = "unreachable"
        except Refusal as refusal:
            outcome = f"wrong answer: {refusal.code}"
        else:
            on_stage(name, host, "answered")
            return
        if host in aggregator.awaited:
            aggregator.drop(host, outcome)
        on_stage(name, host, outcome)

    asked = {asyncio.create_task(ask(host, raw)) for host, raw in aggregator.requests().items()}
    waiting = asked
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    try:
        while waiting:
            done, waiting = await asyncio.wait(
                waiting, timeout=max(0.0, deadline - loop.time()), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if not done:
                return
            if aggregator.enough:
                deadline = min(deadline, loop.time() + timeouts.grace)
    finally:
        for task in asked:
            task.cancel()
        # All of them: where one abandons the sum, others may have done so in the same moment.
        await asyncio.gather(*asked, return_exceptions=True)
