"""An aggregator that shows different keys, or different shares, to different members."""

from __future__ import annotations

import pytest

from federation import messages
from federation.envelope import Stage
from federation.errors import Code
from federation.identity import Identity
from federation.messages import Advertisement
from tests.simulator.table import Table, read

HOSTS = Table(5).hosts


def keys_without(table: Table, *missing: str) -> bytes:
    kept = {host: raw for host, raw in table.answers[Stage.PROPOSE].items() if host not in missing}
    return table.request(Stage.KEYS, messages.encode_messages(kept))


def test_two_sets_of_keys_are_noticed_before_anything_is_revealed() -> None:
    """m004 is left out of what the first two see: their masks differ from the others' ideas of them."""
    table = Table(5)
    table.play(Stage.PROPOSE)
    for host in HOSTS[:2]:
        table.send(host, keys_without(table, "m004.example"))
    for host in HOSTS[2:]:
        table.send(host, keys_without(table))
    for host in HOSTS[:4]:
        boxes = table.boxes(host, HOSTS[:4])
        table.send(host, table.request(Stage.SHARES, messages.encode_sealed(boxes)))
    shown = table.request(Stage.SURVIVORS, messages.encode_hosts(HOSTS[:4]))
    for host in HOSTS[:4]:
        table.send(host, shown)
    raw = table.honest(Stage.CONFIRMATIONS, HOSTS[0])
    assert {table.refusal(host, raw) for host in HOSTS[:4]} == {Code.SURVIVORS_DIFFER}


def test_two_sets_of_sharers_are_noticed_before_anything_is_revealed() -> None:
    """One half masks with m004, the other without: the same survivors for all do not hide that."""
    table = Table(5)
    table.play_until(Stage.SHARES)
    for host in HOSTS[:4]:
        sharers = HOSTS if host in HOSTS[:2] else HOSTS[:4]
        table.send(host, table.request(Stage.SHARES, messages.encode_sealed(table.boxes(host, sharers))))
    for host in HOSTS[:4]:
        table.send(host, table.request(Stage.SURVIVORS, messages.encode_hosts(HOSTS[:4])))
    raw = table.honest(Stage.CONFIRMATIONS, HOSTS[0])
    assert {table.refusal(host, raw) for host in HOSTS[:4]} == {Code.SURVIVORS_DIFFER}


def test_keys_in_the_middle_need_a_members_signature() -> None:
    """The aggregator puts its own keys in a member's place: man in the middle."""
    table = Table(5)
    table.play(Stage.PROPOSE)
    mine = Advertisement(b"\x09" + bytes(31), b"\x0a" + bytes(31), bytes(32)).to_payload()
    thief = Identity("m001.example", b"not its key" + bytes(21))
    forged = table.request(Stage.ADVERTISE, mine, recipient=table.cohort.aggregator.host, identity=thief)
    shown = {**table.answers[Stage.PROPOSE], "m001.example": forged}
    raw = table.request(Stage.KEYS, messages.encode_messages(shown))
    assert table.refusal(HOSTS[0], raw) is Code.BAD_SIGNATURE


def test_keys_of_another_sum_or_stage_or_stranger_are_refused() -> None:
    table, other = Table(5), Table(5, nonce=b"1" * 16)
    table.play(Stage.PROPOSE)
    other.play(Stage.PROPOSE)
    good = table.answers[Stage.PROPOSE]

    def code(host: str, raw: bytes) -> Code:
        shown = table.request(Stage.KEYS, messages.encode_messages({**good, host: raw}))
        return table.refusal(HOSTS[0], shown)

    payload = bytes(read(good["m001.example"]).payload)
    stranger = Identity("m0015.example", b"x" * 32)
    assert code("m001.example", other.answers[Stage.PROPOSE]["m001.example"]) is Code.UNKNOWN_ROUND
    assert code("m001.example", table.answer("m001.example", Stage.SHARE, payload)) is Code.WRONG_STAGE
    elsewhere = table.request(
        Stage.ADVERTISE, payload, recipient="else.example", identity=table.instance("m001.example").identity
    )
    assert code("m001.example", elsewhere) is Code.NOT_FOR_ME
    unknown = table.request(
        Stage.ADVERTISE, payload, recipient=table.cohort.aggregator.host, identity=stranger
    )
    assert code(stranger.host, unknown) is Code.WRONG_SENDER


def test_my_own_keys_cannot_be_left_out_or_replaced() -> None:
    table = Table(5)
    table.play(Stage.PROPOSE)
    assert table.refusal(HOSTS[0], keys_without(table, HOSTS[0])) is Code.KEYS_INVALID
    mine = Advertisement(b"\x09" + bytes(31), b"\x0a" + bytes(31), bytes(32)).to_payload()
    changed = {**table.answers[Stage.PROPOSE], HOSTS[0]: table.answer(HOSTS[0], Stage.ADVERTISE, mine)}
    raw = table.request(Stage.KEYS, messages.encode_messages(changed))
    assert table.refusal(HOSTS[0], raw) is Code.KEYS_INVALID


@pytest.mark.parametrize("kept", range(4))
def test_too_few_keys_or_sharers_are_refused(kept: int) -> None:
    table = Table(5)
    table.play(Stage.PROPOSE)
    assert table.threshold == 4
    code = table.refusal(HOSTS[0], keys_without(table, *HOSTS[kept:]))
    assert code is Code.COHORT_TOO_SMALL
    table.play(Stage.KEYS)
    boxes = table.boxes(HOSTS[0], HOSTS[: max(kept, 1)])
    raw = table.request(Stage.SHARES, messages.encode_sealed(boxes))
    assert table.refusal(HOSTS[0], raw) is Code.COHORT_TOO_SMALL


def test_shares_come_from_those_who_advertised_and_not_from_me() -> None:
    table = Table(5)
    table.play(Stage.PROPOSE)
    for host in HOSTS[:4]:
        table.send(host, keys_without(table, HOSTS[4]))
    boxes = table.boxes(HOSTS[0])
    for stranger in (HOSTS[0], HOSTS[4], "stranger.example"):
        raw = table.request(Stage.SHARES, messages.encode_sealed({**boxes, stranger: bytes(82)}))
        assert table.refusal(HOSTS[0], raw) is Code.SHARE_INVALID
