"""What else happens to an instance: its disk fills, files are damaged, clocks jump, PeerTube fails.

One real daemon answers meanwhile, and its jobs run. What they say must be a sentence that is meant for
people, nobody may be approved who was not, and no entry of the ledger may be lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.jobs.run import run_job
from daemon.ledger import chain
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.store import current_model, releases
from daemon.store.engine import open_checked
from daemon.store.releases import ReleaseRecord
from federation.identity import Identity, format_key
from tests.chaos.killed_rounds import START_WITHIN
from tests.daemon.fake_peertube import PeerTube, configure, peertube, small_world, video_uuid
from tests.daemon.running_daemon import Daemon, daemon
from tests.daemon.small_disk import SmallDisk, may_mount, small_disk

JOBS: Final = "sync", "train", "consent"
UNEXPLAINED: Final = frozenset({"bug", "job-died"})
PEERS: Final = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(4)]
LIMIT: Final = 120.0
MEGABYTES: Final = 24
_CLOCK: Final = """
import os, pathlib, time
_real, _file = time.time, pathlib.Path(os.environ["TESTS_CLOCK"])
time.time = lambda: _real() + float(_file.read_text() or 0)
"""


@dataclass
class Row:
    """What came of one fault, each time that it was tried."""

    fault: str
    times: int = 0
    answered: int = 0
    away: int = 0
    said: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


@dataclass
class Subject:
    """The instance, its surroundings, and whom its admin approved."""

    config: Config
    server: PeerTube
    clock: Path
    disk: SmallDisk | None
    rng: random.Random

    @property
    def file(self) -> Path:
        """Its settings."""
        return self.config.data_dir / "shoal.toml"


Fault = Callable[[Subject], contextlib.AbstractContextManager[None]]


def run(folder: Path, times: int, rng: random.Random, say: Callable[[str], None]) -> list[Row]:
    """Try every fault so often."""
    rows = {name: Row(name) for name in FAULTS}
    with _subject(folder, rng) as subject:
        order = [name for name in FAULTS for _ in range(times)]
        rng.shuffle(order)
        for name in order:
            if name == "full disk" and subject.disk is None:
                continue
            began = time.monotonic()
            _try(subject, FAULTS[name], rows[name])
            said = ", ".join(sorted(rows[name].said)) or "all jobs ended well"
            say(f"{name}: {said} ({time.monotonic() - began:.0f} s)")
    return list(rows.values())


def _try(subject: Subject, fault: Fault, row: Row) -> None:
    _approve_all(subject)
    before, released = _ledger(subject), _released(subject)
    row.times += 1
    try:
        with daemon(subject.file, within=START_WITHIN) as running, _asking(running, row):
            with fault(subject):
                _run_jobs(subject, row)
            if "Traceback" in running.logged():
                row.wrong.append(f"{row.fault}: a trace in the log of the daemon")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        row.wrong.append(f"{row.fault}: its daemon does not start or stop: {error}")
    started = asyncio.run(run_job("migrate", subject.file, time_limit=START_WITHIN))
    if not started.ok:
        row.wrong.append(f"{row.fault}: it does not start again: {started.message}")
        return
    engine = open_checked(subject.config.database)
    known = repository.read(engine, subject.config)
    if back := {peer.host for peer in known.approved()} - {PEERS[0].host}:
        row.wrong.append(f"{row.fault}: approved again: {', '.join(sorted(back))}")
    if not chain.holds(engine, before):
        row.lost.append(f"{row.fault}: entry {before.seq} of the ledger is gone")
    public = open_identity(subject.config.identity_file, subject.config.instance.host).public
    if not (checked := chain.verify(engine, public)).ok:
        row.lost.append(f"{row.fault}: {checked.problem}")
    engine.dispose()
    if gone := released - _released(subject):
        row.lost.append(f"{row.fault}: {len(gone)} releases are gone")
    for job in "sync", "train":
        # So that the next fault meets an instance that serves.
        done = asyncio.run(run_job(job, subject.file, time_limit=START_WITHIN))
        if not done.ok:
            row.wrong.append(f"{row.fault}: afterwards {job} fails: {done.code}: {done.message}")


def _run_jobs(subject: Subject, row: Row) -> None:
    for job in subject.rng.sample(JOBS, 2):
        # Some are stopped before their end.
        limit = subject.rng.choice((LIMIT, LIMIT, subject.rng.uniform(0.3, 3.0)))
        done = asyncio.run(run_job(job, subject.file, time_limit=limit))
        if done.code in UNEXPLAINED:
            row.wrong.append(f"{row.fault}, {job}: {done.code}: {done.message}")
        row.said |= {done.code} - {""}


@contextlib.contextmanager
def _subject(folder: Path, rng: random.Random) -> Iterator[Subject]:
    clock = folder / "clock"
    clock.mkdir(parents=True)
    (clock / "offset").write_text("0")
    (clock / "sitecustomize.py").write_text(_CLOCK)
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", MEGABYTES)) if may_mount() else None
        server = stack.enter_context(peertube(small_world()))
        home = (folder if disk is None else disk.path) / "one"
        config = load(configure(home, server.url, "[privacy]\nmin_video_age = '0s'\n"))
        open_identity(config.identity_file, config.instance.host)
        old = {name: os.environ.get(name) for name in ("PYTHONPATH", "TESTS_CLOCK")}
        os.environ |= {"PYTHONPATH": str(clock), "TESTS_CLOCK": str(clock / "offset")}
        try:
            subject = Subject(config, server, clock / "offset", disk, rng)
            for job in ("migrate", "sync", "train"):
                done = asyncio.run(run_job(job, subject.file, time_limit=START_WITHIN))
                if not done.ok:
                    raise AssertionError(done.message)
            yield subject
        finally:
            for name, value in old.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _approve_all(subject: Subject) -> None:
    """Approve one peer; the others are paused, removed and reverted, as an admin decided by an entry each."""
    from daemon.peers import commands

    engine = open_checked(subject.config.database)
    for peer in PEERS:
        key = format_key(peer.public.key)
        repository.save(engine, Peer(peer.host, "http://127.0.0.1:9", key, state="approved", since=1.0))
    for peer in PEERS[1:]:
        decide = subject.rng.choice((commands.pause, commands.remove))
        decide(engine, subject.config, peer.host, now=time.time())
    window = f"{subject.rng.getrandbits(128):032x}"
    record = ReleaseRecord(window, time.time(), PEERS[0].host, "s" * 64, 16, 16, 0.5, 200, 30, 30)
    releases.save(engine, record, subject.config.windows_dir)
    engine.dispose()


def _ledger(subject: Subject) -> chain.Head:
    engine = open_checked(subject.config.database)
    found = chain.head(engine)
    engine.dispose()
    return found


def _released(subject: Subject) -> set[str]:
    engine = open_checked(subject.config.database)
    found = {one.window for one in releases.since(engine, 0.0)}
    engine.dispose()
    return found


@contextlib.contextmanager
def _asking(running: Daemon, row: Row) -> Iterator[None]:
    """Ask for lists as long as the block runs."""
    over = threading.Event()

    def ask() -> None:
        number = 0
        while not over.wait(0.02):
            number += 1
            asked = video_uuid(number % 30)
            try:
                status, body = running.call(f"/v1/related?video={asked}&limit=5")
            except (OSError, urllib.error.URLError):
                row.away += 1
                continue
            if status == 503 and body.get("code") in {"no-model", "busy"}:
                # That is true while the model is damaged, until the next training.
                row.away += 1
            elif status != 200 or asked in [item["uuid"] for item in body["videos"]]:
                row.wrong.append(f"{row.fault}: a list was answered {status}: {body}")
            else:
                row.answered += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


# -- the faults ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _full_disk(subject: Subject) -> Iterator[None]:
    if subject.disk is not None:
        subject.disk.fill(leave=subject.rng.choice((0, 0, 50_000, 500_000)))
    try:
        yield
    finally:
        if subject.disk is not None:
            subject.disk.free()


def _damaged(how: Callable[[Subject, Path], None]) -> Fault:
    @contextlib.contextmanager
    def fault(subject: Subject) -> Iterator[None]:
        how(subject, subject.config.database)
        yield

    return fault


def _page(subject: Subject, path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(8):
            file.seek(subject.rng.randrange(4096, size, 4096))
            file.write(b"\xa5" * 4096)


def _truncated(subject: Subject, path: Path) -> None:
    os.truncate(path, subject.rng.randrange(4096, path.stat().st_size))


def _missing(_subject: Subject, path: Path) -> None:
    path.unlink()


def _empty(_subject: Subject, path: Path) -> None:
    path.unlink()
    path.touch()


def _model(subject: Subject, _path: Path) -> None:
    """Damage a file of the model as a reader finds it next; the daemon has the old one mapped."""
    folder = subject.config.models_dir / (current_model.read(subject.config.models_dir) or "")
    file = subject.rng.choice(sorted(path for path in folder.iterdir() if path.is_file()))
    raw = bytearray(file.read_bytes())
    raw[subject.rng.randrange(len(raw))] ^= 0xFF
    draft = folder / "draft"
    draft.write_bytes(bytes(raw))
    draft.replace(file)


def _pointer(subject: Subject, _path: Path) -> None:
    (subject.config.models_dir / current_model.POINTER_NAME).write_bytes(b"\xff\x00 no name")


@contextlib.contextmanager
def _clock(subject: Subject) -> Iterator[None]:
    days = subject.rng.choice((-400, -1, -0.05, 0.05, 1, 40, 400))
    subject.clock.write_text(str(86400 * days))
    try:
        yield
    finally:
        subject.clock.write_text("0")


def _source(answer: Callable[[web.Request, random.Random], Any]) -> Fault:
    @contextlib.contextmanager
    def fault(subject: Subject) -> Iterator[None]:
        async def page(request: web.Request) -> web.StreamResponse | None:
            made: web.StreamResponse | None = await answer(request, subject.rng)
            return made

        names = ("config", "status", "videos", "engagements", "participants", "exclusions")
        subject.server.faults |= dict.fromkeys(names, page)
        try:
            yield
        finally:
            subject.server.faults.clear()

    return fault


async def _down(request: web.Request, _rng: random.Random) -> web.StreamResponse | None:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=502)


async def _slow(_request: web.Request, rng: random.Random) -> web.StreamResponse | None:
    await asyncio.sleep(rng.uniform(0.0, 1.0))
    return None


async def _nonsense(_request: web.Request, rng: random.Random) -> web.StreamResponse | None:
    bodies: list[bytes] = [
        b"<h1>It works!</h1>",
        b"{",
        b'{"rows": [1, null, {"url": "\\ud800"}], "next": -1}',
        b'{"videos": [{"url": 1e999}], "state": NaN}',
        b"\x00\xff" * 1000,
        b"[" * 10_000,
        b'{"version": "9", "marks": {}}',
    ]
    return web.Response(
        body=rng.choice(bodies), status=rng.choice((200, 200, 404, 500)), content_type="application/json"
    )


FAULTS: Final[dict[str, Fault]] = {
    "full disk": _full_disk,
    "damaged pages": _damaged(_page),
    "truncated database": _damaged(_truncated),
    "missing database": _damaged(_missing),
    "empty database": _damaged(_empty),
    "damaged model": _damaged(_model),
    "damaged pointer": _damaged(_pointer),
    "clock jumps": _clock,
    "PeerTube down": _source(_down),
    "PeerTube slow": _source(_slow),
    "PeerTube talks nonsense": _source(_nonsense),
}
