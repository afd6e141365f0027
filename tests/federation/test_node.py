"""One member against any bytes, any order, any crash: refusals change nothing, answers never differ."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from federation import envelope, hello, messages
from federation.envelope import VERSION, Stage
from federation.errors import Code, ProtocolMisuse, Refusal
from federation.identity import Identity, PublicIdentity
from federation.journal import MemoryJournal
from federation.limits import Limits
from federation.node import MemberNode, Preparation
from tests.simulator.cohort import Cohort, Instance
from tests.simulator.crashes import Crash, FailingJournal
from tests.simulator.table import REQUESTS, Table, read, snapshot

ME = "m000.example"


def conversation(members: int = 4) -> tuple[Table, dict[Stage, bytes]]:
    """Return a table after a whole sum and all requests that ME got."""
    table = Table(members)
    requests = {}
    for stage in REQUESTS:
        requests[stage] = table.honest(stage, ME)
        table.play(stage)
    return table, requests


TABLE, SENT = conversation()
"""Everything here is deterministic: a table of the same seed takes the same requests."""


def table_at(stage: Stage) -> Table:
    table = Table(4)
    for earlier in REQUESTS[: REQUESTS.index(stage)]:
        table.send(ME, SENT[earlier])
    return table


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
@pytest.mark.parametrize("stage", [Stage.HELLO, Stage.PROPOSE])
def test_an_older_and_a_newer_version_are_told_to_update(stage: Stage, version: int) -> None:
    table = Table(4)
    said = hello.say(Identity("old.example", b"o" * 32), ME, 1.0, approves=True)
    raw = said if stage is Stage.HELLO else SENT[stage]
    assert read(raw).stage is stage
    other = envelope.MAGIC[:-1] + bytes([version]) + raw[len(envelope.MAGIC) :]
    with pytest.raises(Refusal) as refused:
        table.send(ME, other)
    assert refused.value.code is Code.UPDATE
    assert refused.value.sentence == (
        f"the message is of protocol {version}, this instance speaks {VERSION}; "
        "update Shoal on the older of the two"
    )
    assert table.send(ME, SENT[Stage.PROPOSE]) == TABLE.answers[Stage.PROPOSE][ME]


@pytest.mark.parametrize("stage", REQUESTS)
def test_no_bit_of_a_request_can_flip(stage: Stage) -> None:
    table, raw = table_at(stage), SENT[stage]
    for bit in range(0, len(raw) * 8, max(1, len(raw) * 8 // 400)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        table.refusal(ME, bytes(flipped))
    table.send(ME, raw)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(REQUESTS), st.data())
def test_no_bytes_can_change_what_is_refused(stage: Stage, data: st.DataObject) -> None:
    table, raw = table_at(stage), SENT[stage]
    kind = data.draw(st.sampled_from(["random", "cut", "insert", "splice", "payload"]))
    if kind == "random":
        hostile = data.draw(st.binary(max_size=400))
    elif kind == "cut":
        hostile = raw[: data.draw(st.integers(0, len(raw) - 1))]
    elif kind == "insert":
        place = data.draw(st.integers(0, len(raw)))
        hostile = raw[:place] + data.draw(st.binary(min_size=1, max_size=20)) + raw[place:]
    elif kind == "splice":
        other = SENT[data.draw(st.sampled_from([s for s in REQUESTS if s is not stage]))]
        place = data.draw(st.integers(1, min(len(raw), len(other)) - 1))
        hostile = raw[:place] + other[place:]
        assume(hostile not in SENT.values())
    else:
        # Rightly signed by the aggregator, and nonsense all the same.
        payload = bytearray(bytes(read(raw).payload))
        place = data.draw(st.integers(0, len(payload) - 1))
        payload[place] ^= data.draw(st.integers(1, 255))
        round_id = envelope.NO_ROUND if stage is Stage.PROPOSE else None
        hostile = table.request(stage, bytes(payload), round_id=round_id)
        assume(not _means_something_else(Table(4) if stage is Stage.PROPOSE else table_at(stage), hostile))
    table.refusal(ME, hostile)
    assert table.send(ME, raw) == TABLE.answers[stage][ME]


def _means_something_else(table: Table, hostile: bytes) -> bool:
    """Tell whether changed bytes are another valid request: a proposal, or boxes that do not open."""
    stage = read(hostile).stage
    try:
        table.instance(ME).node.receive(hostile)
    except Refusal:
        return False
    return stage in (Stage.PROPOSE, Stage.SHARES)


@settings(max_examples=60, deadline=None)
@given(st.permutations(REQUESTS))
def test_requests_are_answered_in_their_order_only(order: list[Stage]) -> None:
    table = Table(4)
    expected = 0
    for stage in itertools.islice(itertools.cycle(order), 40):
        place = REQUESTS.index(stage)
        if place == expected:
            assert table.send(ME, SENT[stage]) == TABLE.answers[stage][ME]
            expected += 1
        elif place < expected and not _is_erased(stage, expected):
            assert table.send(ME, SENT[stage]) == TABLE.answers[stage][ME]
        else:
            code = table.refusal(ME, SENT[stage])
            assert code in (Code.UNKNOWN_ROUND, Code.WRONG_STAGE)


def _is_erased(stage: Stage, expected: int) -> bool:
    return expected == len(REQUESTS) and stage in (Stage.KEYS, Stage.SHARES)


@pytest.mark.parametrize("stage", REQUESTS[1:])
def test_a_stage_is_answered_once(stage: Stage) -> None:
    """The same content under another signature is another request."""
    table = table_at(stage)
    table.send(ME, SENT[stage])
    again = table.request(stage, bytes(read(SENT[stage]).payload), recipient=ME)
    if again == SENT[stage]:
        again = table.request(stage, bytes(read(SENT[stage]).payload))
    assert table.refusal(ME, again) in (Code.STAGE_REPEATED, Code.WRONG_STAGE)


def test_a_stranger_is_told_nothing_about_sums() -> None:
    table = table_at(Stage.KEYS)
    stranger = Identity("stranger.example", b"x" * 32)
    raw = table.request(Stage.KEYS, bytes(read(SENT[Stage.KEYS]).payload), identity=stranger)
    assert table.refusal(ME, raw) is Code.UNKNOWN_PEER
    poser = Identity(table.cohort.aggregator.host, b"x" * 32)
    for round_id in (table.signed.round_id, b"?" * 32):
        raw = table.request(Stage.KEYS, b"", identity=poser, round_id=round_id)
        assert table.refusal(ME, raw) is Code.BAD_SIGNATURE


def test_another_peer_cannot_drive_somebody_elses_sum() -> None:
    table = table_at(Stage.KEYS)
    peer = table.instance("m001.example").identity
    raw = table.request(Stage.KEYS, bytes(read(SENT[Stage.KEYS]).payload), identity=peer)
    assert table.refusal(ME, raw) is Code.WRONG_SENDER


def test_what_is_for_another_member_is_refused() -> None:
    table = Table(4)
    table.play_until(Stage.SHARES)
    assert table.refusal(ME, table.honest(Stage.SHARES, "m001.example")) is Code.NOT_FOR_ME


def test_only_requests_are_taken() -> None:
    table = table_at(Stage.KEYS)
    for stage in set(Stage) - set(REQUESTS):
        assert table.refusal(ME, table.request(stage, b"")) is Code.WRONG_STAGE


def test_a_proposal_without_me_or_with_another_key_of_mine() -> None:
    table = Table(4)
    others = tuple(member for member in table.signed.proposal.roster if member.host != ME)
    poser = PublicIdentity(ME, b"x" * 32)
    without = table.cohort.propose(roster=others, threshold=3)
    assert table.refusal(ME, without.raw) is Code.ROSTER_INVALID
    changed = table.cohort.propose(roster=(poser, *others))
    assert table.refusal(ME, changed.raw) is Code.KEY_MISMATCH


def test_what_the_policies_refuse_is_refused() -> None:
    table = Table(4)

    def no(_: object) -> None:
        raise Refusal(Code.SHARING_OFF, "sharing is off")

    table.instance(ME).check_policies = no
    table.instance(ME).start()
    assert table.refusal(ME, table.signed.raw) is Code.SHARING_OFF


def prepared(table: Table) -> tuple[Instance, Preparation]:
    instance = table.instance(ME)
    preparation = instance.node.receive(table.signed.raw)
    assert isinstance(preparation, Preparation)
    return instance, preparation


def test_a_second_acceptance_keeps_the_first_vector() -> None:
    table = Table(4)
    instance, preparation = prepared(table)
    first = instance.node.accept(preparation, instance.values)
    before = snapshot(instance.journal)
    assert instance.node.accept(preparation, instance.values + 1) == first
    assert instance.node.receive(table.signed.raw) == first
    assert snapshot(instance.journal) == before


def blocked(instance: Instance) -> Code:
    instance.peers = {}
    instance.node._peer = instance.peers.get
    return Code.UNKNOWN_PEER


def expired(instance: Instance) -> Code:
    instance.clock.now += 601
    return Code.EXPIRED


def switched_off(instance: Instance) -> Code:
    def no(_: object) -> None:
        raise Refusal(Code.SHARING_OFF, "sharing is off")

    instance.node._check_policies = no
    return Code.SHARING_OFF


def above_the_bound(instance: Instance) -> Code:
    instance.values = np.full(8, 1001)
    return Code.BOUNDS_EXCEEDED


def the_smallest_integer(instance: Instance) -> Code:
    instance.values = np.full(8, -(2**63))
    return Code.BOUNDS_EXCEEDED


@pytest.mark.parametrize("change", [blocked, expired, switched_off, above_the_bound, the_smallest_integer])
def test_what_changed_while_preparing_counts(change: Callable[[Instance], Code]) -> None:
    instance, preparation = prepared(Table(4))
    code = change(instance)
    before = snapshot(instance.journal)
    with pytest.raises(Refusal) as refused:
        instance.node.accept(preparation, instance.values)
    assert refused.value.code is code
    assert snapshot(instance.journal) == before


def test_a_sum_closed_while_it_was_prepared_stays_closed() -> None:
    table = Table(4)
    instance, preparation = prepared(table)
    instance.node.accept(preparation, instance.values)
    instance.node.abandon(table.signed.round_id)
    with pytest.raises(Refusal) as refused:
        instance.node.accept(preparation, instance.values)
    assert refused.value.code is Code.BUSY


@pytest.mark.parametrize(
    "values", [np.zeros(7, np.int64), np.zeros((8, 1), np.int64), np.zeros(8), np.zeros(8, np.int32)]
)
def test_a_vector_of_another_shape_or_type_is_our_mistake(values: np.ndarray) -> None:
    instance, preparation = prepared(Table(4))
    with pytest.raises(ProtocolMisuse, match="8 values"):
        instance.node.accept(preparation, values)


def test_the_number_of_sums_is_bounded() -> None:
    cohort = Cohort.of([np.zeros(4, np.int64)] * 4, limits=Limits(max_open_rounds=1))
    member = cohort.members[ME]
    mine = cohort.propose()
    member.handle(mine.raw)
    other = cohort.members.pop("m003.example").identity
    theirs = Cohort(other, cohort.members, cohort.clock, cohort.limits).propose()
    with pytest.raises(Refusal) as refused:
        member.handle(theirs.raw)
    assert refused.value.code is Code.BUSY
    member.node.abandon(mine.round_id)
    member.handle(theirs.raw)
    assert set(member.node.open_rounds()) == {theirs.round_id}


def test_a_new_sum_takes_the_place_of_one_left_unfinished_but_no_old_one_does() -> None:
    cohort = Cohort.of([np.zeros(4, np.int64)] * 3)
    member = cohort.members[ME]
    old, unseen = cohort.propose(), cohort.propose(nonce=b"1" * 16)
    member.handle(old.raw)
    cohort.clock.now += 1
    new = cohort.propose(nonce=b"2" * 16)
    member.handle(new.raw)
    assert set(member.node.open_rounds()) == {new.round_id}
    for replayed, code in ((old, Code.BUSY), (unseen, Code.REPLAYED)):
        with pytest.raises(Refusal) as refused:
            member.handle(replayed.raw)
        assert refused.value.code is code
    assert set(member.node.open_rounds()) == {new.round_id}


def test_a_sum_ends_with_its_time_and_leaves_nothing_but_its_id() -> None:
    table = table_at(Stage.SURVIVORS)
    instance = table.instance(ME)
    table.cohort.clock.now += 600
    assert table.refusal(ME, SENT[Stage.SURVIVORS]) is Code.EXPIRED
    assert instance.node.open_rounds() == {}
    instance.node.prune()
    assert instance.journal.names(table.signed.round_id) == ["closed"]
    assert table.refusal(ME, SENT[Stage.SURVIVORS]) is Code.EXPIRED
    assert table.refusal(ME, SENT[Stage.PROPOSE]) is Code.EXPIRED
    table.cohort.clock.now += table.cohort.limits.max_clock_skew
    instance.node.prune()
    assert instance.journal.ids() == [table.signed.round_id]
    table.cohort.clock.now += 1
    instance.node.prune()
    assert instance.journal.ids() == []
    assert table.refusal(ME, SENT[Stage.PROPOSE]) is Code.EXPIRED


def test_after_the_last_answer_no_secret_is_left() -> None:
    table = Table(4)
    for stage in REQUESTS:
        table.send(ME, SENT[stage])
    instance = table.instance(ME)
    assert instance.journal.names(table.signed.round_id) == ["confirmations", "propose", "survivors"]
    assert instance.node.open_rounds() == {}
    member = instance.node._running[table.signed.round_id].member
    assert member._secrets.root == bytes(32)


def test_secrets_on_disk_are_sealed_and_need_the_identity() -> None:
    table = table_at(Stage.SHARES)
    instance = table.instance(ME)
    root = instance.node._running[table.signed.round_id].member._secrets.root
    for name in instance.journal.names(table.signed.round_id):
        content = instance.journal.read(table.signed.round_id, name)
        assert content is not None
        assert root not in content


def new_identity(instance: Instance) -> None:
    instance.identity = Identity(ME, b"new key" + bytes(25))


def new_key_of_the_aggregator(instance: Instance) -> None:
    instance.peers = {**instance.peers, "aggregator.example": PublicIdentity("aggregator.example", b"k" * 32)}


def blocked_aggregator(instance: Instance) -> None:
    instance.peers = {}


def lost_root(instance: Instance) -> None:
    instance.journal.erase(TABLE.signed.round_id, "root")


def lost_stage(instance: Instance) -> None:
    instance.journal.erase(TABLE.signed.round_id, "keys")


def damaged_record(instance: Instance) -> None:
    instance.journal.write(TABLE.signed.round_id, "shares", b"damaged")


@pytest.mark.parametrize(
    "change",
    [new_identity, new_key_of_the_aggregator, blocked_aggregator, lost_root, lost_stage, damaged_record],
)
def test_what_cannot_be_continued_is_closed_at_the_start(change: Callable[[Instance], None]) -> None:
    table = table_at(Stage.SURVIVORS)
    instance = table.instance(ME)
    change(instance)
    instance.start()
    assert instance.node.open_rounds() == {}
    assert instance.journal.names(table.signed.round_id) == ["closed"]
    instance.start()
    with pytest.raises(Refusal):
        instance.handle(SENT[Stage.SURVIVORS])


def changes_of_a_whole_sum() -> int:
    journal = FailingJournal(at=-1, after=False, error=Crash)
    instance = Table(4).instance(ME)
    instance.journal = journal
    instance.start()
    for stage in REQUESTS:
        instance.handle(SENT[stage])
    return journal.changes


CHANGES = changes_of_a_whole_sum()


@pytest.mark.parametrize("restarts", [True, False], ids=["crash", "disk error"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(CHANGES))
def test_a_failure_at_any_write_changes_no_answer(at: int, after: bool, restarts: bool) -> None:
    """Play a sum in which one write fails; ask again; then try to get a second answer to each stage."""
    error: type[BaseException] = Crash if restarts else OSError
    journal = FailingJournal(at=at, after=after, error=error)
    instance = Table(4).instance(ME)
    instance.journal = journal
    instance.start()
    failures = 0
    for stage in REQUESTS:
        try:
            instance.handle(SENT[stage])
        except error:
            failures += 1
            if restarts:
                instance.journal = journal.inner
                instance.start()
            first = instance.handle(SENT[stage])
            assert instance.handle(SENT[stage]) == first
        if stage is not Stage.PROPOSE:
            other = TABLE.request(stage, bytes(read(SENT[stage]).payload) + b"")
            for raw in {other, TABLE.request(stage, b"\xa0"), TABLE.request(stage, b"")} - {SENT[stage]}:
                with pytest.raises(Refusal):
                    instance.handle(raw)
    assert failures == 1
    instance.start()
    names = instance.journal.names(TABLE.signed.round_id)
    assert names == ["confirmations", "propose", "survivors"], "an interrupted erasure is finished"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(CHANGES))
def test_a_crash_lets_nothing_different_be_answered(at: int, after: bool) -> None:
    """Whoever got an answer, or could have read it in the journal, gets no second one from the same keys.

    After the crash the aggregator tries another view of the sum: fewer keys, sharers, or survivors.
    """
    table = Table(5)
    instance = table.instance(ME)
    journal = FailingJournal(at=at, after=after, error=Crash)
    instance.journal = journal
    instance.start()
    said: dict[Stage, set[bytes]] = {stage: set() for stage in REQUESTS}

    def ask(raw: bytes) -> None:
        stage = read(raw).stage
        try:
            answer = instance.handle(raw)
        except Crash:
            instance.journal = journal.inner
            instance.start()
            try:
                answer = instance.handle(other(stage) or raw)
            except Refusal:
                answer = instance.handle(raw)
        said[stage].add(answer)
        table.answers[stage][ME] = answer

    def other(stage: Stage) -> bytes | None:
        drop = "m004.example"
        if stage is Stage.KEYS:
            kept = {h: raw for h, raw in table.answers[Stage.PROPOSE].items() if h != drop}
            return table.request(stage, messages.encode_messages(kept))
        if stage is Stage.SHARES:
            boxes = {h: box for h, box in table.boxes(ME).items() if h != drop}
            return table.request(stage, messages.encode_sealed(boxes), recipient=ME)
        if stage is Stage.SURVIVORS:
            return table.request(stage, messages.encode_hosts([h for h in table.hosts if h != drop]))
        return None

    for stage in REQUESTS:
        others = [host for host in table.hosts if host != ME]
        mine = None if stage is Stage.PROPOSE else table.honest(stage, ME)
        try:
            ask(mine or table.signed.raw)
            table.play(stage, others)
        except Refusal:
            break  # The views differ now: the sum goes no further, and that is safe.
        recorded = instance.journal.read(table.signed.round_id, stage.value)
        if recorded is not None:
            said[stage].add(recorded[8 + int.from_bytes(recorded[:8], "big") :])
    for stage in (Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS):
        assert len(said[stage]) <= 1, f"two answers at {stage}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_crash_while_leaving_a_sum_leaves_it_or_not(at: int, after: bool) -> None:
    instance = table_at(Stage.SURVIVORS).instance(ME)
    instance.journal = journal = FailingJournal(instance.journal, at=at, after=after, error=Crash)
    instance.start()
    with pytest.raises(Crash):
        instance.node.abandon(TABLE.signed.round_id)
    instance.journal = journal.inner
    instance.start()
    if (at, after) == (0, False):
        assert instance.handle(SENT[Stage.SURVIVORS]) == TABLE.answers[Stage.SURVIVORS][ME]
        return
    assert instance.journal.names(TABLE.signed.round_id) == ["closed"], "no secret stays behind"
    with pytest.raises(Refusal) as refused:
        instance.handle(SENT[Stage.PROPOSE])
    assert refused.value.code is Code.BUSY


def test_two_nodes_on_one_journal_give_the_same_bytes() -> None:
    """What a restart finds is all there is: no answer depends on memory."""
    table = Table(4)
    instance = table.instance(ME)
    for stage in REQUESTS:
        answer = table.send(ME, SENT[stage])
        instance.start()
        assert instance.handle(SENT[stage]) == answer


def test_a_node_starts_on_an_empty_journal() -> None:
    instance = Table(3).instance(ME)
    node = MemberNode(
        instance.identity,
        MemoryJournal(),
        peer=instance.peers.get,
        check_policies=instance.check_policies,
        clock=instance.clock,
        random=instance.random,
    )
    assert node.open_rounds() == {}
    node.prune()
    node.abandon(b"?" * 32)
