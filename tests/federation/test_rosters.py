"""The question about a roster, the answer, and what a member is told that waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from federation import cbor, envelope
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.limits import Limits
from federation.rosters import (
    MAX_ROSTER_MESSAGE,
    Accepted,
    ProposedRoster,
    Wait,
    read_accepted,
    read_roster,
    read_wait,
)

NOW = 1_800_000_000.25
ASKER = Identity("asker.example", b"a" * 32)
ME = Identity("me.example", b"m" * 32)
OTHER = Identity("other.example", b"o" * 32)
ROSTER = tuple(sorted((ME.public, OTHER.public)))
ASKED = ProposedRoster(ROSTER, int(NOW * 1000))
WAIT = Wait(int(NOW * 1000), ("a.example", "b.example"), ("c.example",), too_many=False)


def parsed(raw: bytes) -> Envelope:
    return envelope.parse(raw, max_size=200_000)


def code(call: Callable[..., object], *args: object) -> Code:
    with pytest.raises(Refusal) as refused:
        call(*args)
    return refused.value.code


def read(asked: ProposedRoster, now: float = NOW) -> ProposedRoster:
    return read_roster(parsed(asked.seal(ASKER, ME.host)), ASKER.public, ME.public, now, Limits())


def signed(stage: Stage, content: dict[str, cbor.Item]) -> Envelope:
    return parsed(
        envelope.seal(ASKER, round_id=NO_ROUND, stage=stage, recipient=ME.host, payload=cbor.encode(content))
    )


def test_what_is_asked_answered_and_told_arrives_as_it_was_said() -> None:
    assert read(ASKED) == ASKED
    answer = Accepted(ASKED.hash, ("other.example",))
    assert read_accepted(parsed(answer.seal(ME, ASKER.host)), ME.public, ASKER.host) == answer
    told = parsed(WAIT.seal(ASKER, ME.host))
    assert read_wait(told, ASKER.public, ME.host) == WAIT
    assert read_wait(
        parsed(replace(WAIT, too_many=True).seal(ASKER, ME.host)), ASKER.public, ME.host
    ).too_many


def test_a_question_is_fresh_and_about_a_roster_that_a_proposal_could_have() -> None:
    for asked in (
        replace(ASKED, roster=ROSTER[::-1]),
        replace(ASKED, roster=(*ROSTER, ROSTER[1])),
        replace(ASKED, roster=(OTHER.public,)),
        replace(ASKED, roster=tuple(sorted((*ROSTER, ASKER.public)))),
        replace(ASKED, roster=(Identity(ME.host, b"x" * 32).public, OTHER.public)),
    ):
        assert code(read, asked) is Code.ROSTER_INVALID
    assert code(read, ASKED, NOW + 301) is Code.EXPIRED
    many = [Identity(f"m{n:03}.example", n.to_bytes(32, "big")).public for n in range(128)]
    assert code(read, replace(ASKED, roster=tuple(sorted((*many, ME.public))))) is Code.MALFORMED
    assert read(replace(ASKED, roster=tuple(sorted((*many[:127], ME.public))))).roster


def test_each_counts_only_from_who_signed_it_and_for_whom_it_is_meant() -> None:
    asked, told = parsed(ASKED.seal(ASKER, ME.host)), parsed(WAIT.seal(ASKER, ME.host))
    answer = parsed(Accepted(ASKED.hash).seal(ME, ASKER.host))
    assert code(read_roster, asked, OTHER.public, ME.public, NOW, Limits()) is Code.BAD_SIGNATURE
    assert code(read_roster, asked, ASKER.public, OTHER.public, NOW, Limits()) is Code.NOT_FOR_ME
    assert code(read_accepted, answer, OTHER.public, ASKER.host) is Code.BAD_SIGNATURE
    assert code(read_accepted, answer, ME.public, OTHER.host) is Code.NOT_FOR_ME
    assert code(read_wait, told, OTHER.public, ME.host) is Code.BAD_SIGNATURE
    assert code(read_wait, told, ASKER.public, OTHER.host) is Code.NOT_FOR_ME
    assert code(read_wait, asked, ASKER.public, ME.host) is Code.WRONG_STAGE


@pytest.mark.parametrize("hosts", [["b.example", "a.example"], ["a.example", "a.example"], ["A"], [1], "a"])
def test_hosts_are_sorted_and_named_once(hosts: cbor.Item) -> None:
    message = signed(Stage.ACCEPT, {"hash": bytes(32), "rejects": hosts})
    assert code(read_accepted, message, ASKER.public, ME.host) is Code.MALFORMED
    content: dict[str, cbor.Item] = {"until": 1, "rejected_by": hosts, "rejects": [], "too_many": "no"}
    assert code(read_wait, signed(Stage.WAIT, content), ASKER.public, ME.host) is Code.MALFORMED
    maybe: dict[str, cbor.Item] = {**content, "rejected_by": [], "too_many": "maybe"}
    assert code(read_wait, signed(Stage.WAIT, maybe), ASKER.public, ME.host) is Code.MALFORMED


def test_the_longest_fit() -> None:
    hosts = tuple(f"{n:03}".ljust(230, "x") for n in range(256))
    longest = Identity("y" * 230, b"y" * 32)
    assert (
        len(Wait(2**53, hosts[:128], hosts[:128], too_many=True).seal(longest, hosts[0]))
        <= MAX_ROSTER_MESSAGE
    )
    assert len(Accepted(bytes(32), hosts).seal(longest, hosts[0])) <= MAX_ROSTER_MESSAGE
    roster = tuple(Identity(host, b"k" * 32).public for host in hosts[:128])
    assert len(ProposedRoster(roster, 2**53).seal(longest, hosts[0])) <= MAX_ROSTER_MESSAGE
