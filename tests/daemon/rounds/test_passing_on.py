"""A newcomer learns from a sum that a peer passes on: six instances had a round, the seventh is new.

The peer is asked over HTTP, or lies with its own key about what it really summed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.ledger import messages
from daemon.ledger.chain import Kind
from daemon.peers import contact_job, repository
from daemon.peers import messages as peer_messages
from daemon.peers.repository import Peer
from daemon.process.job_context import JobOutcome
from daemon.revert import job as revert
from daemon.revert.artifacts import artifacts_of
from daemon.rounds import catch_up, round_config
from daemon.rounds.catch_up import CatchUp
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.newcomer import to_ask
from daemon.rounds.passing_on import PassOnServer
from daemon.sentences import english
from daemon.serve import federation_app
from daemon.serve.runner import Runner
from daemon.serve.server import build_context
from daemon.store import activity, model_records, sums
from federation import cbor, envelope
from federation.blob_access import fetch_request, reference_to
from federation.carrier import PeerRefused
from federation.envelope import NO_ROUND
from federation.errors import Code, Refusal
from federation.group.published import HEAD, NUMBER_TYPE, PublishedSubCohort
from federation.identity import Identity, PublicIdentity
from federation.limits import Limits
from federation.passed_on import NEWEST, PassedOn
from federation.proposal import Proposal, SignedProposal
from tests.daemon.in_process_federation import DAY, SAME_VIEWERS, Federation, Member, prepare, running
from tests.daemon.plain_sums import assert_plain

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seven(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Federation]:
    folders = prepare(tmp_path_factory.mktemp("passing-on"), 7, privacy=SAME_VIEWERS, stranger=True)
    with pytest.MonkeyPatch.context() as patch:
        async with running(folders, patch) as found:
            found.sync()
            await found.ask()
            found.aggregator.train()
            newcomer, source = found.members[-1], found.aggregator
            for one in found.members[:-1]:
                newcomer.knows(one)
            source.knows(newcomer)
            await asyncio.to_thread(contact_job.run, newcomer.context(host=source.host))
            yield found


@pytest.fixture
def newcomer(seven: Federation) -> Iterator[Member]:
    """As it was before it took anything."""
    found = seven.members[-1]
    before = repository.read(found.engine, found.config).peers
    yield found
    held = [one.round_id for one in sums.records(found.engine)]
    sums.drop(found.engine, found.config.sums_dir, held)
    for peer in before.values():
        repository.save(found.engine, peer)


@pytest.fixture
def source(seven: Federation) -> Member:
    return seven.aggregator


def identity_of(member: Member) -> Identity:
    return open_identity(member.config.identity_file, member.host)


def peer_of(member: Member, other: Member) -> Peer:
    found = repository.find(member.engine, member.config, other.host)
    assert found is not None
    return found


async def caught_up(member: Member) -> dict[str, object]:
    return await asyncio.to_thread(catch_up.run, member.context())


def taken(member: Member) -> list[sums.SumRecord]:
    return [one for one in sums.records(member.engine) if one.passed_on_by]


@dataclass
class Source:
    """What a peer passes on, signed by its key: as it really summed, or after a lie."""

    identity: Identity
    newcomer: str
    document: PassedOn
    blobs: dict[str, bytes]
    limits: Limits
    asked: list[str] = field(default_factory=list)

    async def ask(self, _peer: Peer, request: bytes, _max_answer: int) -> bytes:
        payload = cbor.decode(bytes(envelope.parse(request, max_size=10_000).payload))
        assert isinstance(payload, dict)
        name = str(payload["blob"])
        self.asked.append(name)
        return self.document.seal(self.identity, self.newcomer) if name == NEWEST else self.blobs[name]

    @property
    def proposal(self) -> Proposal:
        message = envelope.parse(self.blobs["proposal.0"], max_size=100_000)
        return SignedProposal.read(message, self.identity.public, self.limits).proposal

    def with_blob(self, name: str, data: bytes) -> Source:
        """Send another blob, and name it in what is signed."""
        blobs = {**self.document.blobs, name: reference_to(data)}
        return replace(self, document=replace(self.document, blobs=blobs), blobs={**self.blobs, name: data})

    def proposing(self, **changes: Any) -> Source:
        """Claim that something else was asked than was."""
        other = SignedProposal.sign(replace(self.proposal, **changes), self.identity, self.limits)
        found = self.with_blob("proposal.0", other.raw)
        [before] = self.document.sub_cohorts
        sub_cohorts = (replace(before, round_id=other.round_id),)
        return replace(found, document=replace(found.document, sub_cohorts=sub_cohorts))


def passes_on(source: Member, newcomer: Member) -> Source:
    """Ask the real server for everything, and return what it says."""
    me, other = identity_of(newcomer), identity_of(source)

    def nothing_else(_message: envelope.Envelope) -> bytes:
        raise Refusal(Code.UNKNOWN_ROUND, "no round")

    server = PassOnServer(other, source.engine, source.config, source.clock, nothing_else)

    def fetch(round_id: bytes, name: str) -> bytes:
        raw = fetch_request(me, round_id, source.host, name)
        return server.serve(envelope.parse(raw, max_size=10_000))

    message = envelope.parse(fetch(NO_ROUND, NEWEST), max_size=300_000)
    limits = round_config.limits(newcomer.config)
    document = PassedOn.read(message, other.public, me.host, newcomer.clock(), limits)
    blobs = {name: fetch(document.run, name) for name in document.blobs}
    return Source(other, me.host, document, blobs, limits)


async def refused(newcomer: Member, source: Member, lie: Source) -> str:
    """Have the newcomer ask a liar; return why it takes nothing, after checking that nothing is lost."""
    before = [(one.id, one.state) for one in model_records.models(newcomer.engine)]
    count = activity.refusals(newcomer.engine)
    found = await CatchUp(newcomer.context(), lie.ask).take_from([peer_of(newcomer, source)])
    assert found["run"] == ""
    assert taken(newcomer) == []
    assert [(one.id, one.state) for one in model_records.models(newcomer.engine)] == before
    sentence = str(found["refused"][source.host])
    code = sentence.partition(":")[0]
    assert activity.refusals(newcomer.engine)[code] == count.get(code, 0) + 1
    after = peer_of(newcomer, source)
    assert after.sum_refused
    assert after.sum_refused in sentence
    assert after.sum_refused[1:] in english(*peer_messages.of(after, newcomer.clock()))
    return sentence


async def test_a_newcomer_serves_within_one_contact_and_its_own_round_replaces_the_sum(
    seven: Federation, newcomer: Member, source: Member
) -> None:
    members = seven.members[1:-1]
    assert to_ask(newcomer.config, newcomer.engine, newcomer.clock())
    result = await caught_up(newcomer)
    assert result["from"] == source.host
    assert_plain(newcomer.config_file, [one.config_file for one in members])
    [record] = taken(newcomer)
    assert record.run == result["run"]
    assert record.passed_on_by == source.host
    assert sorted(record.survivors) == sorted(one.host for one in members)
    entry = ledger.newest(newcomer.engine, limit=1)[0]
    assert (entry.kind, entry.subject) == (Kind.PASSED_ON, source.host)
    assert members[0].host in messages.in_english(entry)
    model = model_records.model(newcomer.engine, newcomer.train())
    assert model is not None
    assert (model.kind, model.round_id) == ("federated", record.round_id)
    # Whoever passed it on answers for it.
    assert set(model.survivors) == {*record.survivors, source.host}
    # Nothing is asked for twice a day, nor passed on further.
    assert not to_ask(newcomer.config, newcomer.engine, newcomer.clock())
    for one in members:
        one.knows(newcomer)
    own = await newcomer.ask()
    seven.clock.ahead += DAY
    assert not to_ask(newcomer.config, newcomer.engine, newcomer.clock())
    model = model_records.model(newcomer.engine, newcomer.train())
    assert model is not None
    assert model.round_id == own["sub_cohorts"][0]["round"]
    assert set(model.survivors) == {one.host for one in seven.members[:-1]}


async def test_a_revert_of_a_survivor_or_of_whoever_passed_it_on_takes_it_out(
    seven: Federation, newcomer: Member, source: Member
) -> None:
    for gone in (source, seven.members[2]):
        kept = peer_of(newcomer, gone)
        assert (await caught_up(newcomer))["run"]
        newcomer.train()
        held = artifacts_of(newcomer.engine, newcomer.config, gone.host)
        assert held.sums == tuple(one.round_id for one in taken(newcomer))
        result = await asyncio.to_thread(revert.run, newcomer.context(host=gone.host))
        assert result["proof"].startswith("proof:"), result["proof"]
        assert taken(newcomer) == []
        assert all(gone.host not in one.survivors for one in model_records.models(newcomer.engine))
        assert (await caught_up(newcomer))["run"] == ""
        repository.save(newcomer.engine, replace(kept, sum_asked=None))


async def test_a_member_takes_its_own_part_out(seven: Federation, source: Member) -> None:
    member = seven.members[1]
    await asyncio.to_thread(contact_job.run, member.context(host=source.host))
    assert (await caught_up(member))["run"]
    assert_plain(member.config_file, [one.config_file for one in seven.members[2:-1]])
    sums.drop(member.engine, member.config.sums_dir, [one.round_id for one in taken(member)])
    # Somebody withdrew: what this instance gave is void, and nobody knows it any more.
    windows_of(member.context()).withdraw(lambda _key: frozenset(), aggregator=source.host)
    honest = passes_on(source, member)
    assert "window-open" in await refused(member, source, honest)


@pytest.mark.parametrize("state", ["approved by one side", "paused there", "unknown", "candidate"])
async def test_nothing_is_passed_on_to_whom_the_peer_does_not_approve(
    newcomer: Member, source: Member, state: str
) -> None:
    known = peer_of(source, newcomer)
    changed = {
        "approved by one side": replace(known, theirs="unknown"),
        "paused there": replace(known, state="paused"),
        "unknown": replace(known, state="removed"),
        "candidate": replace(known, state="candidate"),
    }
    repository.save(source.engine, changed[state])
    try:
        result = await caught_up(newcomer)
    finally:
        repository.save(source.engine, known)
    assert result["run"] == ""
    assert "unknown-peer" in str(result["refused"])
    assert taken(newcomer) == []
    assert peer_of(newcomer, source).sum_asked is not None


async def test_a_forged_request_is_refused(newcomer: Member, source: Member) -> None:
    forger = Identity(newcomer.host, b"f" * 32)
    server = PassOnServer(identity_of(source), source.engine, source.config, source.clock, lambda _m: b"")
    raw = fetch_request(forger, NO_ROUND, source.host, NEWEST)
    with pytest.raises(Refusal) as found:
        server.serve(envelope.parse(raw, max_size=10_000))
    assert found.value.code is Code.BAD_SIGNATURE


async def test_a_paused_peer_is_not_asked_and_what_it_sent_meanwhile_is_not_stored(
    newcomer: Member, source: Member
) -> None:
    honest = passes_on(source, newcomer)
    peer = peer_of(newcomer, source)

    async def pausing(to: Peer, request: bytes, at_most: int) -> bytes:
        repository.save(newcomer.engine, replace(peer_of(newcomer, source), state="paused"))
        return await honest.ask(to, request, at_most)

    found = await CatchUp(newcomer.context(), pausing).take_from([peer])
    assert found["run"] == ""
    assert "closed" in str(found["refused"])
    assert not to_ask(newcomer.config, newcomer.engine, newcomer.clock() + 2 * DAY)


Lie = Callable[[Source], Source]


def _impossible(honest: Source) -> Source:
    pairs = np.frombuffer(honest.blobs["pairs.0"], NUMBER_TYPE) + 1000
    return honest.with_blob("pairs.0", pairs.astype(NUMBER_TYPE).tobytes())


def _negative(honest: Source) -> Source:
    counts = np.full(honest.document.videos, -5, NUMBER_TYPE)
    return honest.with_blob("counts.0", counts.tobytes())


def _without_consent(honest: Source) -> Source:
    return honest.proposing(parameters={**honest.proposal.parameters, "pass_on": 0})


def _less_noise(honest: Source) -> Source:
    return honest.proposing(colluders=1)


def _other_key(honest: Source) -> Source:
    first, *rest = honest.proposal.roster
    return honest.proposing(roster=(PublicIdentity(first.host, b"k" * 32), *rest))


def _other_trainer(honest: Source) -> Source:
    return honest.proposing(trainer="gram/9")


def _other_proposal(honest: Source) -> Source:
    return replace(
        honest, blobs={**honest.blobs, "proposal.0": honest.proposing(nonce=b"o" * 16).blobs["proposal.0"]}
    )


def _proposal_of_another_round(honest: Source) -> Source:
    other = honest.proposing(nonce=b"o" * 16)
    return replace(other, document=replace(other.document, sub_cohorts=honest.document.sub_cohorts))


def _other_data(honest: Source) -> Source:
    return replace(honest, blobs={**honest.blobs, "counts.0": bytes(len(honest.blobs["counts.0"]))})


def _longer_data(honest: Source) -> Source:
    return replace(honest, blobs={**honest.blobs, "pairs.0": honest.blobs["pairs.0"] + bytes(4)})


def _smaller_head(honest: Source) -> Source:
    """Leave the last video out, everywhere: only the proposal says how many there were."""
    urls = cbor.decode(honest.blobs[HEAD])
    assert isinstance(urls, list)
    size = len(urls)
    _rows, columns = np.triu_indices(size, k=1)
    pairs = np.frombuffer(honest.blobs["pairs.0"], NUMBER_TYPE)[columns < size - 1]
    less = honest.with_blob(HEAD, cbor.encode(urls[:-1]))
    less = less.with_blob("counts.0", honest.blobs["counts.0"][:-4])
    return less.with_blob("pairs.0", pairs.tobytes())


def _unsorted_head(honest: Source) -> Source:
    urls = cbor.decode(honest.blobs[HEAD])
    assert isinstance(urls, list)
    return honest.with_blob(HEAD, cbor.encode(urls[::-1]))


def _few_survivors(honest: Source) -> Source:
    [one] = honest.document.sub_cohorts
    few = PublishedSubCohort(one.round_id, one.survivors[: honest.proposal.threshold - 1])
    return replace(honest, document=replace(honest.document, sub_cohorts=(few,)))


def _another_signer(honest: Source) -> Source:
    return replace(honest, identity=Identity(honest.identity.host, b"x" * 32))


def _to_somebody_else(honest: Source) -> Source:
    return replace(honest, newcomer="somebody.example")


def _old_answer(honest: Source) -> Source:
    return replace(honest, document=replace(honest.document, made=honest.document.made - 3_600_000))


LIES: dict[Lie, Code] = {
    _impossible: Code.SUM_IMPLAUSIBLE,
    _negative: Code.SUM_IMPLAUSIBLE,
    _without_consent: Code.PARAMETERS_REFUSED,
    _less_noise: Code.PARAMETERS_REFUSED,
    _other_key: Code.KEY_MISMATCH,
    _other_trainer: Code.PARAMETERS_REFUSED,
    _other_proposal: Code.BLOB_MISMATCH,
    _proposal_of_another_round: Code.BLOB_MISMATCH,
    _other_data: Code.BLOB_MISMATCH,
    _longer_data: Code.BLOB_MISMATCH,
    _smaller_head: Code.BLOB_MISMATCH,
    _unsorted_head: Code.BLOB_MISMATCH,
    _few_survivors: Code.SURVIVORS_INVALID,
    _another_signer: Code.BAD_SIGNATURE,
    _to_somebody_else: Code.NOT_FOR_ME,
    _old_answer: Code.EXPIRED,
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__.strip("_"))
async def test_a_lie_is_refused_by_name(
    newcomer: Member, source: Member, lie: Lie, caplog: pytest.LogCaptureFixture
) -> None:
    honest = passes_on(source, newcomer)
    with caplog.at_level(logging.WARNING):
        assert (await refused(newcomer, source, lie(honest))).startswith(LIES[lie])
    assert LIES[lie].value in [getattr(one, "code", "") for one in caplog.records]
    # Without the lie it is taken, so it was refused for nothing else.
    found = await CatchUp(newcomer.context(), honest.ask).take_from([peer_of(newcomer, source)])
    assert [one.run for one in taken(newcomer)] == [found["run"]]


async def test_who_is_not_approved_is_named_and_the_sum_is_taken_once_all_are(
    seven: Federation, newcomer: Member, source: Member
) -> None:
    missing = seven.members[3]
    known = peer_of(newcomer, missing)
    repository.save(newcomer.engine, replace(known, state="candidate"))
    honest = passes_on(source, newcomer)
    sentence = await refused(newcomer, source, honest)
    assert sentence.startswith(Code.UNKNOWN_PEER)
    assert missing.host in sentence
    # Its numbers were not even asked for.
    assert honest.asked == [NEWEST]
    assert not to_ask(newcomer.config, newcomer.engine, newcomer.clock())
    repository.save(newcomer.engine, replace(known, since=newcomer.clock()))
    assert (await caught_up(newcomer))["run"]
    assert peer_of(newcomer, source).sum_refused == ""


async def test_no_older_sum_is_taken_after_a_newer_one(newcomer: Member, source: Member) -> None:
    honest = passes_on(source, newcomer)
    assert (await caught_up(newcomer))["run"]
    [before] = taken(newcomer)
    again = await CatchUp(newcomer.context(), honest.ask).take_from([peer_of(newcomer, source)])
    assert again["run"] == ""
    older = honest.proposing(created=honest.proposal.created - 60, expires=honest.proposal.expires - 60)
    older = replace(older, document=replace(older.document, run=b"o" * 32))
    found = await CatchUp(newcomer.context(), older.ask).take_from([peer_of(newcomer, source)])
    assert "replayed" in str(found["refused"])
    assert taken(newcomer) == [before]


async def test_a_peer_that_refuses_or_has_nothing_is_asked_again_the_next_day(
    newcomer: Member, source: Member
) -> None:
    async def nothing(peer: Peer, _request: bytes, _at_most: int) -> bytes:
        raise PeerRefused(peer.host, Code.UNKNOWN_ROUND, "there is no such sum here")

    found = await CatchUp(newcomer.context(), nothing).take_from([peer_of(newcomer, source)])
    assert found["run"] == ""
    assert peer_of(newcomer, source).sum_refused == ""
    now = newcomer.clock()
    assert not to_ask(newcomer.config, newcomer.engine, now)
    assert to_ask(newcomer.config, newcomer.engine, now + DAY + 60)


async def test_the_daemon_trains_once_it_took_something_and_asks_nobody_otherwise(
    newcomer: Member, source: Member
) -> None:
    ran = []
    context = build_context(newcomer.config, newcomer.config_file)
    context.clock = newcomer.clock

    async def run(name: str, *_where: object, **_how: object) -> JobOutcome:
        ran.append(name)
        found = await caught_up(newcomer) if name == "catch-up" else {}
        return JobOutcome(name, ok=True, exit_code=0, result=found)

    runner = Runner(context, run)
    try:
        await federation_app.catch_up_and_train(context, runner)
        assert ran == ["catch-up", "train"]
        await federation_app.catch_up_and_train(context, runner)
        assert ran == ["catch-up", "train"]
        # A day later there is nothing newer.
        repository.save(newcomer.engine, replace(peer_of(newcomer, source), sum_asked=1.0))
        await federation_app.catch_up_and_train(context, runner)
        assert ran == ["catch-up", "train", "catch-up"]
    finally:
        await runner.close()
        context.stored.close()
        context.engine.dispose()


@pytest.mark.parametrize("verdict", ["new", "awaiting", "quarantined"])
async def test_a_sum_that_does_not_serve_at_the_peer_is_not_passed_on(
    newcomer: Member, source: Member, verdict: sums.Verdict
) -> None:
    [own] = sums.records(source.engine)
    sums.set_verdict(source.engine, [own.round_id], verdict, own.report)
    try:
        with pytest.raises(Refusal) as found:
            passes_on(source, newcomer)
    finally:
        sums.set_verdict(source.engine, [own.round_id], own.verdict, own.report)
    assert found.value.code is Code.UNKNOWN_ROUND


async def test_nothing_is_passed_on_of_whoever_was_taken_out_at_the_peer(
    seven: Federation, newcomer: Member, source: Member
) -> None:
    known = peer_of(source, seven.members[2])
    repository.save(source.engine, replace(known, state="reverted"))
    try:
        with pytest.raises(Refusal) as found:
            passes_on(source, newcomer)
    finally:
        repository.save(source.engine, known)
    assert found.value.code is Code.UNKNOWN_ROUND
