"""Other instances: real services of daemons on loopback, each behind a small stand-in for its PeerTube.

The stand-in serves what a PeerTube with the plugin serves in public: plugins, NodeInfo, the actor, and the
card signed with the actor's key; messages to peers reach the service at the plugin's address.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, insert

from daemon.config import Config, load
from daemon.errors import ShoalError
from daemon.group import messages as group_messages
from daemon.group import repository as groups
from daemon.identity import open_identity
from daemon.peers import cards, commands, contact_job, listing, repository
from daemon.peers.listing import Peer as ListedPeer
from daemon.peers.listing import Peers
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext, JobOutcome
from daemon.revert.artifacts import artifacts_of
from daemon.serve import federation_app
from daemon.serve.federation_app import open_service
from daemon.source import PLUGIN
from daemon.store.engine import connect, writes
from daemon.store.migrate import migrate
from daemon.store.tables import FollowedHost
from federation import hello as hellos
from federation.envelope import VERSION
from federation.http import CARD_PATH
from federation.http.client import PeerClient, Retry, new_session
from federation.identity import Identity, format_key
from tests.ports import free_port


@cache
def actor_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Clock:
    """Now, and whatever was waited for."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Front:
    """What a PeerTube shows; a test changes it at will. `changed` replaces fields of the card it signed."""

    host: str = ""
    key: str = ""
    plugin: str = "0.1.0"
    users: Any = 120
    actor: bool = True
    signer: rsa.RSAPrivateKey = field(default_factory=actor_key)
    changed: dict[str, Any] = field(default_factory=dict)
    statement: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    @property
    def address(self) -> str:
        return f"http://{self.host}/accounts/peertube"

    def card(self) -> dict[str, Any]:
        card: dict[str, Any] = {"version": VERSION, "host": self.host, "key": self.key}
        if self.actor:
            said = {"actor": self.address, "host": self.host, "key": self.key}
            said |= {"date": datetime.now(UTC).date().isoformat(), **self.statement}
            statement = json.dumps(said, separators=(",", ":"))
            scheme = PSS(MGF1(hashes.SHA256()), 32)
            signature = self.signer.sign(cards.PREFIX + statement.encode(), scheme, hashes.SHA256())
            card |= {"actor": self.address, "statement": statement}
            card["signature"] = base64.b64encode(signature).decode()
        return card | self.changed

    def app(self) -> web.Application:
        @web.middleware
        async def note(request: web.Request, handler: Any) -> web.StreamResponse:
            self.asked.append(request.path)
            if self.down:
                raise web.HTTPBadGateway
            response: web.StreamResponse = await handler(request)
            return response

        async def config(_request: web.Request) -> web.Response:
            registered = [{"npmName": "peertube-plugin-other", "name": "other", "version": "9"}]
            if self.plugin:
                registered.append({"npmName": PLUGIN, "name": "shoal", "version": self.plugin})
            return web.json_response({"plugin": {"registered": registered}})

        async def nodeinfo(_request: web.Request) -> web.Response:
            return web.json_response({"usage": {"users": {"total": self.users}}})

        async def actor(_request: web.Request) -> web.Response:
            pem = self.signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            key = {"id": f"{self.address}#main-key", "owner": self.address, "publicKeyPem": pem.decode()}
            document = {"id": self.address, "type": "Application", "publicKey": key}
            return web.json_response(document | self.document)

        async def card(_request: web.Request) -> web.Response:
            return web.json_response(self.card())

        app = web.Application(middlewares=[note])
        app.router.add_get("/api/v1/config", config)
        app.router.add_get("/nodeinfo/2.0.json", nodeinfo)
        app.router.add_get("/accounts/peertube", actor)
        app.router.add_get(cards.ROUTER + CARD_PATH, card)
        return app


@dataclass
class Neighbour:
    """One instance: its settings, its store, its stand-in, and its service while that runs."""

    front: Front
    config: Config
    config_file: Path
    engine: Engine
    clock: Clock
    runner: web.AppRunner | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    background: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def host(self) -> str:
        return self.front.host

    @property
    def identity(self) -> Identity:
        return open_identity(self.config.identity_file, self.host)

    @property
    def url(self) -> str:
        return f"http://{self.host}{cards.ROUTER}"

    async def start(self) -> None:
        """Listen for peers, as after `shoal run`."""
        self.front.key = format_key(self.identity.public.key)
        service = await self.stack.enter_async_context(
            open_service(self.config, self.config_file, self.engine, clock=self.clock)
        )
        app = self.front.app()
        peers = web.Application(client_max_size=100_000)
        peers.add_routes(service.routes()[:1])
        app.add_subapp(cards.ROUTER, peers)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "localhost", int(self.host.split(":")[1])).start()

    async def stop(self) -> None:
        """Listen no more."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None
        await self.stack.aclose()
        self.stack = AsyncExitStack()

    async def settled(self) -> None:
        """Wait until everything is done that the messages of others had this instance do."""
        while self.background:
            task = self.background.pop()
            await asyncio.wait({task})

    async def job(self, **arguments: str) -> dict[str, Any]:
        """Run the job "peers" in this process."""
        context = JobContext(self.config, self.engine, lambda _stage, _part: None, self.clock, arguments)
        return await contact_job._run(context)

    async def approve(self, other: Neighbour, **options: Any) -> dict[str, Any]:
        """Approve another instance as the command does: card, decision, word to it."""
        await self.job(add=other.host)
        known = self.peer(other)
        options = {"key": known.next_key or None, "max_users": None, **options}
        commands.approve(
            self.engine, self.config, other.host, now=self.clock(), holds=artifacts_of, **options
        )
        return await self.job(host=other.host)

    def peer(self, other: Neighbour | str) -> Peer:
        found = repository.find(self.engine, self.config, other if isinstance(other, str) else other.host)
        assert found is not None
        return found

    def listing(self) -> Peers:
        return listing.listing(
            self.engine,
            self.config,
            self.clock(),
            group_messages.learns_in_group(groups.current(self.engine)),
        )

    def shown(self, other: Neighbour | str) -> ListedPeer:
        host = other if isinstance(other, str) else other.host
        return next(peer for peer in self.listing()["peers"] if peer["host"] == host)

    def follow(self, *hosts: str, since: float | None = None) -> None:
        with writes(self.engine) as connection:
            connection.execute(insert(FollowedHost), [{"host": host, "since": since} for host in hosts])

    async def post(self, raw: bytes) -> bytes:
        """Send bytes to this instance, as anybody can; raises what the client raises."""
        async with new_session() as session:
            client = PeerClient(session, retry=Retry(attempts=1))
            return await client.send(self.host, self.url, raw, max_answer=hellos.MAX_HELLO, timeout=10)

    async def hears(self, identity: Identity, **what: Any) -> hellos.Hello:
        """Say hello to this instance and return its answer."""
        from federation import envelope
        from federation.limits import Limits

        now = what.pop("now", None) or self.clock()
        raw = hellos.say(identity, self.host, now, **{"approves": True, **what})
        answer = envelope.parse(await self.post(raw), max_size=hellos.MAX_HELLO)
        return hellos.read(answer, identity.host, self.clock(), Limits())


@asynccontextmanager
async def neighbours(folder: Path, count: int, *, extra: str = "") -> AsyncIterator[list[Neighbour]]:
    """Run some instances until the end of the block; `extra` is added to their settings."""
    empty = folder / "empty.db"
    migrate(empty)
    found: list[Neighbour] = []

    async def run_job(name: str, config_file: Path, **more: Any) -> JobOutcome:
        """Run the job in this process, at the time of its instance, as its child process would."""
        assert name == "peers"
        (neighbour,) = (one for one in found if one.config_file == config_file)
        task = asyncio.current_task()
        assert task is not None
        neighbour.background.add(task)
        try:
            return JobOutcome(name, ok=True, exit_code=0, result=await neighbour.job(**more["arguments"]))
        except ShoalError as error:
            return JobOutcome(name, ok=False, exit_code=error.exit_code, code=error.code)

    found += [_neighbour(folder / f"n{number}", empty, extra) for number in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(federation_app, "run_job", run_job)
        try:
            for neighbour in found:
                await neighbour.start()
            yield found
        finally:
            for neighbour in found:
                await neighbour.stop()
                neighbour.engine.dispose()


def _neighbour(folder: Path, empty: Path, extra: str) -> Neighbour:
    folder.mkdir()
    front = Front(host=f"localhost:{free_port()}")
    file = folder / "shoal.toml"
    file.write_text(
        f'mode = "consume"\n[instance]\nhost = "{front.host}"\n[source]\npath = "nowhere"\n'
        f"[schedule]\nenabled = false\n{extra}"
    )
    shutil.copy(empty, folder / "shoal.db")
    return Neighbour(front, load(file), file, connect(folder / "shoal.db"), Clock())
