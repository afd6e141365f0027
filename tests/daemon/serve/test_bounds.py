"""docs/bounds.md has every bound as the code has it, and each is kept where it says so.

`python -m tests.daemon.serve.test_bounds` prints the table anew. For floods see `test_floods.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon import log
from daemon.config.schema import Cohort, Group, Guards, Model, Sharing
from daemon.config.schema import Limits as JobLimits
from daemon.group.hosting.reverse_proxy import Bounds
from daemon.peers import cards, contact_trigger, ingress, peer_state
from daemon.rounds import member_log
from daemon.serve import connection_limit, federation_app, group_supervisor
from daemon.serve.server import MAX_FEDERATION_REQUEST
from federation.driver import Patience
from federation.errors import Code, Refusal
from federation.flower import objects
from federation.group.epoch_opening import RETRY
from federation.hello import MAX_HELLO
from federation.http import load_limits
from federation.http.load_limits import Readers, Shares, Turns
from federation.limits import Limits
from policies import rates, sharing
from tests import ROOT

DOCUMENT = ROOT / "docs" / "bounds.md"
LIMITS, GUARDS = Limits(), Guards()

VECTOR = Model().max_head * (Model().max_head - 1) // 2
PUBLIC = cards.MAX_CARD + cards.MAX_ACTOR + cards.MAX_CONFIG + cards.MAX_NODEINFO
Row = tuple[str, str, str, str]


def mb(size: float) -> str:
    """Write bytes in megabytes, kilobytes where they are few."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def rows() -> Iterator[Row]:
    """Yield what is bounded, for one peer, for all strangers together, and where."""
    yield "a request", mb(LIMITS.max_request), "the same", "`federation/limits.py`"
    yield (
        "requests in a minute",
        f"{GUARDS.requests_per_minute}",
        f"{GUARDS.strangers_per_minute}",
        "`[guards]`, `policies/rates.py`",
    )
    yield (
        "bytes of answers in a minute",
        mb(GUARDS.requests_per_minute * rates.BYTES_OF_A_REQUEST),
        mb(GUARDS.strangers_per_minute * rates.BYTES_OF_A_REQUEST),
        "`policies/rates.py`",
    )
    yield (
        "requests at one time",
        f"{load_limits.MAX_PER_SENDER}",
        f"{load_limits.MAX_PER_SENDER}",
        "`federation/http/load_limits.py`",
    )
    yield (
        "bytes of large answers on their way",
        mb(load_limits.MAX_SENDING_EACH),
        "none",
        f"the same; {mb(load_limits.MAX_SENDING)} for all",
    )
    yield "to send an answer", f"{load_limits.SEND_WITHIN:g} s", "the same", "the same"
    yield (
        "bodies being read",
        f"{load_limits.MAX_READING} of all, {load_limits.BODY_WITHIN:g} s each",
        "the same",
        "the same",
    )
    yield (
        "requests being worked on",
        f"{load_limits.MAX_AT_ONCE} of all, {load_limits.MAX_WAITING} wait",
        "the same",
        "the same",
    )
    yield (
        "connections",
        f"{connection_limit.MAX_CONNECTIONS} of all",
        "the same",
        "`daemon/serve/connection_limit.py`",
    )
    yield (
        "sums being prepared",
        f"1, {load_limits.MAX_PREPARING} of all",
        "none",
        "`federation/http/load_limits.py`",
    )
    yield "sums prepared", f"{rates.PREPARATIONS} at once, as many in a day", "none", "`policies/rates.py`"
    yield (
        "jobs that count",
        (
            f"{federation_app.COUNTING_AT_ONCE} of all: {JobLimits().job_memory_mb:,} MB, "
            f"{federation_app.COUNT_WITHIN:g} s"
        ),
        "none",
        "`daemon/serve/federation_app.py`, `[limits]`",
    )
    yield (
        "public data fetched for a sum",
        (
            f"{mb(LIMITS.max_blob)}, {sharing.BLOB_BYTES['vocabulary']} bytes a video, "
            f"{load_limits.FETCH_WITHIN:g} s"
        ),
        "none",
        "`federation/limits.py`, `policies/sharing.py`",
    )
    yield "vocabulary", f"{Sharing().max_vocabulary:,} videos", "none", "`[sharing]`"
    yield "entries of a vector", f"{VECTOR:,} (head of {Model().max_head:,})", "none", "`[model]`"
    yield (
        "open sums",
        f"1, {LIMITS.max_open_sums} of all, {LIMITS.max_lifetime // 3600} h",
        "none",
        "`federation/limits.py`",
    )
    yield (
        "disk of an open sum",
        f"{mb(2 * 4 * VECTOR)}, {mb(2 * 8 * VECTOR)} in the large ring",
        "none",
        "`federation/node.py`",
    )
    yield (
        "sums on disk, finished ones",
        f"{LIMITS.max_sums_per_peer}, each under {mb(4 * LIMITS.max_request)}",
        "none",
        "`federation/limits.py`",
    )
    yield (
        "disk of what was given in a window",
        mb(4 * VECTOR + 4 * Sharing().max_vocabulary),
        "none",
        "`daemon/rounds/data_windows.py`",
    )
    yield (
        "rows: peers",
        "1",
        f"{GUARDS.max_requests_pending}, {peer_state.KEEP_REQUEST / 86400:g} days each",
        "`[guards]`, `daemon/peers/ingress.py`",
    )
    yield "rows: traffic", "1 in a month", "none", "`daemon/store/traffic.py`"
    yield "rows: sessions", f"{rates.PREPARATIONS} in a day", "none", "`policies/rates.py`"
    yield "rows: refusals", f"{len(Code)} of all", "the same", "one for each code"
    yield (
        "ledger: sessions",
        f"{rates.PREPARATIONS} in a day",
        "none",
        "`daemon/rounds/member_log.py`",
    )
    yield (
        "ledger: refused proposals",
        f"1 for each code in {member_log._SAME_REFUSAL / 3600:g} h",
        "none",
        "`daemon/rounds/member_log.py`",
    )
    yield (
        "ledger: wishes to be approved",
        f"1 in {ingress._TELL_AGAIN / 86400:g} days",
        f"{GUARDS.max_requests_pending} in {ingress._TELL_AGAIN / 86400:g} days, and those that are followed",
        "`daemon/peers/ingress.py`",
    )
    yield (
        "lines of log in a minute",
        f"{log.LINES_A_MINUTE} of a kind",
        "the same",
        "`daemon/log.py`",
    )
    yield (
        "errands: jobs that look after a peer",
        f"1 in {contact_trigger.LEAST_BETWEEN:g} s, 1 of all at one time",
        "none",
        "`daemon/peers/contact_trigger.py`",
    )
    yield "a hello", mb(MAX_HELLO), "the same", "`federation/hello.py`"
    yield (
        "what we read of others in public",
        f"{mb(PUBLIC)}, {cards.TIMEOUT:g} s each",
        "none: nobody is asked at a stranger's word",
        "`daemon/peers/cards.py`",
    )
    yield (
        "an answer in a sum of ours",
        f"{mb(LIMITS.max_answer)}, or the vector; {Patience.at_once} vectors at one time",
        "none",
        "`federation/driver.py`",
    )
    yield (
        "a stage of a sum of ours",
        f"{Cohort().stage_timeout.total_seconds():g} s, the first {Patience.propose:g} s",
        "none",
        "`[cohort]`",
    )


def table() -> str:
    """Return the table in Markdown."""
    head = ["| | one approved peer | all strangers | where |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows())])


def group_rows() -> Iterator[Row]:
    """Yield what groups add: what one address, or one member, can have, and what all together."""
    fence, group = Bounds(), Group()
    where = "`daemon/group/hosting/reverse_proxy.py`"
    yield "connections to a host's fence", f"{fence.per_address}", f"{fence.connections}", where
    yield "new ones in a second", f"{fence.visits:g}, {fence.visits_at_once:g} at once", "as many each", where
    yield (
        "requests in a second",
        f"{fence.requests:g}, {fence.requests_at_once:g} at once",
        f"who was never let in: {fence.strangers:g}, {fence.strangers_at_once:g} at once",
        where,
    )
    yield (
        "a request's body",
        (
            f"{mb(fence.large)}, {mb(fence.uploads_each)} at one time; who was never let in: "
            f"{mb(fence.stranger_body)}"
        ),
        f"{mb(fence.uploads)} at one time",
        where,
    )
    yield (
        "objects on their way out",
        f"{fence.downloads}",
        f"{load_limits.MAX_AT_ONCE} worked on, {load_limits.MAX_WAITING} wait",
        where,
    )
    yield (
        "time",
        f"handshake and head {fence.handshake:g} s each, large ones at {mb(fence.slowest)}/s at least",
        f"{fence.answer:g} s until the SuperLink answers",
        where,
    )
    yield (
        "wishes to join",
        "1, forgotten after 30 days",
        f"{group.max_requests_pending} of strangers; {group.max_members:,} members",
        "`[group]`, `daemon/group/hosting/enrolment_server.py`",
    )
    yield (
        "what a host sends for one sum",
        (
            f"{mb(group_supervisor.SPOOL_BYTES)} on disk until it is dealt with, "
            f"{mb(objects.MAX_OBJECT)} in a piece"
        ),
        "one host",
        "`daemon/group/membership/fleet_client.py`",
    )
    yield "published sums kept", "the newest", "the newest", "`daemon/group/published_store.py`"
    yield (
        "epochs",
        f"1 in 180 days; after one that came to nothing, {RETRY // 3600} h",
        "one host",
        "`federation/group/epoch_opening.py`",
    )


def group_table() -> str:
    """Return the table of groups."""
    head = "| | one address or member | all together | where |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in group_rows())


def test_the_document_has_the_table_of_groups() -> None:
    assert group_table() in DOCUMENT.read_text("utf-8"), "python -m tests.daemon.serve.test_bounds prints it"


def test_the_document_has_the_table_as_it_is() -> None:
    assert table() in DOCUMENT.read_text("utf-8"), "python -m tests.daemon.serve.test_bounds prints it"


def test_the_listener_and_the_protocol_have_one_limit() -> None:
    assert LIMITS.max_request == MAX_FEDERATION_REQUEST
    assert (
        connection_limit.MAX_CONNECTIONS
        > load_limits.MAX_READING + load_limits.MAX_WAITING + load_limits.MAX_AT_ONCE
    )


def test_what_a_session_asks_of_a_member_is_far_below_what_a_peer_may() -> None:
    # Five stages of two sums, blobs that are fetched, and a poll at the end of each wait for the preparation.
    polls = 2 * Patience.propose / load_limits.ANSWER_WITHIN
    assert 10 + polls + 4 < GUARDS.requests_per_minute / 5
    # And one that polls four times a second because a proxy cuts it short.
    assert GUARDS.requests_per_minute / 2 > 4 * 60
    largest = 8 * LIMITS.max_length / rates.BYTES_OF_A_REQUEST
    assert largest < GUARDS.requests_per_minute


@contextmanager
def refused(code: Code) -> Iterator[None]:
    with pytest.raises(Refusal) as caught:
        yield
    assert caught.value.code is code


async def test_the_slowest_body_gives_way_to_a_new_one() -> None:
    readers, ended = Readers(), []

    async def slow(number: int) -> None:
        try:
            async with readers.one():
                await asyncio.sleep(5)
        except Refusal as refusal:
            ended.append((number, refusal.code))

    tasks = [asyncio.create_task(slow(n)) for n in range(load_limits.MAX_READING)]
    await asyncio.sleep(0)
    async with readers.one():
        await asyncio.sleep(0.01)
    assert ended == [(0, Code.MALFORMED)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_turns_come_in_order_and_the_queue_ends() -> None:
    turns, order, go = Turns(), [], asyncio.Event()

    async def work(number: int) -> None:
        async with turns.one():
            order.append(number)
            await go.wait()

    most = load_limits.MAX_AT_ONCE + load_limits.MAX_WAITING
    tasks = [asyncio.create_task(work(n)) for n in range(most)]
    await asyncio.sleep(0.01)
    assert order == list(range(load_limits.MAX_AT_ONCE))
    with refused(Code.BUSY):
        async with turns.one():
            pass
    go.set()
    await asyncio.gather(*tasks)
    assert order == list(range(most))
    async with turns.one():
        pass


def test_one_name_leaves_something_for_others_and_gives_back_what_it_held() -> None:
    shares = Shares(each=3, total=4)
    with shares.taken("a", 3):
        with refused(Code.BUSY), shares.taken("a"):
            pass
        with shares.taken("b"), refused(Code.BUSY), shares.taken("c"):
            pass
    with shares.taken("a", 3), shares.taken("b"):
        pass
    assert not shares._taken


if __name__ == "__main__":
    print(table())
    print(group_table())
