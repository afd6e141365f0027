"""Lists for viewers of a large PeerTube: 200 requests a second, histories from the store, exclusions set."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, Exclusions, SourceFacts, VideoRow
from daemon.store.snapshot import replace
from daemon.store.viewers import Pseudonyms
from tests.bench.serving_http import RATE, SECONDS, _inside, _resident_mib
from tests.bench.serving_model import CHANNELS, ITEMS, RANK, TAGS, VIDEOS
from tests.daemon.fake_peertube import SECRET, configure, viewer
from tests.daemon.running_daemon import daemon, put_model
from tests.models.made import made_labels, made_model

VIEWERS, EACH = 5_000, 40


def run() -> dict[str, Any]:
    """Measure.

    Returns:
        milliseconds (median, 99th percentile) of `/v1/related` with a viewer, as the caller sees them; the
        bucket of the daemon's own clock that holds 99 of 100; most resident MiB, also while a viewer is
        forgotten; seconds that forgetting takes; the packages it must not have loaded, and has.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configure(folder, "http://127.0.0.1:1")
        labels = made_labels(VIDEOS, channels=CHANNELS)
        model = made_model(VIDEOS, ITEMS, rank=RANK, tags=TAGS, related=40, channels=CHANNELS)
        put_model(folder, "bench", model, labels)
        rng = np.random.default_rng(1)
        urls = [labels.url[n] for n in range(VIDEOS)]
        uuids = [labels.uuid[n] for n in range(VIDEOS)]
        seeds = [uuids[int(n)] for n in rng.integers(0, VIDEOS, 2000)]
        items = model.items.tolist()
        migrate(config.parent / "shoal.db")
        with replace(open_checked(folder / "shoal.db"), Pseudonyms.open(folder / "viewers.key")) as snapshot:
            snapshot.add_videos(VideoRow(*pair, "A title") for pair in zip(urls, uuids, strict=True))
            snapshot.add_engagements(
                EngagementRow(viewer(who), urls[items[(who * 7 + n * 101) % ITEMS]], liked=True, at=float(n))
                for who in range(VIEWERS)
                for n in range(EACH)
            )
            out = Exclusions(channels=frozenset(f"channel {n}" for n in range(100)))
            snapshot.describe(SourceFacts("peertube", exclusions=out), now=1.0, participants=VIEWERS)
        del model, labels, snapshot
        with daemon(config) as running:
            pid, base = running.process.pid, f"http://{running.running.api}"
            idle = peak = _resident_mib(pid)
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                answer = pool.apply_async(_load, (base, seeds))
                while not answer.ready():
                    peak = max(peak, _resident_mib(pid))
                    answer.wait(0.1)
                times = answer.get()
                loaded = peak
                began = time.perf_counter()
                forgotten = pool.apply_async(_forget, (base,))
                while not forgotten.ready():
                    peak = max(peak, _resident_mib(pid))
                    forgotten.wait(0.02)
                seconds = time.perf_counter() - began
                assert forgotten.get() == 204
            inside = _inside(running.call("/metrics", admin=True)[1], "/v1/related")
            forbidden = running.forbidden()
    return {
        "viewer_ms_median": float(np.median(times)),
        "viewer_ms_p99": float(np.percentile(times, 99)),
        "viewer_inside_ms_p99_at_most": inside,
        "idle_mib": idle,
        "loaded_mib": loaded,
        "rss_mib": peak,
        "forget_seconds": seconds,
        "forbidden": forbidden,
    }


def _load(base: str, seeds: list[str]) -> list[float]:
    return asyncio.run(_requests(base, seeds))


def _forget(base: str) -> int:
    async def ask() -> int:
        async with (
            aiohttp.ClientSession(headers={"X-Shoal-Secret": SECRET}) as session,
            session.post(f"{base}/v1/viewers/forget", json={"viewer": viewer(7)}) as answer,
        ):
            return answer.status

    return asyncio.run(ask())


async def _requests(base: str, seeds: list[str]) -> list[float]:
    gc.disable()
    times: list[float] = []
    async with aiohttp.ClientSession(headers={"X-Shoal-Secret": SECRET}) as session:

        async def one(number: int, began: float) -> None:
            seed = seeds[number % len(seeds)]
            wanted = {"video": seed, "limit": "30", "viewer": viewer(number * 13 % VIEWERS), "language": "en"}
            async with session.get(f"{base}/v1/related", params=wanted) as answer:
                body = await answer.json()
                if answer.status != 200 or len(body["videos"]) < 20:
                    raise AssertionError(f"status {answer.status}: {body}")
            times.append((time.perf_counter() - began) * 1000)

        await one(0, time.perf_counter())
        times.clear()
        first = time.perf_counter()
        tasks = []
        for number in range(int(RATE * SECONDS)):
            await asyncio.sleep(max(0.0, first + number / RATE - time.perf_counter()))
            tasks.append(asyncio.create_task(one(number, time.perf_counter())))
        await asyncio.gather(*tasks)
    return times


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name}: {value}")
