"""One contribution per window: repeated exactly or not at all, whatever is asked for in whatever order."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from policies.window import Closed, Given, Window

OPENED, ENDS = 1000.0, 2000.0
V = Fraction(4, 3)
ABC, AB = ("a.example", "b.example", "c.example"), ("a.example", "b.example")

terms = st.sampled_from([b"counts", b"pairs", b"others"])
variances = st.fractions(0, 100)


def window(*given: Given, closed: Closed = Closed.NO, survivors: tuple[str, ...] = ()) -> Window:
    return Window(OPENED, ENDS, closed, given, survivors)


def sentence(refused: pytest.ExceptionInfo[Refusal]) -> str:
    assert refused.value.code is Code.WINDOW_OPEN
    return refused.value.sentence


@given(terms, variances, terms, variances)
def test_what_was_given_is_repeated_for_the_same_terms_and_enough_noise_only(
    first: bytes, had: Fraction, second: bytes, wanted: Fraction
) -> None:
    subject = window(Given(first, had))
    if first == second and wanted <= had:
        assert subject.repeats(0, second, wanted)
    else:
        with pytest.raises(Refusal, match="another sum was given"):
            subject.repeats(0, second, wanted)


@given(st.lists(st.tuples(st.integers(0, 3), terms, variances), max_size=12))
def test_no_order_of_questions_gets_a_second_answer_to_one_round(
    asked: list[tuple[int, bytes, Fraction]],
) -> None:
    subject = window()
    answers: dict[int, Given] = {}
    for round_, about, variance in asked:
        try:
            repeated = subject.repeats(round_, about, variance)
        except Refusal:
            continue
        if not repeated:
            assert round_ not in answers
            assert round_ == len(answers)
            answers[round_] = Given(about, variance)
            subject = subject.give(answers[round_])
        assert answers[round_].terms == about
        assert answers[round_].variance >= variance
    assert subject.given == tuple(answers.values())


def test_pairs_follow_counts_of_the_same_window() -> None:
    assert not window().repeats(0, b"counts", V)
    with pytest.raises(Refusal, match="no first sum"):
        window().repeats(1, b"pairs", V)
    assert not window(Given(b"counts", V)).repeats(1, b"pairs", V)


@pytest.mark.parametrize("closed", [Closed.VOID, Closed.SERVED])
def test_a_closed_window_gives_nothing_and_does_not_say_why(closed: Closed) -> None:
    told = set()
    for why in (closed, Closed.VOID):
        subject = window(Given(b"counts", V, b"sum"), closed=why)
        with pytest.raises(Refusal) as repeating:
            subject.repeats(0, b"counts", V)
        with pytest.raises(Refusal) as under_way:
            subject.require_given(0, b"sum")
        told |= {sentence(repeating), sentence(under_way)}
    # A peer must not learn from it that a viewer left.
    assert len(told) == 1
    assert "1970-01-01 00:33 UTC" in told.pop()


def test_a_closed_window_ends_like_any_other() -> None:
    assert window(closed=Closed.VOID).over(ENDS, changed=5, least=5)
    assert not window(closed=Closed.VOID).over(ENDS, changed=4, least=5)
    assert not window(closed=Closed.SERVED).over(ENDS - 1, changed=5, least=5)


@given(st.floats(0, 3000), st.integers(0, 10), st.integers(0, 10))
def test_a_window_ends_with_time_and_change_together(now: float, changed: int, least: int) -> None:
    assert window().over(now, changed=changed, least=least) == (now >= ENDS and changed >= least)


def test_a_sum_under_way_needs_what_it_was_given() -> None:
    subject = window(Given(b"counts", V, b"first"))
    subject.require_given(0, b"first")
    again = subject.repeat(0, b"second")
    again.require_given(0, b"second")
    assert again.given[0].terms == b"counts"
    for round_, sum_ in ((0, b"first"), (1, b"first"), (1, b"second")):
        with pytest.raises(Refusal, match="belongs to a window that is over"):
            again.require_given(round_, sum_)


def test_repeating_one_round_leaves_the_other_alone() -> None:
    subject = window(Given(b"counts", V, b"1"), Given(b"pairs", V, b"2")).repeat(0, b"3")
    assert [one.sum for one in subject.given] == [b"3", b"2"]


def test_one_set_of_survivors_per_window() -> None:
    subject = window().release(ABC)
    assert subject.release(ABC) == subject
    with pytest.raises(Refusal, match="other survivors") as refused:
        subject.release(AB)
    assert sentence(refused)


def test_no_sum_that_could_only_be_opened_with_others() -> None:
    window().require_room(AB)
    window(survivors=AB).require_room(AB)
    window(survivors=AB).require_room(ABC)  # c may drop out
    with pytest.raises(Refusal, match="other survivors"):
        window(survivors=ABC).require_room(AB)
