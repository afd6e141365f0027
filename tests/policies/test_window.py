"""One contribution per window: repeated exactly or not at all, whatever is asked for in whatever order."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from policies.window import (
    BETWEEN_EARLY,
    BETWEEN_LOOKS,
    CHANGE_EPSILON,
    Closed,
    Window,
    noisy_threshold,
)

OPENED, ENDS, LEAST = 1000.0, 2000.0, 5
LATE = 10 * BETWEEN_LOOKS
ABC, AB = ("a.example", "b.example", "c.example"), ("a.example", "b.example")

terms = st.sampled_from([b"roster", b"other roster", b"other head"])


def window(**changes: object) -> Window:
    return replace(Window(OPENED, ENDS, LEAST), **changes)  # type: ignore[arg-type]


def given_out(**changes: object) -> Window:
    """Return a window of which the masked vector may have left."""
    return window(terms=b"roster", proposal=b"first", left=True, **changes)


def refusal(subject: Window, about: bytes = b"roster") -> Refusal:
    with pytest.raises(Refusal) as refused:
        subject.repeats(about)
    return refused.value


@given(terms, terms)
def test_until_something_leaves_nothing_is_frozen(first: bytes, second: bytes) -> None:
    assert not window().repeats(first)
    # An attempt that failed early is repeated or counted afresh, with whomever, as nobody has seen anything.
    assert window().give(first, b"1").repeats(second) == (first == second)


@given(terms, terms)
def test_what_left_is_repeated_for_the_same_terms_only(first: bytes, second: bytes) -> None:
    subject = replace(window().give(first, b"1"), left=True)
    if first == second:
        assert subject.repeats(second)
    else:
        found = refusal(subject, second)
        assert found.code is Code.WINDOW_OPEN
        assert "the same roster, vocabulary, head and terms" in found.sentence
        assert "1970-01-01 00:33 UTC" in found.sentence


@settings(max_examples=300)
@given(st.lists(st.tuples(terms, st.sampled_from(["give", "leave", "open", "void"])), max_size=12))
def test_no_order_of_events_lets_two_vectors_leave(events: list[tuple[bytes, str]]) -> None:
    """The vector that leaves is the one that is frozen; a fresh one is counted only while none has."""
    subject, frozen, left = window(), 0, set[int]()
    for about, what in events:
        if what == "give":
            try:
                repeated = subject.repeats(about)
            except Refusal:
                continue
            assert not (subject.survivors and subject.left), "it was opened, and answers no new proposal"
            frozen += not repeated
            subject = subject.give(about, b"%d" % frozen)
        elif what == "leave" and subject.terms and subject.closed is Closed.NO:
            left.add(frozen)
            subject = replace(subject, left=True)
        elif what == "open" and subject.left:
            subject = subject.release(AB)
        elif what == "void":
            subject = replace(subject, closed=Closed.VOID)
        assert len(left) <= 1


def test_after_its_reveal_a_member_answers_no_new_proposal_and_a_withdrawal_changes_nothing() -> None:
    """Else an aggregator could ask again and again until the answer changes."""
    opened = given_out(survivors=AB)
    answers = {str(refusal(replace(opened, closed=closed))) for closed in (Closed.NO, Closed.VOID)}
    assert len(answers) == 1
    found = refusal(opened)
    assert found.code is Code.WINDOW_OPEN
    assert "was given" in found.sentence


def test_a_withdrawal_after_the_vector_left_is_the_silence_of_a_member_that_is_away() -> None:
    void = given_out(closed=Closed.VOID)
    assert {refusal(void, about).code for about in (b"roster", b"other head")} == {Code.BUSY}
    with pytest.raises(Refusal) as under_way:
        void.require_given(b"first")
    assert under_way.value.code is Code.BUSY
    told = refusal(void).sentence + under_way.value.sentence
    assert not any(word in told for word in ("window", "viewer", "withdr", "left"))


def test_a_withdrawal_before_anything_left_is_counted_again() -> None:
    void = replace(window().give(b"roster", b"first"), closed=Closed.VOID)
    assert not void.repeats(b"roster")
    assert void.give(b"roster", b"second").closed is Closed.NO


@given(st.booleans(), terms)
def test_what_is_not_known_any_more_counts_as_given(left: bool, about: bytes) -> None:
    served = window(closed=Closed.SERVED, left=left)
    assert not served.replaceable
    assert refusal(served, about).code is Code.WINDOW_OPEN
    with pytest.raises(Refusal) as under_way:
        served.require_given(b"")
    assert under_way.value.code is Code.WINDOW_OPEN


@given(st.floats(0, 2 * LATE), st.sampled_from(Closed), st.integers())
def test_a_window_ends_with_time_and_change_together(now: float, closed: Closed, seed: int) -> None:
    subject = window(ends=LATE, closed=closed)
    assert not subject.over(now)
    # Far more, or fewer, than noise can make up for.
    assert not subject.look(now, -1000, random.Random(seed)).over(now)
    enough = subject.look(now, 1000, random.Random(seed))
    assert enough.over(now) == (now >= LATE)
    assert enough == (replace(subject, looked=now, least_changed=0) if now >= LATE else subject)
    # Once over it stays over, and is not looked at again.
    assert enough.look(now + 9e9, -1000, random.Random(seed)).over(now + 9e9) == (now >= LATE)


def test_it_is_looked_once_a_day_and_no_oftener_whatever_is_asked() -> None:
    draw = random.Random(0)
    first = window(ends=LATE).look(LATE, -1000, draw)
    assert first.looked == LATE
    assert first.look(LATE + BETWEEN_LOOKS - 1, 1000, draw) == first
    assert first.look(LATE + BETWEEN_LOOKS, 1000, draw).over(LATE + BETWEEN_LOOKS)


def test_only_the_latest_attempt_goes_on() -> None:
    subject = window().give(b"roster", b"first").give(b"roster", b"second")
    subject.require_given(b"second")
    with pytest.raises(Refusal, match="another attempt") as refused:
        subject.require_given(b"first")
    assert refused.value.code is Code.WINDOW_OPEN


def test_one_set_of_survivors_per_window() -> None:
    subject = given_out().release(ABC)
    assert subject.release(ABC) == subject
    with pytest.raises(Refusal, match="other survivors") as refused:
        subject.release(AB)
    assert refused.value.code is Code.WINDOW_OPEN


def test_one_early_window_a_quarter_and_none_after_a_restore() -> None:
    now = 2 * BETWEEN_EARLY
    assert given_out(survivors=AB).may_be_early(now)
    again = window(early=now)
    assert not again.may_be_early(now + BETWEEN_EARLY - 1)
    assert again.may_be_early(now + BETWEEN_EARLY)
    assert not window(closed=Closed.SERVED).may_be_early(now)


def test_how_many_must_change_is_noised_by_what_the_constant_says() -> None:
    draws = Counter(noisy_threshold(20, random.Random(seed)) for seed in range(40_000))
    mean = sum(value * number for value, number in draws.items()) / draws.total()
    # Of a discrete Laplace law: variance 2 a / (1 - a)^2 with a = exp(-epsilon), here 7.8.
    assert mean == pytest.approx(20, abs=0.1)
    for value in range(17, 24):
        step = math.log(draws[value] / draws[value + (1 if value >= 20 else -1)])
        assert step == pytest.approx(CHANGE_EPSILON, abs=0.12)


@given(st.integers(1, 30), st.integers())
def test_at_least_one_viewer_has_to_change(least: int, seed: int) -> None:
    drawn = noisy_threshold(least, random.Random(seed))
    assert drawn >= 1
    assert drawn == noisy_threshold(least, random.Random(seed))
    assert noisy_threshold(0, random.Random(seed)) == 0
