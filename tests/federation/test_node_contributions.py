"""The record of what was given is asked at every stage, and told before a sum can be opened."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from federation.envelope import Stage
from federation.errors import Code, Refusal, silence
from federation.journal import MemoryJournal
from federation.node import Contributions, MemberNode, Unlimited
from federation.proposal import Proposal
from tests.simulator.crashes import Crash, FailingJournal
from tests.simulator.table import REQUESTS, Table, read

ME = "m000.example"
LATER = REQUESTS[1:]


@dataclass
class Record:
    """Notes what it is asked and told; refuses what it is set to refuse."""

    refuses: set[Stage | str] = field(default_factory=set)
    asked: list[tuple[bytes, Stage]] = field(default_factory=list)
    opened: list[tuple[str, ...]] = field(default_factory=list)

    def check(self, round_id: bytes, proposal: Proposal, stage: Stage) -> None:
        assert proposal.aggregator == "aggregator.example"
        self.asked.append((round_id, stage))
        if stage in self.refuses:
            raise Refusal(Code.WINDOW_OPEN, "given before")

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        self.opened.append(survivors)
        if "release" in self.refuses:
            raise Refusal(Code.WINDOW_OPEN, "opened before")


def start(table: Table, record: Contributions | None) -> MemberNode:
    """Start ME (again), with a record of what it gave."""
    member = table.instance(ME)
    member.node = MemberNode(
        member.identity,
        member.journal,
        peer=member.peers.get,
        check_policies=member.check_policies,
        clock=member.clock,
        random=member.random,
        limits=member.limits,
        contributions=record,
    )
    return member.node


def at_stage(stage: Stage, record: Record) -> Table:
    """Return a table where ME is to be asked for `stage`."""
    table = Table(4)
    start(table, record)
    for earlier in REQUESTS[: REQUESTS.index(stage)]:
        table.play(earlier)
    return table


def test_every_stage_is_asked_about_and_the_opening_told() -> None:
    record = Record()
    table = at_stage(Stage.PROPOSE, record)
    for stage in REQUESTS:
        table.play(stage)
    assert record.asked == [(table.signed.round_id, stage) for stage in LATER]
    assert record.opened == [table.hosts]


@pytest.mark.parametrize("stage", LATER)
def test_a_refusal_answers_nothing_and_changes_nothing(stage: Stage) -> None:
    record = Record()
    table = at_stage(stage, record)
    request = table.honest(stage, ME)
    record.refuses = {stage}
    assert table.refusal(ME, request) is Code.WINDOW_OPEN  # and nothing changed
    assert record.opened == []
    # Where the record allows it again, the sum goes on as if nothing had been asked.
    record.refuses = set()
    twin = at_stage(stage, Record())
    assert table.send(ME, request) == twin.send(ME, request)


def test_a_forbidden_opening_reveals_nothing() -> None:
    record = Record(refuses={"release"})
    table = at_stage(Stage.CONFIRMATIONS, record)
    assert table.refusal(ME, table.honest(Stage.CONFIRMATIONS, ME)) is Code.WINDOW_OPEN
    assert record.opened == [table.hosts]


def test_who_did_not_survive_is_not_in_what_is_told() -> None:
    record = Record()
    table = at_stage(Stage.SHARES, record)
    survivors = table.hosts[:-1]
    for stage in (Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS):
        table.play(stage, survivors)
    assert record.opened == [survivors]


@pytest.mark.parametrize("stage", LATER)
def test_what_was_answered_is_given_again_without_asking(stage: Stage) -> None:
    # The answer is out already: whoever has it is told nothing new.
    record = Record()
    table = at_stage(stage, record)
    request = table.honest(stage, ME)
    answer = table.send(ME, request)
    record.refuses = set(LATER) | {"release"}
    asked = len(record.asked)
    assert table.send(ME, request) == answer
    assert len(record.asked) == asked


@pytest.mark.parametrize("after", [True, False])
def test_a_crash_before_the_answer_is_kept_tells_the_record_again(after: bool) -> None:
    """Noting twice must be harmless to the record; not noting at all would be a release nobody knows of."""
    record = Record()
    table = at_stage(Stage.CONFIRMATIONS, record)
    request = table.honest(Stage.CONFIRMATIONS, ME)
    member = table.instance(ME)
    good = member.journal
    assert isinstance(good, MemoryJournal)
    member.journal = FailingJournal(good, at=0, after=after, error=Crash)
    start(table, record)
    with pytest.raises(Crash):
        table.send(ME, request)
    assert record.opened == [table.hosts]
    member.journal = good
    start(table, record)
    answer = table.send(ME, request)
    assert read(answer).stage is Stage.UNMASK
    assert record.opened == [table.hosts] * (1 if after else 2)


@pytest.mark.parametrize("stage", LATER)
def test_a_sum_that_must_not_go_on_is_left_for_good(stage: Stage) -> None:
    record = Record()
    table = at_stage(stage, record)
    request = table.honest(stage, ME)
    node = table.instance(ME).node
    node.prune()
    assert record.asked[-1] == (table.signed.round_id, Stage.PROPOSE)
    assert list(node.open_rounds()) == [table.signed.round_id]
    record.refuses = {Stage.PROPOSE}
    node.prune()
    assert not node.open_rounds()
    assert table.instance(ME).journal.names(table.signed.round_id) == ["closed"]
    # Like a machine that is overloaded: who proposed it must not learn why.
    assert table.refused(ME, request).sentence == silence().sentence
    assert table.refused(ME, table.signed.raw).sentence == silence().sentence
    table.cohort.clock.now = table.signed.proposal.expires
    assert table.refusal(ME, request) is table.refusal(ME, table.signed.raw) is Code.EXPIRED


def test_a_finished_sum_stays_answered_whatever_the_record_says() -> None:
    record = Record()
    table = at_stage(Stage.CONFIRMATIONS, record)
    request = table.honest(Stage.CONFIRMATIONS, ME)
    answer = table.send(ME, request)
    record.refuses = {Stage.PROPOSE, *LATER}
    table.instance(ME).node.prune()
    assert table.send(ME, request) == answer


def test_without_a_record_everything_the_protocol_allows_goes_on() -> None:
    bare, noted = Table(4), Table(4)
    start(bare, None)
    start(noted, Unlimited())
    for table in (bare, noted):
        for stage in REQUESTS:
            table.play(stage)
        table.instance(ME).node.prune()
    assert bare.answers == noted.answers
