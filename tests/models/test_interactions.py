from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from models.interactions import Interactions, from_events, split_interactions, stack
from tests.models.worlds import interactions, population

Event = tuple[int, int, bool, bool, float, float]
events = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
        st.sampled_from([0.0, 0.49, 0.5, 1.0]),
        st.integers(0, 6).map(float),
    ),
    max_size=40,
)


def build(rows: list[Event], limit: int | None = None) -> Interactions:
    users, videos, liked, disliked, watched, when = zip(*rows, strict=True) if rows else ((),) * 6
    return from_events(
        users,
        videos,
        liked=liked,
        disliked=disliked,
        watched=watched,
        when=when,
        shape=(4, 6),
        limit=limit,
    )


def expected(rows: list[Event], limit: int | None) -> np.ndarray:
    dense = np.zeros((4, 6), np.uint8)
    for user in range(4):
        latest: dict[int, float] = {}
        for video in range(6):
            mine = [e for e in rows if e[:2] == (user, video)]
            if any(e[3] for e in mine) or not any(e[2] or e[4] >= 0.5 for e in mine):
                continue
            latest[video] = max(e[5] for e in mine)
        for video in sorted(latest, key=lambda v: (-latest[v], v))[:limit]:
            dense[user, video] = 1
    return dense


@given(events, st.one_of(st.none(), st.integers(1, 4)))
def test_events_become_what_the_rules_say(rows: list[Event], limit: int | None) -> None:
    found = build(rows, limit)
    np.testing.assert_array_equal(found.matrix.toarray(), expected(rows, limit))
    assert found.matrix.dtype == np.uint8
    assert found.matrix.has_canonical_format


def test_a_dislike_sets_zero_even_beside_a_like_and_before_it() -> None:
    rows: list[Event] = [
        (0, 1, False, True, 0.0, 1.0),
        (0, 1, True, False, 1.0, 9.0),
        (0, 2, True, False, 0.0, 1.0),
    ]
    assert build(rows).matrix.toarray()[0].tolist() == [0, 0, 1, 0, 0, 0]


def test_less_than_half_watched_is_no_engagement() -> None:
    assert build(
        [(0, 0, False, False, 0.499, 1.0), (0, 1, False, False, 0.5, 1.0)]
    ).matrix.indices.tolist() == [1]


def test_the_limit_keeps_the_most_recent_videos() -> None:
    rows: list[Event] = [
        (0, video, True, False, 0.0, float(when)) for video, when in enumerate([5, 1, 4, 2, 3])
    ]
    found = build(rows, limit=2)
    assert found.matrix.indices.tolist() == [0, 2]
    assert found.recency is not None
    assert found.recency.tolist() == [5.0, 4.0]


def test_a_repeated_view_makes_a_video_recent() -> None:
    rows: list[Event] = [
        (0, 0, True, False, 0.0, 1.0),
        (0, 1, True, False, 0.0, 2.0),
        (0, 0, False, False, 0.1, 3.0),
    ]
    assert build(rows, limit=1).matrix.indices.tolist() == [0]


@pytest.mark.parametrize(
    "change",
    [
        {"users": [9]},
        {"videos": [-1]},
        {"watched": [1.5]},
        {"when": [float("nan")]},
        {"liked": [True, False]},
    ],
)
def test_events_out_of_range_are_refused(change: dict[str, list[float]]) -> None:
    columns = {name: change.get(name, [0.0]) for name in ("users", "videos", "liked", "watched", "when")}
    with pytest.raises(ValueError, match=r"index|watched|length"):
        from_events(
            columns["users"],
            columns["videos"],
            liked=columns["liked"],
            disliked=[False],
            watched=columns["watched"],
            when=columns["when"],
            shape=(1, 1),
            limit=None,
        )


def test_a_matrix_that_is_not_binary_is_refused() -> None:
    with pytest.raises(ValueError, match="ones"):
        Interactions(csr_array(np.array([[2]], np.uint8)))
    with pytest.raises(ValueError, match="uint8"):
        Interactions(csr_array(np.array([[1]], np.int64)))


def test_rows_and_stack_keep_times_with_their_values() -> None:
    rows: list[Event] = [(u, v, True, False, 0.0, float(10 * u + v)) for u in range(4) for v in range(u, 6)]
    whole = build(rows)
    again = stack([whole.rows(np.array([0, 1])), whole.rows(np.array([2, 3]))])
    np.testing.assert_array_equal(again.matrix.toarray(), whole.matrix.toarray())
    assert again.recency is not None
    assert whole.recency is not None
    np.testing.assert_array_equal(again.recency, whole.recency)
    picked = whole.rows(np.array([3, 1]))
    assert picked.recency is not None
    np.testing.assert_array_equal(picked.recency, picked.matrix.indices + np.repeat([30, 10], [3, 5]))


def test_split_divides_every_interaction_once_and_depends_on_the_generator_alone() -> None:
    matrix = population(200, 60).matrix
    kept, held_out = split_interactions(matrix, 0.2, np.random.default_rng(1))
    np.testing.assert_array_equal((kept + held_out).toarray(), matrix.toarray())
    assert (kept.multiply(held_out)).nnz == 0
    assert 0.17 < held_out.nnz / matrix.nnz < 0.23
    again, _ = split_interactions(matrix, 0.2, np.random.default_rng(1))
    np.testing.assert_array_equal(again.indices, kept.indices)
    with pytest.raises(ValueError, match="fraction"):
        split_interactions(matrix, 1.0, np.random.default_rng(1))


def test_a_limit_without_times_keeps_the_lowest_videos() -> None:
    assert interactions([[4, 1, 2]], 5).limited(2).matrix.indices.tolist() == [1, 2]
    with pytest.raises(ValueError, match="at least 1"):
        interactions([[0]], 1).limited(0)
