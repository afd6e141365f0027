"""The bounds of docs/bounds.md are kept where they are said to be. For floods see `test_floods.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.config.schema import Guards
from daemon.serve import connection_limit
from daemon.serve.background import MAX_FEDERATION_REQUEST
from federation.aggregator_driver import StageTimeouts
from federation.errors import Code, Refusal
from federation.http import load_limits
from federation.http.load_limits import Quotas, Readers, Slots
from federation.limits import Limits
from policies import rates


def test_the_listener_and_the_protocol_have_one_limit() -> None:
    assert Limits().max_request == MAX_FEDERATION_REQUEST
    assert (
        connection_limit.MAX_CONNECTIONS
        > load_limits.MAX_READING + load_limits.MAX_WAITING + load_limits.MAX_AT_ONCE
    )


def test_what_a_round_asks_of_a_member_is_far_below_what_a_peer_may() -> None:
    # Five stages of two sums, blobs that are fetched, and a poll at the end of each wait for the preparation.
    polls = 2 * StageTimeouts.propose / load_limits.ANSWER_WITHIN
    assert 10 + polls + 4 < Guards().requests_per_minute / 5
    # And one that polls four times a second because a proxy cuts it short.
    assert Guards().requests_per_minute / 2 > 4 * 60
    largest = 8 * Limits().max_length / rates.BYTES_OF_A_REQUEST
    assert largest < Guards().requests_per_minute


@contextmanager
def refused(code: Code) -> Iterator[None]:
    with pytest.raises(Refusal) as caught:
        yield
    assert caught.value.code is code


async def test_the_slowest_body_gives_way_to_a_new_one() -> None:
    readers, ended = Readers(), []

    async def slow(number: int) -> None:
        try:
            async with readers.reading():
                await asyncio.sleep(5)
        except Refusal as refusal:
            ended.append((number, refusal.code))

    tasks = [asyncio.create_task(slow(n)) for n in range(load_limits.MAX_READING)]
    await asyncio.sleep(0)
    async with readers.reading():
        await asyncio.sleep(0.01)
    assert ended == [(0, Code.MALFORMED)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_requests_are_handled_in_order_and_the_queue_ends() -> None:
    slots, order, go = Slots(), [], asyncio.Event()

    async def work(number: int) -> None:
        async with slots.slot():
            order.append(number)
            await go.wait()

    most = load_limits.MAX_AT_ONCE + load_limits.MAX_WAITING
    tasks = [asyncio.create_task(work(n)) for n in range(most)]
    await asyncio.sleep(0.01)
    assert order == list(range(load_limits.MAX_AT_ONCE))
    with refused(Code.BUSY):
        async with slots.slot():
            pass
    go.set()
    await asyncio.gather(*tasks)
    assert order == list(range(most))
    async with slots.slot():
        pass


def test_one_name_leaves_something_for_others_and_gives_back_what_it_held() -> None:
    quotas = Quotas(each=3, total=4)
    with quotas.hold("a", 3):
        with refused(Code.BUSY), quotas.hold("a"):
            pass
        with quotas.hold("b"), refused(Code.BUSY), quotas.hold("c"):
            pass
    with quotas.hold("a", 3), quotas.hold("b"):
        pass
    assert not quotas._held
