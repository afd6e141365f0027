"""What an admin sees of an attack: a real member service on a real store, attacked over HTTP.

Counted refusals, lines of the log, rounds, notices and entries of the ledger are read where the admin's
commands and page read them. `Lies` is a sum whose aggregator is under the attacker's control, among simulated
members and the one real instance.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from sqlalchemy import Engine

from daemon import log
from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.jobs.registry import JOBS
from daemon.ledger import chain as ledger
from daemon.process.job_context import JobContext, JobOutcome
from daemon.rounds import round_config
from daemon.serve import federation_app as rounds
from daemon.status import notices
from daemon.status.notices import Notice
from daemon.store import activity
from daemon.store.engine import open_checked
from daemon.store.ledger_rows import Row as Entry
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.viewers import Pseudonyms
from federation import cbor, envelope
from federation.blob_access import BlobServer, reference_to
from federation.envelope import NO_ROUND, Stage
from federation.errors import Code, Refusal
from federation.http import MESSAGE_PATH
from federation.http.listener import PeerListener
from federation.identity import Identity, PublicIdentity, format_key
from federation.journal import FileJournal, MemoryJournal
from federation.limits import Limits
from federation.node import MemberNode
from federation.proposal import Proposal, SignedProposal, least_threshold
from models.statistics import pairs
from policies.sharing import TRAINER
from tests.daemon.running_daemon import instance
from tests.simulator.cohort import Cohort, Instance
from tests.simulator.table import Table

ME = "one.example"
VIDEOS, VIEWERS = 120, 40
SECRET = bytes(range(32))
MEMBERS = [Identity(f"m{n}.example", bytes([n + 1]) * 32) for n in range(5)]
LIARS = [Identity(f"liar{n}.example", bytes([n + 101]) * 32) for n in range(12)]
URLS = tuple(sorted(f"https://v.example/{n:03}" for n in range(VIDEOS)))
HEAD = tuple(range(10))


class Lines(logging.Handler):
    """Keeps what the daemon would write to its log, as it would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.setFormatter(log.TextFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.written.append(self.format(record))


@dataclass
class Clock:
    """Now, and whatever was waited for."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Admin:
    """One instance, and what there is to see of it."""

    config: Config
    engine: Engine
    clock: Clock
    service: PeerListener
    url: str
    lines: Lines
    blob_servers: dict[str, BlobServer]

    @property
    def identity(self) -> Identity:
        """Its key."""
        return open_identity(self.config.identity_file, ME)

    @property
    def node(self) -> MemberNode:
        """The state machines behind its service."""
        return self.service._node

    def refusals(self) -> Counter[str]:
        """Return the counted refusals, as the metrics and `shoal status` have them."""
        return Counter(activity.refusals(self.engine))

    def ledger(self, kind: ledger.Kind) -> list[Entry]:
        """Return the ledger's entries of a kind, oldest first."""
        return [entry for entry in ledger.entries(self.engine) if entry.kind == kind.value]

    def notices(self) -> list[Notice]:
        """Return what waits for the admin."""
        return notices.current(self.engine, self.config, self.clock())

    async def post(self, raw: bytes) -> int:
        """Send bytes as anybody can; return the status."""
        status, _ = await asyncio.to_thread(_post, self.url, raw)
        return status

    @asynccontextmanager
    async def sees(self, *codes: Code) -> AsyncIterator[None]:
        """Check that what happens in the block is counted and logged as these refusals, and no others."""
        before, lines = self.refusals(), len(self.lines.written)
        yield
        expected = Counter(code.value for code in codes)
        deadline = time.monotonic() + 5
        while self.refusals() - before != expected and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert self.refusals() - before == expected
        new = [line for line in self.lines.written[lines:] if "message=refused" in line]
        assert Counter(_field(line, "code") for line in new) == expected
        self.check_log()

    def check_log(self) -> None:
        """Check that no secret, viewer or video is in any line."""
        text = "\n".join(self.lines.written)
        secrets = [self.identity.seed, SECRET]
        for secret in secrets:
            for form in (secret.hex(), base64.b64encode(secret).decode(), repr(secret)):
                assert form not in text
        viewers = [Pseudonyms(SECRET).of(f"viewer {n}") for n in range(VIEWERS)]
        assert not any(viewer.hex() in text for viewer in viewers)
        for word in ("viewer ", "https://v.example", "Private title"):
            assert word not in text


def _field(line: str, name: str) -> str:
    found = [part.partition("=")[2] for part in line.split() if part.startswith(f"{name}=")]
    return found[0] if found else ""


@asynccontextmanager
async def opened(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Admin]:
    """Run an instance that approved all members and, alas, all liars; refusals are written down at once."""
    blob_servers: dict[str, BlobServer] = {}
    async with _blob_server(blob_servers) as blob_url:
        path = instance(folder / "one", host=ME, extra='mode = "contribute"')
        peers = "".join(
            f'[[peers]]\nhost = "{p.host}"\nurl = "{blob_url}/{p.host}"\nkey = "{format_key(p.public.key)}"\n'
            for p in (*MEMBERS, *LIARS)
        )
        path.write_text(path.read_text() + '[privacy]\nmin_video_age = "0s"\n' + peers)
        config = load(path)
        migrate(config.database)
        engine = open_checked(config.database)
        clock = Clock()
        _fill(engine, clock())
        lines = Lines()
        root = logging.getLogger()
        level = root.level
        root.addHandler(lines)
        root.setLevel(logging.INFO)
        patch.setattr(rounds, "_HOUSEKEEPING_SECONDS", 0.02)
        patch.setattr(rounds, "run_job", _in_this_process(engine, config, clock))
        try:
            async with rounds.open_service(config, path, engine, clock=clock) as service:
                app = web.Application()
                app.add_routes(service.routes())
                async with _listening(app) as url:
                    yield Admin(config, engine, clock, service, url, lines, blob_servers)
        finally:
            root.removeHandler(lines)
            root.setLevel(level)
            engine.dispose()


def _fill(engine: Engine, now: float) -> None:
    with snapshot(engine, Pseudonyms(SECRET)) as content:
        content.add_videos(VideoRow(url, url[-3:], f"Private title {url[-3:]}", views=100) for url in URLS)
        content.add_engagements(
            EngagementRow(f"viewer {n}", URLS[(n * 7 + k) % 20], liked=True, at=1.0)
            for n in range(VIEWERS)
            for k in range(8)
        )
        content.describe(SourceFacts("dataset"), now=now, participants=VIEWERS)


@asynccontextmanager
async def _blob_server(blob_servers: dict[str, BlobServer]) -> AsyncIterator[str]:
    """Serve the blobs of all liars."""

    async def serve(request: web.Request) -> web.Response:
        message = envelope.parse(await request.read(), max_size=100_000)
        try:
            return web.Response(body=blob_servers[request.match_info["host"]].serve(message))
        except Refusal as refusal:
            return web.Response(status=400, text=refusal.sentence)

    app = web.Application()
    app.router.add_post("/{host}" + MESSAGE_PATH, serve)
    async with _listening(app) as url:
        yield url


@asynccontextmanager
async def _listening(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _in_this_process(engine: Engine, config: Config, clock: Clock) -> Any:
    """Return what runs a job here: the same work on the same store, without the start of a process."""

    async def run(name: str, _file: Path, *, time_limit: float, arguments: Any) -> JobOutcome:
        context = JobContext(config, engine, lambda _stage, _part: None, clock, arguments)
        result = await asyncio.wait_for(asyncio.to_thread(JOBS[name], context), time_limit)
        return JobOutcome(name, ok=True, exit_code=0, result=result)

    return run


@dataclass
class Remote:
    """The real instance in the place of a simulated one; its methods block, so they belong into a thread."""

    admin: Admin
    values: Any = None
    journal: FileJournal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = round_config.member_journal(self.admin.config)

    @property
    def identity(self) -> Identity:
        """Its key."""
        return self.admin.identity

    @property
    def node(self) -> MemberNode:
        """Its state."""
        return self.admin.node

    def handle(self, raw: bytes) -> bytes:
        """Send a request until it is answered; raises Refusal with what it was refused with."""
        while True:
            status, body = _post(self.admin.url, raw)
            if status == 200:
                return body
            if status != 202:
                content: Any = cbor.decode(body)
                raise Refusal(Code(content["code"]), content["sentence"])


def _post(url: str, raw: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(url + MESSAGE_PATH, data=raw, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Lies(Table):
    """A sum of a liar's over the simulated members and the real instance; signed without any check."""

    def __init__(
        self,
        admin: Admin,
        number: int,
        *,
        vocabulary: tuple[str, ...] = URLS,
        head: tuple[int, ...] = HEAD,
        **changes: Any,
    ) -> None:
        liar = LIARS[number]
        limits, clock = round_config.limits(admin.config), admin.clock
        everyone = {p.host: p.public for p in (*MEMBERS, *LIARS, admin.identity)}
        members: dict[str, Any] = {ME: Remote(admin)}
        for member in MEMBERS[:4]:
            values = np.full(len(vocabulary) + pairs(len(head)), 3, np.int64)
            found = Instance(member, values, _random(member), clock, everyone, limits=limits)  # type: ignore[arg-type]
            found.start()
            members[member.host] = found
        self.cohort = Cohort(liar, members, clock, limits)  # type: ignore[arg-type]
        self.admin = admin
        self.answers = {stage: {} for stage in (*Stage,)}
        self.blobs = {
            round_config.VOCABULARY: round_config.encode_vocabulary(vocabulary),
            round_config.HEAD: round_config.encode_head(np.array(head, np.int64)),
        }
        self.sizes = len(vocabulary), len(head)
        self.signed = self.sign(self.proposal(), **changes)

    def proposal(self) -> Proposal:
        """Return what an honest aggregator would propose to its members; two differ in their nonce only."""
        config, now = self.admin.config, int(self.admin.clock())
        roster = tuple(sorted(member.identity.public for member in self.cohort.members.values()))
        return Proposal(
            aggregator=self.cohort.aggregator.host,
            roster=roster,
            threshold=least_threshold(len(roster)),
            trainer=TRAINER,
            segments=round_config.segments(config, *self.sizes),
            entry_bound=config.sharing.max_users,
            ring=32,
            nonce=hashlib.sha256(str(time.monotonic_ns()).encode()).digest()[:16],
            created=now,
            expires=now + 600,
            colluders=round_config.READ_BY_OTHERS,
            parameters=round_config.parameters(config, *self.sizes, pass_on=True),
            blobs={name: reference_to(blob) for name, blob in self.blobs.items()},
        )

    def sign(self, proposal: Proposal, **changes: Any) -> SignedProposal:
        """Sign whatever it is, and publish its blobs."""
        proposal = replace(proposal, **changes)
        raw = envelope.seal(
            self.cohort.aggregator,
            round_id=NO_ROUND,
            stage=Stage.PROPOSE,
            recipient="",
            payload=proposal.to_payload(),
        )
        signed = SignedProposal(proposal, raw, hashlib.sha256(raw).digest())
        journal = MemoryJournal()
        journal.write(signed.round_id, "proposal", raw)
        server = BlobServer(
            self.cohort.aggregator, journal, clock=self.admin.clock, limits=Limits(max_length=1 << 40)
        )
        server.publish(signed.round_id, self.blobs)
        self.admin.blob_servers[self.cohort.aggregator.host] = server
        return signed

    async def plays(self, *stages: Stage) -> None:
        """Play stages honestly with everybody."""
        for stage in stages:
            await asyncio.to_thread(self.play, stage)

    async def is_refused(self, stage: Stage, payload: bytes, **how: Any) -> Code:
        """Send the real instance a request that it must refuse unchanged; return the code."""
        return await self.raw_is_refused(self.request(stage, payload, **how))

    async def raw_is_refused(self, raw: bytes) -> Code:
        """Do the same with a whole message."""
        return await asyncio.to_thread(self.refusal, ME, raw)


def _random(member: Identity) -> Any:
    return hashlib.shake_256(member.host.encode()).digest


def strangers(count: int) -> list[PublicIdentity]:
    """Return identities that nobody approved."""
    return [Identity(f"s{n:02}.example", bytes([150 + n]) * 32).public for n in range(count)]
