"""Whole messages between host and members, large ones too, with the reverse proxy in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from federation.envelope import NO_ROUND, Stage, seal
from federation.flower.grid import open_run
from federation.identity import Identity
from tests.daemon.group import proxy_client
from tests.daemon.group.proxy_client import RunningProxy
from tests.federation.flower.fleets import Fleet, Member
from tests.federation.flower.superlinks import SuperLink, running

pytestmark = pytest.mark.flower

HOSTS = ["one.example", "two.example", "three.example"]
LARGE = 12_000_000


@dataclass
class Behind(SuperLink):
    """The same SuperLink, as members see it."""

    proxy: RunningProxy | None = None

    @property
    def ca(self) -> bytes:
        assert self.proxy is not None
        return self.proxy.ca.read_bytes()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[Fleet, RunningProxy]]:
    with (
        running(tmp_path / "superlink") as link,
        proxy_client.opened(tmp_path, link.access.address, link.access.ca) as proxy,
    ):
        outside = Behind(link.folder, int(proxy.address.rpartition(":")[2]), proxy=proxy)
        fleet = Fleet(link, {host: Member(outside, *link.new_node()) for host in HOSTS})
        fleet.start()
        yield fleet, proxy
        fleet.close()


def proposal(recipient: str) -> bytes:
    """A signed message of the stage with which blobs travel."""
    return seal(
        Identity("host.example", bytes(32)),
        round_id=NO_ROUND,
        stage=Stage.PROPOSE,
        recipient=recipient,
        payload=b"hello",
    )


async def test_large_messages_pass_both_ways_and_only_what_was_asked_for(
    there: tuple[Fleet, RunningProxy],
) -> None:
    fleet, proxy = there
    blob, answer = (np.random.default_rng(seed).bytes(LARGE) for seed in (1, 2))
    heard: list[dict[str, bytes]] = []

    def handle(_request: bytes, blobs: Mapping[str, bytes]) -> bytes:
        heard.append(dict(blobs))
        return answer

    for member in fleet.members.values():
        member.handler = handle
    async with open_run(fleet.superlink.access, fleet.nodes) as run:
        carrier = run.carrier({"vocabulary": blob})
        sent = (carrier.send(host, proposal(host), max_answer=LARGE, timeout=60) for host in HOSTS)
        found = await asyncio.gather(*sent)
    assert found == [answer] * len(HOSTS)
    assert heard == [{"vocabulary": blob}] * len(HOSTS)
    called = {head.split(b" ")[1].rpartition(b"/")[2] for head in proxy.upstream.heads}
    assert called - {b"send-node-heartbeat"} == {
        b"activate-node",
        b"pull-messages",
        b"pull-object",
        b"confirm-message-received",
        b"push-messages",
        b"push-object",
    }
    assert proxy.server.counts.keys() <= {"forwarded", "broken off"}


async def test_a_superlink_that_was_away_for_a_moment_is_no_loss(there: tuple[Fleet, RunningProxy]) -> None:
    fleet, _ = there
    fleet.superlink.kill()
    fleet.superlink.start()
    request = proposal(HOSTS[0])
    async with open_run(fleet.superlink.access, fleet.nodes) as run:
        found = await run.carrier().send(HOSTS[0], request, max_answer=len(request), timeout=60)
    assert found == request
