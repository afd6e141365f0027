"""A group of three hundred: its documents are larger than a request over HTTP, and are taken."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daemon.group import repository
from daemon.group.membership.blob_cache import FOLDER, BlobCache
from daemon.group.membership.fleet_client import Delivery
from daemon.group.repository import Membership
from daemon.peers import repository as peers
from daemon.peers.repository import Peer
from federation import cbor, envelope
from federation.carrier import PeerRefused
from federation.group.epoch_document import EpochDocument
from federation.http import CACHED_TYPE, MESSAGE_PATH
from federation.identity import format_key
from federation.limits import Limits
from federation.rosters import read_accepted
from tests.daemon.group.in_process_group import Islander, islands
from tests.federation.group.table import GROUP, HOST, Group

HASH = bytes(32)


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Islander]:
    """Return a member of a group whose host is not there."""
    async with islands(tmp_path, 1) as found:
        [one] = found.people
        joined = Membership(GROUP, HOST.host, f"https://{HOST.host}", "member", "member", since=1.0)
        repository.change(one.engine, lambda _one: joined)
        host = Peer(HOST.host, f"https://{HOST.host}", format_key(HOST.public.key), state="approved")
        peers.save(one.engine, host)
        yield one


def of_three_hundred(member: Islander) -> EpochDocument:
    drawn = Group.of(300, parts=4, now=member.clock()).begin()
    return replace(drawn, late=(member.identity.public,), serial=2)


def delivery(member: Islander) -> Delivery:
    blobs = BlobCache(member.config.group_dir / FOLDER)
    return Delivery(member.url, blobs, 100_000, threading.Event())


async def test_an_epoch_of_three_hundred_is_taken(member: Islander) -> None:
    document = of_three_hundred(member)
    raw = document.seal(HOST)
    assert len(raw) > Limits().max_request
    answer = await asyncio.to_thread(delivery(member), raw, {})
    accepted = read_accepted(envelope.parse(answer, max_size=100_000), member.identity.public, HOST.host)
    assert accepted.hash == document.hash
    # Of its sub-cohort it approves nobody but the host.
    mine = document.roster_of(member.host) or ()
    strangers = {one.host for one in mine} - {member.host, HOST.host}
    assert len(strangers) > 60
    assert set(accepted.rejects) == strangers
    assert member.group.epoch == raw


async def test_a_large_request_that_is_forged_is_refused_all_the_same(member: Islander) -> None:
    raw = bytearray(of_three_hundred(member).seal(HOST))
    raw[-1] ^= 1
    with pytest.raises(PeerRefused):
        await asyncio.to_thread(delivery(member), bytes(raw), {})
    assert member.group.epoch == b""
    assert len(member.refusals) == 1


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ([HASH, 1000], "blob-mismatch"),
        ([HASH, 2_000_001], "oversized"),
        ([HASH[:5], 1000], "malformed"),
        ("a path", "malformed"),
    ],
)
async def test_what_is_not_in_the_cache_cannot_be_named(
    member: Islander, named: cbor.Item, code: str
) -> None:
    where = urlsplit(member.url)

    def post() -> int:
        connection = http.client.HTTPConnection(where.hostname or "", where.port)
        connection.request("POST", MESSAGE_PATH, cbor.encode(named), {"Content-Type": CACHED_TYPE})
        status = connection.getresponse().status
        connection.close()
        return status

    assert await asyncio.to_thread(post) >= 400
    assert member.refusals == [code]
