"""Sums that a peer passes on: signed for one newcomer, now, over proposals that ask the same."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from federation import envelope
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.group import documents
from federation.group.published import HEAD, PublishedSubCohort, counts_blob, pairs_blob, proposal_blob
from federation.identity import Identity, PublicIdentity
from federation.limits import Limits
from federation.passed_on import PassedOn
from federation.proposal import BlobReference, Proposal, Segment, SignedProposal

NOW = 1_800_000_000.0
LIMITS = Limits()
PEER = Identity("peer.example", b"p" * 32)
ME = "newcomer.example"
VIDEOS = 10
MEMBERS = tuple(Identity(f"m{n}.example", bytes([n]) * 32).public for n in range(1, 11))


def signed(roster: tuple[PublicIdentity, ...], **changes: object) -> SignedProposal:
    terms: dict[str, object] = {
        "aggregator": PEER.host,
        "roster": tuple(sorted(roster)),
        "threshold": 4,
        "trainer": "gram/2",
        "segments": (Segment(VIDEOS), Segment(VIDEOS * (VIDEOS - 1) // 2)),
        "entry_bound": 1000,
        "ring": 32,
        "nonce": b"n" * 16,
        "created": int(NOW) - 7 * 86400,
        "expires": int(NOW) - 7 * 86400 + 3600,
        "parameters": {"pass_on": 1},
    }
    return SignedProposal.sign(Proposal(**(terms | changes)), PEER, LIMITS)  # type: ignore[arg-type]


FIRST, SECOND = signed(MEMBERS[:5]), signed(MEMBERS[5:])


def passed_on(*proposals: SignedProposal) -> PassedOn:
    blobs = {HEAD: BlobReference(b"h" * 32, 100)}
    for number, one in enumerate(proposals):
        blobs[proposal_blob(number)] = BlobReference(hashlib.sha256(one.raw).digest(), len(one.raw))
        blobs[counts_blob(number)] = BlobReference(b"c" * 32, 4 * VIDEOS)
        blobs[pairs_blob(number)] = BlobReference(b"p" * 32, 2 * VIDEOS * (VIDEOS - 1))
    sub_cohorts = tuple(PublishedSubCohort(one.round_id, one.proposal.hosts) for one in proposals)
    return PassedOn(b"r" * 32, int(NOW * 1000), sub_cohorts, blobs)


def checked(*proposals: SignedProposal, now: float = NOW) -> tuple[SignedProposal, ...]:
    raws = {number: one.raw for number, one in enumerate(proposals)}
    return passed_on(*proposals).check_sub_cohorts(raws, PEER.public, now, LIMITS)


def code_of(*proposals: SignedProposal, now: float = NOW) -> Code:
    with pytest.raises(Refusal) as refused:
        checked(*proposals, now=now)
    return refused.value.code


def read(raw: bytes, me: str = ME, now: float = NOW) -> PassedOn:
    return PassedOn.read(envelope.parse(raw, max_size=100_000), PEER.public, me, now, LIMITS)


def test_what_is_passed_on_is_read_and_its_proposals_may_have_expired() -> None:
    sent = passed_on(FIRST, SECOND)
    assert read(sent.seal(PEER, ME)) == sent
    assert checked(FIRST, SECOND) == (FIRST, SECOND)


def test_it_is_for_one_newcomer_at_one_time_and_no_other_document() -> None:
    sent = passed_on(FIRST)
    for raw, me, now, code in (
        (sent.seal(PEER, ME), "other.example", NOW, Code.NOT_FOR_ME),
        (sent.seal(PEER, ME), ME, NOW + 301, Code.EXPIRED),
        (sent.seal(PEER, ME), ME, NOW - 301, Code.EXPIRED),
        (sent.seal(Identity(PEER.host, b"x" * 32), ME), ME, NOW, Code.BAD_SIGNATURE),
        (documents.seal(PEER, Stage.PUBLISH, ME, sent.content()), ME, NOW, Code.WRONG_STAGE),
        (
            documents.seal(PEER, Stage.PASSED_ON, ME, {**sent.content(), "epoch": b""}),
            ME,
            NOW,
            Code.MALFORMED,
        ),
    ):
        with pytest.raises(Refusal) as refused:
            read(raw, me, now)
        assert refused.value.code is code


def test_sub_cohorts_ask_the_same_and_nobody_is_in_two() -> None:
    assert code_of(FIRST, signed(MEMBERS[5:], parameters={"pass_on": 0})) is Code.PARAMETERS_REFUSED
    assert code_of(FIRST, signed(MEMBERS[5:], trainer="gram/3")) is Code.PARAMETERS_REFUSED
    noisy = (Segment(VIDEOS, noise=4), Segment(VIDEOS * (VIDEOS - 1) // 2))
    assert code_of(FIRST, signed(MEMBERS[5:], segments=noisy)) is Code.PARAMETERS_REFUSED
    other = {HEAD: BlobReference(b"o" * 32, 40)}
    assert code_of(FIRST, signed(MEMBERS[5:], blobs=other)) is Code.PARAMETERS_REFUSED
    both = passed_on(FIRST, signed(MEMBERS[4:9]))
    apart = PublishedSubCohort(both.sub_cohorts[1].round_id, both.sub_cohorts[1].survivors[1:])
    twice = replace(both, sub_cohorts=(both.sub_cohorts[0], apart))
    with pytest.raises(Refusal) as refused:
        twice.check_sub_cohorts({0: FIRST.raw, 1: signed(MEMBERS[4:9]).raw}, PEER.public, NOW, LIMITS)
    assert refused.value.code is Code.ROSTER_INVALID


def test_a_proposal_keeps_the_rules_that_hold_for_every_one() -> None:
    assert code_of(signed(MEMBERS[:5], created=int(NOW) + 999, expires=int(NOW) + 2000)) is Code.EXPIRED
    low = replace(FIRST.proposal, threshold=3)
    raw = envelope.seal(
        PEER, round_id=envelope.NO_ROUND, stage=Stage.PROPOSE, recipient="", payload=low.to_payload()
    )
    digest = envelope.parse(raw, max_size=100_000).digest
    assert code_of(SignedProposal(low, raw, digest)) is Code.THRESHOLD_TOO_LOW
