"""Sums through a stock SuperLink: the same as over HTTP, whatever members, host or SuperLink do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray

from federation.aggregator import Aggregator, SumResult
from federation.aggregator_driver import StageTimeouts, drive
from federation.blob_access import reference_to
from federation.carrier import Carrier, PeerUnreachable
from federation.envelope import NO_ROUND, Stage, parse, seal
from federation.errors import Code, Refusal
from federation.flower import control, fleet, serverapp, wire
from federation.flower.grid import FlowerRun, open_run
from federation.flower.rpc import Channel
from federation.flower.serverapp import RunFailed
from federation.flower.superlink import SuperLinkAccess
from federation.http import MESSAGE_PATH
from federation.http.client import HttpCarrier, PeerClient, Retry, new_session
from federation.identity import Identity
from federation.journal import MemoryJournal
from tests.federation.flower.fleets import Fleet, wait_until
from tests.federation.flower.superlinks import SuperLink, running
from tests.simulator.cohort import Cohort

pytestmark = pytest.mark.flower

HOSTS = [f"m{number:03}.example" for number in range(4)]
STAGES = ["propose", "keys", "shares", "survivors", "confirmations"]
PATIENT = StageTimeouts(propose=20, stage=20, grace=20)
HASTY = StageTimeouts(propose=20, stage=20, grace=3.0)


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    with running(tmp_path_factory.mktemp("superlink")) as one:
        yield one


@pytest.fixture(scope="module")
def connected(superlink: SuperLink) -> Iterator[Fleet]:
    members = Fleet.of(superlink, HOSTS)
    yield members
    members.close()


@pytest.fixture
def flower(connected: Fleet) -> Fleet:
    connected.start()
    return connected


def cohort_of(length: int = 300) -> Cohort:
    rng = np.random.default_rng(7)
    cohort = Cohort.of([rng.integers(0, 100, length) for _ in HOSTS])
    cohort.clock.now = time.time()
    return cohort


def handler_of(cohort: Cohort, host: str) -> fleet.Handler:
    lock = threading.Lock()

    def handle(request: bytes, _blobs: Mapping[str, bytes]) -> bytes:
        with lock:
            return cohort.members[host].handle(request)

    return handle


def serve(flower: Fleet, cohort: Cohort) -> None:
    for host, member in flower.members.items():
        member.handler = handler_of(cohort, host)


@asynccontextmanager
async def over_http(cohort: Cohort) -> AsyncIterator[Carrier]:
    """The same members behind real HTTP listeners."""
    runners, urls, session = [], {}, new_session()
    for host in cohort.members:
        handle = handler_of(cohort, host)

        async def message(request: web.Request, handle: fleet.Handler = handle) -> web.Response:
            return web.Response(body=await asyncio.to_thread(handle, await request.read(), {}))

        app = web.Application()
        app.add_routes([web.post(MESSAGE_PATH, message)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        urls[host] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
    yield HttpCarrier(PeerClient(session, retry=Retry(attempts=1)), urls)
    await session.close()
    for runner in runners:
        await runner.cleanup()


async def summed(
    cohort: Cohort, carrier: Carrier, timeouts: StageTimeouts = PATIENT, **changes: object
) -> SumResult:
    return await drive(cohort.aggregate(cohort.propose(**changes)), carrier, timeouts=timeouts)


def expected(length: int, out: frozenset[str] = frozenset()) -> NDArray[np.int64]:
    total = np.zeros(length, np.int64)
    for host, member in cohort_of(length).members.items():
        if host not in out:
            total += member.values
    return total


async def outcome_of(flower: Fleet, cohort: Cohort, host: str) -> str:
    """Return what a sum says of a member, whose part in it is not waited for any longer then."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_stage(_stage: str, of: str, outcome: str) -> None:
        if of == host and not told.done():
            told.set_result(outcome)

    async with open_run(flower.superlink.access, flower.nodes) as run, asyncio.timeout(60):
        aggregator, carrier = cohort.aggregate(cohort.propose()), run.carrier()
        driving = asyncio.create_task(drive(aggregator, carrier, timeouts=HASTY, on_stage=on_stage))
        try:
            return await told
        finally:
            driving.cancel()
            await asyncio.wait({driving})


async def test_both_sums_of_a_round_are_those_of_http_bit_for_bit(flower: Fleet) -> None:
    totals: list[list[bytes]] = []
    survivors = []
    ours, theirs = cohort_of(), cohort_of()
    serve(flower, ours)
    async with open_run(flower.superlink.access, flower.nodes) as run, over_http(theirs) as http:
        for cohort, carrier in ((ours, run.carrier()), (theirs, http)):
            results = [await summed(cohort, carrier, nonce=bytes([number]) * 16) for number in (1, 2)]
            totals.append([result.total.tobytes() for result in results])
            survivors.append([result.survivors for result in results])
    assert totals[0] == totals[1] == [expected(300).tobytes()] * 2
    assert survivors[0] == survivors[1] == [tuple(HOSTS)] * 2


async def test_blobs_come_with_the_proposal_and_with_nothing_else(flower: Fleet) -> None:
    cohort = cohort_of()
    blob = np.random.default_rng(1).bytes(2_500_000)
    seen: list[tuple[Stage, dict[str, bytes]]] = []
    serve(flower, cohort)
    first = flower.members[HOSTS[0]]
    inner = first.handler

    def handle(request: bytes, blobs: Mapping[str, bytes]) -> bytes:
        seen.append((parse(request, max_size=len(request)).stage, dict(blobs)))
        return inner(request, blobs)

    first.handler = handle
    traffic: list[tuple[str, int, int]] = []
    async with open_run(flower.superlink.access, flower.nodes) as run:
        carrier = run.carrier({"vocabulary": blob, "small": b"s"}, lambda *one: traffic.append(one))
        references = {"vocabulary": reference_to(blob), "small": reference_to(b"s")}
        await summed(cohort, carrier, blobs=references)
    assert [str(stage) for stage, _ in seen] == STAGES
    assert seen[0][1] == {"vocabulary": blob, "small": b"s"}
    assert all(not blobs for _, blobs in seen[1:])
    assert {host for host, _, _ in traffic} == set(HOSTS)
    assert sum(sent > len(blob) for _, sent, _ in traffic) == len(HOSTS)


# What each stage means is the state machines' to know; here it is one before and one after the vectors.
@pytest.mark.parametrize("stage", ["shares", "confirmations"])
async def test_a_member_that_is_lost_is_left_out_or_its_masks_are_removed(flower: Fleet, stage: str) -> None:
    cohort, lost = cohort_of(), HOSTS[2]
    serve(flower, cohort)
    member = flower.members[lost]
    inner, over = member.handler, threading.Event()

    def handle(request: bytes, blobs: Mapping[str, bytes]) -> bytes:
        if str(parse(request, max_size=len(request)).stage) == stage:
            # It goes, and takes the request with it.
            member.stop.set()
            over.wait(60)
        return inner(request, blobs)

    member.handler = handle
    try:
        async with open_run(flower.superlink.access, flower.nodes) as run:
            result = await summed(cohort, run.carrier(), HASTY)
    finally:
        over.set()
    model = cohort_of()
    gone = STAGES[STAGES.index(stage) :]
    simulated = model.run(
        model.propose(), lambda at, host: "deaf" if host == lost and at in gone else ""
    ).result
    assert result.survivors == simulated.survivors
    assert result.total.tobytes() == simulated.total.tobytes()
    assert set(result.lost) == {lost}
    assert result.lost[lost] in ("unreachable", "no answer in time")


def too_much(_request: bytes, _blobs: Mapping[str, bytes]) -> bytes:
    return b"x" * 30_000_000


def refuses(_request: bytes, _blobs: Mapping[str, bytes]) -> bytes:
    raise Refusal(Code.SHARING_OFF, "not today")


@pytest.mark.parametrize(
    ("wrong", "outcome"),
    [
        (too_much, "wrong answer: oversized"),
        (refuses, "refused: sharing-off"),
        (lambda _request, _blobs: 1 // 0, "unreachable"),
    ],
    ids=["too-much", "refuses", "breaks"],
)
async def test_a_wrong_answer_is_told_from_none(flower: Fleet, wrong: fleet.Handler, outcome: str) -> None:
    cohort = cohort_of()
    serve(flower, cohort)
    flower.members[HOSTS[1]].handler = wrong
    assert await outcome_of(flower, cohort, HOSTS[1]) == outcome


@pytest.mark.parametrize(
    "content",
    [
        {"v": 1, "request": b"x"},
        {"v": 1, "answer": b"x", "blob.code": bytes(200_000)},
    ],
    ids=["no-answer", "more"],
)
async def test_what_is_no_message_of_ours_is_no_answer(
    flower: Fleet, content: dict[str, wire.Value], monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, wrong = cohort_of(), HOSTS[3]
    serve(flower, cohort)
    here = flower.members[wrong]
    handled = fleet._Session._handled

    def hostile(session: fleet._Session, request: object) -> dict[str, wire.Value]:
        return content if session._node_id == here.node_id else handled(session, request)  # type: ignore[arg-type]

    monkeypatch.setattr(fleet._Session, "_handled", hostile)
    assert await outcome_of(flower, cohort, wrong) == "unreachable"


async def test_a_late_answer_is_not_waited_for(flower: Fleet) -> None:
    cohort, late = cohort_of(), HOSTS[3]
    serve(flower, cohort)
    inner, go = flower.members[late].handler, threading.Event()

    def handle(request: bytes, blobs: Mapping[str, bytes]) -> bytes:
        go.wait(20)
        return inner(request, blobs)

    flower.members[late].handler = handle
    try:
        async with open_run(flower.superlink.access, flower.nodes) as run:
            result = await summed(cohort, run.carrier(), HASTY)
    finally:
        go.set()
    assert set(result.lost) == {late}
    assert result.total.tobytes() == expected(300, frozenset({late})).tobytes()


async def stage_of(carrier: Carrier, aggregator: Aggregator, answers: dict[tuple[str, bytes], bytes]) -> None:
    async def ask(host: str, request: bytes) -> None:
        answer = await carrier.send(host, request, max_answer=aggregator.max_answer, timeout=20)
        aggregator.receive(host, answer)
        answers[host, request] = answer

    await asyncio.gather(*(ask(host, request) for host, request in aggregator.requests().items()))
    aggregator.close()


async def test_a_host_that_starts_again_gets_the_same_bytes(flower: Fleet) -> None:
    cohort = cohort_of()
    serve(flower, cohort)
    signed = cohort.propose()
    before: dict[tuple[str, bytes], bytes] = {}
    after: dict[tuple[str, bytes], bytes] = {}
    orphan = FlowerRun(serverapp.start(flower.superlink.access), flower.nodes, 0.05)
    orphan.start()
    aggregator = cohort.aggregate(signed)
    for _ in range(2):
        await stage_of(orphan.carrier(), aggregator, before)
    # The host dies here, and Flower is told nothing.
    orphan.close()
    async with open_run(flower.superlink.access, flower.nodes) as run:
        again = Aggregator(signed, cohort.aggregator, MemoryJournal(), cohort.limits)
        while not again.finished:
            await stage_of(run.carrier(), again, after)
    assert len(before) == 2 * len(HOSTS)
    assert before.items() <= after.items()
    assert again.result.total.tobytes() == expected(300).tobytes()
    assert status_of(flower.superlink, orphan.run_id) == "stopped"


def status_of(superlink: SuperLink, run_id: int) -> str:
    channel = Channel(superlink.access.address, superlink.ca)
    status = serverapp._runs(channel, run_id=run_id)[run_id].status
    channel.close()
    assert status.status == "finished"
    return str(status.sub_status)


async def test_a_run_is_shown_as_it_ended(superlink: SuperLink) -> None:
    ids = {}
    async with open_run(superlink.access, {}) as run:
        ids[run.run_id] = "completed"

    async def breaks() -> None:
        async with open_run(superlink.access, {}) as run:
            ids[run.run_id] = "failed"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await breaks()
    started = asyncio.Event()

    async def cancelled() -> None:
        async with open_run(superlink.access, {}) as run:
            ids[run.run_id] = "stopped"
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(cancelled())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {one: status_of(superlink, one) for one in ids} == ids


async def test_hosts_without_a_node_cannot_be_reached(flower: Fleet) -> None:
    member = flower.members[HOSTS[0]]
    member.leave()
    _, gone = flower.superlink.new_node()
    nodes = flower.nodes | {"gone.example": gone, "never.example": 12345}
    control.unregister(flower.superlink.access, gone)
    raw = seal(
        Identity("a.example", bytes(32)), round_id=NO_ROUND, stage=Stage.KEYS, recipient="", payload=b""
    )
    async with open_run(flower.superlink.access, nodes) as run:
        online = await asyncio.to_thread(run.online)
        carrier = run.carrier()
        for host in ("gone.example", "never.example", "unknown.example", HOSTS[0]):
            with pytest.raises(PeerUnreachable):
                await carrier.send(host, raw, max_answer=1000, timeout=15)
    assert online == frozenset(HOSTS[1:])


async def test_a_node_that_comes_back_in_time_is_asked_again(flower: Fleet) -> None:
    member = flower.members[HOSTS[0]]
    member.handler = lambda request, _blobs: request
    member.leave()
    raw = seal(
        Identity("a.example", bytes(32)), round_id=NO_ROUND, stage=Stage.KEYS, recipient="", payload=b""
    )
    async with open_run(flower.superlink.access, flower.nodes) as run:
        asked = asyncio.create_task(run.carrier().send(HOSTS[0], raw, max_answer=1000, timeout=15))
        await asyncio.to_thread(wait_until, lambda: any(ask.sent for ask in run._asks))
        member.start()
        assert await asked == raw


async def test_without_a_superlink_there_is_no_run(superlink: SuperLink, tmp_path: Path) -> None:
    away = SuperLinkAccess("127.0.0.1:1", superlink.access.ca, superlink.access.secret)
    nothing = SuperLinkAccess(superlink.access.address, tmp_path / "ca", superlink.access.secret)
    (tmp_path / "secret").write_bytes(b"wrong")
    wrong = SuperLinkAccess(superlink.access.address, superlink.access.ca, tmp_path / "secret")
    for access in (away, nothing, wrong):
        with pytest.raises(RunFailed):
            async with open_run(access, {}):
                pass


async def test_a_member_whose_key_is_not_the_pinned_one_is_left_out(flower: Fleet) -> None:
    cohort, foreign = cohort_of(), HOSTS[1]
    stranger = Identity(foreign, b"another key, of the same name...")
    member = cohort.members[foreign]
    member.identity = stranger
    pinned = cohort_of()
    signed = pinned.propose(created=int(cohort.clock.now), expires=int(cohort.clock.now) + 600)
    serve(flower, cohort)
    inner = flower.members[foreign].handler

    def handle(request: bytes, blobs: Mapping[str, bytes]) -> bytes:
        """The right node, the right state, signed with another key."""
        answer = parse(inner(request, blobs), max_size=1_000_000)
        return seal(
            stranger,
            round_id=answer.round_id,
            stage=answer.stage,
            recipient=answer.recipient,
            payload=answer.payload,
        )

    flower.members[foreign].handler = handle
    async with open_run(flower.superlink.access, flower.nodes) as run:
        aggregator = pinned.aggregate(signed)
        result = await drive(aggregator, run.carrier(), timeouts=HASTY)
    assert result.lost == {foreign: "bad-signature"}
    assert result.total.tobytes() == expected(300, frozenset({foreign})).tobytes()


async def test_a_superlink_that_is_started_again_in_the_middle_costs_time_only(flower: Fleet) -> None:
    cohort = cohort_of()
    serve(flower, cohort)
    killed = threading.Event()

    def on_stage(stage: str, _host: str, _outcome: str) -> None:
        if stage == "keys" and not killed.is_set():
            killed.set()
            flower.superlink.kill()

    async def start_again() -> None:
        await asyncio.to_thread(killed.wait)
        await asyncio.to_thread(flower.superlink.start)

    again = asyncio.create_task(start_again())
    async with open_run(flower.superlink.access, flower.nodes) as run:
        result = await drive(
            cohort.aggregate(cohort.propose()),
            run.carrier(),
            timeouts=StageTimeouts(propose=40, stage=40, grace=40),
            on_stage=on_stage,
        )
    await again
    assert result.survivors == tuple(HOSTS)
    assert result.total.tobytes() == expected(300).tobytes()
