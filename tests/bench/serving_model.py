"""Times of served models of 100,000 videos, and the memory that opening one takes. No network, one thread."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import artefact
from models.item_scores import FORMS, Form
from models.trained import TrainedModel
from tests import ROOT
from tests.models.made import made_labels, made_model

VIDEOS, ITEMS, RANK, TAGS, CHANNELS = 100_000, 4_096, 256, 30_000, 40_000
RELATED, KEPT = 60, 200
REQUESTS = 1_000

# Resident pages of files count as well, so this is what the operating system would report.
_OPEN = """
import sys
from pathlib import Path
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
from models import artefact
before = resident()["VmRSS"]
model = artefact.load(Path(sys.argv[1]))
opened = resident()["VmRSS"]
for video in range(0, len(model), 100):
    model.related(video)
    model.recommend([video, video // 2, video // 3])
after = resident()
print(opened - before, after["VmRSS"] - before, after["VmHWM"] - before)
"""


def run() -> dict[str, float]:
    """Measure.

    Returns:
        milliseconds (median and 99th percentile; wall time, and processor time for busy machines) of
        related() and recommend() with a history of 50 videos, the latter for both forms of the item model;
        seconds to open; mebibytes that opening adds, that 1,000 requests of each kind add to that, and the
        peak while opening.
    """
    labels = made_labels(VIDEOS, channels=CHANNELS)
    measured: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            place = Path(folder) / form
            model = made_model(
                *(VIDEOS, ITEMS),
                rank=RANK,
                tags=TAGS,
                related=RELATED,
                channels=CHANNELS,
                form=form,
                kept=KEPT,
            )
            artefact.save(
                model, place, labels=labels, provenance={}, created=datetime(2026, 1, 1, tzinfo=UTC)
            )
            measured |= _measure(place, model, form)
    return measured


def _measure(place: Path, model: TrainedModel, form: Form) -> dict[str, float]:
    started = time.perf_counter()
    served = artefact.load(place)
    opened = time.perf_counter() - started
    rng = np.random.default_rng(1)
    seeds = [
        *rng.choice(model.items, REQUESTS // 2).tolist(),
        *rng.integers(0, VIDEOS, REQUESTS // 2).tolist(),
    ]
    histories = [
        [*rng.choice(model.items, 40, replace=False).tolist(), *rng.integers(0, VIDEOS, 10).tolist()]
        for _ in range(REQUESTS)
    ]
    served.recommend(histories[0])
    recommended = _times(served.recommend, histories)
    if form != FORMS[0]:
        return _percentiles(f"recommend_{form}", recommended)
    memory = _memory(place)
    return {
        **_percentiles("related", _times(served.related, seeds)),
        **_percentiles("recommend", recommended),
        "open_seconds": opened,
        "open_mib": memory[0],
        "open_and_used_mib": memory[1],
        "peak_mib": memory[2],
    }


def _times(call: Callable[[Any], object], arguments: Sequence[Any]) -> NDArray[np.float64]:
    """(n, 2) milliseconds of wall time and of processor time."""
    times = np.empty((len(arguments), 2))
    for place, argument in enumerate(arguments):
        wall, processor = time.perf_counter(), time.thread_time()
        call(argument)
        times[place] = time.perf_counter() - wall, time.thread_time() - processor
    return times * 1000


def _percentiles(name: str, times: NDArray[np.float64]) -> dict[str, float]:
    median, p99 = np.percentile(times, [50, 99], axis=0)
    return {
        f"{name}_ms_median": float(median[0]),
        f"{name}_ms_p99": float(p99[0]),
        f"{name}_processor_ms_p99": float(p99[1]),
    }


def _memory(place: Path) -> list[float]:
    command = [sys.executable, "-c", _OPEN, str(place)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return [int(number) / 1024 for number in done.stdout.split()]


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name}: {value:.2f}")
