"""A proposal that breaks a rule is refused with the code of that rule, by its maker and by every member."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import cbor, envelope
from federation.envelope import NO_ROUND, Stage
from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity
from federation.limits import Limits
from federation.proposal import BlobReference, Proposal, Segment, SignedProposal, least_threshold

NOW = 1_800_000_000
LIMITS = Limits()
AGGREGATOR = Identity("aggregator.example", b"a" * 32)
ROSTER = tuple(Identity(f"m{n}.example", bytes([n]) * 32).public for n in range(6))
HASH = b"h" * 32
GOOD = Proposal(
    aggregator=AGGREGATOR.host,
    roster=ROSTER,
    threshold=5,
    trainer="gram/2",
    segments=(Segment(1000), Segment(45, unit=2, noise=16)),
    entry_bound=500,
    ring=32,
    nonce=bytes(16),
    created=NOW,
    expires=NOW + 600,
    parameters={"min_users": 5},
    blobs={"vocabulary": BlobReference(HASH, 100)},
)
HOSTS = GOOD.hosts


def refusal_of(now: float = NOW, **changes: Any) -> Code | None:
    try:
        dataclasses.replace(GOOD, **changes).check(limits=LIMITS, now=now)
    except Refusal as refusal:
        return refusal.code
    return None


def test_the_example_is_good() -> None:
    assert refusal_of() is None


@given(st.integers(3, 500))
def test_two_disjoint_sets_of_honest_members_cannot_both_reach_the_threshold(members: int) -> None:
    threshold = least_threshold(members)
    assert 3 * threshold > 2 * members
    assert 3 * (threshold - 1) <= 2 * members, "and it is no higher than it has to be"


def test_a_group_is_told_by_its_host_in_the_roster() -> None:
    together = dataclasses.replace(GOOD, roster=(AGGREGATOR.public, *ROSTER), threshold=least_threshold(7))
    assert (GOOD.of_group, together.of_group) == (False, True)
    together.check(limits=LIMITS, now=NOW)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"created": NOW + 301, "expires": NOW + 600}, Code.EXPIRED),
        ({"created": NOW - 700, "expires": NOW}, Code.EXPIRED),
        ({"expires": NOW + LIMITS.max_lifetime + 1}, Code.EXPIRED),
        ({"created": NOW + 100, "expires": NOW + 100}, Code.EXPIRED),
        ({"roster": ROSTER[::-1]}, Code.ROSTER_INVALID),
        ({"roster": (*ROSTER[:5], ROSTER[4])}, Code.ROSTER_INVALID),
        ({"roster": (*ROSTER[:5], PublicIdentity("z.example", ROSTER[0].key))}, Code.ROSTER_INVALID),
        ({"roster": ROSTER[:2], "threshold": 2}, Code.COHORT_TOO_SMALL),
        ({"threshold": 4}, Code.THRESHOLD_TOO_LOW),
        ({"threshold": 7}, Code.THRESHOLD_TOO_LOW),
        ({"threshold": 0}, Code.THRESHOLD_TOO_LOW),
        ({"ring": 16}, Code.RING_TOO_SMALL),
        ({"ring": 33}, Code.RING_TOO_SMALL),
        ({"entry_bound": 2**31 // 6 + 1}, Code.RING_TOO_SMALL),
        ({"entry_bound": 2**63 - 1, "ring": 64}, Code.RING_TOO_SMALL),
        ({"entry_bound": 2**29, "roster": ROSTER[:4], "threshold": 3}, Code.RING_TOO_SMALL),
        ({"segments": ()}, Code.OVERSIZED),
        ({"segments": (Segment(LIMITS.max_length), Segment(1))}, Code.OVERSIZED),
        ({"segments": (Segment(10), Segment(10, unit=LIMITS.max_unit + 1))}, Code.PARAMETERS_REFUSED),
        ({"segments": (Segment(10, unit=0), Segment(10))}, Code.PARAMETERS_REFUSED),
        ({"segments": (Segment(10), Segment(10, noise=LIMITS.max_noise + 1))}, Code.PARAMETERS_REFUSED),
        ({"blobs": {"b": BlobReference(HASH, LIMITS.max_blob + 1)}}, Code.OVERSIZED),
        ({"colluders": 0}, Code.PARAMETERS_REFUSED),
        ({"colluders": 5}, Code.PARAMETERS_REFUSED),
        # Only with its noise, or its unit, does an entry of the second segment reach the edge.
        (
            {"entry_bound": 2**31 // 6 - 100, "segments": (Segment(9), Segment(9, noise=1000))},
            Code.RING_TOO_SMALL,
        ),
        (
            {"entry_bound": 2**31 // 12 + 1, "segments": (Segment(9), Segment(9, unit=2))},
            Code.RING_TOO_SMALL,
        ),
    ],
    ids=str,
)
def test_every_rule_has_its_code(changes: dict[str, Any], code: Code) -> None:
    assert refusal_of(**changes) is code
    if "created" in changes:
        return  # A proposal is signed at the time of its creation, whatever the clock says.
    with pytest.raises(Refusal) as refused:
        SignedProposal.sign(dataclasses.replace(GOOD, **changes), AGGREGATOR, LIMITS)
    assert refused.value.code is code


def test_the_largest_bounds_that_cannot_wrap_pass() -> None:
    plain = (Segment(9), Segment(9))
    assert refusal_of(entry_bound=(2**31 - 1) // 6, segments=plain) is None
    assert refusal_of(entry_bound=(2**63 - 1) // 6, segments=plain, ring=64) is None
    assert refusal_of(entry_bound=(2**31 - 1) // 12, segments=(Segment(9), Segment(9, unit=2))) is None
    assert refusal_of(segments=(Segment(LIMITS.max_length),)) is None
    assert refusal_of(now=NOW + 599.9) is None


def test_each_segment_has_bounds_of_its_own() -> None:
    counts, pairs = GOOD.value_bounds
    assert counts == 500
    assert pairs > 1000
    assert (GOOD.length, GOOD.masked_size) == (1045, 4180)
    values = np.zeros(1045, np.int64)
    values[999], values[1000] = counts, -pairs
    assert GOOD.within(values)
    first, second = GOOD.split(values)
    assert (first.size, second.size, second[0]) == (1000, 45, -pairs)
    for place, value in ((999, counts + 1), (999, -pairs), (1000, pairs + 1), (0, -(2**63))):
        wrong = values.copy()
        wrong[place] = value
        assert not GOOD.within(wrong), (place, value)
    assert GOOD.within(2 * values, members=2)
    assert not GOOD.within(2 * values)


def test_the_honest_members_of_the_least_surviving_set_reach_the_noise() -> None:
    subject = dataclasses.replace(GOOD, colluders=2)
    for segment, share in zip(subject.segments, subject.share_variances, strict=True):
        assert (subject.threshold - subject.colluders) * share == segment.noise


def test_a_signed_proposal_is_read_back() -> None:
    signed = SignedProposal.sign(GOOD, AGGREGATOR, LIMITS)
    message = envelope.parse(signed.raw, max_size=LIMITS.max_request)
    read = SignedProposal.read(message, AGGREGATOR.public, LIMITS)
    assert read == signed
    assert read.round_id == message.digest


def test_another_signature_is_another_sum() -> None:
    one = SignedProposal.sign(GOOD, AGGREGATOR, LIMITS)
    two = SignedProposal.sign(dataclasses.replace(GOOD, nonce=b"1" * 16), AGGREGATOR, LIMITS)
    assert one.round_id != two.round_id


def read(payload: bytes, **envelope_changes: Any) -> Code | None:
    about: dict[str, Any] = {"round_id": NO_ROUND, "stage": Stage.PROPOSE, "recipient": ""} | envelope_changes
    raw = envelope.seal(AGGREGATOR, payload=payload, **about)
    try:
        message = envelope.parse(raw, max_size=LIMITS.max_request)
        SignedProposal.read(message, AGGREGATOR.public, LIMITS)
    except Refusal as refusal:
        return refusal.code
    return None


def test_only_a_proposal_is_read_as_one() -> None:
    payload = GOOD.to_payload()
    assert read(payload) is None
    assert read(payload, stage=Stage.KEYS) is Code.WRONG_STAGE
    assert read(payload, round_id=HASH) is Code.WRONG_STAGE
    assert read(payload, recipient=HOSTS[0]) is Code.NOT_FOR_ME
    other = dataclasses.replace(GOOD, aggregator="somebody.example")
    assert read(other.to_payload()) is Code.WRONG_SENDER


FIELDS = cbor.decode(GOOD.to_payload())
assert isinstance(FIELDS, dict)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_no_field_can_be_missing_or_of_another_type(name: str) -> None:
    assert isinstance(FIELDS, dict)
    without = {key: value for key, value in FIELDS.items() if key != name}
    assert read(cbor.encode(without)) is Code.MALFORMED
    assert read(cbor.encode({**FIELDS, "more": 1})) is Code.MALFORMED
    wrongs: list[cbor.Item] = [None, True, -1, 2**63, "", "\x00", b"\x01", [1], {"": 1}, {"a\nb": 1}, [[]]]
    for wrong in wrongs:
        assert read(cbor.encode({**FIELDS, name: wrong})) is Code.MALFORMED, (name, wrong)


@given(st.binary(max_size=300))
def test_any_payload_is_malformed(payload: bytes) -> None:
    assert read(payload) is Code.MALFORMED


@pytest.mark.parametrize(
    "segment",
    [[], [1], [1, 1], [1, 1, 0, 0], [0, 1, 0], [-1, 1, 0], [1, 0, 0], [1, 1, -1], [1, 1, "0"], [True, 1, 0]],
    ids=str,
)
def test_a_segment_is_a_length_a_unit_and_a_noise(segment: list[cbor.Item]) -> None:
    assert isinstance(FIELDS, dict)
    assert read(cbor.encode({**FIELDS, "segments": [[9, 1, 0], segment]})) is Code.MALFORMED


def test_lists_and_maps_have_limits() -> None:
    assert isinstance(FIELDS, dict)
    many: dict[str, cbor.Item] = {
        "roster": [[f"m{n:03}.example", bytes(32)] for n in range(LIMITS.max_members + 1)],
        "segments": [[1, 1, 0]] * (LIMITS.max_segments + 1),
        "parameters": {f"p{n}": n for n in range(LIMITS.max_parameters + 1)},
        "blobs": {f"b{n}": [HASH, n] for n in range(LIMITS.max_parameters + 1)},
    }
    for name, value in many.items():
        assert read(cbor.encode({**FIELDS, name: value})) is Code.MALFORMED
