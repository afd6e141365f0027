"""What an instance of a chosen size takes: `python -m tests.bench.scale --videos 1000000`, or `make scale`.

The instance is made up: as many viewers as a tenth of its videos, 20 rows of history and 5 likes or dislikes
each. Sync, training and serving run as the daemon runs them, each in a process of its own. Other work on the
machine makes wall time longer, processor time hardly, and memory not at all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.bench.made_data_set import write_data_set
from tests.bench.made_peertube import made_world
from tests.bench.measured_job import measured_job
from tests.bench.serving_http import _resident_mib
from tests.daemon.fake_peertube import SECRET, configure, peertube
from tests.daemon.running_daemon import daemon, instance

SYNC_MIB: Final = 600.0
"""Most memory of a sync, whatever the size."""
_HISTORY, _RATES = 20, 5
_ASKED = 1_000


def measure(videos: int, source: str, steps: list[str]) -> dict[str, Any]:
    """Return what each step took; one that failed has its code, and those after it are missing.

    Args:
        source: "peertube" (the plugin's export, over HTTP) or "dataset" (a folder of files).
        steps: of "sync", "again" (a second sync, which replaces the first), "train" and "serve".
    """
    found: dict[str, Any] = {"videos": videos, "source": source}
    with tempfile.TemporaryDirectory() as name, _instance(Path(name), source, videos) as config:
        for step, job in (("sync", "sync"), ("again", "sync"), ("train", "train")):
            if step not in steps:
                continue
            done = measured_job(job, config)
            found |= {
                f"{step}_minutes": done.seconds / 60,
                f"{step}_processor_minutes": done.processor_seconds / 60,
                f"{step}_peak_mib": done.peak_mib,
                f"{step}_disk_mib": _disk_mib(config.parent),
            }
            if not done.ok:
                return found | {f"{step}_failed": done.result["code"], "why": done.result["message"]}
            if step == "sync":
                assert done.result["videos"] == videos, done.result
        if "serve" in steps:
            found |= _serve(config)
    return found


@contextlib.contextmanager
def _instance(folder: Path, source: str, videos: int) -> Iterator[Path]:
    viewers = max(40, videos // 10)
    sizes = videos, viewers, viewers * _HISTORY, viewers * _RATES
    if source == "dataset":
        write_data_set(folder / "set", *sizes)
        yield instance(folder / "one", source=folder / "set")
        return
    with peertube(made_world(*sizes)) as server:
        yield configure(folder / "one", server.url, rate=20.0, page=1_000)


def _serve(config: Path) -> dict[str, float]:
    """Ask one list after the other, as many as there are seeds."""
    with contextlib.closing(sqlite3.connect(config.parent / "shoal.db")) as store:
        asked = "SELECT uuid FROM videos WHERE id % (SELECT max(1, count(*) / ?) FROM videos) = 0 LIMIT ?"
        seeds = [uuid for (uuid,) in store.execute(asked, (_ASKED, _ASKED))]
    times = []
    with daemon(config) as running:
        pid = running.process.pid
        idle = _resident_mib(pid)
        secret = {"X-Shoal-Secret": SECRET}
        for uuid in seeds:
            began = time.perf_counter()
            status, body = running.call(f"/v1/related?video={uuid}&limit=20", headers=secret)
            times.append((time.perf_counter() - began) * 1000)
            assert status == 200, body
        peak = _resident_mib(pid)
    return {
        "serve_idle_mib": idle,
        "serve_loaded_mib": peak,
        "serve_related_ms_median": float(np.median(times)),
    }


def _disk_mib(folder: Path) -> float:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) / 2**20


def main(arguments: list[str] | None = None) -> int:
    """Print what was measured; return 1 when a sync took more memory than it may."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--source", choices=("peertube", "dataset"), default="peertube")
    parser.add_argument("--steps", nargs="+", default=["sync", "again", "train", "serve"])
    options = parser.parse_args(arguments)
    found = measure(options.videos, options.source, options.steps)
    print(json.dumps(found, indent=2))
    peaks = [found.get(f"{step}_peak_mib", 0.0) for step in ("sync", "again")]
    return int("sync_failed" in found or "again_failed" in found or max(peaks) > SYNC_MIB)


if __name__ == "__main__":
    sys.exit(main())
