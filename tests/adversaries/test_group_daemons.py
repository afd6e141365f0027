"""Whole daemons against a host that lies and members that misbehave: what is refused, what the admin sees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from daemon.errors import JobError
from daemon.group import schedule
from daemon.group.membership.blob_cache import FOLDER, BlobCache
from daemon.group.published_sums import EPOCH, MESSAGE, PublishedStore, not_learnt
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.ledger.messages import in_english as sentence
from daemon.rounds import round_config
from daemon.rounds.withdrawal import withdraw_viewers
from daemon.store.viewers import forget_viewers, viewer_states
from federation import envelope
from federation.blob_access import fetch_request, reference_to
from federation.carrier import PeerRefused, PeerUnreachable
from federation.envelope import Stage
from federation.group.epoch_document import EpochDocument, read_epoch
from federation.group.epoch_opening import Gather, Listed, MembershipList, Reveal, committed, nonce_of
from federation.group.published import HEAD, MAX_PUBLISHED, NUMBER_TYPE, Published, read_taken
from federation.http.client import PeerClient
from federation.identity import Identity
from federation.proposal import BlobReference, SignedProposal
from tests.daemon.group.in_process_group import NAME, Islander, Islands, assert_learnt, islands

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def five(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Islands]:
    async with islands(tmp_path_factory.mktemp("lies"), 5) as found:
        await found.form()
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def group(five: Islands) -> AsyncIterator[Islands]:
    five.next_window()
    yield five
    five.ferry.before = five.ferry.after = lambda *_: None


async def says(group: Islands, one: Islander, raw: bytes, blobs: Mapping[str, bytes] | None = None) -> bytes:
    """Have bytes delivered to a member as its link does."""
    BlobCache(one.config.group_dir / FOLDER).put(blobs or {})
    return await PeerClient(group.ferry.http).send(one.host, one.url, raw, max_answer=1 << 20, timeout=30)


async def refused(group: Islands, one: Islander, raw: bytes, blobs: Mapping[str, bytes] | None = None) -> str:
    """Return the code of the refusal, which has to be counted at the member."""
    before = len(one.refusals)
    with pytest.raises(PeerRefused) as found:
        await says(group, one, raw, blobs)
    assert one.refusals[before:] == [found.value.code]
    return found.value.code


def published(group: Islands) -> tuple[Published, dict[str, bytes]]:
    """Return the newest that the host has published."""
    host, store = group.host, PublishedStore(group.host.config)
    run = bytes.fromhex(host.group.offered)
    message = envelope.parse(store.message(run) or b"", max_size=MAX_PUBLISHED)
    found = Published.read(message, host.identity.public, round_config.limits(host.config))
    return found, {name: store.blob(run, name) or b"" for name in found.blobs}


def altered(found: Published, blobs: dict[str, bytes], **what: object) -> Published:
    """Return it as published later, under another name, with these blobs."""
    fields = {"run": found.run[::-1], "made": found.made + 1000, **what}
    references = {name: reference_to(data) for name, data in blobs.items()}
    return replace(found, blobs=references, **fields)  # type: ignore[arg-type]


def absent(victim: Islander) -> Callable[[str, str, Stage], None]:
    """Keep a member out of a sum, and from learning what became of its contribution."""

    def point(kind: str, host: str, _stage: Stage) -> None:
        if host == victim.host and kind in ("round", "published"):
            raise PeerUnreachable(f"{host} is away")

    return point


def deaf(victim: Islander) -> Callable[[str, str, Stage], None]:
    """Let a member give, and not hear what it was for."""

    def point(kind: str, host: str, _stage: Stage) -> None:
        if (kind, host) == ("published", victim.host):
            raise PeerUnreachable(f"{host} is away")

    return point


async def learns_nothing(one: Islander, run: bytes) -> str:
    """Have a member learn a run in one part; return why the part is left out, as the ledger has it."""
    result = await one.learns()
    assert result["sub_cohorts"] == []
    assert not one.stored(run.hex())
    entry = ledger.newest(one.engine, limit=1, kind=Kind.GROUP)[0]
    assert entry.details["run"] == run.hex()
    [why] = entry.details["left_out"]
    assert why.rstrip(".") in sentence(entry)
    assert result["left_out"] == {"0": why}
    assert not not_learnt(one.config)
    assert not schedule.missed(one.config, replace(one.group, offered=run.hex()), one.clock())
    return str(why)


# The host publishes what is not the sum.


async def test_a_sum_that_we_are_said_to_be_in_and_gave_nothing_to(group: Islands) -> None:
    victim = group.people[2]
    group.ferry.before = absent(victim)
    await group.host_run()
    found, blobs = published(group)
    [part] = found.sub_cohorts
    assert victim.host not in part.survivors
    everybody = tuple(sorted((*part.survivors, victim.host)))
    lie = altered(found, blobs, sub_cohorts=(replace(part, survivors=everybody),))
    await says(group, victim, lie.seal(group.host.identity), blobs)
    assert "cannot be taken out of the sum" in await learns_nothing(victim, lie.run)


async def test_a_sum_over_another_head_than_we_gave_pairs_for(group: Islands) -> None:
    victim = group.people[1]
    group.ferry.before = deaf(victim)
    await group.host_run()
    found, blobs = published(group)
    urls = round_config.decode_vocabulary(blobs[HEAD], at_most=1000)
    blobs[HEAD] = round_config.encode_vocabulary((*urls[1:], "https://z.example/w/other"))
    lie = altered(found, blobs)
    await says(group, victim, lie.seal(group.host.identity), blobs)
    assert "another head" in await learns_nothing(victim, lie.run)


@pytest.mark.parametrize(
    ("blob", "change"), [("counts.0", -1000), ("pairs.0", -1000), ("pairs.0", 1000), ("counts.0", -1)]
)
async def test_numbers_that_nobodys_viewers_can_have_given(group: Islands, blob: str, change: int) -> None:
    """By one already, where a video's only other viewers are ours."""
    victim = group.people[3]
    group.ferry.before = deaf(victim)
    await group.host_run()
    found, blobs = published(group)
    numbers = np.frombuffer(blobs[blob], NUMBER_TYPE).copy()
    numbers[:] = numbers + change if abs(change) > 1 else 0
    blobs[blob] = numbers.tobytes()
    lie = altered(found, blobs)
    await says(group, victim, lie.seal(group.host.identity), blobs)
    assert "viewers can have made" in await learns_nothing(victim, lie.run)


async def test_a_publication_without_its_data_or_with_other_data_changes_nothing(group: Islands) -> None:
    victim = group.people[1]
    group.ferry.before = deaf(victim)
    result = await group.host_run()
    found, blobs = published(group)
    before = PublishedStore(victim.config).newest()
    raw = found.seal(group.host.identity)
    assert await refused(group, victim, raw) == "blob-mismatch"
    some = {name: data for name, data in blobs.items() if name != "pairs.0"}
    assert await refused(group, victim, raw, some) == "blob-mismatch"
    reference = found.blobs["pairs.0"]
    (victim.config.group_dir / FOLDER / reference.sha256.hex()).write_bytes(bytes(reference.size))
    assert await refused(group, victim, raw, some) == "blob-mismatch"
    # Nor is anything left of what a link was writing when it was killed.
    begun = victim.config.group_dir / FOLDER / ".begun"
    begun.write_bytes(bytes(1000))
    assert await refused(group, victim, raw, some) == "blob-mismatch"
    assert not begun.exists()
    store = PublishedStore(victim.config)
    assert store.newest() == before
    assert store.epoch(found.run) is None
    # What it did not get, it fetches.
    await victim.catches_up()
    everybody = sorted(group.ferry.people)
    assert_learnt(group, victim, result["run"], [everybody])


async def test_a_publication_larger_than_sums_can_be_is_not_even_looked_at(group: Islands) -> None:
    victim = group.people[1]
    await group.host_run()
    found, _ = published(group)
    videos = victim.config.model.max_head + 1
    sizes = {"counts.0": 4 * videos, "pairs.0": 2 * videos * (videos - 1)}
    for wrong in (sizes, {HEAD: 60_000_000}, {"proposal.0": 200_000}):
        references = {
            name: BlobReference(one.sha256, wrong.get(name, one.size)) for name, one in found.blobs.items()
        }
        lie = replace(found, run=b"l" * 32, made=found.made + 1, blobs=references)
        assert await refused(group, victim, lie.seal(group.host.identity)) == "oversized"


async def test_what_was_published_before_is_not_published_again_and_nothing_twice(group: Islands) -> None:
    victim = group.people[1]
    await group.ask()
    old, old_blobs = published(group)
    group.next_window()
    result = await group.ask()
    new, blobs = published(group)
    for again in (old, replace(old, run=b"o" * 32), replace(new, made=new.made + 1)):
        raw = again.seal(group.host.identity)
        assert await refused(group, victim, raw, old_blobs | blobs) == "replayed"
    # The very same message is a retry.
    answer = await says(group, victim, new.seal(group.host.identity))
    taken = read_taken(envelope.parse(answer, max_size=1200), victim.identity.public, group.host.host)
    assert (taken.run.hex(), taken.hash) == (result["run"], new.hash)
    assert not not_learnt(victim.config)


async def test_what_can_never_be_used_is_tried_once(group: Islands) -> None:
    """Else the job, and training behind it, would run again every second."""
    victim = group.people[1]
    group.ferry.before = deaf(victim)
    await group.host_run()
    found, blobs = published(group)
    lie = altered(found, {**blobs, HEAD: b"no list"})
    await says(group, victim, lie.seal(group.host.identity), {**blobs, HEAD: b"no list"})
    with pytest.raises(JobError, match="cannot be used"):
        await victim.learns()
    assert not not_learnt(victim.config)
    assert victim.group.run == lie.run.hex()
    entry = ledger.newest(victim.engine, limit=1, kind=Kind.GROUP)[0]
    assert "nothing was learnt from it" in sentence(entry)
    # What the host has no more, after a revert there, is asked for once as well.
    PublishedStore(group.host.config).clear()
    await victim.polls()
    assert schedule.missed(victim.config, victim.group, victim.clock())
    with pytest.raises(JobError, match="any more"):
        await victim.learns(run=victim.group.offered)
    assert not schedule.missed(victim.config, victim.group, victim.clock())
    # And a host that is away, again and again.
    group.next_window()
    group.ferry.before = deaf(victim)
    await group.host_run()
    await victim.polls()
    await group.host.stop()
    for _ in range(2):
        with pytest.raises(JobError, match="cannot be reached"):
            await victim.learns(run=victim.group.offered)
        assert schedule.missed(victim.config, victim.group, victim.clock())
    await group.host.start()
    assert (await victim.learns(run=victim.group.offered))["sub_cohorts"]


# The host draws, asks and tells as it likes.


def drawn(host: Identity, name: str, number: int, opened: float, people: list[Identity]) -> EpochDocument:
    """Return an epoch that a host draws alone, with keys that it has."""
    gather = Gather(name, number, int(opened * 1000))
    gathering = gather.id(host.host)
    rows = [
        Listed(p.host, p.public.key, committed(gathering, p.host, nonce_of(p.seed, gathering)))
        for p in people
    ]
    listed = MembershipList(name, number, gather.opened, 1, 5, tuple(sorted(rows)))
    reveals = {p.host: Reveal.of(listed, host.host, p).seal(p, host.host) for p in people}
    return EpochDocument(host.public, listed.seal(host), reveals)


async def test_the_epoch_of_another_group_a_second_one_and_a_second_gathering(group: Islands) -> None:
    victim, host = group.people[1], group.host.identity
    if not victim.group.epoch:
        await group.ask()
    kept, now = victim.group.epoch, group.clock()
    friends = [Identity(f"z{n}.example", bytes([n + 1]) * 32) for n in range(5)]
    other = drawn(host, "another-group", 9, now, friends)
    assert await refused(group, victim, other.seal(host)) == "not-for-me"
    second = replace(drawn(host, NAME, 9, now, friends), late=(victim.identity.public,), serial=2)
    assert await refused(group, victim, second.seal(host)) == "wrong-stage"
    present = read_epoch(envelope.parse(kept, max_size=len(kept)), host.public)
    # With one of the reveals dropped, the parts would be others.
    fewer = replace(present, reveals=dict(list(present.reveals.items())[:4]))
    for wrong in (fewer, replace(fewer, serial=present.serial + 1)):
        assert await refused(group, victim, wrong.seal(host)) == "roster-invalid"
    for _ in range(2):
        gather = Gather(NAME, 9, int(group.clock() * 1000)).seal(host, victim.host)
        assert await refused(group, victim, gather) == "wrong-stage"
    assert victim.group.epoch == kept
    # The present one, once more, is no harm.
    await says(group, victim, kept)


async def test_a_proposal_over_others_than_the_sub_cohort(group: Islands) -> None:
    """Refused by every member, before anything is counted; each admin sees it once."""
    await group.ask()
    found, blobs = published(group)
    host, victim = group.host, group.people[1]
    message = envelope.parse(blobs["proposal.0"], max_size=100_000)
    honest = SignedProposal.read(message, host.identity.public, round_config.limits(host.config)).proposal
    now = int(group.clock())
    fewer = tuple(one for one in honest.roster if one.host != "reef.example")
    friend = Identity("z.example", b"z" * 32).public
    more = tuple(sorted((*honest.roster, friend), key=lambda one: one.host))
    for number, roster in enumerate((fewer, more)):
        threshold = 2 * len(roster) // 3 + 1
        lie = replace(
            honest,
            roster=roster,
            threshold=threshold,
            nonce=bytes([number]) * 16,
            created=now,
            expires=now + 600,
        )
        signed = SignedProposal.sign(lie, host.identity, round_config.limits(host.config))
        assert await refused(group, victim, signed.raw) == "roster-invalid"
    [entry] = ledger.newest(victim.engine, limit=1, kind=Kind.REFUSED)
    assert "not this instance's sub-cohort" in sentence(entry)
    assert found.sub_cohorts[0].survivors == tuple(sorted(group.ferry.people))


# Others than the host.


async def test_documents_of_a_member_who_is_not_the_host(group: Islands) -> None:
    await group.ask()
    found, blobs = published(group)
    member, victim = group.people[2].identity, group.people[1]
    lie = replace(found, run=b"m" * 32, made=found.made + 1)
    gather = Gather(NAME, 9, int(group.clock() * 1000))
    stolen = replace(lie, made=found.made + 2).seal(Identity(group.host.host, member.seed))
    for raw in (lie.seal(member), gather.seal(member, victim.host)):
        assert await refused(group, victim, raw, blobs) == "unknown-peer"
    assert await refused(group, victim, stolen, blobs) == "bad-signature"


async def test_a_stranger_fetches_nothing_that_was_published(group: Islands) -> None:
    await group.ask()
    run = bytes.fromhex(group.host.group.offered)
    stranger = Identity("stranger.example", b"s" * 32)
    pretends = Identity(group.people[1].host, b"s" * 32)
    for name in (MESSAGE, EPOCH, HEAD, "pairs.0"):
        asks = fetch_request(stranger, run, group.host.host, name)
        assert await refused(group, group.host, asks) == "unknown-peer"
        asks = fetch_request(pretends, run, group.host.host, name)
        assert await refused(group, group.host, asks) == "bad-signature"
    member = group.people[1].identity
    for name in ("../x", "pairs.1", "done"):
        asks = fetch_request(member, run, group.host.host, name)
        assert await refused(group, group.host, asks) == "unknown-round"


async def test_a_member_that_answers_with_another_epoch_or_receipt_is_named(group: Islands) -> None:
    """Nothing is delivered to whom, and the host's admin sees it in the job's result."""
    await group.ask()
    group.next_window()
    liar, victim = group.people[2], group.people[1]
    genuine = await says(group, victim, victim.group.epoch)
    group.ferry.answers[("documents", liar.host, Stage.EPOCH)] = genuine
    group.ferry.answers[("published", liar.host, Stage.PUBLISH)] = genuine
    result = await group.host_run()
    group.ferry.answers.clear()
    assert list(result["not_in_epoch"]) == [liar.host]
    assert result["not_in_epoch"][liar.host].startswith("wrong answer")
    assert liar.host not in result["delivered"]
    assert len(result["delivered"]) == 4


# A viewer leaves.


async def test_a_part_with_viewers_who_left_since_cannot_be_taken_apart_and_is_left_out(
    group: Islands,
) -> None:
    one = group.people[4]
    group.ferry.before = deaf(one)
    result = await group.host_run()
    assert forget_viewers(one.engine, [next(iter(viewer_states(one.engine)))]) == 1
    withdraw_viewers(one.config, one.engine, one.clock)
    await one.polls()
    learnt = await one.learns(run=one.group.offered)
    assert learnt["sub_cohorts"] == []
    assert list(learnt["left_out"]) == ["0"]
    assert not one.stored(result["run"])
    entry = ledger.newest(one.engine, limit=1, kind=Kind.GROUP)[0]
    assert "left out" in sentence(entry)
