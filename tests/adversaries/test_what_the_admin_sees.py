"""Each adversary against one real instance: it fails, and its admin can see that it was there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from daemon.ledger.chain import Kind
from daemon.peers import contact_job, repository
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.data_windows import open_windows
from daemon.store import activity, releases
from daemon.store.viewers import Pseudonyms, forget_viewers
from federation import envelope, hello, messages
from federation.envelope import Stage
from federation.errors import Code, Refusal, silence
from federation.http import load_limits
from federation.identity import Identity, format_key
from federation.proposal import least_threshold
from tests import ROOT
from tests.adversaries.admin import (
    LIARS,
    ME,
    MEMBERS,
    SECRET,
    URLS,
    Admin,
    Lies,
    opened,
    strangers,
)
from tests.simulator.table import read

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Admin]:
    with pytest.MonkeyPatch.context() as patch:
        async with opened(tmp_path_factory.mktemp("admin"), patch) as found:
            yield found


# -- an aggregator that lies, or made its members up --


async def test_a_lying_aggregator_at_every_stage(admin: Admin) -> None:
    """Invented members, split views, alive and dead at once, a second unmasking, its own request replayed."""
    lies = Lies(admin, 0)
    await lies.plays(Stage.PROPOSE)
    others = [host for host in lies.hosts if host != ME]
    async with admin.sees(Code.WRONG_SENDER, Code.KEYS_INVALID):
        made_up = strangers(1)[0]
        invented = envelope.seal(
            Identity(made_up.host, bytes([150]) * 32),
            round_id=lies.signed.round_id,
            stage=Stage.ADVERTISE,
            recipient=lies.cohort.aggregator.host,
            payload=bytes(read(lies.answers[Stage.PROPOSE][others[0]]).payload),
        )
        shown = {**lies.answers[Stage.PROPOSE], made_up.host: invented}
        assert await lies.is_refused(Stage.KEYS, messages.encode_messages(shown)) is Code.WRONG_SENDER
        without = {host: raw for host, raw in lies.answers[Stage.PROPOSE].items() if host != ME}
        assert await lies.is_refused(Stage.KEYS, messages.encode_messages(without)) is Code.KEYS_INVALID
    await lies.plays(Stage.KEYS, Stage.SHARES)
    async with admin.sees(Code.SURVIVORS_INVALID, Code.SURVIVORS_INVALID, Code.COHORT_TOO_SMALL):
        for lie, code in (
            ([*lies.hosts, "s00.example"], Code.SURVIVORS_INVALID),
            (others, Code.SURVIVORS_INVALID),
            ([ME, *others[:2]], Code.COHORT_TOO_SMALL),
        ):
            assert await lies.is_refused(Stage.SURVIVORS, messages.encode_hosts(sorted(lie))) is code
    # The real instance is told that all survived, the others that it did not: two views of one sum.
    await asyncio.to_thread(lies.play, Stage.SURVIVORS, [ME])
    split = lies.request(Stage.SURVIVORS, messages.encode_hosts(others))
    for host in others:
        lies.send(host, split)
    async with admin.sees(Code.SURVIVORS_DIFFER, Code.STAGE_REPEATED):
        assert await lies.raw_is_refused(lies.honest(Stage.CONFIRMATIONS, ME)) is Code.SURVIVORS_DIFFER
        # Whom it signed as alive cannot be dead in a second list.
        fewer = messages.encode_hosts(sorted({*lies.hosts} - {others[0]}))
        assert await lies.is_refused(Stage.SURVIVORS, fewer) is Code.STAGE_REPEATED
    assert not admin.ledger(Kind.ROUND)


async def test_unmasking_happens_once_and_differencing_has_no_second_sum(admin: Admin) -> None:
    """One sum to its end; then a second answer, the same inputs without one member, and false counts."""
    lies = Lies(admin, 1)
    await lies.plays(Stage.PROPOSE, Stage.KEYS, Stage.SHARES, Stage.SURVIVORS)
    await lies.plays(Stage.CONFIRMATIONS)
    fewer = dict(list(lies.answers[Stage.SURVIVORS].items())[:4])
    async with admin.sees(Code.STAGE_REPEATED):
        assert (
            await lies.is_refused(Stage.CONFIRMATIONS, messages.encode_messages(fewer)) is Code.STAGE_REPEATED
        )
    # The same request gives the same bytes, and is no refusal.
    async with admin.sees():
        again = await asyncio.to_thread(lies.instance(ME).handle, lies.honest(Stage.CONFIRMATIONS, ME))
        assert again == lies.answers[Stage.CONFIRMATIONS][ME]
    host = LIARS[1].host
    assert [r.aggregator for r in releases.since(admin.engine, 0.0)].count(host) == 1
    # The difference of two sums would be one member: no second proposal is answered, not even the same.
    proposal = lies.proposal()
    roster = tuple(member for member in proposal.roster if member.host != MEMBERS[0].host)
    less = {"roster": roster, "threshold": least_threshold(4), "colluders": 1, "parameters": alone(lies)}
    async with admin.sees(Code.WINDOW_OPEN, Code.WINDOW_OPEN):
        for changes in ({}, less):
            signed = lies.sign(proposal, **changes)
            assert await lies.raw_is_refused(signed.raw) is Code.WINDOW_OPEN
    assert [r.aggregator for r in releases.since(admin.engine, 0.0)].count(host) == 1
    refused = [e for e in admin.ledger(Kind.REFUSED) if e.subject == host]
    assert [entry.details["code"] for entry in refused] == ["window-open"]


def alone(lies: Lies) -> dict[str, int]:
    """Return the terms of a sum that is not passed on."""
    return {**lies.signed.proposal.parameters, "pass_on": 0}


async def test_a_victim_in_attempts_with_two_nearly_disjoint_rosters(admin: Admin) -> None:
    """Once its masked vector left, it is in attempts with these people only; nobody else is told of it."""
    lies = Lies(admin, 5)
    await lies.plays(Stage.PROPOSE, Stage.KEYS, Stage.SHARES)
    strangers_to_these = (MEMBERS[4], *LIARS[6:9])
    roster = tuple(sorted([admin.identity.public, *(one.public for one in strangers_to_these)]))
    other = lies.sign(lies.proposal(), roster=roster)
    async with admin.sees(Code.WINDOW_OPEN):
        assert await lies.raw_is_refused(other.raw) is Code.WINDOW_OPEN
    # The head changes between attempts: as little.
    blobs = dict(lies.blobs)
    lies.blobs[round_config.HEAD] = round_config.encode_head(np.arange(1, 11))
    changed = lies.sign(lies.proposal())
    async with admin.sees(Code.WINDOW_OPEN):
        assert await lies.raw_is_refused(changed.raw) is Code.WINDOW_OPEN
    lies.blobs = blobs
    # The attempt that it is in goes on.
    await lies.plays(Stage.SURVIVORS, Stage.CONFIRMATIONS)
    assert [r.aggregator for r in releases.since(admin.engine, 0.0)].count(LIARS[5].host) == 1


async def test_segments_of_false_length_unit_or_noise_are_refused_by_name(admin: Admin) -> None:
    lies = Lies(admin, 9)
    counts, pairs = lies.signed.proposal.segments
    false = {
        (replace(counts, length=counts.length - 1), replace(pairs, length=pairs.length + 1)): "segments",
        (counts, replace(pairs, unit=1)): "segments",
        (counts,): "segments",
        (replace(counts, noise=counts.noise - 1), pairs): "noise of variance",
        (counts, replace(pairs, noise=0)): "noise of variance",
    }
    for segments, said in false.items():
        code = Code.PARAMETERS_REFUSED if said == "segments" else Code.NOISE_TOO_LOW
        async with admin.sees(code):
            signed = lies.sign(lies.proposal(), segments=segments)
            refusal = await asyncio.to_thread(lies.refused, ME, signed.raw)
            assert refusal.code is code
            assert said in refusal.sentence
    assert not [r for r in releases.since(admin.engine, 0.0) if r.aggregator == LIARS[9].host]
    entries = [e for e in admin.ledger(Kind.REFUSED) if e.subject == LIARS[9].host]
    assert [entry.details["code"] for entry in entries] == ["parameters-refused", "noise-too-low"]


async def test_a_crafted_vocabulary_asks_nothing(admin: Admin) -> None:
    short = Lies(admin, 2, vocabulary=URLS[:3], head=(0, 1))
    async with admin.sees(Code.VOCABULARY_TOO_SMALL):
        assert await short.raw_is_refused(short.signed.raw) is Code.VOCABULARY_TOO_SMALL
    # A hundred times the same video counts one video in a hundred entries.
    twice = Lies(admin, 2, vocabulary=(URLS[0],) * 100)
    async with admin.sees(Code.BLOB_MISMATCH):
        assert await twice.raw_is_refused(twice.signed.raw) is Code.BLOB_MISMATCH
    # Nor do made-up addresses beside one that is known here, or heads that are no positions in the list.
    made_up = tuple(sorted((URLS[0], *(f"https://nowhere.example/{n}" for n in range(500)))))
    drowned = Lies(admin, 2, vocabulary=made_up)
    async with admin.sees(Code.VOCABULARY_TOO_SMALL):
        assert await drowned.raw_is_refused(drowned.signed.raw) is Code.VOCABULARY_TOO_SMALL
    for head in ((0, 0), (1, 0), (0, len(URLS))):
        crafted = Lies(admin, 2, head=head)
        async with admin.sees(Code.BLOB_MISMATCH):
            assert await crafted.raw_is_refused(crafted.signed.raw) is Code.BLOB_MISMATCH
    assert not [r for r in releases.since(admin.engine, 0.0) if r.aggregator == LIARS[2].host]
    entries = [e for e in admin.ledger(Kind.REFUSED) if e.subject == LIARS[2].host]
    assert [entry.details["code"] for entry in entries] == ["vocabulary-too-small", "blob-mismatch"]
    assert entries[0].details["roster"] == list(short.hosts)


async def test_a_sybil_roster_is_refused_and_on_record_once(admin: Admin) -> None:
    lies = Lies(admin, 3)
    first = lies.proposal()
    friends = [member for member in first.roster if member.host in (ME, MEMBERS[0].host)]
    roster = tuple(sorted([*friends, *strangers(20)]))
    many = lies.sign(first, roster=roster, threshold=len(roster))
    low = lies.sign(
        first, roster=tuple(sorted([*first.roster, *strangers(9)])), threshold=least_threshold(14)
    )
    async with admin.sees(*[Code.COHORT_TOO_SMALL] * 5, Code.THRESHOLD_TOO_LOW):
        for _ in range(5):
            assert await lies.raw_is_refused(many.raw) is Code.COHORT_TOO_SMALL
        assert await lies.raw_is_refused(low.raw) is Code.THRESHOLD_TOO_LOW
    found = [e for e in admin.ledger(Kind.REFUSED) if e.subject == LIARS[3].host]
    # Five times the same is one entry: refusals do not grow the ledger.
    assert [entry.details["code"] for entry in found] == ["cohort-too-small", "threshold-too-low"]
    assert "s00.example" in found[0].details["roster"]


# -- replays, silence, nonsense, other keys --


async def test_a_replayer_changes_nothing_and_a_silent_aggregator_leaves_an_ended_round(
    admin: Admin,
) -> None:
    lies = Lies(admin, 4)
    await lies.plays(Stage.PROPOSE)
    later = lies.sign(replace(lies.proposal(), created=lies.signed.proposal.created + 1))
    await asyncio.to_thread(lies.instance(ME).handle, later.raw)
    unseen = lies.sign(replace(lies.proposal(), created=lies.signed.proposal.created))
    async with admin.sees(Code.BUSY, Code.REPLAYED, Code.BUSY):
        # Somebody who recorded the first proposal, or one of then, cannot end the newer sum with it.
        assert await lies.raw_is_refused(lies.signed.raw) is Code.BUSY
        assert await lies.raw_is_refused(unseen.raw) is Code.REPLAYED
        assert await lies.raw_is_refused(lies.honest(Stage.KEYS, ME)) is Code.BUSY
    said = hello.say(LIARS[4], ME, admin.clock(), approves=True)
    assert await admin.post(said) == 200
    async with admin.sees(Code.REPLAYED):
        assert await admin.post(said) == 400
    # Then nothing more is heard of it.
    begun = [s for s in activity.rounds(admin.engine) if s.aggregator == LIARS[4].host]
    admin.clock.ahead += 700
    for _ in range(200):
        ended = [e for e in admin.ledger(Kind.ROUND) if e.details["aggregator"] == LIARS[4].host]
        if len(ended) == len(begun):
            break
        await asyncio.sleep(0.05)
    assert len(ended) == len(begun) > 0
    assert {entry.details["outcome"] for entry in ended} == {"abandoned"}
    assert all(entry.details["given"] is None for entry in ended)
    assert round_config.member_journal(admin.config).names(later.round_id) == ["closed"]


async def test_nonsense_is_counted_by_what_is_wrong_with_it(admin: Admin) -> None:
    async with admin.sees(Code.MALFORMED, Code.MALFORMED, Code.UPDATE, Code.OVERSIZED):
        assert await admin.post(b"") == 400
        assert await admin.post(b"SHOAL\x02\x00\x01\x00") == 400
        # A peer that still speaks protocol 1, whatever it says.
        assert await admin.post(b"SHOAL\x01\x00\x01\x00") == 400
        assert await admin.post(bytes(100_001)) == 413


async def test_who_is_not_approved_or_has_another_key_is_told_apart(admin: Admin) -> None:
    other = Identity(LIARS[6].host, b"y" * 32)
    nobody = Identity("nobody.example", b"z" * 32)

    def driven(by: Identity) -> bytes:
        return envelope.seal(by, round_id=bytes([1]) * 32, stage=Stage.KEYS, recipient=ME, payload=b"")

    async with admin.sees(Code.BAD_SIGNATURE, Code.UNKNOWN_PEER, Code.KEY_MISMATCH):
        assert await admin.post(driven(other)) == 400
        assert await admin.post(driven(nobody)) == 403
        # A new key without a word of the old one.
        assert await admin.post(hello.say(other, ME, admin.clock(), approves=True)) == 400
    assert not [notice for notice in admin.notices() if notice.subject == other.host]


async def test_a_stranger_who_asks_waits_for_the_admin(admin: Admin) -> None:
    stranger = Identity("asks.example", b"a" * 32)
    async with admin.sees():
        assert await admin.post(hello.say(stranger, ME, admin.clock(), approves=True)) == 200
    assert [n.subject for n in admin.notices() if n.kind == "peer-request"] == ["asks.example"]
    assert [entry.subject for entry in admin.ledger(Kind.PEER_ASKED)] == ["asks.example"]


async def test_a_slow_body_is_given_up(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_limits, "BODY_WITHIN", 0.1)
    host, port = admin.url.removeprefix("http://").split(":")
    async with admin.sees(Code.MALFORMED):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /federation/v1/message HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nSHOAL")
        assert b" 400 " in await reader.readline()
        writer.close()


async def test_a_silent_peer_is_told_after_a_day(admin: Admin) -> None:
    silent = Peer(
        "silent.example",
        "http://127.0.0.1:9",
        format_key(Identity("silent.example", b"s" * 32).public.key),
        state="approved",
        since=admin.clock(),
    )
    repository.save(admin.engine, silent)
    context = JobContext(
        admin.config, admin.engine, lambda _stage, _part: None, admin.clock, {"host": silent.host}
    )
    for _ in range(2):
        assert (await contact_job._run(context))["unreachable"] == [silent.host]
        admin.clock.ahead += 90_000
    [notice] = [n for n in admin.notices() if n.kind == "unreachable"]
    assert notice.subject == silent.host
    admin.check_log()


async def test_aggregators_that_work_together_have_a_draw_of_noise_each(admin: Admin) -> None:
    """The stated limit: what two of them have differs by their noise alone."""
    given = []
    for number in (7, 8):
        lies = Lies(admin, number)
        await lies.plays(Stage.PROPOSE)
        windows = open_windows(admin.config, admin.identity, admin.engine, admin.clock)
        proposal = lies.signed.proposal
        frozen = np.frombuffer(windows.frozen(proposal.aggregator) or b"", "<i4").astype(np.int64)
        given.append(proposal.split(frozen))
    for one, other, variance in zip(*given, proposal.share_variances, strict=True):
        expected = 2 * float(variance)
        assert 0.4 * expected < float((one - other).var()) < 2 * expected
    threats = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    assert "Aggregators that work together have one each" in " ".join(threats.split())


def heard(lies: Lies, raw: bytes) -> tuple[Code, str]:
    """Return what the real instance refuses a request with; meanwhile it may close what must not go on."""
    with pytest.raises(Refusal) as refused:
        lies.instance(ME).handle(raw)
    return refused.value.code, refused.value.sentence


async def test_a_withdrawal_that_is_watched_looks_like_a_busy_instance(admin: Admin) -> None:
    """One aggregator has the masked vector, one only keys, when a viewer leaves who is in both."""
    with_vector, with_keys = Lies(admin, 10), Lies(admin, 11)
    await with_vector.plays(Stage.PROPOSE, Stage.KEYS, Stage.SHARES)
    await with_keys.plays(Stage.PROPOSE)
    survivors, keys = with_vector.honest(Stage.SURVIVORS, ME), with_keys.honest(Stage.KEYS, ME)
    assert forget_viewers(admin.engine, [Pseudonyms(SECRET).of("viewer 3")])
    said = set()
    for lies, raw in ((with_vector, survivors), (with_keys, keys)):
        async with admin.sees(Code.BUSY):
            said.add(await asyncio.to_thread(heard, lies, raw))
    # Whoever has the vector is met with the same when it asks anew; whoever has not gets a new count.
    again = with_vector.sign(with_vector.proposal())
    async with admin.sees(Code.BUSY):
        said.add(await asyncio.to_thread(heard, with_vector, again.raw))
    anew = with_keys.sign(replace(with_keys.proposal(), created=with_keys.signed.proposal.created + 1))
    async with admin.sees():
        assert read(await asyncio.to_thread(with_keys.instance(ME).handle, anew.raw)).sender == ME
    # What a machine says that has too much to do.
    assert said == {(silence().code, silence().sentence)}
    # Nor do the peers cause entries by it.
    assert not [e for e in admin.ledger(Kind.REFUSED) if e.subject in (LIARS[10].host, LIARS[11].host)]
