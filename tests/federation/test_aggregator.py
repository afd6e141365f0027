"""An aggregator that crashes at any write comes to the same requests and the same sum."""

from __future__ import annotations

import numpy as np
import pytest

from federation.aggregator import Aggregator, resume
from federation.envelope import Stage
from federation.errors import Code, CohortLost, ProtocolMisuse, Refusal
from federation.journal import Journal, MemoryJournal
from tests.simulator.crashes import Crash, FailingJournal
from tests.simulator.table import Table

GONE = "m002.example"


def drive(table: Table, journal: Journal, sent: dict[tuple[Stage, str], bytes]) -> Aggregator:
    """Run or resume a sum that loses GONE after sharing; check that no request ever differs."""
    aggregator = Aggregator(table.signed, table.cohort.aggregator, journal, table.cohort.limits)
    while not aggregator.finished:
        stage = aggregator.stage
        assert stage is not None
        for host, request in aggregator.requests().items():
            assert sent.setdefault((stage, host), request) == request
            if (stage, host) != (Stage.SHARES, GONE):
                aggregator.receive(host, table.instance(host).handle(request))
        aggregator.close()
    return aggregator


def finish(table: Table, aggregator: Aggregator) -> None:
    while not aggregator.finished:
        for host, request in aggregator.requests().items():
            aggregator.receive(host, table.instance(host).handle(request))
        aggregator.close()


def changes() -> int:
    journal = FailingJournal(at=-1, after=False, error=Crash)
    drive(Table(5), journal, {})
    return journal.changes


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(changes()))
def test_a_crash_at_any_write_changes_nothing(at: int, after: bool) -> None:
    table, sent = Table(5), dict[tuple[Stage, str], bytes]()
    journal = FailingJournal(at=at, after=after, error=Crash)
    with pytest.raises(Crash):
        drive(table, journal, sent)
    aggregator = drive(table, journal.inner, sent)
    survivors = [host for host in table.hosts if host != GONE]
    assert aggregator.result.survivors == tuple(survivors)
    assert aggregator.result.lost == {GONE: "no answer in time"}
    expected = sum(table.instance(host).values for host in survivors)
    np.testing.assert_array_equal(aggregator.result.total, expected)
    again = resume(table.signed.round_id, table.cohort.aggregator, journal.inner, table.cohort.limits)
    np.testing.assert_array_equal(again.result.total, expected)


def test_an_answer_that_reached_the_disk_late_does_not_undo_a_decision() -> None:
    """The write failed, so the member was dropped; its bytes were there all the same."""
    table, journal = Table(5), FailingJournal(at=-1, after=True, error=OSError)
    aggregator = Aggregator(table.signed, table.cohort.aggregator, journal, table.cohort.limits)
    for host, request in aggregator.requests().items():
        if host == GONE:
            journal._at = journal.changes
            with pytest.raises(OSError, match="injected"):
                aggregator.receive(host, table.instance(host).handle(request))
        else:
            aggregator.receive(host, table.instance(host).handle(request))
    aggregator.close()
    again = resume(table.signed.round_id, table.cohort.aggregator, journal, table.cohort.limits)
    assert GONE not in again.requests()
    assert again.requests() == aggregator.requests()


def test_a_sum_that_a_member_pushes_out_of_bounds_is_implausible() -> None:
    table = Table(4, length=4)
    cheat = table.instance("m001.example")
    cheat.values = np.array([0, 0, 0, 2**30])
    aggregator = Aggregator(table.signed, table.cohort.aggregator, MemoryJournal(), table.cohort.limits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("federation.node.check_bounds", lambda *_: None)
        patch.setattr("federation.member.check_bounds", lambda *_: None)
        with pytest.raises(Refusal) as refused:
            finish(table, aggregator)
    assert refused.value.code is Code.SUM_IMPLAUSIBLE
    assert not aggregator.finished


def test_negative_entries_are_summed_as_they_are() -> None:
    table = Table(4)
    for number, host in enumerate(table.hosts):
        table.instance(host).values = np.arange(8) - 1000 + number
    journal = MemoryJournal()
    aggregator = Aggregator(table.signed, table.cohort.aggregator, journal, table.cohort.limits)
    finish(table, aggregator)
    expected = sum(table.instance(host).values for host in table.hosts)
    np.testing.assert_array_equal(aggregator.result.total, expected)


@pytest.mark.parametrize("stage", list(range(5)))
def test_below_the_threshold_the_sum_ends_and_gives_nothing(stage: int) -> None:
    table = Table(5)
    aggregator = Aggregator(table.signed, table.cohort.aggregator, MemoryJournal(), table.cohort.limits)
    for _ in range(stage):
        for host, request in aggregator.requests().items():
            aggregator.receive(host, table.instance(host).handle(request))
        aggregator.close()
    for host, request in list(aggregator.requests().items())[: table.threshold - 1]:
        aggregator.receive(host, table.instance(host).handle(request))
    with pytest.raises(CohortLost, match="3 members answered, 4 are needed"):
        aggregator.close()
    assert not aggregator.finished
    with pytest.raises(ProtocolMisuse):
        _ = aggregator.result


def test_a_lost_cohort_names_who_is_out_and_why() -> None:
    table = Table(8)
    aggregator = Aggregator(table.signed, table.cohort.aggregator, MemoryJournal(), table.cohort.limits)
    hosts = sorted(aggregator.requests())
    aggregator.drop(hosts[0], "unreachable")
    for host in hosts[1:7]:
        aggregator.drop(host, "refused: cohort-too-small")
    with pytest.raises(CohortLost) as lost:
        aggregator.close()
    said = str(lost.value)
    assert f"({hosts[0]}: unreachable; {', '.join(hosts[1:6])} and 1 more: refused: cohort-too-small;" in said
    assert f"{hosts[7]}: no answer in time)" in said


def test_our_own_misuse_is_told_apart() -> None:
    table = Table(4)
    limits = table.cohort.limits
    with pytest.raises(ProtocolMisuse, match="another aggregator"):
        Aggregator(table.signed, table.instance(GONE).identity, MemoryJournal(), limits)
    with pytest.raises(ProtocolMisuse, match="no such sum"):
        resume(table.signed.round_id, table.cohort.aggregator, MemoryJournal(), limits)
    aggregator = Aggregator(table.signed, table.cohort.aggregator, MemoryJournal(), limits)
    answer = table.instance(GONE).handle(aggregator.requests()[GONE])
    aggregator.receive(GONE, answer)
    with pytest.raises(ProtocolMisuse, match="not awaited"):
        aggregator.receive(GONE, answer)
