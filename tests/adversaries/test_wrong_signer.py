"""Somebody with a key of its own, or a member that speaks for another."""

from __future__ import annotations

from federation import envelope
from federation.errors import Code
from federation.identity import Identity
from tests.adversaries.wire import ME, refused_by, to_aggregator, to_member
from tests.simulator.table import Table, read


def signed_by(identity: Identity, raw: bytes) -> bytes:
    """Return the same message in the name of `identity`."""
    message = read(raw)
    return envelope.seal(
        identity,
        round_id=message.round_id,
        stage=message.stage,
        recipient=message.recipient,
        payload=message.payload,
    )


def test_members_listen_to_the_pinned_key_of_the_aggregator_only() -> None:
    for table, raw in to_member():
        member = table.instance("m001.example").identity
        poser, stranger = (Identity(f"{name}.example", b"x" * 32) for name in ("aggregator", "stranger"))
        assert table.refusal(ME, signed_by(poser, raw)) is Code.BAD_SIGNATURE
        assert table.refusal(ME, signed_by(stranger, raw)) is Code.UNKNOWN_PEER
        # An approved peer may propose sums of its own, and drive no other's.
        assert table.refusal(ME, signed_by(member, raw)) is Code.WRONG_SENDER
        table.send(ME, raw)


def test_the_aggregator_listens_to_the_key_in_the_roster_only() -> None:
    other = Table(5).instance("m001.example").identity
    for signer in (Identity(ME, b"x" * 32), other):
        for aggregator, raw in to_aggregator():
            assert refused_by(aggregator, signed_by(signer, raw)) is Code.BAD_SIGNATURE
