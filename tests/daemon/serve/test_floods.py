"""What others can cost a running daemon: floods of every kind, while an honest peer and the watch page wait.

Measured from outside: memory and open files of the process, its data folder, its log, its tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import func, select

from daemon import log
from daemon.config import load
from daemon.identity import open_identity
from daemon.rounds import round_config
from daemon.serve.connection_limit import MAX_CONNECTIONS
from daemon.store import activity
from daemon.store.engine import open_checked, reads
from daemon.store.tables import Base, LedgerRow, PeerRow
from federation import envelope, hello
from federation.blob_access import BlobServer, fetch_request, reference_to
from federation.envelope import Stage
from federation.errors import Code
from federation.http import CARD_PATH, MESSAGE_PATH, load_limits
from federation.identity import Identity, format_key
from federation.proposal import Proposal, Segment, SignedProposal, least_threshold
from policies.rates import CARDS_FOR_STRANGERS
from tests.daemon import running_daemon
from tests.daemon.running_daemon import instance

pytestmark = pytest.mark.daemon

ME = "one.example"
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(5)]
HOSTILE, HONEST = PEERS[0], PEERS[1]
STRANGERS, PENDING = 200, 10
PROMPT = 1.5
"""Seconds within which everybody else is answered during a flood, on a machine that does other things too."""


@dataclass
class Flooded:
    """A daemon, and how to measure it."""

    daemon: running_daemon.Daemon
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Where it listens for peers."""
        return f"http://{self.daemon.running.federation}"

    @property
    def address(self) -> tuple[str, int]:
        """The same for sockets."""
        host, port = self.daemon.running.federation.split(":")
        return host, int(port)

    async def post(self, body: bytes, **headers: str) -> int:
        """Return the status of one message; 0 where the connection was cut."""
        try:
            async with self.session.post(self.url + MESSAGE_PATH, data=body, headers=headers) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def flood(self, bodies: list[bytes], at_once: int = 40) -> Counter[int]:
        """Return how often each status came."""
        gate = asyncio.Semaphore(at_once)

        async def one(body: bytes) -> int:
            async with gate:
                return await self.post(body)

        return Counter(await asyncio.gather(*map(one, bodies)))

    def megabytes(self) -> float:
        """Return the memory that the process has in use."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def files(self) -> int:
        """Return how many files and sockets it has open."""
        return sum(1 for _ in Path(f"/proc/{self.daemon.process.pid}/fd").iterdir())

    def disk(self) -> int:
        """Return the bytes of its data folder, the log among them."""
        return sum(file.stat().st_size for file in self.daemon.config.parent.rglob("*") if file.is_file())

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        engine = open_checked(load(self.daemon.config).database)
        with reads(engine) as connection:
            found = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in Base.metadata.sorted_tables
            }
        engine.dispose()
        return found

    def lines(self) -> list[str]:
        """Return its log."""
        return self.daemon.logged().splitlines()

    async def others_are_served(self) -> None:
        """Check that the card, an honest peer and the local API are answered at once."""
        began = time.monotonic()
        async with self.session.get(self.url + CARD_PATH) as card:
            assert (await card.json())["host"] == ME
        assert await self.post(hello.say(HONEST, ME, time.time(), approves=True)) == 200
        async with self.session.get(f"http://{self.daemon.running.api}/v1/status") as status:
            assert status.status == 200
        assert time.monotonic() - began < PROMPT


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running_daemon.Daemon]:
    peers = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS
    )
    path = instance(tmp_path_factory.mktemp("flooded") / "one", extra='mode = "contribute"')
    guards = f"[guards]\nstrangers_per_minute = {STRANGERS}\nmax_requests_pending = {PENDING}\n"
    path.write_text(path.read_text() + guards + peers)
    with running_daemon.daemon(path) as found:
        yield found


@pytest.fixture
async def flooded(running: running_daemon.Daemon) -> AsyncIterator[Flooded]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        found = Flooded(running, session)
        await found.others_are_served()
        yield found


def of(identity: Identity, number: int) -> bytes:
    """Return a message that is as it should be, and of no use."""
    return envelope.seal(
        identity,
        round_id=number.to_bytes(32, "big"),
        stage=Stage.KEYS,
        recipient=ME,
        payload=os.urandom(1000),
    )


async def test_nonsense_costs_a_count(flooded: Flooded) -> None:
    before, disk, lines = flooded.megabytes(), flooded.disk(), len(flooded.lines())
    bodies = [os.urandom(90_000) for _ in range(20)] * 25 + [b"", b"SHOAL\x01\xff\xff", bytes(200_000)] * 100
    task = asyncio.create_task(flooded.flood(bodies))
    while not task.done():
        await flooded.others_are_served()
    assert set(await task) <= {0, 400, 413, 503}
    assert flooded.megabytes() - before < 60
    written = flooded.lines()[lines:]
    assert len(written) <= 2 * log.LINES_A_MINUTE * 3
    assert flooded.disk() - disk < 2_000_000
    assert not any("Traceback" in line or "trace=" in line for line in written)


async def test_what_is_not_even_http_costs_little(flooded: Flooded) -> None:
    before, lines = flooded.megabytes(), len(flooded.lines())
    head = b"POST /federation/v1/message HTTP/1.1\r\nHost: x\r\n"
    packed = gzip.compress(bytes(50_000_000))
    pieces = [
        b"\x16\x03\x01" + os.urandom(500),
        b"GET / HTTP/9.9\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        head + b"Content-Length: 5000\r\n\r\nabc",
        head + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed,
    ]

    async def send(piece: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            _, writer = await asyncio.open_connection(*flooded.address)
            writer.write(piece)
            await writer.drain()
            writer.transport.abort()

    for _ in range(10):
        await asyncio.gather(*(send(piece) for piece in pieces * 10))
    await flooded.others_are_served()
    assert flooded.megabytes() - before < 40
    assert len(flooded.lines()) - lines <= 2 * log.LINES_A_MINUTE * 4


async def test_silent_and_slow_connections_give_way(flooded: Flooded) -> None:
    before, held = flooded.megabytes(), []
    start = b"POST /federation/v1/message HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nSHOAL"
    for number in range(900):
        with contextlib.suppress(ConnectionError):
            _, writer = await asyncio.open_connection(*flooded.address)
            writer.write(b"" if number % 2 else start)
            held.append(writer)
    try:
        async with aiohttp.ClientSession() as fresh:
            await Flooded(flooded.daemon, fresh).others_are_served()
        # What was accepted in one go can be a few more.
        assert flooded.files() < MAX_CONNECTIONS + 150
        assert flooded.megabytes() - before < 60
    finally:
        for writer in held:
            writer.transport.abort()


async def test_hellos_of_made_up_hosts_fill_a_few_rows(flooded: Flooded) -> None:
    before = flooded.rows()
    now = time.time()
    bodies = [
        hello.say(Identity(f"h{n}.example", n.to_bytes(32, "big")), ME, now, approves=True)
        for n in range(1, 2 * STRANGERS)
    ]
    task = asyncio.create_task(flooded.flood(bodies))
    while not task.done():
        await flooded.others_are_served()
    answers = await task
    assert answers[429] >= STRANGERS // 2
    after = flooded.rows()
    assert 0 < after[PeerRow.__tablename__] - before[PeerRow.__tablename__] <= PENDING
    # One entry for each, and the one that opens the ledger.
    assert after[LedgerRow.__tablename__] - before[LedgerRow.__tablename__] <= PENDING + 1
    assert {name: after[name] - before[name] for name in ("traffic", "rounds")} == {
        "traffic": 0,
        "rounds": 0,
    }
    # Their cards are read one after the other, by few jobs.
    assert after["jobs"] - before["jobs"] <= CARDS_FOR_STRANGERS


async def test_an_approved_peer_that_floods_slows_down_itself_alone(flooded: Flooded) -> None:
    before, memory = flooded.rows(), flooded.megabytes()
    lines, began = len(flooded.lines()), time.monotonic()
    task = asyncio.create_task(flooded.flood([of(HOSTILE, n) for n in range(1000)]))
    while not task.done():
        await flooded.others_are_served()
    answers = await task
    # A minute's worth and what came in meanwhile; the rest was too much, or found its few slots taken.
    assert answers[400] <= 600 + 10 * (time.monotonic() - began) + 1
    assert answers[429] > 0
    after = flooded.rows()
    # Jobs that read the cards of those who asked before may end meanwhile.
    assert {name for name in after if after[name] != before[name]} <= {"peers", "refusals", "jobs"}
    assert after["refusals"] <= len(Code)
    assert flooded.megabytes() - memory < 40
    assert len(flooded.lines()) - lines <= 2 * log.LINES_A_MINUTE * 3


async def test_whoever_claims_a_peer_s_name_takes_nothing_from_it(flooded: Flooded) -> None:
    forged = Identity(HONEST.host, b"x" * 32)
    answers = await flooded.flood([of(forged, n) for n in range(2 * STRANGERS)])
    assert answers[429] > 0
    await flooded.others_are_served()


async def test_large_answers_nobody_reads_are_few(flooded: Flooded) -> None:
    config = load(flooded.daemon.config)
    identity, limits = open_identity(config.identity_file, ME), round_config.limits(config)
    blob, now = os.urandom(20_000_000), int(time.time())
    roster = tuple(sorted(peer.public for peer in PEERS))
    proposal = Proposal(
        aggregator=ME,
        roster=roster,
        threshold=least_threshold(len(roster)),
        trainer="test",
        segments=(Segment(10),),
        entry_bound=10,
        ring=32,
        nonce=bytes(16),
        created=now,
        expires=now + 600,
        blobs={"vocabulary": reference_to(blob)},
    )
    signed = SignedProposal.sign(proposal, identity, limits)
    journal = round_config.aggregator_journal(config)
    journal.write(signed.round_id, "proposal", signed.raw)
    BlobServer(identity, journal, clock=time.time, limits=limits).publish(
        signed.round_id, {"vocabulary": blob}
    )
    greedy, before = PEERS[2], flooded.megabytes()
    body = fetch_request(greedy, signed.round_id, ME, "vocabulary")
    head = b"POST /federation/v1/message HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    held = []
    for _ in range(40):
        _, writer = await asyncio.open_connection(*flooded.address, limit=1000)
        writer.write(head + body)
        held.append(writer)
    deadline = time.monotonic() + 3
    most = 0.0
    while time.monotonic() < deadline:
        await flooded.others_are_served()
        most = max(most, flooded.megabytes() - before)
    assert 20 < most < (load_limits.MAX_PER_SENDER + 2) * 20 * 1.3
    # Another member gets the same data all the same.
    async with flooded.session.post(
        flooded.url + MESSAGE_PATH, data=fetch_request(HONEST, signed.round_id, ME, "vocabulary")
    ) as answer:
        assert await answer.read() == blob
    for writer in held:
        writer.transport.abort()
    journal.erase(signed.round_id)


async def test_at_the_end_the_admin_sees_it_counted_and_little_was_written(flooded: Flooded) -> None:
    assert flooded.megabytes() < 300
    # Counts are written now and then, and when the daemon stops.
    flooded.daemon.process.terminate()
    flooded.daemon.process.wait(15)
    engine = open_checked(load(flooded.daemon.config).database)
    counted = activity.refusals(engine)
    engine.dispose()
    assert {"malformed", "oversized", "too-many", "unknown-round"} <= counted.keys()
    assert min(counted["malformed"], counted["too-many"]) > 100
    assert flooded.disk() < 5_000_000
