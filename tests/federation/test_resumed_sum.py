"""Only some members are asked, or exactly those; a sum that stopped goes on, and reveals add up."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from federation.aggregator import Aggregator, SumResult, asked_in, resume
from federation.envelope import Stage
from federation.errors import CohortLost, ProtocolMisuse
from federation.journal import Journal, MemoryJournal
from federation.messages import Revealed
from tests.simulator.crashes import Crash, FailingJournal
from tests.simulator.table import REQUESTS, Table, read

MEMBERS, THRESHOLD = 7, 5
HOSTS = Table(MEMBERS).hosts
FIRST_STAGES, LAST_STAGES = REQUESTS[:3], REQUESTS[3:]


def begin(
    table: Table, journal: Journal, asked: Collection[str] | None = None, *, exactly: bool = False
) -> Aggregator:
    return Aggregator(
        table.signed, table.cohort.aggregator, journal, table.cohort.limits, asked=asked, exactly=exactly
    )


def again(table: Table, journal: Journal) -> Aggregator:
    """Return the aggregator of a process that was started anew."""
    return resume(table.signed.round_id, table.cohort.aggregator, journal, table.cohort.limits)


def ask(table: Table, aggregator: Aggregator, hosts: Collection[str] = HOSTS) -> None:
    """Let those of `hosts` who are awaited answer the current request."""
    for host, request in aggregator.requests().items():
        if host in hosts:
            aggregator.receive(host, table.instance(host).handle(request))


def play_until(stage: Stage, table: Table, aggregator: Aggregator) -> None:
    while aggregator.stage is not stage:
        ask(table, aggregator)
        aggregator.close()


def finish(table: Table, aggregator: Aggregator) -> SumResult:
    while not aggregator.finished:
        ask(table, aggregator)
        aggregator.close()
    return aggregator.result


def check(table: Table, result: SumResult, survivors: Collection[str]) -> None:
    assert result.survivors == tuple(survivors)
    np.testing.assert_array_equal(result.total, sum(table.instance(host).values for host in survivors))


def test_who_is_away_is_not_asked() -> None:
    table, journal = Table(MEMBERS), MemoryJournal()
    aggregator = begin(table, journal, HOSTS[1:6])
    assert tuple(aggregator.requests()) == HOSTS[1:6]
    assert asked_in(table.signed.round_id, journal, table.cohort.limits) == set(HOSTS[1:6])
    result = finish(table, aggregator)
    check(table, result, HOSTS[1:6])
    assert result.lost == dict.fromkeys((HOSTS[0], HOSTS[6]), "not asked")


def test_fewer_than_the_threshold_asked_is_a_lost_cohort() -> None:
    table = Table(MEMBERS)
    aggregator = begin(table, MemoryJournal(), HOSTS[: THRESHOLD - 1])
    ask(table, aggregator)
    assert not aggregator.enough
    with pytest.raises(CohortLost, match=r"4 members answered, 5 are needed .*: not asked"):
        aggregator.close()


def test_nobody_else_can_be_asked() -> None:
    table = Table(MEMBERS)
    with pytest.raises(ProtocolMisuse, match="only members of the roster"):
        begin(table, MemoryJournal(), (*HOSTS[:5], "m999.example"))


@pytest.mark.parametrize("stage", FIRST_STAGES)
def test_exactly_those_have_to_survive(stage: Stage) -> None:
    table = Table(MEMBERS)
    aggregator = begin(table, MemoryJournal(), HOSTS[:6], exactly=True)
    play_until(stage, table, aggregator)
    ask(table, aggregator, HOSTS[:5])
    assert not aggregator.enough
    with pytest.raises(CohortLost, match="5 members answered, 6 are needed"):
        aggregator.close()


@pytest.mark.parametrize("stage", LAST_STAGES)
def test_who_helps_to_open_the_sum_of_exactly_those_may_be_fewer(stage: Stage) -> None:
    table = Table(MEMBERS)
    aggregator = begin(table, MemoryJournal(), HOSTS[:6], exactly=True)
    play_until(stage, table, aggregator)
    ask(table, aggregator, HOSTS[1:6])
    assert aggregator.enough
    aggregator.close()
    check(table, finish(table, aggregator), HOSTS[:6])


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("stage", REQUESTS)
def test_what_is_built_again_asks_the_same(stage: Stage, exactly: bool) -> None:
    """Whatever its maker says then: the journal knows better."""
    table, journal = Table(MEMBERS), MemoryJournal()
    play_until(stage, table, begin(table, journal, HOSTS[:6], exactly=exactly))
    rebuilt = begin(table, journal, HOSTS, exactly=not exactly)
    assert rebuilt.stage is stage
    assert tuple(rebuilt.requests()) == HOSTS[:6]
    ask(table, rebuilt, HOSTS[:5])
    assert rebuilt.enough == (stage in LAST_STAGES or not exactly)


def test_a_damaged_note_of_whom_to_ask_is_no_list_of_everybody() -> None:
    table, journal = Table(MEMBERS), MemoryJournal()
    begin(table, journal, HOSTS[:6])
    journal.write(table.signed.round_id, "asked", b"\xa0")
    with pytest.raises(ProtocolMisuse, match="damaged"):
        again(table, journal)


@pytest.mark.parametrize("stage", REQUESTS)
def test_a_sum_that_was_lost_for_want_of_answers_goes_on_where_it_stood(stage: Stage) -> None:
    table, journal = Table(MEMBERS), MemoryJournal()
    first = begin(table, journal)
    play_until(stage, table, first)
    sent = first.requests()
    ask(table, first, HOSTS[:3])
    with pytest.raises(CohortLost):
        first.close()
    assert first.confirmed == (HOSTS if stage is Stage.CONFIRMATIONS else ())
    second = again(table, journal)
    # Those who answered are not asked again; the others get the same bytes as the first time.
    assert second.requests() == {host: sent[host] for host in HOSTS[3:]}
    assert (first.answered, second.answered) == (3, 3)
    check(table, finish(table, second), HOSTS)


def test_reveals_add_up_over_as_many_attempts_as_it_takes() -> None:
    table, journal = Table(MEMBERS), MemoryJournal()
    aggregator = begin(table, journal)
    play_until(Stage.SHARES, table, aggregator)
    ask(table, aggregator, HOSTS[:6])
    aggregator.close()
    play_until(Stage.CONFIRMATIONS, table, aggregator)
    for number, host in enumerate(HOSTS[:THRESHOLD]):
        assert aggregator.confirmed == HOSTS[:6]
        assert len(aggregator.awaited) == 6 - number
        # Each of them was killed in between, and so was the aggregator.
        table.instance(host).start()
        ask(table, aggregator, [host])
        if number < THRESHOLD - 1:
            with pytest.raises(CohortLost, match=f"{number + 1} members answered, 5 are needed"):
                aggregator.close()
            aggregator = again(table, journal)
    aggregator.close()
    check(table, aggregator.result, HOSTS[:6])
    assert aggregator.result.lost[HOSTS[6]] == "no answer in time"


def test_no_resumption_gets_a_second_answer_out_of_a_member() -> None:
    table, journal = Table(MEMBERS), MemoryJournal()
    play_until(Stage.CONFIRMATIONS, table, begin(table, journal))
    revealed: dict[str, set[bytes]] = {host: set() for host in HOSTS}
    for round_ in range(4):
        aggregator = again(table, journal)
        for host, request in aggregator.requests().items():
            revealed[host].add(table.instance(host).handle(request))
            if round_ % 2:
                table.instance(host).start()
    assert {len(answers) for answers in revealed.values()} == {1}
    shares = Revealed.from_payload(bytes(read(min(revealed[HOSTS[0]])).payload), table.cohort.limits)
    assert (set(shares.self_seeds), set(shares.mask_keys)) == (set(HOSTS), set())


def changes() -> int:
    journal = FailingJournal(at=-1, after=False, error=Crash)
    _lose_and_resume(Table(MEMBERS), journal)
    return journal.changes


def _lose_and_resume(table: Table, journal: Journal) -> SumResult:
    """Play a sum of six whose last stage is lost once; start it anew wherever it stands."""
    aggregator = begin(table, journal, HOSTS[:6], exactly=True)
    while not aggregator.finished:
        stuck = aggregator.stage is Stage.CONFIRMATIONS and len(aggregator.awaited) == 6
        ask(table, aggregator, HOSTS[:2] if stuck else HOSTS)
        try:
            aggregator.close()
        except CohortLost:
            aggregator = begin(table, journal)
    return aggregator.result


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(changes()))
def test_a_crash_at_any_write_of_it_changes_nothing(at: int, after: bool) -> None:
    table = Table(MEMBERS)
    journal = FailingJournal(at=at, after=after, error=Crash)
    with pytest.raises(Crash):
        _lose_and_resume(table, journal)
    result = _lose_and_resume(table, journal.inner)
    check(table, result, HOSTS[:6])
    assert result.lost == {HOSTS[6]: "not asked"}
