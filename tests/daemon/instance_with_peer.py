"""An instance that had a peer: made-up sums and models in a real store, for tests of taking the peer out."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.process.job_context import JobContext
from daemon.revert import job
from daemon.revert.out_of_service import Switch, take_out_of_service
from daemon.store import current_model, model_records, sums
from daemon.store.activity import RoundRecord, save_round
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.model_records import Kind as ModelKind
from daemon.store.model_records import ModelRecord, State
from federation.identity import Identity, format_key
from models import artefact
from tests.daemon.running_daemon import instance
from tests.daemon.stored_sums import EXACT_SUM
from tests.models.made import made_labels, made_model

HOST = "p5.example"
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(6)]
OTHERS = [peer.host for peer in PEERS if peer.host != HOST]
NOW = 1_800_000_000.0
VIDEOS = 60


@dataclass
class Instance:
    """A data directory with made-up models and sums."""

    config: Config
    engine: Engine
    models: int = 0

    def context(self, **arguments: str) -> JobContext:
        """Return what a job works with."""
        return JobContext(self.config, self.engine, lambda _stage, _part: None, lambda: NOW, arguments)

    def ask(self, number: int, survivors: list[str]) -> str:
        """Record a round that ended, and return its id."""
        round_id = hashlib.sha256(f"round {number}".encode()).hexdigest()
        host = self.config.instance.host
        record = RoundRecord(round_id, "aggregator", host, NOW - 9, NOW - 8, "done", "", survivors, survivors)
        save_round(self.engine, record)
        return round_id

    def sum(
        self,
        number: int,
        survivors: list[str],
        *,
        run: str = "",
        verdict: sums.Verdict = "accepted",
    ) -> str:
        """Store a sum over two videos."""
        round_id = self.ask(number, survivors)
        sums.save(
            self.engine,
            self.config.sums_dir,
            round_id=round_id,
            urls=("https://v.example/1", "https://v.example/2"),
            counts=np.array([7, 8]),
            triangle=np.array([6]),
            privacy=EXACT_SUM,
            now=NOW - 100 + number,
            run=run,
            sub_cohort=number,
            verdict=verdict,
        )
        return round_id

    def model(
        self,
        kind: ModelKind,
        survivors: list[str] | None = None,
        *,
        state: State = "ready",
        round_id: str | None = None,
        row: bool = True,
    ) -> str:
        """Store a made-up model; later ones are newer."""
        self.models += 1
        created = NOW - 1000 + self.models
        name = f"{self.models:02}-{kind}"
        provenance = (
            {"kind": kind} if survivors is None else {"kind": kind, "round": round_id, "survivors": survivors}
        )
        directory = self.config.models_dir / name
        self.config.models_dir.mkdir(exist_ok=True)
        artefact.save(
            made_model(VIDEOS, seed=self.models),
            directory,
            labels=self.labels(),
            provenance=provenance,
            created=datetime.fromtimestamp(created, UTC),
        )
        digest = hashlib.sha256((directory / artefact.MANIFEST).read_bytes()).hexdigest()
        quality = {"held_out_ndcg10": 0.1 * self.models}
        if row:
            record = ModelRecord(
                name, created, kind, round_id, name, digest, quality, state, list(survivors or [])
            )
            model_records.save(self.engine, record)
        return name

    def labels(self) -> Any:
        """Return labels of which every third video is of the host that is taken out."""
        labels = made_labels(VIDEOS)
        return replace(
            labels,
            host=np.arange(VIDEOS, dtype=np.int32) % 3,
            hosts=type(labels.url).pack([HOST, "one.example", "two.example"]),
        )

    def serve(self, name: str) -> None:
        """Put a model into service."""
        current_model.write(self.config.models_dir, name)
        model_records.make_current(self.engine, name)

    def served(self) -> str | None:
        """Return what serves, by the pointer and by the record, which must agree."""
        current = [r.id for r in model_records.models(self.engine) if r.state == "current"]
        named = current_model.read(self.config.models_dir)
        assert current == ([] if named is None else [named])
        return named


@contextlib.contextmanager
def open_instance(folder: Path) -> Iterator[Instance]:
    """Make an instance whose settings name all peers."""
    peers = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS
    )
    path = instance(folder / "one", extra='mode = "contribute"')
    path.write_text(path.read_text() + '[privacy]\nmin_video_age = "0s"\n' + peers)
    config = load(path)
    migrate(config.database)
    engine = open_checked(config.database)
    yield Instance(config, engine)
    engine.dispose()


def out_of_service(one: Instance) -> Switch:
    return take_out_of_service(one.engine, one.config, HOST, NOW)


def tainted(one: Instance) -> tuple[str, str, str]:
    """Store what an instance has after two sums, the second with the host; returns the three models."""
    local = one.model("local")
    older = one.model("federated", OTHERS, round_id=one.sum(1, OTHERS))
    newer = one.model("federated", [*OTHERS, HOST], round_id=one.sum(2, [*OTHERS, HOST]))
    one.serve(newer)
    return local, older, newer


def take_out(one: Instance, **arguments: str) -> dict[str, Any]:
    return job._take_out(one.context(host=HOST, **arguments), HOST)[1]
