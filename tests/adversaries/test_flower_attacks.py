"""Three attacks that open an input under Flower's SecAgg+, played against this protocol.

They are: guessing the seeds of pairwise masks, which have 28 bits there; neighbours that the server made up;
and an unmasking request that names one member as alive and as dead.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from federation import cbor, masks, messages
from federation.envelope import NO_ROUND, Stage
from federation.errors import Code
from federation.identity import Identity
from federation.keys import self_mask_key
from federation.member import Masked
from federation.messages import Revealed
from policies.allowlist import Allowlist
from policies.cohort import CohortPolicy
from tests.simulator.table import Table, read

VICTIM = "m000.example"


def test_mask_seeds_cannot_be_guessed() -> None:
    """With the self mask off, as at the end of a sum, a known first value must not give the rest away.

    There, one output word of a 32-bit generator is searched for. Here a mask is ChaCha20 under 256 bits from
    X25519 and HKDF: its keys differ in all their bytes, and no short counter among them fits.
    """
    table = Table(3, length=64)
    table.play_until(Stage.SURVIVORS)
    member = table.instance(VICTIM).node._running[table.signed.round_id].member
    assert isinstance(member.state, Masked)
    keys = [channel.mask for channel in member.state.shared.channels.values()]
    masked = np.frombuffer(read(table.answers[Stage.SHARES][VICTIM]).payload, dtype="<u4").copy()
    masks.apply(masked, [(self_mask_key(member._secrets.self_seed, table.signed.round_id), False)])
    assert all(len(key) == 32 and len(set(key)) > 16 for key in keys)
    known = int(table.instance(VICTIM).values[0])
    for guess in range(20_000):
        for key in (guess.to_bytes(32, "little"), guess.to_bytes(32, "big"), guess.to_bytes(4, "little") * 8):
            stream = int.from_bytes(masks.keystream(key, 4), "little")
            assert (int(masked[0]) + stream) % 2**32 != known
            assert (int(masked[0]) - stream) % 2**32 != known
    # The real keys do open it: the search above looked for the right thing. The victim, first in the roster,
    # subtracted all its pairwise masks.
    masks.apply(masked, [(key, True) for key in keys])
    np.testing.assert_array_equal(masks.from_ring(masked), table.instance(VICTIM).values)


@pytest.mark.parametrize("invented", [2, 5, 20])
def test_invented_neighbours_are_no_neighbours(invented: int) -> None:
    """The server adds members whose keys it made itself and knows every mask of the victim."""
    table = Table(4)
    victim = table.instance(VICTIM)
    victim.check_policies = CohortPolicy(VICTIM, Allowlist(victim.peers.values())).check
    victim.start()
    sybils = [Identity(f"s{n:02}.example", bytes([n + 100]) * 32).public for n in range(invented)]
    alone = sorted([victim.identity.public, *sybils])
    content = dataclasses.replace(table.signed.proposal, roster=tuple(alone), threshold=len(alone))
    raw = table.request(Stage.PROPOSE, content.to_payload(), round_id=NO_ROUND)
    assert table.refusal(VICTIM, raw) is Code.COHORT_TOO_SMALL


def test_invented_neighbours_cannot_join_after_the_proposal() -> None:
    """Nor do they get in where Flower's server puts them: into the set of keys."""
    table = Table(4)
    table.play(Stage.PROPOSE)
    sybil = Identity("m0005.example", b"s" * 32)
    payload = bytes(read(table.answers[Stage.PROPOSE]["m001.example"]).payload)
    raw = table.request(Stage.ADVERTISE, payload, recipient=table.cohort.aggregator.host, identity=sybil)
    shown = messages.encode_messages({**table.answers[Stage.PROPOSE], sybil.host: raw})
    assert table.refusal(VICTIM, table.request(Stage.KEYS, shown)) is Code.WRONG_SENDER


def test_an_overlapping_unmasking_request_cannot_be_put() -> None:
    """Flower's request lists the alive and the dead. Here the dead are the sharers outside the one signed set
    of survivors: the request has no such list, and every member reveals one kind of share of each.
    """
    table = Table(5)
    table.play_until(Stage.CONFIRMATIONS)
    overlapping = cbor.encode({"active": list(table.hosts), "dead": list(table.hosts)})
    assert table.refusal(VICTIM, table.request(Stage.CONFIRMATIONS, overlapping)) is Code.MALFORMED
    for host, raw in table.play(Stage.CONFIRMATIONS).items():
        revealed = Revealed.from_payload(bytes(read(raw).payload), table.cohort.limits)
        assert not set(revealed.self_seeds) & set(revealed.mask_keys), host
        assert {*revealed.self_seeds, *revealed.mask_keys} == set(table.hosts)
    fewer = messages.encode_hosts([host for host in table.hosts if host != "m004.example"])
    assert table.refusal(VICTIM, table.request(Stage.SURVIVORS, fewer)) is Code.STAGE_REPEATED
