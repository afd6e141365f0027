"""What was given to an aggregator: the same again after anything, nothing of who left, no second vector."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.errors import StoreError
from daemon.rounds.asked import terms_of
from daemon.rounds.data_windows import PARTS
from daemon.rounds.viewer_digests import viewer_tag
from federation.errors import Code, Refusal
from federation.keys import derive
from federation.noise import skellam
from federation.proposal import Segment
from policies.window import BETWEEN_EARLY, BETWEEN_LOOKS
from policies.window_length import SHORTEST, length
from tests.daemon.rounds.window_store import (
    BOB,
    EVERYBODY,
    HOSTS,
    LENGTH,
    MEMBERS,
    PAIRS,
    SEGMENTS,
    SHARES,
    URLS,
    Store,
    Values,
    Viewers,
    asked,
    early,
    not_counted,
    same,
)
from tests.simulator.cohort import NOW

# -- before anything left ------------------------------------------------------------------------------------


def test_until_something_left_anything_may_be_asked_and_has_noise_of_its_own(store: Store) -> None:
    first = store.freeze(asked())
    assert same(store.freeze(asked()), first)
    plain = store.viewers.plain()
    for other in (asked(roster=MEMBERS[:4]), asked(vocabulary=b"v" * 32), asked(threshold=5), asked()):
        before = store.kept()
        again = store.freeze(other)
        assert not same(again - plain, first - plain)
        assert store.kept().id != before.id
        assert store.kept().window.ends == before.window.ends
    assert [path.name for path in store.folder.rglob("given")] == ["given"]


def test_who_leaves_before_anything_left_is_only_not_counted(store: Store) -> None:
    asking = asked()
    first = store.freeze(asking)
    plain = store.viewers.plain()
    del store.viewers.rows[BOB]
    assert store.open().withdraw(store.viewers.present) == 1
    # The attempt that was under way goes on without this instance; nothing that Bob is in is left.
    with pytest.raises(Refusal) as refused:
        store.open().leave(asking)
    assert refused.value.code is Code.BUSY
    assert not list(store.folder.rglob("given"))
    again = store.give(asked())
    assert not same(again - store.viewers.plain(), first - plain)


def test_what_is_refused_while_counting_freezes_nothing(store: Store) -> None:
    def count() -> Values:
        raise Refusal(Code.BUDGET_SPENT, "spent")

    with pytest.raises(Refusal, match="spent"):
        store.open().contribution(asked(), store.viewers, count)
    assert store.open().all() == []
    store.give(asked(vocabulary=b"v" * 32))
    # Nor does it end a window: the one before lasts until something else is given.
    store.next_window()
    with pytest.raises(Refusal, match="spent"):
        store.open().contribution(asked(), store.viewers, count)
    assert len(list(store.folder.rglob("given"))) == 1


def test_only_the_latest_attempt_can_let_something_leave(store: Store) -> None:
    first, second = asked(), asked()
    store.freeze(first)
    store.freeze(second)
    with pytest.raises(Refusal, match="another attempt"):
        store.open().leave(first)
    store.open().leave(second)


# -- one window ----------------------------------------------------------------------------------------------


def test_the_same_vector_is_given_for_the_same_question_also_after_a_restart(store: Store) -> None:
    first = store.give(asked())
    assert not same(first, store.viewers.plain())
    store.viewers.change(EVERYBODY)  # what was given does not move
    store.clock.now += 3600
    assert same(store.give(asked()), first)
    assert same(store.give(asked(), store.open()), first)


def test_what_is_given_is_the_statistic_and_noise_of_the_windows_own_key(store: Store) -> None:
    vector = store.give(asked())
    seed = store.kept().seed
    noise = [
        skellam(share, one.length, derive(seed, b"storage", f"noise {number}"))
        for number, (one, share) in enumerate(zip(SEGMENTS, SHARES, strict=True))
    ]
    np.testing.assert_array_equal(vector - np.concatenate(noise), store.viewers.plain())
    assert all(part.any() for part in noise)


def test_aggregators_and_segments_get_noise_of_their_own(store: Store) -> None:
    plain = store.viewers.plain()
    given = [store.give(asked(f"peer{n}.example")) - plain for n in range(3)]
    noises = [part[: len(URLS)] for one in given for part in (one[: len(URLS)], one[len(URLS) :])]
    for place, one in enumerate(noises):
        assert not any(same(one, other) for other in noises[:place])


def test_nothing_is_counted_again_where_something_was_given(store: Store) -> None:
    store.give(asked())
    store.open().contribution(asked(), store.viewers, not_counted)


@pytest.mark.parametrize(
    "change",
    [
        {"vocabulary": b"v" * 32},
        {"segments": (SEGMENTS[0], Segment(len(PAIRS[0]), 1, 7))},
        {"segments": (SEGMENTS[0], Segment(len(PAIRS[0]), 2, 8))},
        {"segments": (Segment(19, 1, 4), SEGMENTS[1])},
        {"entry_bound": 999},
        {"ring": 64},
        {"trainer": "gram/3"},
        {"parameters": {"early": 0, "min_users": 8}},
        {"threshold": 5},
        {"threshold": 3},
        {"colluders": 2},
        {"roster": MEMBERS[:4]},
    ],
)
def test_other_terms_are_refused_once_something_left(store: Store, change: dict[str, object]) -> None:
    store.give(asked())
    found = store.refusal(asked(**change))  # type: ignore[arg-type]
    assert found.code is Code.WINDOW_OPEN
    assert "another contribution" in found.sentence


def test_after_its_reveal_a_member_answers_no_new_proposal(store: Store) -> None:
    asking = asked()
    store.give(asking)
    store.open().release(asking, HOSTS)
    for another in (asked(), asked(vocabulary=b"v" * 32)):
        assert store.refusal(another).code is Code.WINDOW_OPEN
    # What is under way can be resumed, for the same survivors.
    store.open().check(asking)
    store.open().release(asking, HOSTS)
    with pytest.raises(Refusal, match="other survivors"):
        store.open().release(asking, HOSTS[:4])


# -- the end of a window -------------------------------------------------------------------------------------


def test_after_time_and_change_there_is_a_fresh_draw_and_nothing_old(store: Store) -> None:
    before = asked()
    first, plain = store.give(before), store.viewers.plain()
    store.open().release(before, HOSTS)
    (old_path,) = store.folder.rglob("given")
    old, old_bytes = store.kept(), old_path.read_bytes()
    store.next_window()
    second = store.give(asked(vocabulary=b"v" * 32, roster=MEMBERS[:4]))
    new = store.kept()
    assert new.id != old.id
    assert new.seed != old.seed
    assert not same(second - store.viewers.plain(), first - plain)
    (left,) = store.folder.rglob("given")
    assert left.read_bytes() != old_bytes


@pytest.mark.parametrize(("late", "changed"), [(True, 0), (False, EVERYBODY)])
def test_too_early_or_with_too_little_change_it_is_still_the_old_one(
    store: Store, late: bool, changed: int
) -> None:
    store.least = 30  # far from what noise makes of no change
    first = store.give(asked())
    store.clock.now += LENGTH.total_seconds() if late else SHORTEST * PARTS[0] - 1
    store.viewers.change(changed)
    assert same(store.give(asked()), first)
    assert store.refusal(asked(vocabulary=b"v" * 32)).code is Code.WINDOW_OPEN


def test_windows_grow_with_the_age_of_the_contributor(store: Store) -> None:
    ages = []
    for _ in range(8):
        store.give(asked())
        window = store.kept().window
        age = window.opened - NOW
        part = (window.ends - window.opened) / length(age, LENGTH.total_seconds())
        assert PARTS[0] <= part <= PARTS[1]
        ages.append(age / SHORTEST)
        store.clock.now = window.ends
        store.viewers.change(EVERYBODY)
    assert ages[0] == 0
    assert ages[1] < 1
    # An aggregator that comes later finds what this instance's age gives it, not a day.
    store.give(asked("late.example"))
    late = store.kept("late.example").window
    assert late.ends - late.opened > PARTS[0] * LENGTH.total_seconds() - 1


def test_a_window_that_nothing_left_in_makes_nobody_older(store: Store) -> None:
    store.freeze(asked())
    store.clock.now += 100 * SHORTEST
    store.give(asked("second.example"))
    window = store.kept("second.example").window
    assert window.ends - window.opened <= SHORTEST


def test_windows_end_at_different_times_and_never_after_their_length(store: Store) -> None:
    for number in range(40):
        store.give(asked(f"peer{number}.example"))
    lengths = [(kept.window.ends - NOW) / SHORTEST for kept in store.open().all()]
    assert all(PARTS[0] <= part <= PARTS[1] for part in lengths)
    assert max(lengths) - min(lengths) > 0.5 * (PARTS[1] - PARTS[0])


def test_a_clock_that_is_set_back_or_forth_gives_no_second_vector_early(store: Store) -> None:
    first = store.give(asked())
    ends = store.kept().window.ends
    store.viewers.change(EVERYBODY)
    for now in (NOW - SHORTEST, NOW - 400 * SHORTEST, ends - 1):
        store.clock.now = now
        assert same(store.give(asked()), first)
    # With a clock behind the first release nothing is known of one's age: windows are the longest there are.
    store.clock.now = NOW - 30 * SHORTEST
    store.give(asked("other.example"))
    window = store.kept("other.example").window
    assert window.ends - window.opened >= PARTS[0] * LENGTH.total_seconds()


def test_the_aggregators_clock_counts_for_nothing(store: Store) -> None:
    first = store.give(asked())
    store.viewers.change(EVERYBODY)
    for ahead in (-SHORTEST, SHORTEST, 400 * SHORTEST):
        other = asked(created=NOW + int(ahead), expires=NOW + int(ahead) + 600)
        assert same(store.give(other), first)


def test_a_round_of_the_window_before_cannot_go_on_in_the_next_with_the_same_terms(store: Store) -> None:
    # Its vector is another one than this window's: one release would be two.
    old, new = asked(), asked()
    assert terms_of(old) == terms_of(new)
    store.give(old)
    store.next_window()
    store.give(new)
    store.open().check(new)
    for step in (store.open().check, store.open().leave):
        with pytest.raises(Refusal, match="over, or to another"):
            step(old)
    with pytest.raises(Refusal, match="over, or to another"):
        store.open().release(old, HOSTS)


# -- early windows -------------------------------------------------------------------------------------------


def test_one_early_window_a_quarter_with_a_fresh_draw_of_its_own(store: Store) -> None:
    first = asked()
    given = store.give(first)
    store.open().release(first, HOSTS)
    store.clock.now += 3600
    before, plain = store.kept(), store.viewers.plain()
    again = early()
    # Nobody has to have changed; what is given is another draw, and another window on record.
    second = store.give(again)
    assert not same(second - plain, given - plain)
    assert store.kept().id != before.id
    assert same(store.give(early()), second)
    # The next one of the quarter is none, also in the windows after it.
    for _ in range(3):
        store.next_window()
        ordinary = asked()
        third = store.give(ordinary)
        store.clock.now += 60
        assert store.refusal(early()).code is Code.WINDOW_OPEN
        assert same(store.give(asked()), third)
    store.clock.now += BETWEEN_EARLY
    assert not same(store.give(early()), third)


def test_an_early_window_of_one_aggregator_is_none_of_another(store: Store) -> None:
    store.give(asked())
    other = store.give(asked("other.example"))
    store.give(early())
    assert same(store.give(asked("other.example")), other)


# -- withdrawal ----------------------------------------------------------------------------------------------


def test_who_leaves_takes_everything_along_at_once(store: Store) -> None:
    first = asked()
    vectors = [store.give(first), store.give(asked("other.example"))]
    kept = store.open().all()
    tags = [viewer_tag(one.seed, BOB) for one in kept]
    contents = [one.viewers[tag] for one, tag in zip(kept, tags, strict=True)]
    secrets = [*(v.astype("<i4").tobytes() for v in vectors), *tags, *contents]
    assert all(secret in store.plain() for secret in secrets)
    del store.viewers.rows[BOB]
    assert store.open().withdraw(store.viewers.present) == 2
    left = store.plain()
    assert not any(secret in left for secret in secrets)
    assert not list(store.folder.rglob("given"))
    for step in (store.open().check, store.open().leave):
        with pytest.raises(Refusal) as refused:
            step(first)
        assert refused.value.code is Code.BUSY
    for proposal in (asked(), asked(vocabulary=b"v" * 32), asked("other.example")):
        assert store.refusal(proposal).code is Code.BUSY
    assert store.open().withdraw(store.viewers.present) == 0


def test_a_contribution_finds_out_by_itself_who_left(store: Store) -> None:
    store.give(asked())
    del store.viewers.rows[BOB]
    assert store.refusal(asked()).code is Code.BUSY
    assert not list(store.folder.rglob("given"))


@pytest.mark.parametrize("told", [True, False])
def test_an_aggregator_that_watches_for_a_withdrawal_sees_a_member_that_is_away(
    store: Store, told: bool
) -> None:
    """It asks again and again, before and after; `told` says whether the window heard of it by itself."""

    def leaves() -> None:
        del store.viewers.rows[BOB]
        if told:
            store.open().withdraw(store.viewers.present)

    # Nothing has left: it gets a vector, as before, and cannot open two.
    store.freeze(asked("one.example"))
    # It left, and is not opened: silence.
    waits = asked("two.example")
    store.give(waits)
    # It was opened: the same words before and after.
    opened = asked("three.example")
    store.give(opened)
    store.open().release(opened, HOSTS)
    before = store.refusal(asked("three.example"))
    leaves()
    store.freeze(asked("one.example"))
    silent = [store.refusal(asked("two.example")), store.refusal(asked("two.example", vocabulary=b"v" * 32))]
    with pytest.raises(Refusal) as under_way:
        store.open().check(waits)
    assert {str(one) for one in silent} == {str(under_way.value)}
    assert silent[0].code is Code.BUSY
    assert not any(word in silent[0].sentence for word in ("viewer", "window", "withdr", "left"))
    assert str(store.refusal(asked("three.example"))) == str(before)


def test_nothing_is_sent_until_others_changed_and_leaving_is_no_change(store: Store) -> None:
    store.least = 30
    first, plain = store.give(asked()), store.viewers.plain()
    for name in [BOB, *sorted(store.viewers.rows)[:5]]:
        store.viewers.rows.pop(name, None)
    store.open().withdraw(store.viewers.present)
    store.clock.now += 10 * LENGTH.total_seconds()
    assert store.refusal(asked()).code is Code.BUSY
    store.clock.now += BETWEEN_LOOKS
    store.viewers.change(EVERYBODY)
    assert not same(store.give(asked()) - store.viewers.plain(), first - plain)


def test_who_comes_back_brings_nothing_back(store: Store) -> None:
    first = store.give(asked())
    row = store.viewers.rows.pop(BOB)
    store.open().withdraw(store.viewers.present)
    store.viewers.rows[BOB] = row
    assert store.refusal(asked()).code is Code.BUSY
    store.next_window()
    assert not same(store.give(asked()), first)


def test_who_leaves_while_being_counted_stops_it(store: Store) -> None:
    store.freeze(asked())
    before = store.viewers

    def count() -> Values:
        vector = before.plain()
        # Another process: it does not wait for the counting.
        other = Store(store.folder, store.clock, Viewers(dict(before.rows)))
        del other.viewers.rows[BOB]
        assert other.open().withdraw(other.viewers.present) == 1
        return vector

    with pytest.raises(Refusal) as refused:
        store.open().contribution(asked(vocabulary=b"v" * 32), before, count)
    assert refused.value.code is Code.BUSY
    assert not list(store.folder.rglob("given"))


def test_a_damaged_window_does_not_keep_anybody_in_who_left(store: Store) -> None:
    for number in range(4):
        store.give(asked(f"peer{number}.example"))
    damaged = sorted(store.folder.rglob("state"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    del store.viewers.rows[BOB]
    with pytest.raises(StoreError, match="damaged"):
        store.open().withdraw(store.viewers.present)
    # Whom it counts is not known: nothing of any window is left, and all of them count as served.
    assert store.open().all() == []
    assert not list(store.folder.rglob("given"))
    assert store.open().served_until() is not None
