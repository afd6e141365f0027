"""A member that advertises keys whose secrets anyone knows, or somebody else's."""

from __future__ import annotations

import pytest

from federation import messages
from federation.envelope import Stage
from federation.errors import Code
from federation.messages import Advertisement
from tests.adversaries.members import play
from tests.federation.weak_keys import LOW_ORDER
from tests.simulator.table import Table, read

THIEF = "m004.example"


def with_keys(**keys: bytes) -> Table:
    """Return a table after a sum without the thief, who changed its advertisement."""
    table = Table(5)

    def corrupt(stage: Stage, host: str, payload: bytes) -> bytes:
        if (stage, host) != (Stage.PROPOSE, THIEF):
            return payload
        honest = Advertisement.from_payload(payload)
        return Advertisement(
            keys.get("seal", honest.seal_public),
            keys.get("mask", honest.mask_public),
            keys.get("seed", honest.seed_commitment),
        ).to_payload()

    played = play(table, corrupt)
    assert [refusal.code for refusal in played.refusals] == [Code.KEYS_INVALID]
    assert played.accused == {THIEF}
    assert played.aggregator.result.lost == {THIEF: "keys-invalid"}
    played.check_sum_of({host for host in table.hosts if host != THIEF})
    return table


@pytest.mark.parametrize("key", LOW_ORDER, ids=lambda key: key.hex()[:8])
@pytest.mark.parametrize("which", ["seal", "mask"])
def test_a_key_of_low_order(which: str, key: bytes) -> None:
    with_keys(**{which: key})


def test_another_members_key() -> None:
    victim = Table(5)
    victim.play(Stage.PROPOSE)
    raw = victim.answers[Stage.PROPOSE]["m001.example"]
    theirs = Advertisement.from_payload(bytes(read(raw).payload))
    for stolen in (theirs.seal_public, theirs.mask_public):
        with_keys(seal=stolen)
        with_keys(mask=stolen)
    spelled = theirs.mask_public[:-1] + bytes([theirs.mask_public[-1] | 0x80])
    with_keys(mask=spelled)


def test_one_key_for_both_purposes() -> None:
    with_keys(seal=b"\x09" + bytes(31), mask=b"\x09" + bytes(31))


@pytest.mark.parametrize("which", ["seal", "mask"])
def test_members_refuse_such_keys_from_a_careless_aggregator(which: str) -> None:
    table = Table(5)
    table.play(Stage.PROPOSE)
    honest = Advertisement.from_payload(bytes(read(table.answers[Stage.PROPOSE][THIEF]).payload))
    victims = Advertisement.from_payload(bytes(read(table.answers[Stage.PROPOSE]["m001.example"]).payload))
    stolen = Advertisement(honest.seal_public, victims.mask_public, honest.seed_commitment).to_payload()
    shown = {**table.answers[Stage.PROPOSE], THIEF: table.answer(THIEF, Stage.ADVERTISE, stolen)}
    raw = table.request(Stage.KEYS, messages.encode_messages(shown))
    assert table.refusal("m000.example", raw) is Code.KEYS_INVALID
    for key in LOW_ORDER:
        seal, mask = (key, honest.mask_public) if which == "seal" else (honest.seal_public, key)
        bad = Advertisement(seal, mask, honest.seed_commitment).to_payload()
        shown = {**table.answers[Stage.PROPOSE], THIEF: table.answer(THIEF, Stage.ADVERTISE, bad)}
        raw = table.request(Stage.KEYS, messages.encode_messages(shown))
        refusal = table.refused("m000.example", raw)
        assert (refusal.code, refusal.culprit) == (Code.KEYS_INVALID, THIEF)
