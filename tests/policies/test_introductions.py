"""What stands for an introduced instance: long following, or two who did not bring each other."""

from __future__ import annotations

from typing import Any

import pytest

from policies.introductions import FOLLOWED_LONG, evidence, independent

NOW = 1_800_000_000.0
LONG_AGO = NOW - FOLLOWED_LONG


def judged(**changes: Any) -> str:
    known: dict[str, Any] = {
        "bound": True,
        "followed_since": None,
        "vouchers": (),
        "introduced_by": {},
        "now": NOW,
    }
    return evidence(**known | changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"vouchers": ["anna"]}, ""),
        ({"followed_since": LONG_AGO}, "followed"),
        ({"followed_since": LONG_AGO + 1}, ""),
        ({"followed_since": NOW + 9 * FOLLOWED_LONG}, ""),
        ({"followed_since": LONG_AGO, "bound": False}, ""),
        ({"vouchers": ["anna", "bob"]}, "vouched"),
        ({"vouchers": ["anna", "bob"], "bound": False}, ""),
        ({"vouchers": ["anna", "anna"]}, ""),
        ({"vouchers": ["anna", "bob"], "introduced_by": {"bob": ["anna"]}}, ""),
        ({"vouchers": ["anna", "bob"], "introduced_by": {"anna": ["bob"]}}, ""),
        ({"vouchers": ["anna", "carl"], "introduced_by": {"carl": ["bob"], "bob": ["anna"]}}, ""),
        ({"vouchers": ["bob", "carl"], "introduced_by": {"bob": ["anna"], "carl": ["anna"]}}, "vouched"),
        ({"vouchers": ["anna", "bob", "carl"], "introduced_by": {"bob": ["anna"]}}, "vouched"),
    ],
    ids=str,
)
def test_what_stands_for_an_instance(changes: dict[str, Any], expected: str) -> None:
    assert judged(**changes) == expected


def test_peers_that_introduced_each_other_in_a_ring_end_the_search() -> None:
    ring = {"a": ["b"], "b": ["c"], "c": ["a"]}
    assert not independent("a", "c", ring)
    assert independent("a", "d", ring)
