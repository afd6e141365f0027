"""An epoch is drawn by all, checked by each, continued without moving anybody, and not opened again early."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import cbor
from federation.errors import Code, Refusal
from federation.group.documents import EVERYBODY
from federation.group.epoch_document import MAX_EPOCH, EpochDocument, read_epoch
from federation.group.epoch_opening import (
    GATHERING,
    MAX_LIST,
    MAX_SMALL,
    RETRY,
    Gather,
    Listed,
    MembershipList,
    Reveal,
    committed,
    nonce_of,
    read_commitment,
    read_gather,
    read_list,
    read_reveal,
)
from federation.group.epoch_rules import check_epoch, follows, may_open
from federation.identity import Identity, PublicIdentity
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

TEN = Group.of(10, parts=2)
BEGUN = TEN.begin()
LATE = tuple(person(n).public for n in (50, 51, 52))
DAY = 86_400.0


def continued(
    old: EpochDocument, late: tuple[PublicIdentity, ...] = (), gone: Iterable[str] = ()
) -> EpochDocument:
    left = tuple(sorted({*old.gone, *gone}))
    return replace(old, late=old.late + late, gone=left, serial=old.serial + 1)


def refusal(call: object, *args: object, **named: object) -> Code:
    assert callable(call)
    with pytest.raises(Refusal) as refused:
        call(*args, **named)
    return refused.value.code


def test_all_members_take_the_same_parts_of_everybody() -> None:
    assert {member.epoch.hash for member in TEN.members if member.epoch} == {BEGUN.hash}
    parts = BEGUN.rosters
    assert [len(part) for part in parts] == [5, 5]
    assert sorted(m for part in parts for m in part) == sorted(m.identity.public for m in TEN.members)
    for part in parts:
        assert list(part) == sorted(part)
        assert all(BEGUN.roster_of(member.host) == part for member in part)
    assert BEGUN.roster_of("stranger.example") is None
    assert BEGUN.dropped == ()


def test_the_document_survives_the_wire() -> None:
    document = continued(BEGUN, LATE, {"m001.example"})
    raw = document.seal(HOST)
    again = read_epoch(parsed(raw), HOST.public)
    assert again == document
    assert (again.hash, again.rosters) == (document.hash, document.rosters)
    assert again.seal(HOST) == raw
    assert parsed(raw).recipient == EVERYBODY


def test_another_epoch_has_other_nonces_and_a_restart_has_the_same() -> None:
    ids = [
        Gather(GROUP, 1, 1).id(HOST.host),
        Gather(GROUP, 2, 1).id(HOST.host),
        Gather(GROUP, 1, 2).id(HOST.host),
        Gather("another", 1, 1).id(HOST.host),
        Gather(GROUP, 1, 1).id("another.example"),
    ]
    nonces = {nonce_of(b"s" * 32, gathering) for gathering in ids}
    assert len(nonces) == len(ids)
    assert nonce_of(b"s" * 32, ids[0]) in nonces
    assert nonce_of(b"t" * 32, ids[0]) not in nonces


def test_the_same_requests_get_the_same_answers() -> None:
    group = Group.of(4)
    member, gather = group.members[1], group.gather()
    first = member.gather(gather.seal(HOST, member.name), NOW)
    listed = group.list(gather, group.commitments(gather))
    revealed = member.list(listed.seal(HOST), NOW)
    assert member.gather(gather.seal(HOST, member.name), NOW) == first
    assert member.list(listed.seal(HOST), NOW + GATHERING + DAY) == revealed


def test_who_did_not_reveal_is_in_no_part_and_may_join_late() -> None:
    document = Group.of(10, parts=2).draw()
    absent = "m003.example"
    without = replace(document, reveals={h: raw for h, raw in document.reveals.items() if h != absent})
    without.check()
    assert without.dropped == (absent,)
    assert without.roster_of(absent) is None
    assert sum(map(len, without.rosters)) == 9
    joined = continued(without, (person(3).public,))
    joined.check()
    follows(without, joined)
    assert joined.roster_of(absent) is not None


def test_as_many_reveal_as_a_sum_needs() -> None:
    document = Group.of(9).draw()
    hosts = sorted(document.reveals)
    replace(document, reveals={h: document.reveals[h] for h in hosts[:7]}).check()
    few = replace(document, reveals={h: document.reveals[h] for h in hosts[:6]})
    assert refusal(few.check) is Code.ROSTER_INVALID
    assert refusal(few.seal, HOST) is Code.ROSTER_INVALID


@settings(max_examples=25)
@given(steps=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=6), data=st.data())
def test_nobody_is_moved_while_others_come_and_go(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    """Two hosts that are in one part, and stay, are in one part afterwards."""
    states, newcomer = [BEGUN], 100
    for coming, going in steps:
        old = states[-1]
        here = sorted(old.members.keys() - set(old.gone))
        gone = set(data.draw(st.permutations(here))[: min(going, len(here))])
        late = tuple(person(n).public for n in range(newcomer, newcomer + coming))
        newcomer += coming
        states.append(continued(old, late, gone))
    for old, new in pairwise(states):
        new.check()
        follows(old, new)
        if len(old.rosters) == len(new.rosters) == 2:
            stayed = old.members.keys() - set(new.gone)
            before = {frozenset(m.host for m in part) & stayed for part in old.rosters}
            after = {frozenset(m.host for m in part) & stayed for part in new.rosters}
            assert before == after
    if len(states) > 1:
        assert refusal(follows, states[-1], BEGUN) is Code.REPLAYED


def test_what_does_not_follow() -> None:
    old = continued(BEGUN, LATE[:2], {"m001.example"})
    follows(old, old)
    next_serial = replace(old, serial=3)
    follows(old, next_serial)
    drawn_later = Group.of(10, parts=2, now=NOW + 1).draw()
    fewer = {host: raw for host, raw in old.reveals.items() if host != "m002.example"}
    cases = {
        "other state of one serial": replace(old, gone=()),
        "back again": replace(next_serial, gone=()),
        "late forgotten": replace(next_serial, late=LATE[:1]),
        "late in another order": replace(next_serial, late=LATE[1::-1]),
        "late before": replace(next_serial, late=(LATE[2], *LATE[:2])),
        "another draw": replace(next_serial, list_raw=drawn_later.list_raw, reveals=drawn_later.reveals),
        "fewer reveals": replace(next_serial, reveals=fewer),
    }
    for name, new in cases.items():
        assert refusal(follows, old, new) is Code.ROSTER_INVALID, name


@pytest.mark.parametrize(
    "wrong",
    [
        replace(BEGUN, serial=2, late=(person(1).public,)),
        replace(BEGUN, serial=2, late=(LATE[0], LATE[0])),
        replace(BEGUN, serial=2, late=(PublicIdentity("new.example", person(1).public.key),)),
        replace(BEGUN, serial=2, gone=("nobody.example",)),
        replace(BEGUN, serial=2, gone=("m002.example", "m001.example")),
        replace(BEGUN, serial=2, gone=("m001.example", "m001.example")),
        replace(BEGUN, serial=2, late=tuple(person(n).public for n in range(100, 1091))),
        replace(BEGUN, late=LATE),
        replace(BEGUN, gone=("m001.example",)),
    ],
)
def test_who_is_late_and_who_has_gone_is_in_order(wrong: EpochDocument) -> None:
    assert refusal(wrong.check) is Code.ROSTER_INVALID


def test_a_thousand_may_be_in_an_epoch_in_all() -> None:
    replace(BEGUN, serial=2, late=tuple(person(n).public for n in range(100, 1090))).check()


def test_a_reveal_stands_under_its_own_sender() -> None:
    one, two = "m001.example", "m002.example"
    swapped = {**BEGUN.reveals, one: BEGUN.reveals[two], two: BEGUN.reveals[one]}
    assert refusal(replace(BEGUN, reveals=swapped).seal, HOST) is Code.MALFORMED


def test_an_instance_that_moved_to_another_name_may_keep_its_key() -> None:
    moved = PublicIdentity("new.example", person(1).public.key)
    replace(BEGUN, serial=2, late=(moved,), gone=("m001.example",)).check()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"group": "another"}, Code.MALFORMED),
        ({"number": 2}, Code.MALFORMED),
        ({"serial": 0}, Code.MALFORMED),
        ({"list": b"SHOAL"}, Code.MALFORMED),
        ({"reveals": []}, Code.ROSTER_INVALID),
        ({"late": [["a.example"]]}, Code.MALFORMED),
        ({"extra": 1}, Code.MALFORMED),
    ],
)
def test_a_document_has_exactly_its_fields(changes: dict[str, cbor.Item], code: Code) -> None:
    raw = altered(BEGUN.seal(HOST), changes, by=HOST)
    assert refusal(read_epoch, parsed(raw), HOST.public) is code


@settings(max_examples=50)
@given(data=st.data())
def test_no_flipped_bit_is_taken(data: st.DataObject) -> None:
    raw = BEGUN.seal(HOST)
    place = data.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    refusal(lambda: read_epoch(parsed(bytes(changed)), HOST.public))


def test_reveals_are_in_order_one_each() -> None:
    raws: list[cbor.Item] = [BEGUN.reveals[host] for host in sorted(BEGUN.reveals)]
    for wrong in (raws[::-1], [*raws, raws[-1]], [raws[0], *raws]):
        raw = altered(BEGUN.seal(HOST), {"reveals": wrong}, by=HOST)
        assert refusal(read_epoch, parsed(raw), HOST.public) is Code.MALFORMED


def test_a_gathering_is_fresh_and_addressed() -> None:
    gather = Gather(GROUP, 1, int(NOW * 1000))
    me, raw = "m000.example", parsed(gather.seal(HOST, "m000.example"))
    assert read_gather(raw, HOST.public, me, NOW, LIMITS) == gather
    assert gather.opened_at == NOW
    assert refusal(read_gather, raw, HOST.public, me, NOW + 301, LIMITS) is Code.EXPIRED
    assert refusal(read_gather, raw, HOST.public, me, NOW - 301, LIMITS) is Code.EXPIRED
    assert refusal(read_gather, raw, HOST.public, "m001.example", NOW, LIMITS) is Code.NOT_FOR_ME
    assert refusal(read_gather, raw, person(1).public, me, NOW, LIMITS) is Code.BAD_SIGNATURE
    zero = parsed(Gather(GROUP, 0, gather.opened).seal(HOST, me))
    assert refusal(read_gather, zero, HOST.public, me, NOW, LIMITS) is Code.MALFORMED


def test_an_epoch_is_not_opened_again_early() -> None:
    opened = NOW + 10
    gather = Gather(GROUP, 2, int(opened * 1000))
    may_open(None, LENGTH, NOW, gather)
    may_open(opened - LENGTH, LENGTH, opened, gather)
    assert refusal(may_open, opened - LENGTH + 1, LENGTH, opened, gather) is Code.WRONG_STAGE
    assert refusal(may_open, opened - LENGTH, LENGTH, NOW, gather) is Code.WRONG_STAGE


def test_the_next_epoch_begins_when_one_is_over() -> None:
    group = Group.of(5)
    first = group.begin()
    member = group.members[1]
    group.now = NOW + LENGTH - 1
    assert refusal(group.commitments, group.gather()) is Code.WRONG_STAGE
    replayed = replace(group.gather(), opened=first.listed.opened)
    code = refusal(member.gather, replayed.seal(HOST, member.name), NOW)
    assert code is Code.REPLAYED
    group.now = NOW + LENGTH + 1
    second = group.begin()
    assert member.epoch == second
    assert first.hash != second.hash
    assert refusal(member.take, first.seal(HOST), group.now) is Code.REPLAYED


def test_a_gathering_that_came_to_nothing_holds_up_the_next_one_for_a_day() -> None:
    group = Group.of(5)
    group.draw()
    group.now += RETRY - 1
    assert refusal(group.commitments, group.gather()) is Code.WRONG_STAGE
    group.now += 2
    group.number = 0
    assert group.begin().number == 1, "the number is only a name: a host that forgot it can go on"


def test_a_gathering_that_nobody_revealed_for_holds_up_nothing() -> None:
    group = Group.of(5)
    group.commitments(group.gather())
    assert group.begin().number == 2


def test_the_list_of_a_gathering_that_was_overtaken_gets_no_nonce() -> None:
    group = Group.of(5)
    gather = group.gather()
    overtaken = group.list(gather, group.commitments(gather))
    group.now += 60
    group.draw()
    member = group.members[1]
    assert refusal(member.list, overtaken.seal(HOST), group.now) is Code.REPLAYED


def test_a_late_joiner_takes_a_running_epoch() -> None:
    newcomer = Member(person(50))
    document = continued(BEGUN, (newcomer.identity.public,))
    newcomer.take(document.seal(HOST), NOW + 90 * DAY)
    assert newcomer.epoch == document
    other_key = Identity(newcomer.name, b"i" * 32).public
    code = refusal(check_epoch, None, document, me=other_key, revealed=None, length=LENGTH, now=NOW)
    assert code is Code.KEY_MISMATCH
    without_old_key = continued(document, gone=[newcomer.name])
    check_epoch(document, without_old_key, me=other_key, revealed=None, length=LENGTH, now=NOW)


def test_a_list_has_sorted_members_and_parts_that_they_fill() -> None:
    rows = BEGUN.listed.members
    good = BEGUN.listed
    assert read_list(parsed(good.seal(HOST)), HOST.public) == good
    assert good.entry("m001.example") == rows[2]
    for wrong in (
        replace(good, members=rows[::-1]),
        replace(good, members=()),
        replace(good, members=(rows[0], *rows)),
        replace(good, members=(rows[0], rows[1]._replace(key=rows[0].key), *rows[2:])),
        replace(good, sub_cohorts=3),
        replace(good, sub_cohorts=0),
        replace(good, least=2),
    ):
        assert refusal(wrong.seal, HOST) is Code.ROSTER_INVALID
    replace(good, members=rows[:3], sub_cohorts=1).check()


def test_a_list_names_me_as_i_am_with_what_i_committed_to() -> None:
    group = Group.of(5)
    gather = group.gather()
    rows = group.commitments(gather)
    member = group.members[2]
    others = tuple(row for row in rows if row.host != member.name)
    mine = next(row for row in rows if row.host == member.name)
    cases = [
        (others, Code.ROSTER_INVALID),
        ((*others, mine._replace(key=b"x" * 32)), Code.KEY_MISMATCH),
        ((*others, mine._replace(commitment=b"x" * 32)), Code.ROSTER_INVALID),
    ]
    for members, code in cases:
        listed = group.list(gather, tuple(sorted(members)))
        assert refusal(member.list, listed.seal(HOST), NOW) is code
    listed = group.list(gather, rows)
    assert refusal(member.list, listed.seal(HOST), NOW + GATHERING + 1) is Code.EXPIRED
    member.list(listed.seal(HOST), NOW)


def test_a_commitment_is_of_this_gathering_and_a_reveal_of_this_list() -> None:
    group = Group.of(5)
    gather = group.gather()
    member = group.members[1]
    raw = parsed(member.gather(gather.seal(HOST, member.name), NOW))
    public = member.identity.public
    later = replace(gather, number=2)
    assert refusal(read_commitment, raw, public, HOST.host, later) is Code.WRONG_STAGE
    assert refusal(read_commitment, raw, public, "other.example", gather) is Code.NOT_FOR_ME
    assert refusal(read_commitment, raw, person(7).public, HOST.host, gather) is Code.BAD_SIGNATURE
    listed = group.list(gather, group.commitments(gather))
    reveal = parsed(member.list(listed.seal(HOST), NOW))
    assert read_reveal(reveal, listed, HOST.host).list_hash == listed.hash
    fewer = replace(listed, members=listed.members[:4])
    assert refusal(read_reveal, reveal, fewer, HOST.host) is Code.ROSTER_INVALID
    unlisted = parsed(Reveal(GROUP, 1, listed.hash, b"n" * 32).seal(person(7), HOST.host))
    assert refusal(read_reveal, unlisted, listed, HOST.host) is Code.WRONG_SENDER


def test_who_waits_is_in_no_part_and_comes_back_to_its_own() -> None:
    one, two = (part[0].host for part in BEGUN.rosters)
    waiting = replace(BEGUN, waiting=tuple(sorted((one, two))), serial=2)
    member = Member(person(50), BEGUN)
    member.take(waiting.seal(HOST), NOW)
    assert read_epoch(parsed(waiting.seal(HOST)), HOST.public) == waiting
    assert [len(part) for part in waiting.rosters] == [4, 4]
    assert waiting.roster_of(one) is waiting.roster_of(two) is None
    back = replace(waiting, waiting=(), serial=3)
    member.take(back.seal(HOST), NOW)
    assert back.rosters == BEGUN.rosters


def test_a_member_judges_its_part_and_whoever_that_is_merged_with() -> None:
    first, second = BEGUN.rosters
    assert BEGUN.judged_by(first[0].host) == first
    few = replace(BEGUN, waiting=tuple(one.host for one in first[:2]), serial=2)
    assert len(few.rosters) == 1
    assert few.rosters[0] == tuple(sorted((*first[2:], *second)))
    # All of both, so that who waits is asked about again before it comes back.
    for one in (first[0], first[2], second[0]):
        assert few.judged_by(one.host) == tuple(sorted((*first, *second)))
    assert BEGUN.judged_by("nobody.example") == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"waiting": ("m002.example", "m001.example")},
        {"waiting": ("m001.example", "m001.example")},
        {"waiting": ("nobody.example",)},
        {"waiting": ("m001.example",), "gone": ("m001.example",)},
        {"waiting": ("m001.example",), "serial": 1},
    ],
)
def test_who_waits_is_a_sorted_subset_of_the_members_who_are_there(changes: dict[str, Any]) -> None:
    assert refusal(replace(BEGUN, **{"serial": 2, **changes}).check) is Code.ROSTER_INVALID


def test_the_longest_small_messages_fit() -> None:
    member, host = Identity("x" * 230, b"x" * 32), Identity("y" * 230, b"y" * 32)
    gather = Gather("ü" * 64, 2**63 - 1, 2**53)
    gathering = gather.id(host.host)
    hidden = committed(gathering, member.host, nonce_of(member.seed, gathering))
    row = Listed(member.host, member.public.key, hidden)
    listed = MembershipList(gather.group, gather.number, gather.opened, 1, 3, (row,))
    reveal = Reveal.of(listed, host.host, member).seal(member, host.host)
    assert len(gather.seal(host, member.host)) <= len(reveal) <= MAX_SMALL


def test_a_thousand_members_fit() -> None:
    """With the longest names; a list and an epoch beyond that are refused as oversized."""
    host, gather = Identity("y" * 230, b"y" * 32), Gather("g" * 64, 1, int(NOW * 1000))
    people = [Identity(f"{n:04}".ljust(230, "x"), n.to_bytes(32, "big")) for n in range(1000)]
    gathering = gather.id(host.host)
    rows = tuple(
        Listed(p.host, p.public.key, committed(gathering, p.host, nonce_of(p.seed, gathering)))
        for p in people
    )
    listed = MembershipList(gather.group, gather.number, gather.opened, 16, 4, rows)
    raw = listed.seal(host)
    assert len(raw) <= MAX_LIST
    # No roster could be proposed with more than 128.
    replace(listed, sub_cohorts=8).check()
    assert refusal(replace(listed, sub_cohorts=7).check) is Code.ROSTER_INVALID
    reveals = {p.host: Reveal.of(listed, host.host, p).seal(p, host.host) for p in people}
    document = EpochDocument(host.public, raw, reveals)
    sealed = document.seal(host)
    assert len(sealed) <= MAX_EPOCH
    waiting = replace(document, waiting=tuple(document.reveals), serial=2)
    assert len(waiting.seal(host)) <= MAX_EPOCH
    assert sorted(map(len, document.rosters)) == [62] * 8 + [63] * 8
