"""Somebody with a new key for an approved peer's host, who even took its domain, and has not the old key."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.ledger import chain as ledger
from daemon.status import notices
from daemon.store import activity
from federation import envelope
from federation.carrier import PeerRefused
from federation.envelope import Stage
from federation.errors import Code
from federation.identity import Identity, format_key
from tests.daemon.peer_instances import Neighbour, neighbours


def waiting(one: Neighbour) -> list[tuple[str, str]]:
    return [(n.kind, n.subject) for n in notices.current(one.engine, one.config, one.clock())]


async def test_a_key_that_nobody_handed_over_takes_nothing_and_the_admin_is_asked(tmp_path: Path) -> None:
    async with neighbours(tmp_path, 2) as (a, b):
        await a.approve(b)
        await b.approve(a)
        pinned = a.peer(b).key
        thief = Identity(b.host, bytes(range(32)))
        with pytest.raises(PeerRefused) as refused:
            await a.hears(thief)
        assert refused.value.code == Code.KEY_MISMATCH
        # A hello proves nothing, so it tells the admin nothing; the peer's domain does.
        assert waiting(a) == []
        b.front.key = format_key(thief.public.key)
        a.clock.ahead += 90_000
        await a.job()
        assert (a.peer(b).key, a.peer(b).next_key) == (pinned, format_key(thief.public.key))
        assert waiting(a) == [("key-changed", b.host)]
        [entry] = [e for e in ledger.entries(a.engine) if e.kind == "key-changed"]
        assert (entry.subject, entry.details["proven"]) == (b.host, False)
        # Until somebody decides, what it signs is not the peer's.
        order = envelope.seal(
            thief, round_id=bytes([1]) * 32, stage=Stage.KEYS, recipient=a.host, payload=b""
        )
        with pytest.raises(PeerRefused) as refused:
            await a.post(order)
        assert refused.value.code == Code.BAD_SIGNATURE
        await a.stop()
        counted = activity.refusals(a.engine)
        assert (counted["key-mismatch"], counted["bad-signature"]) == (1, 1)
