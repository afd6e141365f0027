"""Every byte that is served without the admin's token follows from what was released, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.maintenance import sync, training
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext
from daemon.store import activity, content_arrays, current_model, model_records, sums
from daemon.store.engagement_arrays import read
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from models.weights import UNIT
from tests.daemon.running_daemon import Daemon, daemon, instance
from tests.daemon.small_dataset import write_set
from tests.daemon.stored_sums import EXACT_SUM
from tests.simulator.cohort import Clock

pytestmark = pytest.mark.daemon

KEY = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
NOW = 1_800_000_000.0
USERS, VIDEOS, SUMMED = 120, 40, 24
_PASSING = re.compile(rb'"(uptime_seconds|since)":[0-9.]+')
"""What tells of the process, and not of viewers."""


@dataclass
class Place:
    """One instance, and its clock."""

    config: Config
    file: Path
    engine: Engine
    clock: Clock

    def context(self) -> JobContext:
        return JobContext(self.config, self.engine, lambda _stage, _part: None, self.clock)

    def train(self) -> None:
        """Train as if nothing had been trained before: under the same name, for the same bytes."""
        shutil.rmtree(self.config.models_dir, ignore_errors=True)
        model_records.forget(self.engine, [one.id for one in model_records.models(self.engine)])
        training.run(self.context())

    def histories(self) -> set[tuple[int, int]]:
        engagements = read(self.engine)[1]
        return set(zip(engagements.users.tolist(), engagements.videos.tolist(), strict=True))


@contextmanager
def place(folder: Path, *, mode: str) -> Iterator[Place]:
    write_set(folder / "set", users=USERS, videos=VIDEOS, seed=1)
    file = instance(folder / "one", extra=f'mode = "{mode}"', source=folder / "set")
    file.write_text(
        file.read_text() + '[privacy]\nmin_video_age = "0s"\n[acceptance]\nconfirm_first = false\n'
    )
    config = load(file)
    migrate(config.database)
    found = Place(config, file, open_checked(config.database), Clock(NOW))
    sync.run(found.context())
    repository.save(found.engine, Peer("two.example", "http://127.0.0.1:9", KEY, "approved", max_users=500))
    yield found
    found.engine.dispose()


def add_sum(one: Place) -> None:
    """Store what others gave; nothing of it follows from own viewers."""
    rng = np.random.default_rng(5)
    urls = content_arrays.read_urls(one.engine)[:SUMMED]
    likes = (rng.random((300, SUMMED)) < 0.3).astype(np.int64)
    pairs = (likes.T @ likes)[np.triu_indices(SUMMED, 1)]
    record = activity.RoundRecord("s0", "aggregator", "one.example", 1.0, survivors=["two.example"])
    activity.save_round(one.engine, record)
    sums.save(
        one.engine,
        one.config.sums_dir,
        round_id="s0",
        urls=urls,
        counts=UNIT * likes.sum(axis=0),
        triangle=UNIT * pairs,
        privacy=EXACT_SUM,
        now=NOW,
        verdict="accepted",
    )


def everything(one: Place) -> dict[str, bytes]:
    """Return what a program without any credential gets, by what it asks for."""
    uuids = content_arrays.read(one.engine).uuids
    asked: dict[str, bytes | None] = {
        **{f"/v1/related?video={uuid}&limit=40": None for uuid in uuids},
        **{f"/v1/explain?video={uuid}&history={','.join(uuids[:5])}": None for uuid in uuids[5:]},
        **dict.fromkeys(("/health/live", "/health/ready", "/v1/status", "/v1/vectors", "/metrics")),
    }
    with daemon(one.file) as running:
        found = {path: raw(running, path, body) for path, body in asked.items()}
        for history in ([], list(uuids[:1]), list(uuids[3:20])):
            body = json.dumps({"history": history, "limit": 40}).encode()
            found[f"recommendations {len(history)}"] = raw(running, "/v1/recommendations", body)
    return found


def raw(running: Daemon, path: str, body: bytes | None) -> bytes:
    headers = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{running.running.api}{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        content = error.read()
    if path == "/metrics":
        lines = [line for line in content.splitlines() if not line.startswith((b"process_", b"#"))]
        content = b"\n".join(line for line in lines if b"since" not in line and b"_seconds" not in line)
    return _PASSING.sub(b"", content)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "with others"])
def test_other_histories_behind_the_same_release_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    monkeypatch.setattr("daemon.training.model_writer.secrets.token_hex", lambda size: "0" * (2 * size))
    with place(tmp_path, mode="contribute" if together else "off") as one:
        if together:
            add_sum(one)
        one.train()
        model, histories = current_model.read(one.config.models_dir), one.histories()
        before = everything(one)
        assert b'"videos"' in before["recommendations 1"]
        # The same viewers, with other tastes: nobody left, so the release stands for its window.
        write_set(tmp_path / "set", users=USERS, videos=VIDEOS, seed=2)
        sync.run(one.context())
        assert len(histories & one.histories()) < len(histories) / 2
        one.train()
        assert current_model.read(one.config.models_dir) == model
        assert everything(one) == before
        # It is not that nothing of own viewers is in it: with the next window everything changes.
        one.clock.now = NOW + 3 * 86400.0
        one.train()
        after = everything(one)
        assert after["recommendations 1"] != before["recommendations 1"]
