"""A daemon with a past, for tests of the admin page: `python -m tests.daemon.daemon_with_history`.

Writes one line of JSON when it answers, `{"url", "token", "secret", "host", "asking", "bad"}`, and runs until
its standard input ends. A plugin gets in by the secret; the PeerTube that is configured is never there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import load
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.store import content_arrays, model_records, sums
from daemon.store.activity import RoundRecord, count_refusal, save_round
from daemon.store.engine import open_checked
from daemon.store.model_inputs import labels
from daemon.store.model_records import Kind as ModelKind
from daemon.store.model_records import ModelRecord, State
from daemon.training.deploy import put_into_service
from federation.identity import Identity, format_key
from models import artefact
from models.content import Content, ProfileWeights
from models.trained import TrainedModel
from tests.daemon import fake_peertube
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import daemon, instance
from tests.daemon.small_dataset import write_set
from tests.daemon.stored_sums import EXACT_SUM
from tests.models.made import made_model

HOST = "one.example"
ASKS, GOOD, BAD, AWAY = (Identity(f"{name}.example", bytes([n]) * 32) for n, name in enumerate("abcd", 1))
NOW = 1_790_000_000.0


def furnish(folder: Path, engine: Engine) -> None:
    """Give an instance a past: peers, rounds, sums, models, an entry in the ledger."""
    config = load(folder / "shoal.toml")
    identity = open_identity(config.identity_file, config.instance.host)
    known: list[tuple[Identity, dict[str, Any]]] = [
        (ASKS, {"theirs": "asked", "said": NOW}),
        (GOOD, {"state": "approved", "theirs": "approved", "seen": NOW}),
        (
            BAD,
            {"state": "approved", "theirs": "approved", "seen": NOW, "next_key": format_key(ASKS.public.key)},
        ),
        (AWAY, {"state": "approved", "failures": 9, "seen": NOW - 90_000, "retry_at": NOW + 60}),
    ]
    for other, more in known:
        peer = Peer(other.host, "https://x.example", format_key(other.public.key), since=NOW)
        repository.save(engine, replace(peer, **more))
    both = [GOOD.host, BAD.host]
    past: list[tuple[list[str], sums.Verdict]] = [
        (both, "accepted"),
        ([BAD.host, "y.example"], "quarantined"),
        (both, "awaiting"),
    ]
    for number, (survivors, verdict) in enumerate(past):
        name = f"{number}" * 64
        round_ = RoundRecord(name, "aggregator", "one.example", NOW, NOW + 9, "done", "", both, survivors)
        save_round(engine, round_)
        sums.save(
            engine,
            config.sums_dir,
            round_id=name,
            urls=("https://v.example/1", "https://v.example/2"),
            counts=np.array([7, 8]),
            triangle=np.array([6]),
            privacy=EXACT_SUM,
            now=NOW + number,
            verdict=verdict,
        )
    save_round(engine, RoundRecord("f" * 64, "member", GOOD.host, NOW, None, "running", "", both))
    catalogue = content_arrays.read(engine)
    config.models_dir.mkdir()
    made: list[tuple[str, ModelKind, State, str | None]] = [
        ("own", "local", "ready", None),
        ("0-federated", "federated", "ready", "0" * 64),
        ("1-federated", "federated", "awaiting", "2" * 64),
    ]
    for number, (name, kind, state, learnt_from) in enumerate(made):
        survivors = both if kind == "federated" else []
        artefact.save(
            nameless(made_model(len(catalogue), seed=number, channels=6)),
            config.models_dir / name,
            labels=labels(catalogue),
            provenance={"kind": kind, "survivors": survivors},
            created=datetime.fromtimestamp(NOW, UTC),
        )
        record = ModelRecord(
            id=name,
            created=NOW + number,
            kind=kind,
            round_id=learnt_from,
            directory=name,
            manifest_sha256="",
            quality={"held_out_ndcg10": 0.25 * (number + 1)},
            state=state,
            survivors=survivors,
        )
        model_records.save(engine, record)
    put_into_service(engine, config, "0-federated")
    count_refusal(engine, "budget-spent", now=datetime.now(UTC).timestamp())
    ledger.append(engine, identity, Kind.PEER_ADDED, GOOD.host, {}, NOW)


def nameless(model: TrainedModel) -> TrainedModel:
    """Return a model whose videos have no category and no language, as those of the set."""
    content, solved = model.content, model.profiles
    stop = int(content.starts[3])
    starts = np.minimum(content.starts, stop)
    offsets, ids, weights = _below(stop, content.offsets, content.ids, content.weights)
    return replace(
        model,
        category=np.full_like(model.category, -1),
        language=np.full_like(model.language, -1),
        content=Content(offsets, ids, weights, starts),
        profiles=ProfileWeights(*_below(stop, solved.offsets, solved.ids, solved.weights)),
    )


def _below(
    stop: int, offsets: NDArray[np.int32], ids: NDArray[np.int32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Keep the features of each row below a number."""
    kept = ids < stop
    before = np.concatenate(([0], np.cumsum(kept)))
    return before[offsets].astype(np.int32), ids[kept], weights[kept]


def main() -> None:
    """Make an instance, serve it, wait."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = instance(folder, host=HOST, source=write_set(folder / "set"))
        outcome = run_here("sync", config)
        if not outcome.ok:
            raise SystemExit(outcome.message)
        engine = open_checked(folder / "shoal.db")
        furnish(folder, engine)
        engine.dispose()
        beside_peertube = fake_peertube.configure(folder, "http://127.0.0.1:9", host=HOST)
        with daemon(beside_peertube) as running:
            token = (folder / "admin.token").read_text("ascii").strip()
            about = {
                "url": f"http://{running.running.api}",
                "token": token,
                "secret": fake_peertube.SECRET,
                "host": HOST,
                "asking": ASKS.host,
                "bad": BAD.host,
            }
            sys.stdout.write(json.dumps(about) + "\n")
            sys.stdout.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main()
