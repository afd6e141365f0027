"""A sync of a large PeerTube: how long, how much memory, how fast its server is asked."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.made_peertube import made_world
from tests.bench.measured_job import measured_job
from tests.daemon.fake_peertube import configure, peertube

VIDEOS, USERS, HISTORY, RATES = 100_000, 5_000, 200_000, 50_000
PAGE, RATE = 1_000, 20.0


def run() -> dict[str, Any]:
    """Measure, with the settings that a fresh configuration has.

    Returns:
        seconds of a whole sync, its peak memory in MiB, the most requests within a second and how many in
        all; seconds and memory of a check of consent with 50 viewers gone; bytes of the database.
    """
    world = made_world(VIDEOS, USERS, HISTORY, RATES)
    with tempfile.TemporaryDirectory() as name, peertube(world) as server:
        config = configure(Path(name) / "one", server.url, rate=RATE, page=PAGE)
        sync = measured_job("sync", config)
        assert (sync.result["videos"], sync.result["viewers"]) == (VIDEOS, USERS), sync.result
        requests, most = len(server.asked), server.most_in_a_second()
        size = (config.parent / "shoal.db").stat().st_size
        server.world.participants -= set(range(50))
        check = measured_job("consent", config)
        assert check.result["removed"] == 50, check.result
        return {
            "seconds": sync.seconds,
            "processor_seconds": sync.processor_seconds,
            "peak_mib": sync.peak_mib,
            "requests": requests,
            "most_requests_in_a_second": float(max(most, server.most_in_a_second())),
            "check_seconds": check.seconds,
            "check_peak_mib": check.peak_mib,
            "database_mib": size / 2**20,
        }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
