"""Sending one message to many members at once, with a limit on how long the slowest are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from federation.carrier import Carrier, PeerRefused, PeerUnreachable
from federation.errors import Refusal

GRACE = 10.0
"""Seconds that the others are waited for once more than half have answered."""
WITHIN = 60.0

Read = Callable[[str, bytes], object]


@dataclass
class Answers:
    """What members answered, and why others did not answer, by host."""

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
    found = Answers()
    gate = asyncio.Semaphore(at_once)

    async def ask(host: str, request: bytes) -> None:
        async with gate:
            problem = await _ask(carrier, host, request, max_answer, within, read, found)
        if problem:
            found.problems[host] = problem

    tasks = {asyncio.create_task(ask(host, request)) for host, request in requests.items()}
    try:
        await _wait(tasks, lambda: 2 * len(found.answers) > len(requests), within, grace)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for host in requests.keys() - found.answers.keys():
        found.problems.setdefault(host, "no answer in time")
    return found


class ConnectedOnly:
    """A carrier to the members that were connected when the round began; the others fail at once."""

    def __init__(self, carrier: Carrier, connected: frozenset[str]) -> None:
        self._carrier, self._connected = carrier, connected

    async def send(self, host: str, request: bytes, *, max_answer: int, timeout: float) -> bytes:  # noqa: ASYNC109
        """Send a request to a member; see `Carrier`."""
        if host not in self._connected:
            raise PeerUnreachable(f"{host} is not connected")
        return await self._carrier.send(host, request, max_answer=max_answer, timeout=timeout)


async def _ask(
    carrier: Carrier, host: str, request: bytes, max_answer: int, within: float, read: Read, found: Answers
) -> str:
    """Ask one host; return what went wrong, empty if nothing did."""
    try:
        answer = await carrier.send(host, request, max_answer=max_answer, timeout=within)
        read(host, answer)
    except PeerUnreachable:
        return "unreachable"
    except PeerRefused as refused:
        return f"refused: {refused.code}"
    except Refusal as refusal:
        return f"wrong answer: {refusal.code}"
    found.answers[host] = answer
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
