"""What a member records and asks while a sum is under way, on a real store, across restarts and restores."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.peers import repository
from daemon.rounds import round_config
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.data_windows import DataWindows, open_windows, viewer_digests, viewer_tag, withdraw_viewers
from daemon.serve.federation_app import open_service
from daemon.store import activity, content_arrays, releases
from daemon.store.activity import SessionRecord
from daemon.store.engine import connect, open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.viewers import Pseudonyms, forget_viewers
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.identity import Identity, format_key
from federation.node import MemberNode, Preparation
from federation.proposal import BlobReference, Proposal, SignedProposal
from policies.window import Closed
from tests.daemon.running_daemon import instance

SECRET = Pseudonyms(bytes(range(32)))
NOW = 1_800_000_000.0
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(4)]
AGGREGATOR = PEERS[0]
SUM = b"s" * 32
VIDEOS = 6


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
        content.add_videos(VideoRow(f"https://v.example/{n}", f"{n}", f"Video {n}") for n in range(VIDEOS))
        content.add_engagements(
            EngagementRow(f"viewer {n}", f"https://v.example/{n % VIDEOS}", liked=True, at=1.0)
            for n in range(12)
        )
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
        trainer="gram/1",
        round=0,
        length=VIDEOS,
        entry_bound=1000,
        ring=32,
        nonce=bytes(16),
        created=int(NOW),
        expires=int(NOW) + 3600,
        noise=4,
        parameters={"counts_noise": 4, "pairs_noise": 4, "max_videos_per_user": 200},
        blobs={"vocabulary": BlobReference(bytes(32), 10)},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def give(config: Config, engine: Engine, asked: Proposal) -> None:
    """Freeze a contribution of whoever is stored."""
    catalogue, engagements = content_arrays.read(engine)
    starts = np.arange(engagements.user_count + 1)
    windows_of(config).contribution(
        asked,
        lambda key: viewer_digests(key, engagements.pseudonyms, catalogue.urls, starts, engagements.videos),
        lambda: np.bincount(engagements.videos, minlength=len(catalogue)).astype(np.int64),
    )


def record_of(config: Config, engine: Engine) -> ContributionLog:
    return ContributionLog(windows_of(config), engine, lambda: NOW)


def test_a_release_is_on_record_before_the_survivors_are_confirmed_and_once(
    config: Config, engine: Engine
) -> None:
    asked = proposal(config)
    give(config, engine, asked)
    record = record_of(config, engine)
    for stage in (Stage.PROPOSE, Stage.KEYS, Stage.SHARES):
        record.check(SUM, asked, stage)
        assert releases.since(engine, 0) == []
    record.check(SUM, asked, Stage.SURVIVORS)
    (found,) = releases.since(engine, 0)
    assert (found.window, found.round, found.session_id) == (
        windows_of(config).check(asked),
        0,
        SUM.hex(),
    )
    assert (found.noise, found.share_variance, found.videos) == (4, 2.0, VIDEOS)
    # Given again within the window, it costs nothing more.
    again = proposal(config, nonce=b"n" * 16)
    give(config, engine, again)
    record.check(b"t" * 32, again, Stage.SURVIVORS)
    assert releases.since(engine, 0) == [found]


def test_a_release_is_kept_as_first_written_and_forgotten_when_old(engine: Engine) -> None:
    first = releases.ReleaseRecord("w", 0, 5.0, "p.example", "a", 4, 2.0, 200, 6)
    releases.save(engine, first)
    releases.save(engine, replace(first, at=9.0, share_variance=1.0))
    second = replace(first, round=1, at=7.0)
    releases.save(engine, second)
    assert releases.since(engine, 0.0) == [first, second]
    assert releases.since(engine, 6.0) == [second]
    assert releases.prune(engine, before=7.0) == 1
    assert releases.since(engine, 0.0) == [second]


def test_nothing_goes_on_for_a_sum_that_was_given_nothing(config: Config, engine: Engine) -> None:
    record = record_of(config, engine)
    for stage in (Stage.KEYS, Stage.SURVIVORS):
        with pytest.raises(Refusal, match="not known any more"):
            record.check(SUM, proposal(config), stage)
    assert releases.since(engine, 0) == []


@pytest.mark.parametrize("stage", [Stage.KEYS, Stage.SURVIVORS])
def test_who_left_without_anybody_telling_the_windows_is_found_out(
    config: Config, engine: Engine, stage: Stage
) -> None:
    # While the viewers were being counted, or before a crash: no window was voided then.
    asked = proposal(config)
    give(config, engine, asked)
    record = record_of(config, engine)
    record.check(SUM, asked, stage)
    gone = SECRET.of("viewer 3")
    forget_viewers(engine, [gone])
    with pytest.raises(Refusal, match="nothing more is given") as refused:
        record.check(SUM, asked, stage)
    assert refused.value.code is Code.WINDOW_OPEN
    kept = windows_of(config).read(AGGREGATOR.host)
    assert kept is not None
    assert kept.window.closed is Closed.VOID
    assert viewer_tag(kept.seed, gone) not in kept.viewers
    assert not list(config.windows_dir.rglob("given-*"))


def test_void_closes_every_window_with_somebody_who_left(config: Config, engine: Engine) -> None:
    assert withdraw_viewers(config, engine) == 0
    assert not config.windows_dir.exists()  # nothing was ever given
    for peer in PEERS[:2]:
        give(config, engine, proposal(config, aggregator=peer.host, roster=(PEERS[2].public,)))
    assert withdraw_viewers(config, engine) == 0
    forget_viewers(engine, [SECRET.of("viewer 3")])
    assert withdraw_viewers(config, engine) == 2
    assert withdraw_viewers(config, engine) == 0


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
            record.check(SUM, asked, stage)
    with pytest.raises(Refusal, match="cannot be read"):
        record.release(asked, asked.hosts)
    assert "windows/" in caplog.text


def test_an_emptied_folder_with_sessions_on_record_is_noticed_whoever_looks_first(
    config: Config, engine: Engine
) -> None:
    give(config, engine, proposal(config))
    activity.save_session(engine, SessionRecord("a" * 64, "member", AGGREGATOR.host, NOW))
    shutil.rmtree(config.windows_dir)
    config.windows_dir.mkdir()
    withdraw_viewers(config, engine)
    with pytest.raises(Refusal, match="nothing more is given"):
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
    node.accept(Preparation(signed, AGGREGATOR.public), np.zeros(VIDEOS, np.int64))
    return signed


@pytest.mark.asyncio
async def test_a_restart_goes_on_and_a_restored_copy_leaves_what_was_open(
    config: Config, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signed = take_up(config, engine)
    journal = round_config.member_journal(config)
    async with open_service(config, tmp_path / "unused", engine, clock=lambda: NOW):
        assert "root" in journal.names(signed.sum_id)
    assert "restored" not in caplog.text
    copy = tmp_path / "copy"
    shutil.copytree(config.data_dir, copy)
    restored = config.model_copy(update={"data_dir": copy})
    other = open_checked(restored.database)
    try:
        async with open_service(restored, tmp_path / "unused", other, clock=lambda: NOW):
            assert round_config.member_journal(restored).names(signed.sum_id) == ["closed"]
        assert "restored or copied" in caplog.text
        with pytest.raises(Refusal, match="nothing more is given"):
            give(restored, other, proposal(restored))
    finally:
        other.dispose()
    assert "root" in journal.names(signed.sum_id)


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
        withdraw_viewers(restored, other)
        async with open_service(restored, tmp_path / "unused", other, clock=lambda: NOW):
            assert round_config.member_journal(restored).names(signed.sum_id) == ["closed"]
    finally:
        other.dispose()
