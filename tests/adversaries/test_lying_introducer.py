"""An approved peer that introduces instances of its own, to fill the sums of others with them.

`docs/threat-model.md` quotes the numbers: how many of them can be in a sum that is joined at all.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from daemon.peers import circle, offers, repository
from daemon.rounds import round_config
from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity
from federation.proposal import least_threshold
from policies.allowlist import Allowlist
from policies.cohort import CohortPolicy, needed_threshold
from policies.privacy import Level, PrivacyPolicy
from tests import ROOT
from tests.adversaries.test_sybil_roster import ME, proposed
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.policies.test_policies import proposal
from tests.simulator.table import Table

SYBILS = [Identity(f"s{n:02}.example", bytes([150 + n]) * 32).public for n in range(60)]


def table_of(friends: int, sybils: int, *, believed: bool = False) -> tuple[Table, list[PublicIdentity]]:
    """Return a table whose ME approved the aggregator, `friends`, and Sybils on the aggregator's word."""
    table = Table(friends + 1)
    me = table.instance(ME)
    introduced = SYBILS[:sybils]
    alone = () if believed else {one.host for one in introduced}
    me.check_policies = CohortPolicy(ME, Allowlist([*me.peers.values(), *introduced], alone)).check
    me.start()
    return table, [*table.signed.proposal.roster, *introduced]


@pytest.mark.parametrize("friends", [0, 1, 2])
def test_three_sybils_do_not_fill_a_sum_that_is_too_small(friends: int) -> None:
    me_and_sybils = {ME, *(one.host for one in SYBILS)}
    for believed in (False, True):
        table, everybody = table_of(2, 3, believed=believed)
        others = [one for one in everybody if one.host not in me_and_sybils][:friends]
        roster = [*others, *(one for one in everybody if one.host in me_and_sybils)]
        raw = proposed(table, roster, threshold=len(roster))
        if believed:
            # If an introducer's word counted, ME's vector would be in the liar's hands.
            table.send(ME, raw)
        else:
            assert table.refusal(ME, raw) is Code.COHORT_TOO_SMALL


def most(members: int, threshold: int) -> int:
    """Return how many introduced members a sum may have that is joined."""
    count = 0
    while needed_threshold(members, 1 + count + 1) <= threshold and members - count - 1 >= 4:
        count += 1
    return count


def quoted() -> dict[int, tuple[int, ...]]:
    """Return the rows of the threat model by their first number, the members."""
    document = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    section = document[document.index("## A lying introducer") :]
    rows = re.findall(r"^\|" + r" (\d+) \|" * 6 + "$", section, flags=re.MULTILINE)
    return {int(row[0]): tuple(map(int, row[1:])) for row in rows}


def test_the_threat_model_quotes_how_many_can_be_in_a_sum() -> None:
    numbers = quoted()
    assert len(numbers) >= 5
    for members, found in numbers.items():
        least = least_threshold(members)
        few, many = most(members, least), most(members, members)
        needed = 2 * least - members
        assert found == (least, few, many, needed, members)
        # They are never as many as it takes to open a vector.
        assert few < needed
        assert many < members


@pytest.mark.parametrize("members", [6, 10, 16])
def test_those_numbers_are_what_a_member_refuses(members: int) -> None:
    for threshold in (least_threshold(members), members):
        limit = most(members, threshold)
        for sybils in range(1, members - 3):
            table, roster = table_of(members - sybils - 1, sybils)
            raw = proposed(table, roster, threshold=threshold)
            if sybils <= limit:
                table.send(ME, raw)
            else:
                assert table.refusal(ME, raw) in {Code.THRESHOLD_TOO_LOW, Code.COHORT_TOO_SMALL}


def test_the_noise_has_to_hold_against_them_too() -> None:
    asked = proposal(9)
    known = Allowlist(asked.roster, {"p1.example", "p2.example", "p3.example"})
    for colluders, refused in ((1, True), (3, True), (4, False)):
        subject = dataclasses.replace(asked, colluders=colluders)
        policy = PrivacyPolicy("me.example", known, Level.NONE)
        if refused:
            with pytest.raises(Refusal, match="work together") as caught:
                policy.check(subject)
            assert caught.value.code is Code.NOISE_TOO_LOW
        else:
            policy.check(subject)


async def test_what_the_admin_ticked_of_them_is_refused_by_name(tmp_path: Path) -> None:
    """The whole way: introduced, approved by hand, and in a proposal of the introducer."""
    async with neighbours(tmp_path, 5) as (liar, me, *sybils):
        for one in (me, *sybils):
            await one.approve(liar)
            await liar.approve(one)
        offers.introduce(liar.engine, liar.config, to=me.host, now=liar.clock())
        await liar.job()
        await me.settled()
        found = circle.read(me.engine, me.config, me.clock()).instances
        ticked = {one.host: one.key for one in found}
        assert len(ticked) == 3
        circle.decide(me.engine, me.config, ticked, now=me.clock())
        assert _refused(me, liar, *sybils) is Code.COHORT_TOO_SMALL
        # One whose words were compared makes no cohort either.
        await me.approve(sybils[0])
        assert _refused(me, liar, *sybils) is Code.COHORT_TOO_SMALL


def _refused(me: Neighbour, aggregator: Neighbour, *others: Neighbour) -> Code:
    roster = tuple(sorted(one.identity.public for one in (me, *others)))
    asked = dataclasses.replace(
        proposal(4),
        aggregator=aggregator.host,
        roster=roster,
        threshold=len(roster),
        colluders=len(roster) - 1,
    )
    contributing = me.config.model_copy(update={"mode": "contribute"})
    allowlist = repository.read(me.engine, me.config).allowlist()
    with pytest.raises(Refusal) as caught:
        round_config.policy(contributing, allowlist).check(asked)
    assert caught.value.sentence
    return caught.value.code
