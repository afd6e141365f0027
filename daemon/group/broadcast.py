"""Asking several members the same thing at once, and not waiting for the last of them for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from federation.carrier import Carrier, PeerRefused, PeerUnreachable
from federation.errors import Refusal

GRACE = 10.0
"""Seconds that the rest is waited for once most have answered."""
WITHIN = 60.0

Read = Callable[[str, bytes], object]


@dataclass
class Answers:
    """What members answered, and why others did not, by host."""

    answers: dict[str, bytes] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


async def ask_all(
    carrier: Carrier,
    requests: Mapping[str, bytes],
    *,
    max_answer: int,
    read: Read,
    within: float = WITHIN,
    grace: float = GRACE,
    at_once: int = 64,
) -> Answers:
    """Send each host its request; an answer counts when `read` does not raise Refusal. Times in seconds."""
    heard = Answers()
    gate = asyncio.Semaphore(at_once)

    async def ask(host: str, request: bytes) -> None:
        async with gate:
            problem = await _ask(carrier, host, request, max_answer, within, read, heard)
        if problem:
            heard.problems[host] = problem

    tasks = {asyncio.create_task(ask(host, request)) for host, request in requests.items()}
    try:
        await _wait(tasks, lambda: 2 * len(heard.answers) > len(requests), within, grace)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for host in requests.keys() - heard.answers.keys():
        heard.problems.setdefault(host, "no answer in time")
    return heard


async def _ask(
    carrier: Carrier, host: str, request: bytes, max_answer: int, within: float, read: Read, heard: Answers
) -> str:
    """Ask one host; return what went wrong, or nothing."""
    try:
        answer = await carrier.send(host, request, max_answer=max_answer, timeout=within)
        read(host, answer)
    except PeerUnreachable:
        return "unreachable"
    except PeerRefused as refused:
        return f"refused: {refused.code}"
    except Refusal as refusal:
        return f"wrong answer: {refusal.code}"
    heard.answers[host] = answer
    return ""


async def _wait(
    tasks: set[asyncio.Task[None]], enough: Callable[[], bool], within: float, grace: float
) -> None:
    clock = asyncio.get_running_loop().time
    deadline, waiting = clock() + within, tasks
    while waiting:
        done, waiting = await asyncio.wait(
            waiting, timeout=max(0.0, deadline - clock()), return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            return
        for task in done:
            task.result()
        if enough():
            deadline = min(deadline, clock() + grace)
