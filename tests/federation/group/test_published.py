"""Published sums: of the epoch, of enough survivors, over proposals of the host and one head."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import cbor, envelope
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.group.documents import EVERYBODY
from federation.group.published import (
    HEAD,
    MAX_PUBLISHED,
    Published,
    PublishedSubCohort,
    Taken,
    counts_blob,
    pairs_blob,
    proposal_blob,
    read_taken,
)
from federation.identity import Identity
from federation.limits import Limits
from federation.proposal import BlobReference
from tests.federation.group.sums import VIDEOS, proposed, publish, signed
from tests.federation.group.table import GROUP, HOST, LIMITS, NOW, Group, altered, parsed, person

DOCUMENT = Group.of(10, parts=2).begin()
RAWS = tuple(signed(proposed(part)) for part in DOCUMENT.rosters)
PROPOSALS = dict(enumerate(RAWS))
PUBLISHED = publish(DOCUMENT, *RAWS)
FIRST, SECOND = PUBLISHED.sub_cohorts


def read(raw: bytes, limits: Limits = LIMITS) -> Published:
    return Published.read(parsed(raw), HOST.public, limits)


def code_of(published: Published, proposals: dict[int, bytes] = PROPOSALS) -> Code:
    with pytest.raises(Refusal) as refused:
        published.check_sub_cohorts(DOCUMENT, proposals, LIMITS)
    return refused.value.code


def with_sub_cohort(number: int, raw: bytes) -> tuple[Published, dict[int, bytes]]:
    """Return what is published when the host puts another proposal in a place, hashes and all."""
    other = publish(DOCUMENT, *(raw if n == number else RAWS[n] for n in range(2)))
    return other, PROPOSALS | {number: raw}


def test_what_is_published_is_read_and_its_proposals_are_those_of_the_epoch() -> None:
    raw = PUBLISHED.seal(HOST)
    again = read(raw)
    assert again == PUBLISHED
    assert (again.hash, again.made) == (PUBLISHED.hash, int(NOW * 1000))
    assert again.seal(HOST) == raw
    assert parsed(raw).recipient == EVERYBODY
    proposals = again.check_sub_cohorts(DOCUMENT, PROPOSALS, LIMITS)
    assert [p.proposal.roster for p in proposals] == list(DOCUMENT.rosters)
    assert [p.round_id for p in proposals] == [one.round_id for one in again.sub_cohorts]


def test_one_sub_cohort_of_two_may_have_failed() -> None:
    one = publish(DOCUMENT, RAWS[0])
    [only] = read(one.seal(HOST)).check_sub_cohorts(DOCUMENT, PROPOSALS, LIMITS)
    assert only.raw == RAWS[0]


def test_of_another_epoch_or_group() -> None:
    assert code_of(replace(PUBLISHED, epoch=b"e" * 32)) is Code.ROSTER_INVALID
    assert code_of(replace(PUBLISHED, group="another")) is Code.ROSTER_INVALID


def test_another_proposal_than_the_rounds() -> None:
    assert code_of(PUBLISHED, {0: RAWS[1], 1: RAWS[0]}) is Code.BLOB_MISMATCH
    fetched = {**PUBLISHED.blobs, "proposal.0": BlobReference(b"x" * 32, len(RAWS[0]))}
    assert code_of(replace(PUBLISHED, blobs=fetched)) is Code.BLOB_MISMATCH
    named = replace(FIRST, round_id=b"s" * 32)
    assert code_of(replace(PUBLISHED, sub_cohorts=(named, SECOND))) is Code.BLOB_MISMATCH


def test_another_signer_no_proposal_another_roster() -> None:
    part = DOCUMENT.rosters[0]
    forged = signed(proposed(part), Identity(HOST.host, b"f" * 32))
    assert code_of(*with_sub_cohort(0, forged)) is Code.BAD_SIGNATURE
    no_proposal = envelope.seal(HOST, round_id=b"s" * 32, stage=Stage.KEYS, recipient="", payload=b"")
    assert code_of(*with_sub_cohort(0, no_proposal)) is Code.WRONG_STAGE
    assert code_of(*with_sub_cohort(0, signed(proposed(part[1:])))) is Code.ROSTER_INVALID
    mixed = tuple(sorted((*part[1:], DOCUMENT.rosters[1][0])))
    assert code_of(*with_sub_cohort(0, signed(proposed(mixed)))) is Code.ROSTER_INVALID


def test_survivors_are_enough_and_in_the_roster() -> None:
    few = replace(FIRST, survivors=FIRST.survivors[:3])
    assert code_of(replace(PUBLISHED, sub_cohorts=(few, SECOND))) is Code.SURVIVORS_INVALID
    replace(PUBLISHED, sub_cohorts=(replace(FIRST, survivors=FIRST.survivors[:4]), SECOND)).check_sub_cohorts(
        DOCUMENT, PROPOSALS, LIMITS
    )
    foreign = replace(FIRST, survivors=tuple(sorted((*FIRST.survivors, "zoe.example"))))
    assert code_of(replace(PUBLISHED, sub_cohorts=(foreign, SECOND))) is Code.SURVIVORS_INVALID


def blobs_with(**changes: int | None) -> Published:
    blobs = dict(PUBLISHED.blobs)
    for name, size in changes.items():
        blob = name.replace("_", ".")
        if size is None:
            del blobs[blob]
        else:
            blobs[blob] = BlobReference(b"x" * 32, size)
    return replace(PUBLISHED, blobs=blobs)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (replace(PUBLISHED, sub_cohorts=()), Code.MALFORMED),
        (replace(PUBLISHED, sub_cohorts=PUBLISHED.sub_cohorts[:1]), Code.MALFORMED),
        (replace(PUBLISHED, sub_cohorts=PUBLISHED.sub_cohorts * 2), Code.SURVIVORS_INVALID),
        (
            replace(
                PUBLISHED,
                sub_cohorts=(
                    FIRST,
                    PublishedSubCohort(FIRST.round_id, ("z",)),
                ),
            ),
            Code.MALFORMED,
        ),
        (
            replace(PUBLISHED, sub_cohorts=(PublishedSubCohort(b"s" * 32, ("b", "a")), SECOND)),
            Code.SURVIVORS_INVALID,
        ),
        (blobs_with(head=None), Code.MALFORMED),
        (blobs_with(counts_1=None), Code.MALFORMED),
        (blobs_with(counts_2=8), Code.MALFORMED),
        (blobs_with(counts_0=4 * VIDEOS + 1, counts_1=4 * VIDEOS + 1), Code.MALFORMED),
        (blobs_with(counts_1=4 * VIDEOS + 4), Code.MALFORMED),
        (blobs_with(pairs_0=8), Code.MALFORMED),
    ],
)
def test_sums_are_distinct_and_over_one_head(wrong: Published, code: Code) -> None:
    with pytest.raises(Refusal) as refused:
        wrong.seal(HOST)
    assert refused.value.code is code


@pytest.mark.parametrize(
    "changes",
    [
        {"group": ""},
        {"run": b"short"},
        {"epoch": b""},
        {"made": -1},
        {"sub_cohorts": [[b"s" * 32]]},
        {"blobs": {"head": [b"h" * 32]}},
        {"extra": 1},
    ],
)
def test_it_has_exactly_its_fields(changes: dict[str, cbor.Item]) -> None:
    with pytest.raises(Refusal) as refused:
        read(altered(PUBLISHED.seal(HOST), changes, by=HOST))
    assert refused.value.code is Code.MALFORMED


@settings(max_examples=50)
@given(data=st.data())
def test_no_flipped_bit_is_taken(data: st.DataObject) -> None:
    raw = PUBLISHED.seal(HOST)
    place = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Refusal):
        read(bytes(changed))


def test_the_largest_head_fits_and_a_larger_one_does_not() -> None:
    read(publish(DOCUMENT, *RAWS, head=5792).seal(HOST))
    with pytest.raises(Refusal) as refused:
        read(publish(DOCUMENT, *RAWS, head=5794).seal(HOST))
    assert refused.value.code is Code.OVERSIZED


def test_a_thousand_survivors_with_the_longest_names_fit() -> None:
    hosts = [f"{n:04}".ljust(230, "x") for n in range(1000)]
    cut = [hosts[n * 1000 // 16 : (n + 1) * 1000 // 16] for n in range(16)]
    reference = BlobReference(b"r" * 32, 0)
    names = [name(n) for n in range(16) for name in (proposal_blob, counts_blob, pairs_blob)]
    full = Published(
        group=GROUP,
        run=b"b" * 32,
        epoch=b"e" * 32,
        made=int(NOW * 1000),
        sub_cohorts=tuple(PublishedSubCohort(bytes([n]) * 32, tuple(part)) for n, part in enumerate(cut)),
        blobs=dict.fromkeys([HEAD, *names], reference),
    )
    raw = full.seal(HOST)
    assert len(raw) <= MAX_PUBLISHED
    assert read(raw) == full


def test_a_receipt_is_of_what_was_taken() -> None:
    alice = person(0)
    raw = Taken(PUBLISHED.run, PUBLISHED.hash).seal(alice, HOST.host)
    assert read_taken(parsed(raw), alice.public, HOST.host) == Taken(PUBLISHED.run, PUBLISHED.hash)
    with pytest.raises(Refusal) as refused:
        read_taken(parsed(raw), alice.public, "other.example")
    assert refused.value.code is Code.NOT_FOR_ME
