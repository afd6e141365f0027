"""Who waits: of two that do not both approve each other the junior, and whoever rejects too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.junior_waits import Waits, junior_waits

SALT = b"salt"
HOSTS = "abcdefghij"
JOINED = {host: float(at) for at, host in enumerate(HOSTS)}
NAMES = st.sampled_from(HOSTS)


def waiting(
    rejections: dict[str, str], joined: dict[str, float] = JOINED, salt: bytes = SALT
) -> dict[str, Waits]:
    return junior_waits(joined, {host: tuple(others) for host, others in rejections.items()}, salt=salt)


def test_where_all_approve_all_nobody_waits() -> None:
    assert waiting({}) == waiting(dict.fromkeys(HOSTS, "")) == {}


def test_of_a_pair_the_junior_waits_whoever_of_them_objects() -> None:
    assert waiting({"b": "d"}) == {"d": Waits(rejected_by=("b",))}
    assert waiting({"d": "b"}) == {"d": Waits(rejects=("b",))}
    assert waiting({"b": "d", "d": "b"}) == {"d": Waits(("b",), ("b",))}


def test_who_waits_costs_nobody_its_place() -> None:
    """The oldest rejects the second, who rejects the third: the third stays."""
    assert waiting({"a": "b", "b": "c"}) == {"b": Waits(rejected_by=("a",))}
    assert waiting({"b": "c"}) == {"c": Waits(rejected_by=("b",))}


def test_a_newcomer_that_nobody_looked_at_yet_waits_alone() -> None:
    assert waiting(dict.fromkeys(HOSTS[:9], "j")) == {"j": Waits(rejected_by=tuple(HOSTS[:9]))}


def test_who_rejects_more_than_a_third_waits_and_costs_nobody_else() -> None:
    assert waiting({"a": "bcde"}) == {"a": Waits(too_many=True)}
    assert sorted(waiting({"a": "bcd"})) == ["b", "c", "d"]
    # A newcomer that approved few is the one that waits.
    assert waiting({"j": "abcdefg"}) == {"j": Waits(too_many=True)}


def test_a_member_that_rejects_everybody_is_out_alone_wherever_it_stands() -> None:
    for host in HOSTS:
        assert waiting({host: HOSTS}) == {host: Waits(too_many=True)}


def test_naming_oneself_or_somebody_elsewhere_changes_nothing() -> None:
    assert waiting({"a": "axyz", "x": "abc"}) == {}


def test_ties_are_broken_by_a_hash_that_no_name_decides() -> None:
    together = dict.fromkeys(HOSTS, 0.0)
    outs = [set(waiting({"a": "b"}, together, bytes([salt]))) for salt in range(64)]
    assert outs.count({"a"}) > 16
    assert outs.count({"b"}) > 16
    assert waiting({"a": "b"}, together) == waiting({"a": "b"}, dict(reversed(together.items())))


def test_a_false_date_moves_only_the_blame_within_the_pair() -> None:
    """A host that lies about dates decides who of two that disagree waits, and nothing else."""
    lied = {**JOINED, "b": 99.0}
    assert waiting({"b": "d"}, lied) == {"b": Waits(rejects=("d",))}
    assert waiting({}, lied) == {}


@given(
    st.dictionaries(NAMES, st.sets(NAMES), max_size=10),
    st.dictionaries(NAMES, st.integers(0, 3).map(float), min_size=1),
)
def test_those_that_stay_approve_each_other_and_everybody_who_waits_has_a_cause(
    rejections: dict[str, set[str]], joined: dict[str, float]
) -> None:
    found = junior_waits(joined, rejections, salt=SALT)
    kept = joined.keys() - found.keys()
    assert not any(rejections.get(host, set()) & kept - {host} for host in kept)
    for host, why in found.items():
        others = rejections.get(host, set()) & joined.keys() - {host}
        assert why.too_many == (3 * len(others) > len(joined))
        assert why.too_many != bool(why.rejected_by or why.rejects)
        assert {*why.rejected_by, *why.rejects} <= kept
        assert all(joined[other] <= joined[host] for other in (*why.rejected_by, *why.rejects))
        assert all(host in rejections[other] for other in why.rejected_by)
        assert set(why.rejects) <= others


@given(st.dictionaries(NAMES, st.sets(NAMES), max_size=10))
def test_no_newcomer_takes_anybodys_place(rejections: dict[str, set[str]]) -> None:
    """Without those that reject too many: one more member, the youngest, moves nobody, whatever it says."""
    few = {host: set(sorted(others - {host})[:3]) for host, others in rejections.items()}
    before = junior_waits(JOINED, few, salt=SALT)
    after = junior_waits({**JOINED, "new": 99.0}, {**few, "new": set(HOSTS)}, salt=SALT)
    assert {host: why for host, why in after.items() if host != "new"} == before
