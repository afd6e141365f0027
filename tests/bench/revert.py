"""Seconds from `shoal peers revert` until a real daemon answers without the peer, at a head of 4,096 videos.

Asked every 20 ms for a related list, as a watch page would be; measured from the start of the command's
process to the first answer from another model. Beside it, training the same head again, which a revert must
not wait for.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from daemon.config import load
from daemon.identity import open_identity
from daemon.process.child import python_module
from daemon.store import current_model, model_records
from daemon.store.activity import RoundRecord, save_round
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.model_records import Kind, ModelRecord
from federation.identity import format_key
from models import artefact
from tests.bench.training import CATALOGUE, HEAD
from tests.daemon.running_daemon import Daemon, daemon, instance
from tests.models.made import made_labels, made_model

RANK, RELATED = 256, 40
HOST = "spam.example"
OTHERS = ["a.example", "b.example", "c.example", "d.example"]
TARGET = 5.0
_PATIENCE = 60.0


def run() -> dict[str, float]:
    """Measure.

    Returns:
        seconds until the peer's influence is out of service with an older sum, and with the local model
        only; the part of the target of 5 s that the slower one takes; how many times longer a training of
        that head takes.
    """
    with tempfile.TemporaryDirectory() as name:
        older = _measure(Path(name) / "older", federated=True)
        local = _measure(Path(name) / "local", federated=False)
    seconds = max(older, local)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.training", "head"], check=True, capture_output=True, text=True
    )
    training = float(json.loads(done.stdout)["head_seconds"])
    return {
        "older_sum_seconds": older,
        "local_seconds": local,
        "seconds": seconds,
        "of_target": seconds / TARGET,
        "training_seconds": training,
        "training_times_longer": training / seconds,
    }


def _measure(folder: Path, *, federated: bool) -> float:
    folder.mkdir()
    config = _prepare(folder, federated=federated)
    video = made_labels(CATALOGUE).uuid[0]
    with daemon(config) as running:
        before = _model(running, video)
        # Not waited for to its end: what it deletes and trains afterwards changes nothing for viewers.
        command, environment = python_module(
            "daemon.cli.main", "peers", "revert", HOST, "--yes", "--config", str(config)
        )
        began = time.monotonic()
        with (folder / "revert.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            while _model(running, video) == before:
                if time.monotonic() - began > _PATIENCE:
                    raise RuntimeError((folder / "revert.log").read_text())
                time.sleep(0.02)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait()


def _model(running: Daemon, video: str) -> str:
    status, body = running.call(f"/v1/related?video={video}&limit=10")
    return str(body["model"]) if status == 200 else ""


def _prepare(folder: Path, *, federated: bool) -> Path:
    """Write an instance whose newest model had the peer, and return its settings."""
    keys = {
        host: format_key(open_identity(folder / f"{host}.key", host).public.key) for host in [*OTHERS, HOST]
    }
    config_file = instance(folder, extra='mode = "contribute"')
    peers = [
        f'[[peers]]\nhost = "{host}"\nurl = "http://127.0.0.1:9"\nkey = "{key}"\n'
        for host, key in keys.items()
    ]
    config_file.write_text(config_file.read_text() + "".join(peers))
    migrate(folder / "shoal.db")
    _store(config_file, "1-local", "local", [])
    if federated:
        _store(config_file, "2-federated", "federated", OTHERS)
    _store(config_file, "3-federated", "federated", [*OTHERS, HOST])
    current_model.write(folder / "models", "3-federated")
    return config_file


def _store(config_file: Path, name: str, kind: Kind, survivors: list[str]) -> None:
    config = load(config_file)
    engine = open_checked(config.database)
    config.models_dir.mkdir(exist_ok=True)
    number = int(name[0])
    created = datetime(2026, 1, number, tzinfo=UTC)
    round_id = None
    if survivors:
        round_id = hashlib.sha256(name.encode()).hexdigest()
        host, at = config.instance.host, created.timestamp()
        record = RoundRecord(
            round_id, "aggregator", host, at, at, "done", roster=survivors, survivors=survivors
        )
        save_round(engine, record)
    directory = config.models_dir / name
    artefact.save(
        made_model(CATALOGUE, HEAD, rank=RANK, related=RELATED, seed=number),
        directory,
        labels=made_labels(CATALOGUE),
        provenance={"kind": kind, "round": round_id, "survivors": survivors},
        created=created,
    )
    digest = hashlib.sha256((directory / artefact.MANIFEST).read_bytes()).hexdigest()
    state: model_records.State = "current" if number == 3 else "ready"
    model_records.save(
        engine,
        ModelRecord(name, created.timestamp(), kind, round_id, name, digest, {}, state, survivors),
    )
    engine.dispose()
