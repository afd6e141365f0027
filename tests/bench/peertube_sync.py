"""A sync of a large PeerTube: how long, how much memory, how fast its server is asked."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from daemon.process.child import python_module
from tests.daemon.fake_peertube import HOST, World, configure, peertube, video_uuid

USERS, HISTORY, RATES, VIDEOS, CHANNELS, TAGS = 5_000, 200_000, 50_000, 100_000, 2_000, 20_000
PAGE, RATE = 1_000, 20.0

# Runs a job as the daemon does and prints the most memory it ever had.
_MEASURED = """
import resource, subprocess, sys, time
began = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(status.returncode, seconds, peak)
print(status.stdout.splitlines()[-1])
"""


def run() -> dict[str, Any]:
    """Measure, with the settings that a fresh configuration has.

    Returns:
        seconds of a whole sync, its peak memory in MiB, the most requests within a second and how many in
        all; seconds and memory of a check of consent with 50 viewers gone; bytes of the database.
    """
    with tempfile.TemporaryDirectory() as name, peertube(large_world()) as server:
        config = configure(Path(name) / "one", server.url, rate=RATE, page=PAGE)
        seconds, peak, result = _job("sync", config)
        assert (result["videos"], result["viewers"]) == (VIDEOS, USERS), result
        requests, most = len(server.asked), server.most_in_a_second()
        size = (config.parent / "shoal.db").stat().st_size
        server.world.participants -= set(range(50))
        check_seconds, check_peak, checked = _job("consent", config)
        assert checked["removed"] == 50, checked
        return {
            "seconds": seconds,
            "peak_mib": peak,
            "requests": requests,
            "most_requests_in_a_second": float(max(most, server.most_in_a_second())),
            "check_seconds": check_seconds,
            "check_peak_mib": check_peak,
            "database_mib": size / 2**20,
        }


def large_world(seed: int = 0) -> World:
    """Return a world of the size that the daemon has to manage."""
    rng = np.random.default_rng(seed)
    tags = (rng.random((VIDEOS, 4)) ** 3 * TAGS).astype(int)
    videos = [
        {
            "url": f"https://{HOST}/videos/watch/{video_uuid(n)}",
            "uuid": video_uuid(n),
            "title": f"A title of the usual length, number {n} of the catalogue",
            "channel": f"https://{HOST}/video-channels/channel_{n % CHANNELS}",
            "host": HOST,
            "category": f"Category {n % 18}",
            "language": ("en", "fr", "de", None)[n % 4],
            "nsfw": n % 50 == 0,
            "published": 1_600_000_000.25 + 60 * n,
            "views": n,
            "likes": n % 97,
            "tags": [f"tag number {tag}" for tag in set(tags[n].tolist())],
            "scope": None,
        }
        for n in range(VIDEOS)
    ]
    world = World(videos=videos, participants=set(range(USERS)))
    popular = (rng.random(HISTORY + RATES) ** 2 * VIDEOS).astype(int).tolist()
    world.history = [(n % USERS, popular[n], 0.25 + (n % 4) / 4) for n in range(HISTORY)]
    world.rates = [(n % USERS, popular[HISTORY + n], n % 10 != 0) for n in range(RATES)]
    return world


def _job(name: str, config: Path) -> tuple[float, float, dict[str, Any]]:
    command, environment = python_module("daemon.jobs", name, "--config", str(config))
    done = subprocess.run(
        [command[0], "-c", _MEASURED, *command],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    numbers, last = done.stdout.splitlines()
    status, seconds, peak = numbers.split()
    event = json.loads(last)
    if status != "0":
        raise AssertionError(event)
    return float(seconds), float(peak), event["result"]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
