"""What a member records and asks during a round: on a real store, across restarts and restores."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.peers import repository
from daemon.rounds import round_config, yearly_budget
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.data_windows import DataWindows, StoredWindow, open_windows
from daemon.rounds.own_statistics import own_viewers
from daemon.rounds.viewer_digests import viewer_tag
from daemon.rounds.withdrawal import withdraw_viewers
from daemon.serve.federation_app import open_service
from daemon.store import activity, releases
from daemon.store.activity import RoundRecord
from daemon.store.engine import connect, open_checked
from daemon.store.migrate import migrate
from daemon.store.releases import ReleaseRecord
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.viewers import Pseudonyms, forget_viewers
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.identity import Identity, format_key
from federation.node import MemberNode, Preparation
from federation.proposal import BlobReference, Proposal, Segment, SignedProposal
from models.head import LEAST_VIEWS
from policies.accounting import spent
from policies.neighbour_relations import Relation
from policies.sharing import TRAINER
from policies.window import Closed
from tests.daemon.running_daemon import instance

SECRET = Pseudonyms(bytes(range(32)))
NOW = 1_800_000_000.0
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(4)]
AGGREGATOR = PEERS[0]
ROUND = b"s" * 32
VIDEOS = 6
HEAD = np.array([0, 2, 5])
PAIRS = np.triu_indices(len(HEAD), 1)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    peers = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS
    )
    path = instance(tmp_path / "one", extra='mode = "contribute"')
    path.write_text(path.read_text() + '[privacy]\nmin_video_age = "0s"\n' + peers)
    return load(path)


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    migrate(config.database)
    engine = open_checked(config.database)
    with snapshot(engine, SECRET) as content:
        content.add_videos(
            VideoRow(f"https://v.example/{n}", f"{n}", f"Video {n}", views=LEAST_VIEWS) for n in range(VIDEOS)
        )
        content.add_engagements(
            EngagementRow(f"viewer {n}", f"https://v.example/{n % VIDEOS}", liked=True, at=1.0)
            for n in range(12)
        )
        content.describe(SourceFacts("dataset"), now=NOW - 1, participants=12)
    yield engine
    engine.dispose()


def identity_of(config: Config) -> Identity:
    return open_identity(config.identity_file, config.instance.host)


def windows_of(config: Config) -> DataWindows:
    return open_windows(config, identity_of(config), connect(config.database), lambda: NOW)


def proposal(config: Config, **changes: object) -> Proposal:
    members = sorted([identity_of(config).public, *(p.public for p in PEERS[1:])], key=lambda one: one.host)
    base = Proposal(
        aggregator=AGGREGATOR.host,
        roster=tuple(members),
        threshold=3,
        trainer=TRAINER,
        segments=(Segment(VIDEOS, 1, 4), Segment(len(PAIRS[0]), 1, 9)),
        entry_bound=1000,
        ring=32,
        nonce=bytes(16),
        created=int(NOW),
        expires=int(NOW) + 3600,
        parameters={"early": 0, "head": len(HEAD), "max_videos_per_user": 200},
        blobs={"vocabulary": BlobReference(bytes(32), 10)},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def give(config: Config, engine: Engine, asked: Proposal) -> NDArray[np.int64]:
    """Freeze a contribution of whoever is stored."""
    own = own_viewers(engine, config, now=NOW)
    matrix = own.interactions.matrix.toarray().astype(np.int64)
    assert matrix.any()
    gram = matrix[:, HEAD].T @ matrix[:, HEAD]
    plain = np.concatenate((matrix.sum(axis=0), gram[PAIRS]))
    return windows_of(config).contribution(asked, own, lambda: plain)


def kept_of(config: Config) -> StoredWindow:
    kept = windows_of(config).read(AGGREGATOR.host)
    assert kept is not None
    return kept


def record_of(config: Config, engine: Engine) -> ContributionLog:
    return ContributionLog(windows_of(config), engine, lambda: NOW)


def test_a_release_is_on_record_before_the_vector_leaves_and_once(config: Config, engine: Engine) -> None:
    asked = proposal(config)
    vector = give(config, engine, asked)
    record = record_of(config, engine)
    for stage in (Stage.PROPOSE, Stage.KEYS):
        record.check(ROUND, asked, stage)
        assert releases.since(engine, 0) == []
        assert not kept_of(config).window.left
    record.check(ROUND, asked, Stage.SHARES)
    assert kept_of(config).window.left
    frozen = vector.astype("<i4").tobytes()
    expected = ReleaseRecord(
        window=windows_of(config).check(asked),
        at=NOW,
        aggregator=AGGREGATOR.host,
        round_id=ROUND.hex(),
        counts_noise=4,
        pairs_noise=9,
        share=1 / 2,
        max_videos_per_user=200,
        vocabulary=VIDEOS,
        head=len(HEAD),
        vector_sha256=hashlib.sha256(frozen).hexdigest(),
        bytes=len(frozen),
    )
    assert releases.since(engine, 0) == [expected]
    # Asked again after a crash, and given again within the window, it costs nothing more.
    record.check(ROUND, asked, Stage.SHARES)
    again = proposal(config, nonce=b"n" * 16)
    give(config, engine, again)
    record.check(b"t" * 32, again, Stage.SHARES)
    assert releases.since(engine, 0) == [expected]
    assert releases.newest(engine, AGGREGATOR.host) == releases.of_round(engine, ROUND.hex()) == expected
    assert releases.of_round(engine, (b"t" * 32).hex()) is None


def test_an_early_window_is_one_more_release(config: Config, engine: Engine) -> None:
    first = proposal(config)
    give(config, engine, first)
    record_of(config, engine).check(ROUND, first, Stage.SHARES)
    record_of(config, engine).release(first, first.hosts)
    second = proposal(config, parameters={**first.parameters, "early": 1})
    give(config, engine, second)
    record_of(config, engine).check(b"t" * 32, second, Stage.SHARES)
    found = releases.since(engine, 0)
    assert sorted(one.round_id for one in found) == sorted([ROUND.hex(), (b"t" * 32).hex()])
    assert len({one.window for one in found}) == len({one.vector_sha256 for one in found}) == 2


def test_a_decision_is_on_record_and_is_nothing_that_was_given(config: Config, engine: Engine) -> None:
    given = ReleaseRecord("w", 5.0, "p.example", "a", 4, 4, 0.5, 200, 6, 3)
    decided = ReleaseRecord("d", 6.0, "p.example", "a", 0, 0, 1.0, 0, 0, 0, decision=0.5)
    for record in (given, decided):
        releases.save(engine, record, config.windows_dir)
    assert [one.numbers for one in releases.since(engine, 0.0)] == [True, False]
    assert releases.newest(engine, "p.example") == releases.of_round(engine, "a") == given
    costs = spent([yearly_budget.release_of(one) for one in (given, decided)])
    alone = spent([yearly_budget.release_of(given)])
    assert all(alone[relation] < costs[relation] < alone[relation] + 0.55 for relation in Relation)


def test_a_release_is_kept_as_first_written_and_forgotten_when_old(config: Config, engine: Engine) -> None:
    first = ReleaseRecord("w", 5.0, "p.example", "a", 4, 4.5, 0.5, 200, 6, 3, viewers=True, decision=0.25)
    releases.save(engine, first, config.windows_dir)
    releases.save(engine, replace(first, at=9.0, share=1.0), config.windows_dir)
    second = replace(first, window="x", at=7.0)
    releases.save(engine, second, config.windows_dir)
    assert releases.since(engine, 0.0) == [first, second]
    assert releases.since(engine, 6.0) == [second]
    assert releases.prune(engine, before=7.0) == 1
    assert releases.since(engine, 0.0) == [second]


def test_nothing_goes_on_for_a_sum_that_was_given_nothing(config: Config, engine: Engine) -> None:
    record = record_of(config, engine)
    for stage in (Stage.KEYS, Stage.SHARES, Stage.SURVIVORS):
        with pytest.raises(Refusal, match="not known any more"):
            record.check(ROUND, proposal(config), stage)
    assert releases.since(engine, 0) == []


@pytest.mark.parametrize("stage", [Stage.KEYS, Stage.SHARES, Stage.SURVIVORS])
def test_who_left_without_anybody_telling_the_windows_is_found_out(
    config: Config, engine: Engine, stage: Stage
) -> None:
    # While the viewers were being counted, or before a crash: no window was voided then.
    asked = proposal(config)
    give(config, engine, asked)
    record = record_of(config, engine)
    record.check(ROUND, asked, stage)
    gone = SECRET.of("viewer 3")
    forget_viewers(engine, [gone])
    with pytest.raises(Refusal) as refused:
        record.check(ROUND, asked, stage)
    # As if it was away: not even the sentence tells that somebody left.
    assert refused.value.code is Code.BUSY
    assert "viewer" not in refused.value.sentence
    kept = kept_of(config)
    assert kept.window.closed is Closed.VOID
    assert viewer_tag(kept.seed, gone) not in kept.viewers
    assert not list(config.windows_dir.rglob("given"))


def test_void_closes_every_window_with_somebody_who_left(config: Config, engine: Engine) -> None:
    assert withdraw_viewers(config, engine, lambda: NOW) == 0
    assert not config.windows_dir.exists()  # nothing was ever given
    for peer in PEERS[:2]:
        give(config, engine, proposal(config, aggregator=peer.host, roster=(PEERS[2].public,)))
    assert withdraw_viewers(config, engine, lambda: NOW) == 0
    forget_viewers(engine, [SECRET.of("viewer 3")])
    assert withdraw_viewers(config, engine, lambda: NOW) == 2
    assert withdraw_viewers(config, engine, lambda: NOW) == 0


def test_a_record_that_cannot_be_read_refuses_and_ends_nothing(
    config: Config, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    asked = proposal(config)
    give(config, engine, asked)
    (state,) = config.windows_dir.rglob("state")
    state.write_bytes(b"damage")
    record = record_of(config, engine)
    for stage in (Stage.PROPOSE, Stage.KEYS):
        with pytest.raises(Refusal, match="cannot be read"):
            record.check(ROUND, asked, stage)
    # By now everything counts as given, so that nothing is given a second time.
    with pytest.raises(Refusal, match="not known any more"):
        record.release(asked, asked.hosts)
    assert "the record of what was given to peers is damaged" in caplog.text


def test_an_emptied_folder_with_rounds_on_record_is_noticed_whoever_looks_first(
    config: Config, engine: Engine
) -> None:
    give(config, engine, proposal(config))
    activity.save_round(engine, RoundRecord("a" * 64, "member", AGGREGATOR.host, NOW))
    shutil.rmtree(config.windows_dir)
    config.windows_dir.mkdir()
    withdraw_viewers(config, engine, lambda: NOW)
    with pytest.raises(Refusal, match="was given"):
        give(config, engine, proposal(config))


def take_up(config: Config, engine: Engine) -> SignedProposal:
    """Let a member node accept a sum, as the daemon would."""
    signed = SignedProposal.sign(proposal(config), AGGREGATOR, round_config.limits(config))
    give(config, engine, signed.proposal)
    node = MemberNode(
        identity_of(config),
        round_config.member_journal(config),
        peer=repository.read(engine, config).allowlist().find,
        check_policies=lambda _proposal: None,
        clock=lambda: NOW,
        random=lambda size: bytes(size),
        limits=round_config.limits(config),
        contributions=record_of(config, engine),
    )
    node.accept(Preparation(signed, AGGREGATOR.public), np.zeros(signed.proposal.length, np.int64))
    return signed


@pytest.mark.asyncio
async def test_a_restart_goes_on_and_a_restored_copy_leaves_what_was_open(
    config: Config, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signed = take_up(config, engine)
    journal = round_config.member_journal(config)
    async with open_service(config, tmp_path / "unused", engine, clock=lambda: NOW):
        assert "root" in journal.names(signed.round_id)
    assert "restored" not in caplog.text
    copy = tmp_path / "copy"
    shutil.copytree(config.data_dir, copy)
    restored = config.model_copy(update={"data_dir": copy})
    other = open_checked(restored.database)
    try:
        async with open_service(restored, tmp_path / "unused", other, clock=lambda: NOW):
            assert round_config.member_journal(restored).names(signed.round_id) == ["closed"]
        assert "restored or copied" in caplog.text
        with pytest.raises(Refusal, match="was given"):
            give(restored, other, proposal(restored))
    finally:
        other.dispose()
    assert "root" in journal.names(signed.round_id)


@pytest.mark.asyncio
async def test_a_restored_copy_leaves_what_was_open_also_where_a_job_came_first(
    config: Config, engine: Engine, tmp_path: Path
) -> None:
    signed = take_up(config, engine)
    copy = tmp_path / "copy"
    shutil.copytree(config.data_dir, copy)
    restored = config.model_copy(update={"data_dir": copy})
    other = open_checked(restored.database)
    try:
        withdraw_viewers(restored, other, lambda: NOW)
        async with open_service(restored, tmp_path / "unused", other, clock=lambda: NOW):
            assert round_config.member_journal(restored).names(signed.round_id) == ["closed"]
    finally:
        other.dispose()
