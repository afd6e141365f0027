from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from daemon.group.hosting.superlink_process import HostingError, SuperLink

pytestmark = pytest.mark.flower

SECONDS = 240.0


async def test_a_superlink_that_hangs_is_started_again(tmp_path: Path) -> None:
    # The process may have children that other tests left, such as the tracker of multiprocessing.
    others = children()
    link = SuperLink(tmp_path, 0, check=1.0)
    ready = asyncio.Queue[str]()
    task = asyncio.create_task(link.keep(lambda: ready.put_nowait(link.address), lambda: None))
    try:
        async with asyncio.timeout(SECONDS):
            first = await ready.get()
            assert link.upstream is not None
            [process] = children() - others
            os.kill(process, signal.SIGSTOP)
            assert await ready.get() == first
            assert link.upstream is not None
            assert await link.upstream.healthy(SECONDS)
        assert len(children() - others) == 1
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await link.end()
    assert children() == others


async def test_damaged_state_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "superlink.sqlite").write_bytes(b"not a database, " * 1_000)
    link = SuperLink(tmp_path, 0)
    try:
        with pytest.raises(HostingError, match="ended immediately") as found:
            await link.keep(lambda: None, lambda: None)
    finally:
        await link.end()
    assert "superlink.sqlite" in found.value.advice
    assert "not a database" in found.value.message


async def test_a_folder_that_is_none_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostingError, match="cannot be used"):
        await SuperLink(tmp_path / "file" / "folder", 0).keep(lambda: None, lambda: None)


def children() -> set[int]:
    pid = os.getpid()
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}
