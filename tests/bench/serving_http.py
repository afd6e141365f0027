"""The local API under load: a real daemon with 100,000 videos, 200 requests per second from elsewhere."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.bench.serving_model import CHANNELS, ITEMS, RANK, TAGS, VIDEOS
from tests.daemon.running_daemon import daemon, instance, put_model
from tests.models.made import made_labels, made_model

RATE, SECONDS, HISTORY = 200, 10.0, 50


def run() -> dict[str, Any]:
    """Measure.

    Returns:
        milliseconds (median, 99th percentile, largest) as the caller sees them of `/v1/related`,
        `/v1/recommendations` (history of 50 videos) and of nothing (`/health/live`: what the machine and
        aiohttp take by themselves); the bucket of the daemon's own clock that holds 99 of 100 calls of
        `/v1/related`, which other work on the machine blurs less; resident MiB before the load, and the most
        under it; the packages it must not have loaded, and has.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = instance(folder)
        labels = made_labels(VIDEOS, channels=CHANNELS)
        model = made_model(VIDEOS, ITEMS, rank=RANK, tags=TAGS, related=40, channels=CHANNELS)
        put_model(folder, "bench", model, labels)
        rng = np.random.default_rng(1)
        seeds = [labels.uuid[int(v)] for v in rng.integers(0, VIDEOS, 2000)]
        del model, labels
        with daemon(config) as running:
            base = f"http://{running.running.api}"
            pid = running.process.pid
            idle = _resident_mib(pid)
            result: dict[str, Any] = {"idle_mib": idle, "rss_mib": idle}
            for kind in ("nothing", "related", "recommendations"):
                times, resident = _from_another_process(base, kind, seeds, pid)
                result["rss_mib"] = max(result["rss_mib"], resident)
                result |= {
                    f"{kind}_ms_median": float(np.median(times)),
                    f"{kind}_ms_p99": float(np.percentile(times, 99)),
                    f"{kind}_ms_max": float(max(times)),
                }
            result["related_inside_ms_p99_at_most"] = _inside(
                running.call("/metrics", admin=True)[1], "/v1/related"
            )
            result["forbidden"] = running.forbidden()
    return result


def _from_another_process(base: str, kind: str, seeds: list[str], pid: int) -> tuple[list[float], float]:
    context = multiprocessing.get_context("spawn")
    peak = 0.0
    with context.Pool(1) as pool:
        answer = pool.apply_async(_load, (base, kind, seeds))
        while not answer.ready():
            peak = max(peak, _resident_mib(pid))
            answer.wait(0.1)
        return answer.get(), peak


def _inside(metrics: str, route: str) -> float:
    """Return the smallest bucket of the daemon's own clock, in milliseconds, that holds 99 %."""
    found = re.findall(rf'seconds_bucket{{le="([^"]+)",route="{route}"}} (\S+)', metrics)
    total = float(found[-1][1])
    return next(float(bound) * 1000 for bound, count in found if float(count) >= 0.99 * total)


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _load(base: str, kind: str, seeds: list[str]) -> list[float]:
    return asyncio.run(_requests(base, kind, seeds))


async def _requests(base: str, kind: str, seeds: list[str]) -> list[float]:
    # A pause of this process is not one of the daemon.
    gc.disable()
    times: list[float] = []
    async with aiohttp.ClientSession() as session:

        async def one(number: int, due: float) -> None:
            seed = seeds[number % len(seeds)]
            if kind == "nothing":
                call = session.get(f"{base}/health/live")
            elif kind == "related":
                call = session.get(f"{base}/v1/related", params={"video": seed, "limit": "20"})
            else:
                history = seeds[number % 1000 : number % 1000 + HISTORY]
                call = session.post(f"{base}/v1/recommendations", json={"history": history, "limit": 20})
            async with call as answer:
                body = await answer.json()
                if answer.status != 200 or not body.get("videos", body):
                    raise AssertionError(f"status {answer.status}: {body}")
            times.append((time.perf_counter() - due) * 1000)

        await one(0, time.perf_counter())
        times.clear()
        began = time.perf_counter()
        tasks = []
        for number in range(int(RATE * SECONDS)):
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            # Timed from here: oversleeping in this process is not the daemon's doing.
            tasks.append(asyncio.create_task(one(number, time.perf_counter())))
        await asyncio.gather(*tasks)
    return times


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
