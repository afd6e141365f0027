"""The carrier on loopback: real servers, real sockets, real time-outs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray

from federation.aggregator import Aggregator
from federation.aggregator_driver import StageTimeouts, drive
from federation.blob_access import BlobServer, reference_to
from federation.carrier import PeerRefused, PeerUnreachable
from federation.envelope import Stage
from federation.errors import Code, CohortLost, Refusal
from federation.http import MESSAGE_PATH
from federation.http.client import HttpCarrier, PeerClient, Retry, new_session
from federation.http.listener import PeerListener
from federation.limits import Limits
from federation.node import Preparation
from tests.simulator.cohort import Cohort

LIMITS = Limits()
QUICK = StageTimeouts(propose=5, stage=2, grace=0.5)


@dataclass
class Listening:
    """A cohort whose members, and whose aggregator's blob server, listen on loopback."""

    cohort: Cohort
    urls: dict[str, str]
    client: PeerClient
    blob_server: BlobServer
    servers: dict[str, web.AppRunner]
    refusals: list[Refusal]
    prepare_seconds: float = 0.0

    def carrier(self, urls: dict[str, str] | None = None) -> HttpCarrier:
        """To the members, or some of them elsewhere."""
        return HttpCarrier(self.client, urls or self.urls)


Open = Callable[[list[np.ndarray]], "asyncio.Future[Listening]"]


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., object]]:
    cleanup: list[Callable[[], object]] = []

    async def open_cohort(inputs: list[np.ndarray], *, prepare_seconds: float = 0.0) -> Listening:
        cohort = Cohort.of(inputs)
        cohort.clock.now = time.time()
        session = new_session()
        client = PeerClient(session, retry=Retry(attempts=2, first_pause=0.05, poll=0.05))
        blob_server = BlobServer(cohort.aggregator, cohort.journal, clock=cohort.clock, limits=LIMITS)
        refusals: list[Refusal] = []
        urls: dict[str, str] = {}
        servers: dict[str, web.AppRunner] = {}
        hosts = [cohort.aggregator.host, *cohort.members]
        for host in hosts:
            member = cohort.members.get(host)

            async def prepare(
                preparation: Preparation, blobs: Mapping[str, bytes], host: str = host
            ) -> NDArray[np.int64]:
                assert set(blobs) == set(preparation.proposal.blobs)
                await asyncio.sleep(prepare_seconds)
                return cohort.members[host].values

            anyone = next(iter(cohort.members.values()))
            service = PeerListener(
                member.identity if member else cohort.aggregator,
                (member or anyone).node,
                client,
                prepare=prepare,
                url_of=urls.get,
                limits=LIMITS,
                handlers={Stage.FETCH: blob_server.serve} if member is None else {},
                on_refusal=refusals.append,
                answer_within=0.2,
            )
            app = web.Application()
            app.add_routes(service.routes())
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            urls[host] = f"http://127.0.0.1:{runner.addresses[0][1]}"
            servers[host] = runner
            cleanup.extend((runner.cleanup, service.close))
        cleanup.append(session.close)
        return Listening(cohort, urls, client, blob_server, servers, refusals)

    yield open_cohort
    for step in reversed(cleanup):
        await step()  # type: ignore[misc]


def vectors(members: int, length: int = 100) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 100, length) for _ in range(members)]


def start(listening: Listening, **changes: object) -> Aggregator:
    cohort = listening.cohort
    signed = cohort.propose(**changes)
    listening.blob_server.publish(signed.round_id, {"vocabulary": b"public"} if "blobs" in changes else {})
    return cohort.aggregate(signed)


async def test_a_sum_over_http_with_a_blob_and_slow_preparation(listen) -> None:  # type: ignore[no-untyped-def]
    inputs = vectors(4)
    # Slower than a listener waits with its answer: members say 202 and are asked again.
    listening = await listen(inputs, prepare_seconds=0.5)
    aggregator = start(listening, blobs={"vocabulary": reference_to(b"public")})
    result = await drive(aggregator, listening.carrier(), timeouts=QUICK)
    np.testing.assert_array_equal(result.total, sum(inputs))
    assert listening.refusals == []


async def test_a_dead_member_shrinks_the_cohort_and_a_second_one_ends_the_sum(listen) -> None:  # type: ignore[no-untyped-def]
    inputs = vectors(4)
    listening = await listen(inputs)
    await listening.servers["m003.example"].cleanup()
    result = await drive(start(listening), listening.carrier(), timeouts=QUICK)
    assert result.lost == {"m003.example": "unreachable"}
    np.testing.assert_array_equal(result.total, sum(inputs[:3]))
    await listening.servers["m002.example"].cleanup()
    with pytest.raises(CohortLost):
        await drive(start(listening, nonce=b"2" * 16), listening.carrier(), timeouts=QUICK)


async def test_a_silent_member_costs_the_grace_and_no_more(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(4))

    async def silent(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_post(MESSAGE_PATH, silent)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    urls = {**listening.urls, "m000.example": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    began = time.monotonic()
    result = await drive(
        start(listening), listening.carrier(urls), timeouts=StageTimeouts(propose=30, grace=0.5)
    )
    assert time.monotonic() - began < 10
    assert result.survivors == ("m001.example", "m002.example", "m003.example")
    await runner.cleanup()


async def test_a_proxy_without_its_daemon_is_nobody_there(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(4))

    async def away(_request: web.Request) -> web.Response:
        return web.Response(status=502, text="Bad Gateway")

    app = web.Application()
    app.router.add_post(MESSAGE_PATH, away)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    urls = {**listening.urls, "m000.example": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    result = await drive(start(listening), listening.carrier(urls), timeouts=QUICK)
    assert result.lost == {"m000.example": "unreachable"}
    await runner.cleanup()


async def test_a_wrong_blob_is_refused_by_every_member(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(4))
    aggregator = start(listening, blobs={"vocabulary": reference_to(b"other!")})
    with pytest.raises(CohortLost):
        await drive(aggregator, listening.carrier(), timeouts=QUICK)
    assert {refusal.code for refusal in listening.refusals} == {Code.BLOB_MISMATCH}
    assert set(aggregator.lost.values()) == {"refused: blob-mismatch"}


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"GET nonsense", 400), (b"x" * 100_001, 413), (b"SHOAL\x01\xff\xff", 400)],
    ids=["empty", "nonsense", "oversized", "cut"],
)
async def test_nonsense_gets_a_code_and_no_more(listen, body: bytes, status: int) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(3))
    async with aiohttp.ClientSession() as session:
        answer = await session.post(listening.urls["m000.example"] + MESSAGE_PATH, data=body)
        assert answer.status == status
        assert len(await answer.read()) < 1000
    with pytest.raises((PeerRefused, Refusal)):
        await listening.client.send(
            "m000.example", listening.urls["m000.example"], body, max_answer=100, timeout=2
        )


async def test_an_endless_answer_is_cut_off(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(3))

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(bytes(10_000))
        return response

    app = web.Application()
    app.router.add_post(MESSAGE_PATH, endless)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with pytest.raises(Refusal) as caught:
        await listening.client.send("x.example", url, b"", max_answer=50_000, timeout=5)
    assert caught.value.code is Code.OVERSIZED
    await runner.cleanup()


async def test_a_redirect_is_not_followed(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(3))

    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound(listening.urls["m000.example"] + MESSAGE_PATH)

    app = web.Application()
    app.router.add_post(MESSAGE_PATH, elsewhere)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with pytest.raises(PeerRefused, match="302"):
        await listening.client.send(
            "x.example", f"http://127.0.0.1:{runner.addresses[0][1]}", b"", max_answer=100, timeout=5
        )
    await runner.cleanup()


async def test_nobody_listening_is_said_without_an_address(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(3))
    with pytest.raises(PeerUnreachable) as caught:
        await listening.client.send("x.example", "http://127.0.0.1:1", b"", max_answer=1, timeout=5)
    assert "127.0.0.1" not in str(caught.value)


async def test_one_aggregator_prepares_one_sum_at_a_time(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(3), prepare_seconds=0.6)
    url = listening.urls["m000.example"]
    first, second = (listening.cohort.propose(nonce=bytes([n]) * 16).raw for n in (1, 2))
    one = asyncio.create_task(listening.client.send("m000.example", url, first, max_answer=10_000, timeout=5))
    await asyncio.sleep(0.2)
    with pytest.raises(PeerUnreachable):
        await listening.client.send("m000.example", url, second, max_answer=10_000, timeout=5)
    assert {refusal.code for refusal in listening.refusals} == {Code.BUSY}
    assert await one


async def test_slow_senders_keep_nobody_waiting(listen) -> None:  # type: ignore[no-untyped-def]
    listening = await listen(vectors(3))
    url = listening.urls["m000.example"]
    host, port = url.removeprefix("http://").split(":")
    slow = []
    for _ in range(40):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /federation/v1/message HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nSHOAL")
        slow.append((reader, writer))
    aggregator = start(listening)
    result = await drive(aggregator, listening.carrier(), timeouts=QUICK)
    assert len(result.survivors) == 3
    for _, writer in slow:
        writer.close()
