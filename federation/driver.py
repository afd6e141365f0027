"""Drives one sum over any carrier: asks all members at once, waits as long as it must and no longer."""

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
class Patience:
    """How long a stage waits, in seconds."""

    propose: float = 300.0
    """Members fetch the vocabulary and count before they answer a proposal."""
    stage: float = 120.0
    """All other stages: a masked vector of 33 MB over a slow line."""
    grace: float = 30.0
    """Once the threshold has answered, how much longer the rest is waited for."""
    at_once: int = 4
    """Masked vectors that are received at one time: bounds memory."""


async def drive(
    aggregator: Aggregator,
    carrier: Carrier,
    *,
    threshold: int,
    patience: Patience | None = None,
    on_stage: OnStage = lambda _stage, _host, _outcome: None,
) -> SumResult:
    """Run the sum to its end.

    Raises:
        CohortLost: too few members are left; nothing was learned.
        Refusal: the last stage gave no sum.

    """
    patience = patience or Patience()
    while not aggregator.finished:
        await _stage(aggregator, carrier, threshold, patience, on_stage)
        await asyncio.to_thread(aggregator.close)
    return aggregator.result


async def _stage(
    aggregator: Aggregator,
    carrier: Carrier,
    threshold: int,
    patience: Patience,
    on_stage: OnStage,
) -> None:
    stage = aggregator.stage
    name = str(stage)
    limit = patience.propose if stage is Stage.PROPOSE else patience.stage
    gate = asyncio.Semaphore(patience.at_once if stage is Stage.SHARES else len(aggregator.awaited))
    answered = 0

    async def ask(host: str, request: bytes) -> None:
        nonlocal answered
        try:
            async with gate:
                answer = await carrier.send(host, request, max_answer=aggregator.max_answer, timeout=limit)
                aggregator.receive(host, answer)
        except PeerRefused as refused:
            # Without a code of ours it was a proxy: the daemon behind it is away.
            outcome = "unreachable" if refused.code == "http" else f"refused: {refused.code}"
        except PeerUnreachable:
            outcome = "unreachable"
        except Refusal as refusal:
            outcome = f"wrong answer: {refusal.code}"
        else:
            answered += 1
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
            if answered >= threshold:
                deadline = min(deadline, loop.time() + patience.grace)
    finally:
        for task in asked:
            task.cancel()
        # All of them: where one gives the sum up, others may have done so in the same moment.
        await asyncio.gather(*asked, return_exceptions=True)
