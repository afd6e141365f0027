"""The host of a group that lies, and a member that does: what is refused, and what can only be seen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from math import comb

import pytest

from federation import cbor, hello
from federation.errors import Code, Refusal
from federation.group.enrolment import Enrolment, Wish
from federation.group.epoch_document import EpochDocument, read_epoch
from federation.group.epoch_opening import (
    RETRY,
    Gather,
    Listed,
    MembershipList,
    Reveal,
    committed,
    nonce_of,
    read_reveal,
)
from federation.group.node_key import new_node_key, public_node_key
from federation.group.published import Published, Taken, read_taken
from federation.hello import Hello
from federation.identity import Identity
from federation.proposal import BlobReference, least_threshold
from policies.allowlist import Allowlist
from policies.cohort import CohortPolicy
from policies.group import GroupPolicy
from tests.federation.group.sums import proposed, publish, signed
from tests.federation.group.table import (
    GROUP,
    HOST,
    LENGTH,
    LIMITS,
    NOW,
    Group,
    Member,
    altered,
    parsed,
    person,
)


def refused(call: Callable[..., object], *args: object) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        call(*args)
    return refusal.value


def accomplices(number: int) -> list[Identity]:
    """Members that the host invented: it has their keys."""
    return [Identity(f"z{n:02}.example", bytes([n + 1]) * 32) for n in range(number)]


def drawn_with(gather: Gather, people: list[Identity], parts: int = 1) -> EpochDocument:
    """Return an epoch that the host draws alone, with keys that it has."""
    gathering = gather.id(HOST.host)
    rows = [
        Listed(p.host, p.public.key, committed(gathering, p.host, nonce_of(p.seed, gathering)))
        for p in people
    ]
    listed = MembershipList(gather.group, gather.number, gather.opened, parts, 4, tuple(sorted(rows)))
    reveals = {p.host: Reveal.of(listed, HOST.host, p).seal(p, HOST.host) for p in people}
    return EpochDocument(HOST.public, listed.seal(HOST), reveals)


# The host draws anew.


def test_a_second_gathering_in_an_epoch_gets_no_commitment() -> None:
    group = Group.of(5)
    group.begin()
    group.now += LENGTH - 1
    member = group.members[1]
    assert refused(member.gather, group.gather().seal(HOST, member.name), group.now).code is Code.WRONG_STAGE


def test_a_second_epoch_drawn_behind_the_back_of_a_member_is_not_taken() -> None:
    """The host draws with accomplices and lists the member as late: so it is not asked."""
    group = Group.of(5)
    group.begin()
    victim = group.members[1]
    now = NOW + LENGTH / 2
    alone = drawn_with(Gather(GROUP, 2, int(now * 1000)), accomplices(4))
    late = replace(alone, late=(victim.identity.public,), serial=2)
    assert refused(victim.take, late.seal(HOST), now).code is Code.WRONG_STAGE


def test_the_same_gathering_with_another_end_is_not_taken() -> None:
    group = Group.of(9)
    first = group.begin()
    member = group.members[1]
    other = replace(first, reveals={h: r for h, r in first.reveals.items() if h != "m005.example"})
    assert refused(member.take, other.seal(HOST), NOW).code is Code.ROSTER_INVALID
    later = replace(other, serial=2)
    assert refused(member.take, later.seal(HOST), NOW).code is Code.ROSTER_INVALID


def test_a_partition_that_the_host_gives_up_costs_it_a_day() -> None:
    group = Group.of(5)
    tries = []
    for hour in range(72):
        with suppress(Refusal):
            group.draw()
            tries.append(hour)
        group.now += 3_600
    assert tries == list(range(0, 72, RETRY // 3_600))


def test_a_nonce_is_not_revealed_for_a_second_list() -> None:
    """With the nonces known, the host could try lists, with other accomplices, until it liked one."""
    group = Group.of(9, parts=2)
    gather = group.gather()
    rows = group.commitments(gather)
    group.reveal(group.list(gather, rows))
    [extra] = accomplices(1)
    second = group.list(gather, (*rows, Listed(extra.host, extra.public.key, b"c" * 32)))
    member = group.members[1]
    assert refused(member.list, second.seal(HOST), NOW).code is Code.STAGE_REPEATED


# The host chooses among the reveals.


def outcomes(document: EpochDocument, most: int) -> list[EpochDocument]:
    hosts = sorted(document.reveals)
    return [
        replace(document, reveals={h: document.reveals[h] for h in hosts if h not in out})
        for size in range(most + 1)
        for out in combinations(hosts, size)
    ]


def test_dropping_reveals_chooses_among_few_and_shows() -> None:
    """A limit, not a defence: with 9 members 46 partitions, 5.5 bits. Everybody sees who was dropped."""
    group = Group.of(9, parts=2)
    document = group.draw()
    most = 9 - least_threshold(9)
    choices = outcomes(document, most)
    assert (most, len(choices)) == (2, 1 + 9 + comb(9, 2))
    for choice in choices:
        choice.check()
    victim, friend = "m000.example", "m001.example"
    parted = [c for c in choices if (part := c.roster_of(victim)) and friend not in {m.host for m in part}]
    assert 0 < len(parted) < len(choices)
    chosen = parted[-1]
    assert chosen.dropped
    assert set(chosen.dropped) == document.reveals.keys() - chosen.reveals.keys()
    group.member(victim).take(chosen.seal(HOST), NOW)


def test_dropping_one_more_is_refused() -> None:
    group = Group.of(9, parts=2)
    document = group.draw()
    for choice in outcomes(document, 3)[46:]:
        assert refused(choice.check).code is Code.ROSTER_INVALID


def test_who_was_dropped_and_comes_late_goes_where_its_hash_says() -> None:
    """Whoever else the host lets in before it, and in whichever order."""
    group = Group.of(9, parts=2)
    document = group.draw()
    victim = person(0).public
    dropped = replace(
        document, reveals={h: raw for h, raw in document.reveals.items() if h != victim.host}, serial=2
    )
    here = sorted(dropped.reveals)
    sides = set()
    for number in range(4):
        before = tuple(p.public for p in accomplices(number))
        for late in ((victim, *before), (*before, victim)):
            part = replace(dropped, late=late).roster_of(victim.host)
            assert part is not None
            sides.add(frozenset({m.host for m in part} & set(here)))
    assert len(sides) == 1


# The host tells members different things.


def test_two_lists_end_in_two_epochs_without_the_other_half() -> None:
    """A member takes only an epoch of the list that it revealed for, and no reveal fits another list."""
    group = Group.of(9)
    gather = group.gather()
    rows = group.commitments(gather)
    one, two = group.list(gather, rows), group.list(gather, rows[:8])
    half = group.members[:5], group.members[5:8]
    reveals = {m.name: m.list(one.seal(HOST), NOW) for m in half[0]}
    others = {m.name: m.list(two.seal(HOST), NOW) for m in half[1]}
    mixed = EpochDocument(HOST.public, one.seal(HOST), reveals | others)
    assert refused(mixed.check).code is Code.ROSTER_INVALID
    assert refused(EpochDocument(HOST.public, one.seal(HOST), reveals).check).code is Code.ROSTER_INVALID
    honest = Group.of(9).draw()
    assert refused(half[1][0].take, honest.seal(HOST), NOW).code is Code.ROSTER_INVALID


def test_two_states_of_one_serial_contradict_each_other() -> None:
    group = Group.of(5)
    begun = group.begin()
    one = replace(begun, late=(person(50).public,), serial=2)
    two = replace(begun, gone=("m003.example",), serial=2)
    first, second = group.members[1:3]
    first.take(one.seal(HOST), NOW)
    second.take(two.seal(HOST), NOW)
    assert first.epoch is not None
    assert second.epoch is not None
    assert first.epoch.hash != second.epoch.hash
    assert refused(first.take, two.seal(HOST), NOW).code is Code.ROSTER_INVALID
    # The policy of each lets only its own part be summed, so no sum over both views has both in it.
    for member, document in ((first, one), (second, two)):
        other = two if document is one else one
        policy = GroupPolicy(member.name, document.roster_of(member.name), HOST.host)
        policy.check(proposed(document.rosters[0]))
        assert refused(policy.check, proposed(other.rosters[0])).code is Code.ROSTER_INVALID


def test_two_versions_of_a_sum_are_both_taken_and_prove_the_lie() -> None:
    """A limit, not a defence: nobody but the host saw the sum. Two signed versions convict it, to anybody."""
    group = Group.of(5)
    document = group.begin()
    true = publish(document, signed(proposed(document.rosters[0])))
    false = replace(true, blobs={**true.blobs, "counts.0": BlobReference(b"f" * 32, 40)})
    told, receipts = (true, false), []
    for member, published in zip(group.members[1:3], told, strict=True):
        read = Published.read(parsed(published.seal(HOST)), HOST.public, LIMITS)
        receipt = Taken(read.run, read.hash).seal(member.identity, HOST.host)
        receipts.append(read_taken(parsed(receipt), member.identity.public, HOST.host))
    assert receipts[0].run == receipts[1].run
    assert receipts[0].hash != receipts[1].hash


# The host decides who is a member.


def test_invented_members_are_in_the_epoch_and_the_members_own_policy_refuses_their_part() -> None:
    """Nothing tells an invented member from a new one. A member counts those that its admin approved."""
    invented = accomplices(5)
    group = Group([Member(HOST), Member(person(0)), *(Member(p) for p in invented)])
    document = group.begin()
    victim = person(0)
    roster = document.roster_of(victim.host)
    assert roster is not None
    assert len(roster) == 7
    sum_of_one = proposed(roster)
    GroupPolicy(victim.host, roster, HOST.host).check(sum_of_one)
    policy = CohortPolicy(victim.host, Allowlist([HOST.public]))
    assert refused(policy.check, sum_of_one).code is Code.COHORT_TOO_SMALL


def test_a_friend_with_another_key_is_seen_by_whoever_knows_it() -> None:
    friend = person(1)
    imposter = Identity(friend.host, b"i" * 32)
    group = Group([Member(HOST), Member(person(0)), Member(imposter), Member(person(2))])
    roster = group.begin().rosters[0]
    known = Allowlist([HOST.public, friend.public, person(2).public])
    refusal = refused(CohortPolicy(person(0).host, known).check, proposed(roster))
    assert (refusal.code, refusal.culprit) == (Code.KEY_MISMATCH, friend.host)


def test_who_is_listed_with_a_key_of_the_host_does_not_reveal_for_it() -> None:
    """So that the host could sign for a real member that is not there."""
    group = Group.of(5)
    gather = group.gather()
    rows = group.commitments(gather)
    absent = group.members[1]
    thief = Identity(absent.name, b"t" * 32)
    without = [row for row in rows if row.host != absent.name]
    other = Listed(absent.name, thief.public.key, rows[1].commitment)
    listed = group.list(gather, tuple(sorted((*without, other))))
    assert refused(absent.list, listed.seal(HOST), NOW).code is Code.KEY_MISMATCH
    document = drawn_with(gather, [HOST, thief, *(person(n) for n in range(1, 4))])
    assert refused(absent.take, document.seal(HOST), NOW).code is Code.KEY_MISMATCH


def test_who_left_is_not_added_back() -> None:
    group = Group.of(9)
    begun = group.begin()
    left = person(3)
    gone = replace(begun, gone=(left.host,), serial=2)
    group.take(gone)
    member = group.members[1]
    back = replace(gone, gone=(), serial=3)
    assert refused(member.take, back.seal(HOST), NOW).code is Code.ROSTER_INVALID
    again = replace(gone, late=(left.public,), serial=3)
    assert refused(again.seal, HOST).code is Code.ROSTER_INVALID
    assert all(left.public not in part for part in gone.rosters)


def test_a_sum_over_a_part_of_the_part_is_refused() -> None:
    group = Group.of(9, parts=2)
    document = group.begin()
    victim = "m000.example"
    roster = document.roster_of(victim)
    assert roster is not None
    policy = GroupPolicy(victim, roster, HOST.host)
    for out in roster:
        fewer = tuple(member for member in roster if member != out)
        assert refused(policy.check, proposed(fewer)).code is Code.ROSTER_INVALID


def test_who_is_said_to_wait_leaves_no_victim_alone_with_accomplices() -> None:
    """The host may say that anybody waits. Who is left decides for itself whether those are enough."""
    invented = accomplices(4)
    group = Group([Member(HOST), *(Member(person(n)) for n in range(5)), *(Member(p) for p in invented)])
    document = group.begin()
    victim, friends = person(0), [person(n).host for n in range(1, 5)]
    alone = replace(document, waiting=tuple(friends), serial=2)
    group.take(alone)
    roster = alone.roster_of(victim.host)
    assert roster is not None
    assert len(roster) == 6
    known = Allowlist([HOST.public, *(person(n).public for n in range(5))])
    GroupPolicy(victim.host, roster, HOST.host).check(proposed(roster))
    refusal = refused(CohortPolicy(victim.host, known).check, proposed(roster))
    assert refusal.code is Code.COHORT_TOO_SMALL


def test_two_members_are_not_told_different_things_about_who_waits() -> None:
    group = Group.of(9)
    begun = group.begin()
    one = replace(begun, waiting=("m003.example",), serial=2)
    two = replace(begun, waiting=("m004.example",), serial=2)
    first, second = group.members[1:3]
    first.take(one.seal(HOST), NOW)
    second.take(two.seal(HOST), NOW)
    assert refused(first.take, two.seal(HOST), NOW).code is Code.ROSTER_INVALID
    policy = GroupPolicy(second.name, two.roster_of(second.name), HOST.host)
    assert refused(policy.check, proposed(one.rosters[0])).code is Code.ROSTER_INVALID


# The host publishes what is not a sum of the group.


def test_a_sum_under_the_round_of_another() -> None:
    group = Group.of(9, parts=2)
    document = group.begin()
    raws = [signed(proposed(part)) for part in document.rosters]
    published = publish(document, *raws)
    names = ("proposal.0", "proposal.1")
    swapped = replace(
        published,
        sub_cohorts=tuple(
            replace(p, round_id=published.sub_cohorts[1 - n].round_id)
            for n, p in enumerate(published.sub_cohorts)
        ),
        blobs={**published.blobs, **{names[n]: published.blobs[names[1 - n]] for n in range(2)}},
    )
    cases = [
        (published, {0: raws[1], 1: raws[0]}, Code.BLOB_MISMATCH),
        (swapped, {0: raws[1], 1: raws[0]}, Code.SURVIVORS_INVALID),
    ]
    for what, proposals, code in cases:
        assert refused(what.check_sub_cohorts, document, proposals, LIMITS).code is code
    peer = Identity("peer.example", b"p" * 32)
    foreign = signed(proposed(document.rosters[0], peer), peer)
    taken_over = publish(document, foreign, raws[1])
    proposals = {0: foreign, 1: raws[1]}
    assert refused(taken_over.check_sub_cohorts, document, proposals, LIMITS).code is Code.BAD_SIGNATURE


# The host replays.


def test_an_old_epoch_an_old_state_and_an_old_gathering() -> None:
    group = Group.of(5)
    first = group.begin()
    joined = replace(first, late=(person(50).public,), serial=2)
    group.take(joined)
    member = group.members[1]
    assert refused(member.take, first.seal(HOST), NOW).code is Code.REPLAYED
    group.members.append(Member(person(50)))
    group.now += LENGTH + 1
    second = group.begin()
    assert refused(member.take, joined.seal(HOST), group.now).code is Code.REPLAYED
    old = Gather(GROUP, 1, first.listed.opened).seal(HOST, member.name)
    assert refused(member.gather, old, group.now).code is Code.EXPIRED
    # A restored backup forgot that it revealed: the dates still tell.
    member.revealed = member.epoch = None
    assert refused(member.gather, old, group.now).code is Code.EXPIRED
    assert refused(member.list, first.list_raw, group.now).code is Code.EXPIRED
    raw = signed(proposed(first.rosters[0]))
    replayed = publish(first, raw)
    assert refused(replayed.check_sub_cohorts, second, {0: raw}, LIMITS).code is Code.ROSTER_INVALID


# A member lies.

PEM, OTHERS = new_node_key(), new_node_key()
MALLORY, ALICE = person(66), person(0)


def enrolled(who: Identity, pem: bytes, wish: Wish) -> bytes:
    said = Enrolment.of(who.public, pem, GROUP, wish, NOW)
    return hello.say(who, HOST.host, NOW, approves=True, group=said)


def read_hello(raw: bytes, now: float = NOW) -> Hello:
    return hello.read(parsed(raw), HOST.host, now, LIMITS)


def test_the_node_key_of_another_cannot_be_enrolled() -> None:
    hers = Enrolment.of(ALICE.public, OTHERS, GROUP, "join", NOW)
    mine = Enrolment.of(MALLORY.public, PEM, GROUP, "join", NOW)
    for said in (hers, replace(mine, node_key=public_node_key(OTHERS))):
        refusal = refused(read_hello, hello.say(MALLORY, HOST.host, NOW, approves=True, group=said))
        assert (refusal.code, refusal.culprit) == (Code.BAD_SIGNATURE, MALLORY.host)


def test_the_enrolment_of_another_cannot_be_sent_elsewhere_or_later() -> None:
    hers = enrolled(ALICE, OTHERS, "leave")
    elsewhere = refused(lambda: hello.read(parsed(hers), "other.example", NOW, LIMITS))
    assert elsewhere.code is Code.NOT_FOR_ME
    assert refused(read_hello, hers, NOW + 3600).code is Code.EXPIRED
    content = cbor.decode(bytes(parsed(hers).payload))
    assert isinstance(content, dict)
    signed_by_mallory = altered(hers, content, by=Identity(ALICE.host, MALLORY.seed))
    assert refused(read_hello, signed_by_mallory).code is Code.BAD_SIGNATURE


def test_a_nonce_that_was_not_committed_to_names_the_member() -> None:
    group = Group.of(5)
    gather = group.gather()
    listed = group.list(gather, group.commitments(gather))
    honest = group.reveal(listed)
    liar = group.members[1]
    second = Reveal(GROUP, 1, listed.hash, b"n" * 32).seal(liar.identity, HOST.host)
    refusal = refused(read_reveal, parsed(second), listed, HOST.host)
    assert (refusal.code, refusal.culprit) == (Code.ROSTER_INVALID, liar.name)
    # A host that lets it pass is found out by every member.
    document = EpochDocument(HOST.public, listed.seal(HOST), honest)
    raws: list[cbor.Item] = [{**honest, liar.name: second}[host] for host in sorted(honest)]
    lenient = altered(document.seal(HOST), {"reveals": raws}, by=HOST)
    refusal = refused(read_epoch, parsed(lenient), HOST.public)
    assert (refusal.code, refusal.culprit) == (Code.ROSTER_INVALID, liar.name)


def test_a_commitment_that_was_copied_opens_to_nothing() -> None:
    """Mallory commits to what Alice did, and reveals what Alice revealed."""
    group = Group.of(5)
    gather = group.gather()
    rows = group.commitments(gather)
    alice, copier = rows[1], rows[2]
    listed = group.list(
        gather, tuple(sorted((*rows[:2], copier._replace(commitment=alice.commitment), *rows[3:])))
    )
    nonce = nonce_of(ALICE.seed, gather.id(HOST.host))
    assert alice.host == ALICE.host
    copied = Reveal(GROUP, 1, listed.hash, nonce).seal(person(1), HOST.host)
    refusal = refused(read_reveal, parsed(copied), listed, HOST.host)
    assert (refusal.code, refusal.culprit) == (Code.ROSTER_INVALID, person(1).host)


def test_a_reveal_for_another_list_or_in_the_name_of_another() -> None:
    group = Group.of(5)
    gather = group.gather()
    listed = group.list(gather, group.commitments(gather))
    nonce = nonce_of(person(1).seed, gather.id(HOST.host))
    other = Reveal(GROUP, 1, b"l" * 32, nonce).seal(person(1), HOST.host)
    assert refused(read_reveal, parsed(other), listed, HOST.host).code is Code.ROSTER_INVALID
    forged = Reveal(GROUP, 1, listed.hash, nonce).seal(Identity(person(1).host, b"f" * 32), HOST.host)
    assert refused(read_reveal, parsed(forged), listed, HOST.host).code is Code.BAD_SIGNATURE


def test_withholding_a_reveal_chooses_between_two_partitions() -> None:
    """A limit: one bit for each member that sees the others' reveals first and works with others."""
    group = Group.of(9, parts=2)
    document = group.draw()
    without = replace(document, reveals={h: r for h, r in document.reveals.items() if h != "m007.example"})
    without.check()
    assert without.rosters != document.rosters
    assert without.dropped == ("m007.example",)
