"""A member that deals shares which do not open, do not fit, or do not come from one polynomial."""

from __future__ import annotations

import pytest

from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.keys import Sealer
from federation.member import share_commitment
from federation.messages import SealedShares
from federation.shamir import SHARE_SIZE
from tests.adversaries.members import Played, play
from tests.simulator.table import Table

DEALER = "m001.example"


def dealt(
    table: Table, payload: bytes, victims: set[str], how: str, shares: bytes = bytes(2 * SHARE_SIZE)
) -> bytes:
    """Return the dealer's sealed shares, made false for `victims`."""
    honest = SealedShares.from_payload(payload, table.cohort.limits)
    sealed, commitments = dict(honest.sealed), dict(honest.commitments)
    member = table.instance(DEALER).node._running[table.signed.round_id].member
    for victim in victims:
        other = table.instance(victim).node._running[table.signed.round_id].member
        sealer = Sealer(member._secrets, DEALER, victim, other._secrets.seal_public)
        if how == "garbage":
            sealed[victim] = bytes(len(sealed[victim]))
        elif how == "false":
            sealed[victim] = sealer.seal(shares)
        else:
            sealed[victim] = sealer.seal(shares)
            commitments[victim] = tuple(  # type: ignore[assignment]
                share_commitment(purpose, table.signed.round_id, DEALER, victim, part)
                for purpose, part in (
                    ("self seed", shares[:SHARE_SIZE]),
                    ("mask key", shares[SHARE_SIZE:]),
                )
            )
    return SealedShares(sealed, commitments).to_payload()


def played(table: Table, victims: set[str], how: str, *, vanishes: bool = False) -> Played:
    def corrupt(stage: Stage, host: str, payload: bytes) -> bytes:
        return dealt(table, payload, victims, how) if (stage, host) == (Stage.KEYS, DEALER) else payload

    return play(table, corrupt, lost=lambda at, host: vanishes and (at, host) == (Stage.SHARES, DEALER))


@pytest.mark.parametrize("vanishes", [False, True])
@pytest.mark.parametrize("how", ["garbage", "false"])
def test_as_many_victims_as_the_threshold_spares_do_no_harm(how: str, vanishes: bool) -> None:
    """With 10 members and a threshold of 7, three shares may be missing, of which a lost dealer has one."""
    table = Table(10)
    victims = {"m003.example", "m007.example"} | (set() if vanishes else {"m009.example"})
    result = played(table, victims, how, vanishes=vanishes)
    result.check_sum_of(set(table.hosts) - ({DEALER} if vanishes else set()))
    assert result.refusals == []
    assert result.aggregator.result.doubts == tuple((DEALER, victim) for victim in sorted(victims))


@pytest.mark.parametrize("vanishes", [False, True])
@pytest.mark.parametrize("how", ["garbage", "false", "committed"])
def test_false_shares_for_everybody_end_the_sum_and_name_the_dealer(how: str, vanishes: bool) -> None:
    """Its vector is in the sum and its mask stays on: nothing is learned. The next sum is without it."""
    table = Table(5)
    with pytest.raises(Refusal) as refused:
        played(table, set(table.hosts) - {DEALER}, how, vanishes=vanishes)
    assert (refused.value.code, refused.value.culprit) == (Code.SHARE_INVALID, DEALER)
    roster = tuple(member for member in table.signed.proposal.roster if member.host != DEALER)
    again = Table(5)
    again.signed = again.cohort.propose(roster=roster, threshold=3, nonce=b"1" * 16)
    play(again, lambda _stage, _host, payload: payload).check_sum_of(set(table.hosts) - {DEALER})


def test_one_false_but_committed_share_names_the_dealer() -> None:
    table = Table(5)
    with pytest.raises(Refusal) as refused:
        played(table, {"m000.example"}, "committed")
    assert (refused.value.code, refused.value.culprit) == (Code.SHARE_INVALID, DEALER)


@pytest.mark.parametrize("change", ["missing", "extra", "self"])
def test_shares_for_other_people_than_advertised_put_the_dealer_out(change: str) -> None:
    table = Table(5)

    def corrupt(stage: Stage, host: str, payload: bytes) -> bytes:
        if (stage, host) != (Stage.KEYS, DEALER):
            return payload
        honest = SealedShares.from_payload(payload, table.cohort.limits)
        sealed, commitments = dict(honest.sealed), dict(honest.commitments)
        if change == "missing":
            del sealed["m003.example"]
        elif change == "extra":
            commitments["stranger.example"] = (bytes(32), bytes(32))
        else:
            sealed[DEALER] = bytes(82)
        return SealedShares(sealed, commitments).to_payload()

    result = play(table, corrupt)
    assert [(r.code, r.culprit) for r in result.refusals] == [(Code.SHARE_INVALID, DEALER)]
    result.check_sum_of(set(table.hosts) - {DEALER})
