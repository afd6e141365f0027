"""What a member keeps on record of rounds that others asked for."""

from __future__ import annotations

import hashlib

import pytest

from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.rounds import round_config
from daemon.rounds.member_log import MemberLog
from daemon.store import activity
from daemon.store.activity import RoundRecord
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.node import MemberNode
from tests.daemon.disclosure.sharing_instance import (
    ASKS,
    NOW,
    PAIRS,
    VIDEOS,
    Place,
)


@pytest.fixture
def member(place: Place) -> MemberLog:
    config = place.config
    node = MemberNode(
        place.identity,
        round_config.member_journal(config),
        peer=lambda _host: None,
        check_policies=lambda _proposal: None,
        clock=lambda: place.now,
        random=bytes,
        limits=round_config.limits(config),
    )
    return MemberLog(place.engine, place.identity, node, lambda: place.now)


def test_what_the_rules_refused_is_an_entry_once_a_day(place: Place, member: MemberLog) -> None:
    proposal = place.proposal()
    for hour in range(30):
        place.now = NOW + 3600 * hour
        member.refused(proposal, Refusal(Code.NOISE_TOO_LOW, "noise of variance 0 is proposed"))
    member.refused(proposal, Refusal(Code.COHORT_TOO_SMALL, "2 of the 3 members are approved here"))
    found = [e for e in ledger.entries(place.engine) if e.kind == Kind.REFUSED]
    assert [e.details["code"] for e in found] == ["noise-too-low", "noise-too-low", "cohort-too-small"]
    assert {e.subject for e in found} == {ASKS.host}
    assert ledger.verify(place.engine, place.identity.public).ok


def test_a_round_that_its_aggregator_left_is_an_entry_with_what_was_given(
    place: Place, member: MemberLog
) -> None:
    vector = place.give(place.proposal(), b"s" * 32)
    known = RoundRecord((b"s" * 32).hex(), "member", ASKS.host, NOW, roster=["me.example"])
    activity.save_round(place.engine, known)
    activity.save_round(place.engine, RoundRecord("99" * 32, "aggregator", "one.example", NOW))
    member.close_left()
    member.close_left()
    (entry,) = (e for e in ledger.entries(place.engine) if e.kind == Kind.ROUND)
    assert (entry.subject, entry.details["outcome"]) == (known.id, "abandoned")
    digest = hashlib.sha256(vector.astype("<i4").tobytes()).hexdigest()
    assert entry.details["given"] == {"sha256": digest, "bytes": 4 * (VIDEOS + PAIRS)}
    assert activity.round_(place.engine, "99" * 32).outcome == "running"  # type: ignore[union-attr]


def test_a_member_whose_key_was_replaced_still_answers(
    place: Place, member: MemberLog, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.rotate(place.engine, place.identity, Identity("one.example", b"n" * 32), NOW)
    member.refused(place.proposal(), Refusal(Code.NOISE_TOO_LOW, "none"))
    assert "no entry in the ledger" in caplog.text
