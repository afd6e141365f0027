"""Executor for the admin has bounds: what is too much is told at once, and goes on without whoever asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.config import load
from daemon.errors import RequestError
from daemon.process.job_context import Progress
from daemon.serve.admin.executor import (
    MOST_AT_ONCE,
    MOST_WAITING,
    BusyError,
    Executor,
    JobFailedError,
    OverloadedError,
)
from daemon.serve.server import build_context
from daemon.store.migrate import migrate
from tests.daemon.running_daemon import instance

pytestmark = pytest.mark.daemon


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[Executor]:
    config = instance(tmp_path)
    migrate(tmp_path / "shoal.db")
    context = build_context(load(config), config)
    made = Executor(context)
    yield made
    await made.close()
    context.stored.close()
    context.engine.dispose()


async def test_what_waits_is_bounded_and_the_rest_is_sent_away_at_once(work: Executor) -> None:
    gate = threading.Event()
    waiting = [asyncio.create_task(work.read(gate.wait, 5)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError) as error:
        await work.read(gate.wait)
    assert (error.value.status, error.value.code) == (503, "busy")
    with pytest.raises(OverloadedError):
        async with work.turn():
            raise AssertionError("nobody has room")
    gate.set()
    assert all(await asyncio.gather(*waiting))
    assert await work.read(gate.wait)


async def test_a_flood_leaves_half_of_the_time_to_viewers(work: Executor) -> None:
    def busy() -> None:
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass

    began = time.perf_counter()
    await work.read(busy)
    # Whoever asks once waits for nobody.
    assert time.perf_counter() - began < 0.5
    began = time.perf_counter()
    await asyncio.gather(*(work.read(busy) for _ in range(5)))
    assert time.perf_counter() - began > 0.02 * 5 * 2 * 0.95


async def test_one_of_a_kind_at_a_time(work: Executor) -> None:
    gate = asyncio.Event()

    async def job(progress: Progress) -> dict[str, Any]:
        progress("half", 0.5)
        await gate.wait()
        return {"done": True}

    running = work.start("a", job, host="x.example")
    with pytest.raises(BusyError) as error:
        work.start("a", job)
    assert (error.value.status, error.value.code) == (409, "busy")
    assert error.value.advice
    for number in range(MOST_AT_ONCE - 1):
        work.start(f"other {number}", job)
    with pytest.raises(OverloadedError):
        work.start("one more", job)
    assert not work.start("revert of x.example", job, urgent=True).task.done()
    # Whoever asked leaves; another who waits for the same gets the answer.
    impatient = asyncio.create_task(work.result_of(running))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (running.stage, running.fraction) == ("half", 0.5)
    assert work.running("a") is running
    gate.set()
    assert await work.result_of(running) == {"done": True}
    await asyncio.sleep(0)
    assert work.running("a") is None


async def test_a_failed_job_says_what_the_job_said(work: Executor) -> None:
    with pytest.raises(JobFailedError) as error:
        await work.result_of(work.start_job("peers", {"add": "one.example"}))
    assert (error.value.status, error.value.code) == (400, "bad-request")
    assert error.value.advice
    assert work.running("peers") is None


async def test_the_end_of_the_daemon_ends_what_runs(work: Executor) -> None:
    async def endless(_progress: Progress) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    running = work.start("endless", endless)
    await work.close()
    assert running.task.cancelled()


async def test_an_error_reaches_whoever_waits(work: Executor) -> None:
    async def failing(_progress: Progress) -> dict[str, Any]:
        raise RequestError("no", advice="Do not.")

    with pytest.raises(RequestError):
        await work.result_of(work.start("failing", failing))
