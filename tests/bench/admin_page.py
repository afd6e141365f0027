"""How long the first view of each tab takes: a real daemon, with 100,000 videos, 50 peers and a year made up.

    python -m tests.bench.admin_page [--videos N] [--peers N]

prints milliseconds of each answer that a tab asks for, and with Chromium of the tab itself, from the click
until nothing loads any more. `tests/plugin/bench/admin-page.js` is the browser's part.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, insert

from daemon.config import load
from daemon.identity import open_identity
from daemon.ledger import chain
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.serve.admin import token
from daemon.store import activity, content_arrays, model_records, releases, traffic
from daemon.store.activity import JobRecord, RoundRecord
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from daemon.store.model_inputs import labels
from daemon.store.model_records import ERROR, MEASURE, ModelRecord
from daemon.store.releases import ReleaseRecord
from daemon.store.rows import SourceFacts, VideoRow
from daemon.store.snapshot import replace
from daemon.store.tables import IntroductionRow, Revert, ViewersOfDay
from daemon.store.viewers import Pseudonyms
from federation.identity import Identity, format_key
from tests.daemon.daemon_with_history import nameless
from tests.daemon.running_daemon import Daemon, daemon, instance, put_model
from tests.models.made import made_model

ROOT: Final = Path(__file__).parents[2]
DAY: Final = 86400.0
ANSWERS: Final = {
    "overview": ("overview", "timeline", "jobs", "effects"),
    "peers": ("peers", "network", "circle", "introductions", "group", "reverts"),
    "models": ("models",),
    "lookup": ("videos?q=boat",),
    "settings": ("settings",),
}
CANDIDATES: Final = 500
CHANNELS: Final = 500


def fill(folder: Path, videos: int, peers: int) -> None:
    """Give an instance a catalogue and a year."""
    config, rng, now = load(folder / "shoal.toml"), random.Random(1), time.time()
    migrate(config.database)
    engine = open_checked(config.database)
    hosts = [f"p{n:02}.video.example" for n in range(peers)]
    with replace(engine, Pseudonyms(bytes(32))) as snapshot:
        snapshot.add_videos(
            VideoRow(
                f"https://{hosts[n % peers]}/videos/watch/{n}",
                f"{n:08x}-0000-4000-8000-000000000000",
                f"Crossing number {n} by boat",
                channel=f"https://{hosts[n % peers]}/video-channels/{n % CHANNELS}",
                host=hosts[n % peers],
            )
            for n in range(videos)
        )
        snapshot.describe(SourceFacts("dataset"), now=now, participants=400)
    _peers(engine, hosts, now)
    _rounds(engine, hosts, now, rng, folder)
    _models(engine, config.identity_file, config.instance.host, hosts, now, rng)
    with writes(engine) as connection:
        days = [{"day": now - now % DAY - n * DAY, "viewers": 400 - n} for n in range(1, 366)]
        connection.execute(insert(ViewersOfDay), days)
        connection.execute(insert(Revert), {"at": now - 99 * DAY, "host": hosts[-1], "report": {}})
    for month in range(1, 12):
        traffic.add_all(engine, f"2026-{month:02}", dict.fromkeys(hosts, (5000000, 400000)))
    for name in ("sync", "train", "round", "consent", "peers", "prune"):
        activity.save_job(engine, JobRecord(name, now - 90, now - 60, "done", "", {}))
    catalogue = content_arrays.read(engine)
    put_model(folder, "made", nameless(made_model(videos, seed=1, channels=CHANNELS)), labels(catalogue))
    engine.dispose()


def _peers(engine: Engine, hosts: list[str], now: float) -> None:
    for number, host in enumerate(hosts):
        key = format_key(Identity(host, number.to_bytes(32, "big")).public.key)
        peer = Peer(
            host, f"https://{host}", key, state="approved", theirs="approved", since=now, seen=now, users=90
        )
        repository.save(engine, peer)
    for number in range(CANDIDATES):
        host = f"candidate{number:03}.example"
        repository.save(engine, Peer(host, "", "", source="follow", since=now))
    known = {
        f"new{n:02}.example": format_key(Identity("x.example", bytes([n + 1]) * 32).public.key)
        for n in range(40)
    }
    with writes(engine) as connection:
        for host in hosts[:5]:
            row = {
                "introducer": host,
                "said": now,
                "until": now + 30 * DAY,
                "instances": known,
                "answered": [],
            }
            connection.execute(insert(IntroductionRow), row)


def _rounds(engine: Engine, hosts: list[str], now: float, rng: random.Random, folder: Path) -> None:
    number = 0
    for week in range(52):
        at = now - week * 7 * DAY
        askers = [
            ("aggregator", "one.example"),
            *(("member", host) for host in rng.sample(hosts, len(hosts) // 2)),
        ]
        for role, aggregator in askers:
            number += 1
            roster = sorted(rng.sample(hosts, min(16, len(hosts))))
            done = rng.random() < 0.9
            record = RoundRecord(
                f"{number:064x}",
                "aggregator" if role == "aggregator" else "member",
                aggregator,
                at,
                at + 60,
                "done" if done else "abandoned",
                "",
                roster,
                roster[1:] if done else [],
            )
            activity.save_round(engine, record)
            if role == "member" and week % 4 == 0:
                release = ReleaseRecord(
                    f"{number:032x}", at, aggregator, record.id, 1.0, 1.0, 1.0, 9, 1000, 1000
                )
                releases.save(engine, release, folder)


def _models(engine: Engine, key: Path, host: str, hosts: list[str], now: float, rng: random.Random) -> None:
    identity = open_identity(key, host)
    for number in range(365):
        kind: model_records.Kind = "federated" if number % 7 == 0 else "local"
        value = 0.1 + 0.1 * rng.random()
        at = now - (365 - number) * DAY
        details = {"kind": kind, "quality": value, "survivors": hosts[:5], "sums": []}
        chain.append(engine, identity, Kind.MODEL, f"model-{number}", details, now=at)
        if number > 350:
            quality = {MEASURE: value, ERROR: 0.01}
            model_records.save(
                engine, ModelRecord(f"model-{number}", at, kind, None, f"model-{number}", "", quality)
            )


def answers(running: Daemon) -> dict[str, dict[str, float]]:
    """Return milliseconds of each answer, the best of three, by tab; those of another daemon are left out."""
    found: dict[str, dict[str, float]] = {}
    for tab, paths in ANSWERS.items():
        for path in paths:
            times = []
            for _ in range(3):
                began = time.perf_counter()
                status, _body = running.call(f"/v1/admin/{path}", admin=True, timeout=60)
                times.append(1000 * (time.perf_counter() - began))
            if status == 200:
                found.setdefault(tab, {})[path] = round(min(times), 1)
    return found


def main() -> None:
    """Fill an instance, serve it, ask, look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--peers", type=int, default=50)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        instance(folder, extra='mode = "contribute"')
        fill(folder, wanted.videos, wanted.peers)
        with daemon(folder / "shoal.toml") as running:
            told: dict[str, Any] = {"answers_ms": answers(running)}
            if shutil.which("node"):
                about = {"url": f"http://{running.running.api}", "token": token.read(folder)}
                bench = ["node", str(ROOT / "tests/plugin/bench/admin-page.js"), json.dumps(about)]
                told["tabs_ms"] = json.loads(subprocess.run(bench, check=True, capture_output=True).stdout)
    json.dump(told, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
