"""A partition is even, follows from its seed, moves nobody, and has no part that is too small."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from federation.group.documents import MAX_ROSTER
from federation.group.epoch_document import draw_places, partition_seed, sub_cohorts_of

HOSTS = st.lists(st.text("abcdefgh0123.-", min_size=1, max_size=8), min_size=1, max_size=40, unique=True)
SEEDS = st.binary(min_size=32, max_size=32)


@given(seed=SEEDS, hosts=HOSTS, parts=st.integers(1, 16), order=st.randoms())
def test_the_drawn_are_dealt_evenly_whatever_their_order(
    seed: bytes, hosts: list[str], parts: int, order: Random
) -> None:
    placed = draw_places(seed, hosts, parts)
    sizes = Counter(placed.values())
    assert max(sizes.values()) - min(sizes.get(n, 0) for n in range(parts)) <= 1
    order.shuffle(hosts)
    assert draw_places(seed, hosts, parts) == placed


@given(seed=SEEDS, hosts=HOSTS, cut=st.integers(0, 40), parts=st.integers(1, 16))
def test_who_comes_late_moves_nobody_and_comes_to_the_same_place_in_any_company(
    seed: bytes, hosts: list[str], cut: int, parts: int
) -> None:
    drawn, late = hosts[:cut], hosts[cut:]
    placed = draw_places(seed, drawn, parts, late)
    assert {host: placed[host] for host in drawn} == draw_places(seed, drawn, parts)
    for host in late:
        assert draw_places(seed, drawn, parts, [host])[host] == placed[host]


@given(
    placed=st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(0, 7), max_size=40),
    data=st.data(),
    least=st.integers(1, 8),
)
def test_nobody_is_lost_or_doubled_and_no_part_is_too_small(
    placed: dict[str, int], data: st.DataObject, least: int
) -> None:
    gone = data.draw(st.sets(st.sampled_from(sorted(placed)))) if placed else set()
    groups = sub_cohorts_of(placed, gone, least)
    assert sorted(host for group in groups for host in group) == sorted(placed.keys() - gone)
    assert len(groups) <= 1 or all(len(group) >= least for group in groups)
    assert list(groups) == sorted(groups)
    assert all(list(group) == sorted(group) for group in groups)
    left = {part: {h for h in placed if placed[h] == part} - gone for part in placed.values()}
    for members in left.values():
        assert sum(members <= set(group) for group in groups if members) == bool(members)


def test_a_small_part_joins_the_smallest_other() -> None:
    placed = {"a": 0, "b": 1, "c": 1, "d": 1, "e": 2, "f": 2}
    assert sub_cohorts_of(placed, (), 2) == (("a", "e", "f"), ("b", "c", "d"))
    assert sub_cohorts_of(placed, ("e",), 2) == (("a", "f"), ("b", "c", "d"))
    assert sub_cohorts_of(placed, (), 1) == (("a",), ("b", "c", "d"), ("e", "f"))
    assert sub_cohorts_of(placed, "abcdef", 2) == ()


def test_who_finds_its_sub_cohort_full_has_no_place_and_moves_nobody() -> None:
    seed, drawn, late = b"s" * 32, [f"d{n:03}" for n in range(200)], [f"l{n:03}" for n in range(400)]
    placed = draw_places(seed, drawn, 2, late)
    assert Counter(placed.values()) == {0: MAX_ROSTER, 1: MAX_ROSTER}
    room = draw_places(seed, drawn, 2, late[:20])
    assert len(room) == 220
    assert room.items() <= placed.items()
    # Who leaves frees no place: it would depend on who left, and the host says who did.
    groups = sub_cohorts_of(placed, drawn[:20], 4)
    assert sum(map(len, groups)) == 2 * MAX_ROSTER - 20


def test_a_small_part_that_nobody_has_room_for_is_not_summed() -> None:
    full = {f"f{n:03}": 0 for n in range(MAX_ROSTER)}
    assert sub_cohorts_of({**full, "a": 1, "b": 1}, (), 3) == (tuple(full),)
    assert sub_cohorts_of({**full, "a": 1, "b": 1}, ("f000", "f001"), 3) == (("a", "b", *sorted(full)[2:]),)


def test_every_nonce_and_the_list_change_the_seed() -> None:
    nonces = {"a": b"1" * 32, "b": b"2" * 32}
    seeds = {
        partition_seed(b"l" * 32, nonces),
        partition_seed(b"m" * 32, nonces),
        partition_seed(b"l" * 32, nonces | {"b": b"3" * 32}),
        partition_seed(b"l" * 32, {"a": b"2" * 32, "b": b"1" * 32}),
        partition_seed(b"l" * 32, {"a": b"1" * 32}),
    }
    assert len(seeds) == 5
    assert partition_seed(b"l" * 32, dict(reversed(nonces.items()))) in seeds


def test_the_draw_is_fair() -> None:
    """Of 4 members in 2 parts each pair is together in a third of 1,200 draws, within five deviations."""
    together_with_a: Counter[str] = Counter()
    for number in range(1_200):
        placed = draw_places(number.to_bytes(32, "big"), "abcd", 2)
        together_with_a.update(host for host in "bcd" if placed[host] == placed["a"])
    assert all(abs(together_with_a[host] - 400) < 5 * (1_200 * 2 / 9) ** 0.5 for host in "bcd")
