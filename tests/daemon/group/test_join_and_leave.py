"""Joining a group over HTTP: between real listeners, both admins decide, and strangers cost little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from daemon.errors import PolicyRefusedError, RequestError
from daemon.group import commands, repository, status
from daemon.group.commands import NoGroupError, UnknownMemberError
from daemon.group.membership import host_client, join_and_leave, key_verification
from daemon.group.membership.host_client import HostRefusedError, HostSilentError
from daemon.group.repository import Membership
from daemon.ledger import chain as ledger
from daemon.ledger.messages import in_english as sentence
from daemon.peers import ingress
from daemon.peers import repository as peers
from daemon.peers.cards import PeerSilentError
from daemon.rounds import rotate_key
from daemon.status.notices import current as notices
from daemon.store.engine import reads
from daemon.store.tables import GroupMemberRow
from federation.group.enrolment import ANY_GROUP, Admission
from federation.group.node_key import new_node_key
from federation.http.client import new_session
from federation.identity import Identity, format_key
from tests.daemon.group.join_neighbours import GROUP, admits, asks, fetches_offer, joined, leaves, polls
from tests.daemon.peer_instances import Neighbour, neighbours

GUARDS = "[guards]\nstrangers_per_minute = 200\nmax_requests_pending = 3\n[group]\nmax_members = 4\n"
DAY = 86400.0


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 3, extra=GUARDS) as found:
        commands.host(found[0].config, found[0].engine, GROUP, now=found[0].clock())
        yield found


def _listens(group: Membership | None, *, next_at: float) -> Membership:
    assert group is not None
    return replace(group, proxy="proxy.example:9743", ca="PEM", next_at=next_at)


def states(host: Neighbour) -> dict[str, str]:
    return {one.host: one.state for one in repository.members(host.engine)}


def events(neighbour: Neighbour) -> list[tuple[str, str]]:
    found = ledger.entries(neighbour.engine)
    return [(str(entry.details["event"]), entry.subject) for entry in found if entry.kind == "group"]


def stranger(number: int) -> Identity:
    return Identity(f"stranger-{number}.example", number.to_bytes(32, "big"))


async def says(
    identity: Identity, host: Neighbour, wish: str, *, group: str = GROUP, now: float = 0.0, pem: bytes = b""
) -> Admission:
    """Say something to a host as anybody can, and read its answer by its key."""
    async with new_session() as session:
        client = host_client.HostClient(identity, pem or new_node_key(), session, lambda: now or host.clock())
        _, admission = await client.ask(host.identity.public, host.url, group, wish)  # type: ignore[arg-type]
        return admission


async def test_an_invitation_becomes_a_membership(three: list[Neighbour]) -> None:
    host, a, b = three
    invited = commands.invitation(host.config, commands.hosted(host.engine))
    assert invited["command"] == f"shoal group join {host.url} --group {GROUP}"
    assert len(invited["words"]) == 8
    # Looking binds nothing, on neither side.
    offer = await fetches_offer(a, host, GROUP)
    assert (offer.group, offer.host, offer.state) == (GROUP, host.host, "left")
    assert [one.host for one in offer.members] == [host.host]
    assert offer.host_key.voucher == "domain"
    assert repository.current(a.engine) is None
    assert states(host) == {host.host: "member"}
    assert not peers.read(a.engine, a.config).approved()

    asked = await asks(a, host)
    assert (asked.state, asked.problem) == ("asked", "")
    assert states(host)[a.host] == "asked"
    # The host's key is pinned, since it will add up; nobody else is approved by joining.
    assert a.peer(host).identity == host.identity.public
    [request] = commands.requests(host.config, host.engine)
    assert (request["host"], request["peer"]) == (a.host, "no")
    assert request["key"] == format_key(a.identity.public.key)
    assert [n.kind for n in notices(host.engine, host.config, host.clock())] == ["group-request"]

    await admits(host, a.host)
    assert host.peer(a).approved
    assert repository.member(host.engine, a.host) == replace(
        repository.member(host.engine, a.host),  # type: ignore[type-var]
        state="member",
        node_id=None,
    )
    after = await polls(a)
    assert after is not None
    assert (after.state, after.problem) == ("member", "the host is not ready for sums yet")
    assert {one.host for one in repository.members(a.engine)} == {host.host, a.host}

    repository.change(host.engine, partial(_listens, next_at=3e9))
    far = await polls(a)
    assert far is not None
    assert far.next_at == 0.0
    soon = host.clock() + 3600
    repository.change(host.engine, lambda group: replace(group, next_at=soon))  # type: ignore[type-var]
    near = await polls(a)
    assert near is not None
    assert (near.proxy, near.ca, near.problem) == ("proxy.example:9743", "PEM", "")
    assert near.next_at == pytest.approx(soon, abs=0.001)
    assert near.poll_ms == 250
    assert events(a) == [("joined", host.host)]
    assert events(host) == [("hosted", host.host), ("asked", a.host), ("approved", a.host)]
    assert ledger.verify(host.engine, host.identity.public).ok

    # A second member is seen by the first one, which approves it by a decision of its own.
    await joined(b, host)
    await polls(a)
    strangers, against = key_verification.not_approved(
        repository.members(a.engine), peers.read(a.engine, a.config), a.host
    )
    assert ([one.host for one in strangers], against) == ([b.host], [])
    assert a.peer(host).state == "approved"
    assert peers.find(a.engine, a.config, b.host) is None
    async with new_session() as session:
        seen = await key_verification.verify(a.config, a.engine, session, b.host, strangers[0].key, a.clock)
    assert seen.voucher == "domain"
    key_verification.pin(a.engine, a.config, seen, a.clock())
    assert a.peer(b).identity == b.identity.public


async def test_nothing_a_host_says_approves_anybody(three: list[Neighbour]) -> None:
    host, a, b = three
    await joined(b, host)
    await joined(a, host)
    approved = [peer.host for peer in peers.read(a.engine, a.config).approved()]
    assert approved == [host.host]
    standing = status.status(a.config, a.engine, a.clock())["standing"]
    assert standing is not None
    counted = standing["counted"]
    assert counted == {"approved": 1, "of": 2, "needed": 4, "missing": 3, "strangers": [b.host]}


async def test_who_is_invited_is_in_at_once(three: list[Neighbour]) -> None:
    host, a, b = three
    await host.job(add=a.host)
    seen = key_verification.KeyEvidence(a.host, host.peer(a).key, "domain", a.url)
    assert commands.invite(host.config, host.engine, seen, now=host.clock()).state == "invited"
    # Nobody else can use the invitation.
    with pytest.raises(HostRefusedError, match="key-mismatch"):
        await says(Identity(a.host, bytes([9]) * 32), host, "join")
    assert (await asks(a, host)).state == "member"
    assert (await asks(b, host)).state == "asked"
    assert events(host)[1:] == [("approved", a.host), ("approved", a.host), ("asked", b.host)]


async def test_a_host_that_is_away_is_asked_again(three: list[Neighbour]) -> None:
    host, a, _ = three
    offer = await fetches_offer(a, host)
    await host.stop()
    async with new_session() as session:
        after = await join_and_leave.join(a.config, a.engine, session, offer, a.clock)
    assert after.state == "asked"
    assert "cannot be reached" in after.problem
    await host.start()
    heard = await polls(a)
    assert heard is not None
    assert (heard.problem, states(host)[a.host]) == ("", "asked")


async def test_leaving_holds_at_once_and_is_told_later(three: list[Neighbour]) -> None:
    host, a, b = three
    await joined(a, host)
    await host.stop()
    left = await leaves(a)
    assert left is not None
    assert (left.state, left.active) == ("left", False)
    assert states(host)[a.host] == "member"
    await host.start()
    assert await polls(a) is None
    assert states(host)[a.host] == "left"
    assert repository.members(a.engine) == ()
    assert events(a)[-1] == ("left", host.host)
    assert events(host)[-1] == ("left", a.host)
    # Nobody is let in who does not ask.
    with pytest.raises(UnknownMemberError, match="has left"):
        await admits(host, a.host)
    with pytest.raises(NoGroupError):
        await leaves(b)


async def test_ejected_refused_and_let_in_again(three: list[Neighbour]) -> None:
    host, a, b = three
    await joined(a, host)
    repository.change_member(host.engine, a.host, lambda one: replace(one, node_id=2**64 - 5))  # type: ignore[type-var]
    commands.eject(host.config, host.engine, a.host, now=host.clock())
    # What the next round unregisters is still known.
    assert repository.member(host.engine, a.host).node_id == 2**64 - 5  # type: ignore[union-attr]
    out = await polls(a)
    assert out is not None
    assert (out.state, out.active) == ("ejected", False)
    assert events(a)[-1] == ("ejected", a.host)
    assert [n.kind for n in notices(a.engine, a.config, a.clock())] == ["group-out"]
    # Asking again changes nothing; the admin does.
    assert (await asks(a, host)).state == "refused"
    await admits(host, a.host)
    back = await polls(a)
    assert back is not None
    assert back.state == "member"

    await asks(b, host)
    commands.refuse(host.config, host.engine, b.host, now=host.clock())
    refused = await polls(b)
    assert refused is not None
    assert refused.state == "refused"
    assert "refused the request" in status.status(b.config, b.engine, b.clock())["sentences"][0]
    with pytest.raises(RequestError, match="is a member"):
        commands.refuse(host.config, host.engine, a.host, now=host.clock())
    with pytest.raises(RequestError, match="is not a member"):
        commands.eject(host.config, host.engine, b.host, now=host.clock())
    with pytest.raises(RequestError, match="hosts the group"):
        commands.eject(host.config, host.engine, host.host, now=host.clock())


async def test_a_group_that_was_closed(three: list[Neighbour]) -> None:
    host, a, b = three
    await joined(a, host)
    commands.close(host.config, host.engine, now=host.clock())
    heard = await polls(a)
    assert heard is not None
    # A refusal is nobody's signature: the member stays one until its admin, or the host's word, ends it.
    assert heard.state == "member"
    assert "closed" in heard.problem
    with pytest.raises(HostRefusedError, match="no group is hosted"):
        await fetches_offer(b, host)
    with pytest.raises(NoGroupError):
        commands.close(host.config, host.engine, now=host.clock())


async def test_one_group_at_a_time(three: list[Neighbour]) -> None:
    host, a, b = three
    await joined(a, host)
    with pytest.raises(RequestError, match="one group at a time"):
        commands.host(a.config, a.engine, "another", now=a.clock())
    commands.host(b.config, b.engine, "another", now=b.clock())
    with pytest.raises(RequestError, match="one group at a time"):
        await asks(a, b)
    # It was refused before anything was pinned.
    assert peers.find(a.engine, a.config, b.host) is None
    with pytest.raises(RequestError, match="itself"):
        await fetches_offer(host, host)
    with pytest.raises(RequestError, match="cannot be the name of a group"):
        commands.check_name("Ümlaut & Co")


async def test_nothing_works_while_nothing_is_sent(three: list[Neighbour]) -> None:
    host, a, _ = three
    for mode in ("off", "simulate"):
        quiet = a.config.model_copy(update={"mode": mode})
        with pytest.raises(PolicyRefusedError, match=f'mode is "{mode}"'):
            commands.host(quiet, a.engine, GROUP, now=1.0)
        async with new_session() as session:
            with pytest.raises(PolicyRefusedError, match=f'mode is "{mode}"'):
                await join_and_leave.fetch_offer(quiet, a.engine, session, host.url, "", a.clock)
    assert host.front.asked == []


async def test_a_known_host_with_another_key_is_refused_on_both_sides(three: list[Neighbour]) -> None:
    host, a, _ = three
    offer = await fetches_offer(a, host)
    await a.job(add=host.host)
    peers.change(a.engine, a.config, host.host, lambda peer: replace(peer, key=format_key(bytes(32))))
    with pytest.raises(PolicyRefusedError, match="another key"):
        await fetches_offer(a, host)
    async with new_session() as session:
        with pytest.raises(PolicyRefusedError, match="another key"):
            await join_and_leave.join(a.config, a.engine, session, offer, a.clock)
    assert repository.current(a.engine) is None
    # The host read a's card once: a name with another key is not a.
    await host.job(add=a.host)
    with pytest.raises(HostRefusedError, match="key-mismatch"):
        await says(Identity(a.host, bytes([9]) * 32), host, "join")
    assert a.host not in states(host)


async def test_only_the_pinned_key_of_the_host_is_believed(three: list[Neighbour]) -> None:
    host, a, _ = three
    await joined(a, host)
    before = repository.current(a.engine)
    # Its endpoint is taken over by somebody with another key.
    (host.config.identity_file).unlink()
    await host.stop()
    await host.start()
    after = await polls(a)
    assert after is not None
    assert before is not None
    assert "key-mismatch" in after.problem
    assert replace(after, problem="", polled=0.0) == replace(before, problem="", polled=0.0)


async def test_who_is_taken_out_of_the_peers_is_not_asked_any_more(three: list[Neighbour]) -> None:
    host, a, _ = three
    await joined(a, host)
    peers.change(a.engine, a.config, host.host, lambda peer: replace(peer, state="reverted"))
    host.front.asked.clear()
    after = await polls(a)
    assert after is not None
    assert "not an approved peer" in after.problem
    assert host.front.asked == []
    assert await leaves(a) is None
    assert repository.current(a.engine) is None
    # And the host blocks whom its admin reverted.
    peers.change(host.engine, host.config, a.host, lambda peer: replace(peer, state="reverted"))
    assert (await says(a.identity, host, "join")).state == "refused"


async def test_what_is_no_address_or_no_shoal(three: list[Neighbour]) -> None:
    host, a, _ = three
    with pytest.raises(RequestError, match="not the address of an instance"):
        await fetches_offer(a, host, url="ftp://elsewhere.example")
    # Plain http is only for this machine: elsewhere the same host is asked over https.
    with pytest.raises(PeerSilentError, match=r"elsewhere\.invalid cannot be reached: there is no such name"):
        await fetches_offer(a, host, url="http://elsewhere.invalid/about")
    with pytest.raises(PeerSilentError):
        await fetches_offer(a, host, url="http://localhost:1")
    # A name alone, and an address without the plugin's path, lead to the same.
    assert (await fetches_offer(a, host, url=host.host)).url == host.url
    assert (await fetches_offer(a, host, url=f"http://{host.host}/")).url == host.url
    assert (await fetches_offer(a, host, url=f"http://{host.host}/about/instance")).url == host.url
    assert (await fetches_offer(a, host, url=f"@somebody@{host.host}")).url == host.url
    with pytest.raises(HostRefusedError, match="closed"):
        await fetches_offer(a, host, group="some-other")
    host.front.key = format_key(bytes(range(32)))
    with pytest.raises(HostRefusedError, match="key-mismatch"):
        await fetches_offer(a, host)
    host.front.down = True
    with pytest.raises((PeerSilentError, HostSilentError)):
        await fetches_offer(a, host)


async def test_requests_of_strangers_are_bounded_and_end(three: list[Neighbour]) -> None:
    host, a, _ = three
    for number in range(1, 4):
        assert (await says(stranger(number), host, "join")).state == "asked"
    with pytest.raises(HostSilentError):
        await says(stranger(4), host, "join")
    # Going away and coming again makes no room, and writes nothing more.
    assert (await says(stranger(1), host, "leave")).state == "left"
    with pytest.raises(HostSilentError):
        await says(stranger(4), host, "join")
    assert (await says(stranger(1), host, "join")).state == "asked"
    assert events(host).count(("asked", stranger(1).host)) == 1
    # Whoever the admin knows gets in line all the same.
    await host.approve(a)
    assert (await asks(a, host)).state == "asked"
    host.clock.ahead += 31 * DAY
    # What the scheduler runs each hour.
    await host.job()
    assert (await says(stranger(4), host, "join")).state == "asked"
    assert set(states(host)) == {host.host, stranger(4).host}
    with reads(host.engine) as connection:
        assert connection.execute(select(func.count()).select_from(GroupMemberRow)).scalar() == 2


async def test_strangers_learn_who_is_in_it_and_nothing_else(three: list[Neighbour]) -> None:
    host, a, _ = three
    await joined(a, host)
    repository.change(host.engine, partial(_listens, next_at=9e8))
    told = await says(stranger(1), host, "status", group=ANY_GROUP)
    assert (told.state, told.proxy, told.ca, told.next) == ("left", "", "", 0)
    assert [one.host for one in told.members] == sorted([host.host, a.host])
    assert states(host) == {host.host: "member", a.host: "member"}
    # By another key, a member's name is a stranger's.
    with pytest.raises(HostRefusedError, match="key-mismatch"):
        await says(Identity(a.host, bytes([9]) * 32), host, "status")
    with pytest.raises(HostRefusedError, match="closed"):
        await says(stranger(1), host, "join", group=ANY_GROUP)
    with pytest.raises(HostRefusedError, match="wrong-sender"):
        await says(host.identity, host, "join")


async def test_what_was_said_before_counts_once(three: list[Neighbour]) -> None:
    host, a, _ = three
    pem, now = new_node_key(), host.clock()
    await says(a.identity, host, "join", now=now, pem=pem)
    with pytest.raises(HostRefusedError, match="replayed"):
        await says(a.identity, host, "join", now=now, pem=pem)
    with pytest.raises(HostRefusedError, match="replayed"):
        await says(a.identity, host, "leave", now=now - 60, pem=pem)
    with pytest.raises(HostRefusedError, match="expired"):
        await says(a.identity, host, "leave", now=now - 3600, pem=pem)
    assert states(host)[a.host] == "asked"


async def test_a_hello_that_was_overtaken_is_said_again(three: list[Neighbour]) -> None:
    """The hourly job says hello to the host as well; which of the two arrives first is chance."""
    host, a, _ = three
    now = host.clock()
    await says(a.identity, host, "join", now=now)
    times = iter([now - 1])
    async with new_session() as session:
        client = host_client.HostClient(
            a.identity, new_node_key(), session, lambda: next(times, host.clock())
        )
        _, admission = await client.ask(host.identity.public, host.url, GROUP, "leave")
    assert admission.state == "left"
    # Once: what is refused again has another reason.
    with pytest.raises(HostRefusedError, match="replayed"):
        await says(a.identity, host, "status", now=now - 1)


async def test_a_name_that_somebody_else_took_first(three: list[Neighbour]) -> None:
    host, a, _ = three
    squatter = Identity(a.host, bytes([9]) * 32)
    await says(squatter, host, "join")
    with pytest.raises(PolicyRefusedError, match="another key"):
        await admits(host, a.host)
    # The newest request stands, and is checked with the domain before it is let in.
    await asks(a, host)
    await admits(host, a.host)
    with pytest.raises(HostRefusedError, match="key-mismatch"):
        await says(squatter, host, "join")
    assert host.peer(a).identity == a.identity.public


async def test_an_approval_is_of_the_key_that_was_compared(three: list[Neighbour]) -> None:
    host, *_ = three
    first, second = stranger(1), Identity(stranger(1).host, bytes([7]) * 32)
    await says(first, host, "join")
    seen = key_verification.KeyEvidence(first.host, format_key(first.public.key), "unread")
    await says(second, host, "join")
    with pytest.raises(PolicyRefusedError, match="another key"):
        commands.admit(host.config, host.engine, seen, now=host.clock())
    assert not peers.read(host.engine, host.config).approved()
    assert states(host)[first.host] == "asked"


async def test_two_members_cannot_have_one_key_nor_a_group_too_many(three: list[Neighbour]) -> None:
    host, a, _ = three
    await joined(a, host)
    with pytest.raises(HostRefusedError, match="that is the key of"):
        await says(Identity("copy.example", a.identity.seed), host, "join")
    for number in (1, 2):
        one = stranger(number)
        await says(one, host, "join")
        seen = key_verification.KeyEvidence(one.host, format_key(one.public.key), "unread")
        commands.admit(host.config, host.engine, seen, now=host.clock())
    await says(stranger(3), host, "join")
    seen = key_verification.KeyEvidence(stranger(3).host, format_key(stranger(3).public.key), "unread")
    with pytest.raises(PolicyRefusedError, match="already has 4 members"):
        commands.admit(host.config, host.engine, seen, now=host.clock())


async def test_a_member_with_a_new_node_key_is_registered_anew(three: list[Neighbour]) -> None:
    host, a, _ = three
    await joined(a, host)
    repository.change_member(host.engine, a.host, lambda one: replace(one, node_id=77))  # type: ignore[type-var]
    await asks(a, host)
    assert repository.member(host.engine, a.host).node_id == 77  # type: ignore[union-attr]
    (a.config.group_dir / "node.key").unlink()
    after = await asks(a, host)
    assert after.state == "member"
    assert repository.member(host.engine, a.host).node_id is None  # type: ignore[union-attr]


async def test_a_former_member_comes_back_with_a_new_node_key(three: list[Neighbour]) -> None:
    host, a, _ = three
    await joined(a, host)
    first = repository.member(host.engine, a.host).node_key  # type: ignore[union-attr]
    await leaves(a)
    assert not (a.config.group_dir / "node.key").exists()
    await asks(a, host)
    await admits(host, a.host)
    await polls(a)
    second = repository.member(host.engine, a.host).node_key  # type: ignore[union-attr]
    assert second not in (b"", first)
    # Taken out and let in again: the host waits for a key that Flower has not shut out.
    commands.eject(host.config, host.engine, a.host, now=host.clock())
    ejected = await polls(a)
    assert ejected is not None
    assert ejected.state == "ejected"
    await admits(host, a.host)
    assert repository.member(host.engine, a.host).node_key == b""  # type: ignore[union-attr]
    back = await polls(a)
    assert back is not None
    assert back.state == "member"
    assert repository.member(host.engine, a.host).node_key not in (b"", first, second)  # type: ignore[union-attr]


async def test_the_hello_that_joins_tells_both_that_they_are_approved(three: list[Neighbour]) -> None:
    """No job says hello besides; one message is all there is."""
    host, a, _ = three
    await asks(a, host)
    assert (host.peer(a).theirs, host.peer(a).state) == ("asked", "candidate")
    assert a.peer(host).theirs == "declined"
    await admits(host, a.host)
    await polls(a)
    assert a.peer(host).theirs == host.peer(a).theirs == "approved"
    peers.change(host.engine, host.config, a.host, lambda peer: replace(peer, state="paused"))
    await polls(a)
    assert a.peer(host).theirs == "declined"


async def test_a_member_with_a_new_key_stays_one_once_the_key_was_handed_over(
    three: list[Neighbour], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was looked at when it asked to join, a moment ago.
    monkeypatch.setattr(ingress, "CONTACT_EVERY", 0.0)
    host, a, _ = three
    await joined(a, host)
    await a.stop()
    rotate_key.rotate(a.config, a.engine, a.clock())
    await a.start()
    new = format_key(a.identity.public.key)
    await polls(a)
    assert repository.current(a.engine).state == "member"  # type: ignore[union-attr]
    for _ in range(200):
        # The host asks the domain of the member for its card, in a job of its own.
        if host.peer(a).key == new:
            break
        await asyncio.sleep(0.05)
    after = await polls(a)
    assert after is not None
    assert (after.state, after.problem) == ("member", "the host is not ready for sums yet")
    assert repository.member(host.engine, a.host).key == new  # type: ignore[union-attr]


async def test_a_sum_is_announced_only_to_enough_members(three: list[Neighbour]) -> None:
    host, *_ = three
    now = host.clock()
    with pytest.raises(PolicyRefusedError, match="1 members, a sum needs 5"):
        commands.start(host.config, host.engine, at=now + 60, now=now)
    small = host.config.model_copy(update={"cohort": host.config.cohort.model_copy(update={"min_cohort": 0})})
    assert commands.start(small, host.engine, at=now + 60, now=now).next_at == now + 60
    with pytest.raises(RequestError, match="has passed"):
        commands.start(small, host.engine, at=now - 60, now=now)


async def test_the_ledger_tells_of_it_in_sentences(three: list[Neighbour]) -> None:
    host, a, _ = three
    await joined(a, host)
    await leaves(a)
    commands.close(host.config, host.engine, now=host.clock())
    said = [sentence(entry) for entry in ledger.entries(host.engine) if entry.kind == "group"]
    assert said == [
        f"This instance now hosts the group {GROUP}.",
        f"{a.host} asked to join the group {GROUP}.",
        f"{a.host} was admitted to the group {GROUP}.",
        f"{a.host} left the group {GROUP}.",
        f"The group {GROUP} was closed.",
    ]
    own = [sentence(entry) for entry in ledger.entries(a.engine) if entry.kind == "group"]
    assert own == [
        f"This instance joined the group {GROUP} of {host.host}.",
        f"This instance left the group {GROUP} of {host.host}.",
    ]
