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
from federation import envelope, hello, messages
from federation.envelope import Stage
from federation.errors import Code
from federation.http import load_limits
from federation.identity import Identity, format_key
from federation.proposal import least_threshold
from tests import ROOT
from tests.adversaries.admin import (
    LIARS,
    ME,
    MEMBERS,
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
            sum_id=lies.signed.sum_id,
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
    assert not admin.ledger(Kind.SESSION)


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
    # False counts: less than this instance alone gave.
    async with admin.sees(Code.BLOB_MISMATCH):
        false = lies.sign(lies.second(np.full(len(URLS), -100_000), 10))
        assert await lies.raw_is_refused(false.raw) is Code.BLOB_MISMATCH
    # The difference of two sums would be one member: the same window gives no second survivor set.
    del lies.blobs[round_config.COUNTS]
    first = lies.first(len(URLS))
    roster = tuple(member for member in first.roster if member.host != MEMBERS[0].host)
    async with admin.sees(Code.WINDOW_OPEN):
        less = lies.sign(first, roster=roster, threshold=least_threshold(4))
        assert await lies.raw_is_refused(less.raw) is Code.WINDOW_OPEN
    assert [r.aggregator for r in releases.since(admin.engine, 0.0)].count(host) == 1
    refused = [e for e in admin.ledger(Kind.REFUSED) if e.subject == host]
    assert [entry.details["code"] for entry in refused] == ["blob-mismatch", "window-open"]


async def test_a_crafted_vocabulary_asks_nothing(admin: Admin) -> None:
    short = Lies(admin, 2, vocabulary=URLS[:3])
    async with admin.sees(Code.VOCABULARY_TOO_SMALL):
        assert await short.raw_is_refused(short.signed.raw) is Code.VOCABULARY_TOO_SMALL
    # A hundred times the same video counts one video in a hundred entries.
    twice = Lies(admin, 2, vocabulary=(URLS[0],) * 100)
    async with admin.sees(Code.BLOB_MISMATCH):
        assert await twice.raw_is_refused(twice.signed.raw) is Code.BLOB_MISMATCH
    assert not [r for r in releases.since(admin.engine, 0.0) if r.aggregator == LIARS[2].host]
    entries = [e for e in admin.ledger(Kind.REFUSED) if e.subject == LIARS[2].host]
    assert [entry.details["code"] for entry in entries] == ["vocabulary-too-small", "blob-mismatch"]
    assert entries[0].details["roster"] == list(short.hosts)


async def test_a_sybil_roster_is_refused_and_on_record_once(admin: Admin) -> None:
    lies = Lies(admin, 3)
    first = lies.first(len(URLS))
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


async def test_a_replayer_changes_nothing_and_a_silent_aggregator_leaves_an_ended_session(
    admin: Admin,
) -> None:
    lies = Lies(admin, 4)
    await lies.plays(Stage.PROPOSE)
    later = lies.sign(replace(lies.first(len(URLS)), created=lies.signed.proposal.created + 1))
    await asyncio.to_thread(lies.instance(ME).handle, later.raw)
    async with admin.sees(Code.REPLAYED, Code.CLOSED):
        # Somebody who recorded the first proposal cannot end the newer sum with it.
        assert await lies.raw_is_refused(lies.signed.raw) is Code.REPLAYED
        assert await lies.raw_is_refused(lies.honest(Stage.KEYS, ME)) is Code.CLOSED
    said = hello.say(LIARS[4], ME, admin.clock(), approves=True)
    assert await admin.post(said) == 200
    async with admin.sees(Code.REPLAYED):
        assert await admin.post(said) == 400
    # Then nothing more is heard of it.
    begun = [s for s in activity.sessions(admin.engine) if s.aggregator == LIARS[4].host]
    admin.clock.ahead += 700
    for _ in range(200):
        ended = [e for e in admin.ledger(Kind.SESSION) if e.details["aggregator"] == LIARS[4].host]
        if len(ended) == len(begun):
            break
        await asyncio.sleep(0.05)
    assert len(ended) == len(begun) > 0
    assert {entry.details["outcome"] for entry in ended} == {"abandoned"}
    assert all(entry.details["given"] == [] for entry in ended)
    assert round_config.member_journal(admin.config).names(later.sum_id) == ["closed"]


async def test_nonsense_is_counted_by_what_is_wrong_with_it(admin: Admin) -> None:
    async with admin.sees(Code.MALFORMED, Code.MALFORMED, Code.OVERSIZED):
        assert await admin.post(b"") == 400
        assert await admin.post(b"SHOAL\x01\x00\x01\x00") == 400
        assert await admin.post(bytes(100_001)) == 413


async def test_who_is_not_approved_or_has_another_key_is_told_apart(admin: Admin) -> None:
    other = Identity(LIARS[6].host, b"y" * 32)
    nobody = Identity("nobody.example", b"z" * 32)

    def driven(by: Identity) -> bytes:
        return envelope.seal(by, sum_id=bytes([1]) * 32, stage=Stage.KEYS, recipient=ME, payload=b"")

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
        given.append(windows.given(lies.signed.proposal, 0))
    difference = given[0] - given[1]
    expected = 2 * float(lies.signed.proposal.share_variance)
    assert 0.5 * expected < float(difference.var()) < 2 * expected
    threats = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    assert "Aggregators that work together have one each" in " ".join(threats.split())
