"""An aggregator that wants more from the last stages than the sum of one survivor set."""

from __future__ import annotations

import pytest

from federation import cbor, messages
from federation.envelope import Stage
from federation.errors import Code
from federation.messages import Confirmation, Revealed
from tests.simulator.table import Table, read

HOSTS = Table(5).hosts
ME = HOSTS[0]


def survivors(table: Table, hosts: tuple[str, ...]) -> bytes:
    return table.request(Stage.SURVIVORS, messages.encode_hosts(hosts))


def confirmations(table: Table, *hosts: str) -> bytes:
    shown = {host: table.answers[Stage.SURVIVORS][host] for host in hosts}
    return table.request(Stage.CONFIRMATIONS, messages.encode_messages(shown))


def test_one_answer_holds_one_share_per_sharer_alive_or_dead() -> None:
    """What is asked for is a set of survivors; who is not in it is dead, so that the two cannot overlap."""
    table = Table(5)
    table.play_until(Stage.SHARES)
    table.play(Stage.SHARES, HOSTS[:4])
    table.play(Stage.SURVIVORS, HOSTS[:4])
    answers = table.play(Stage.CONFIRMATIONS, HOSTS[:4])
    for raw in answers.values():
        revealed = Revealed.from_payload(bytes(read(raw).payload), table.cohort.limits)
        assert revealed.self_seeds.keys() == set(HOSTS[:4])
        assert revealed.mask_keys.keys() == {HOSTS[4]}


def test_the_request_has_no_room_for_a_list_of_the_dead() -> None:
    table = Table(5)
    table.play_until(Stage.CONFIRMATIONS)
    for payload in (
        cbor.encode({"alive": list(HOSTS), "dead": list(HOSTS)}),
        cbor.encode([list(HOSTS), list(HOSTS)]),
        cbor.encode(list(HOSTS)),
    ):
        assert table.refusal(ME, table.request(Stage.CONFIRMATIONS, payload)) is Code.MALFORMED


def test_survivors_are_confirmed_once() -> None:
    table = Table(5)
    table.play_until(Stage.SURVIVORS)
    table.send(ME, survivors(table, HOSTS))
    for fewer in (HOSTS[:4], (ME, *HOSTS[2:])):
        assert table.refusal(ME, survivors(table, fewer)) is Code.STAGE_REPEATED
    table.instance(ME).start()
    assert table.refusal(ME, survivors(table, HOSTS[:4])) is Code.STAGE_REPEATED


def test_nothing_is_revealed_twice() -> None:
    table = Table(5)
    table.play_until(Stage.CONFIRMATIONS)
    first = table.send(ME, confirmations(table, *HOSTS))
    assert table.refusal(ME, confirmations(table, *HOSTS[:4])) is Code.STAGE_REPEATED
    table.instance(ME).start()
    assert table.refusal(ME, confirmations(table, *HOSTS[1:])) is Code.STAGE_REPEATED
    assert table.send(ME, confirmations(table, *HOSTS)) == first


@pytest.mark.parametrize("shown", range(4))
def test_too_few_confirmations_reveal_nothing(shown: int) -> None:
    table = Table(5)
    table.play_until(Stage.CONFIRMATIONS)
    assert table.refusal(ME, confirmations(table, *HOSTS[:shown])) is Code.CONFIRMATIONS_INVALID
    table.send(ME, confirmations(table, *HOSTS[:4]))


def test_one_confirmation_does_not_count_twice() -> None:
    table = Table(5)
    table.play_until(Stage.CONFIRMATIONS)
    one = table.answers[Stage.SURVIVORS][HOSTS[1]]
    copies = messages.encode_messages({f"{n}": one for n in range(4)})
    assert table.refusal(ME, table.request(Stage.CONFIRMATIONS, copies)) is Code.MALFORMED


def test_confirmations_are_of_this_sum_this_stage_and_these_people() -> None:
    table, other = Table(5), Table(5, nonce=b"1" * 16)
    for one in (table, other):
        one.play_until(Stage.CONFIRMATIONS)
    good = table.answers[Stage.SURVIVORS]
    payload = bytes(read(good[ME]).payload)

    def code(raw: bytes) -> Code:
        shown = messages.encode_messages({**good, HOSTS[1]: raw})
        return table.refusal(ME, table.request(Stage.CONFIRMATIONS, shown))

    assert code(other.answers[Stage.SURVIVORS][HOSTS[1]]) is Code.UNKNOWN_ROUND
    assert code(table.answer(HOSTS[1], Stage.SHARE, payload)) is Code.WRONG_STAGE
    forged = table.request(Stage.CONFIRM, payload, recipient=table.cohort.aggregator.host)
    assert code(forged) is Code.MALFORMED, "signed by the aggregator, it stands in no member's place"
    view = Confirmation(bytes(32), bytes(32), bytes(32)).to_payload()
    assert code(table.answer(HOSTS[1], Stage.CONFIRM, view)) is Code.SURVIVORS_DIFFER


def test_who_did_not_survive_confirms_nothing() -> None:
    table = Table(5)
    table.play_until(Stage.SURVIVORS)
    for host in HOSTS[:4]:
        table.send(host, survivors(table, HOSTS[:4]))
    payload = bytes(read(table.answers[Stage.SURVIVORS][ME]).payload)
    dead = table.answer(HOSTS[4], Stage.CONFIRM, payload)
    shown = {host: table.answers[Stage.SURVIVORS][host] for host in HOSTS[:3]} | {HOSTS[4]: dead}
    raw = table.request(Stage.CONFIRMATIONS, messages.encode_messages(shown))
    assert table.refusal(ME, raw) is Code.CONFIRMATIONS_INVALID


def test_survivors_contain_me_and_only_sharers_and_enough() -> None:
    table = Table(6)
    hosts = table.hosts
    table.play(Stage.PROPOSE)
    table.play(Stage.KEYS)
    for host in hosts:
        boxes = table.boxes(host, hosts[:5])
        table.send(host, table.request(Stage.SHARES, messages.encode_sealed(boxes)))
    assert table.refusal(hosts[0], survivors(table, hosts[1:5])) is Code.SURVIVORS_INVALID
    assert table.refusal(hosts[0], survivors(table, hosts)) is Code.SURVIVORS_INVALID
    stranger = (*hosts[:5], "stranger.example")
    assert table.refusal(hosts[0], survivors(table, stranger)) is Code.SURVIVORS_INVALID
    assert table.refusal(hosts[0], survivors(table, hosts[:4])) is Code.COHORT_TOO_SMALL
    unsorted = table.request(Stage.SURVIVORS, cbor.encode([*hosts[4::-1]]))
    assert table.refusal(hosts[0], unsorted) is Code.MALFORMED
    table.send(hosts[0], survivors(table, hosts[:5]))
