"""Two instances on loopback, with low limits on strangers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon.peer_instances import Neighbour, neighbours

GUARDS = "[guards]\nstrangers_per_minute = 40\nmax_requests_pending = 5\n"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 2, extra=GUARDS) as found:
        yield found
