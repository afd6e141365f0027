"""What holds for sessions around their edges: who left meanwhile, budgets, restarts, a changed cohort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.process.job_context import JobContext
from daemon.rounds import round_config, yearly_budget
from daemon.rounds.aggregate_job import _Session
from daemon.rounds.contribution_job import noisy, windows_of
from daemon.rounds.data_windows import viewer_tag
from daemon.rounds.own_statistics import own_viewers
from daemon.store import activity, releases, sums
from daemon.store.activity import SessionRecord
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.releases import ReleaseRecord
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from daemon.store.snapshot import replace as snapshot
from daemon.store.viewers import Pseudonyms, forget_viewers
from federation.errors import Refusal
from federation.identity import Identity, format_key
from policies.accounting import Relation, Release, would_exceed
from policies.neighbour_relations import YEAR
from tests.daemon.running_daemon import instance
from tests.daemon.stored_sums import EXACT_SUM

SECRET = Pseudonyms(bytes(range(32)))
NOW = 1_800_000_000.0
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(6)]
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
        content.describe(SourceFacts("dataset"), now=NOW - 1, participants=12)
    yield engine
    engine.dispose()


def context_of(config: Config, engine: Engine) -> JobContext:
    return JobContext(config, engine, lambda _stage, _part: None, lambda: NOW)


def test_who_leaves_while_peers_are_waited_for_is_not_in_what_members_are_shown(
    config: Config, engine: Engine
) -> None:
    session = _Session(context_of(config, engine))
    part = session._propose()[0]
    # The first sum is driven here: as long as the slowest peer takes.
    gone = SECRET.of("viewer 3")
    forget_viewers(engine, [gone])
    assert not isinstance(session.own_counts(part), int)
    kept = windows_of(session.context).read(config.instance.host)
    assert kept is not None
    assert kept.viewers
    assert viewer_tag(kept.seed, gone) not in kept.viewers


def test_a_budget_for_one_sum_is_not_spent_twice_by_two_peers_at_once(config: Config, engine: Engine) -> None:
    session = _Session(context_of(config, engine))
    first = session._propose()[0].first.proposal
    asked = first.parameters
    new = Release(
        asked["counts_noise"], asked["pairs_noise"], asked["max_videos_per_user"], asked["max_head"]
    )
    limit = next(
        epsilon
        for epsilon in np.geomspace(0.01, 1000, 200)
        if not would_exceed({Relation.PAIR: float(epsilon)}, [], new)
    )
    assert would_exceed({Relation.PAIR: float(limit)}, [new], new)
    privacy = config.privacy.model_copy(update={"yearly_budget_pair": float(limit)})
    context = context_of(config.model_copy(update={"privacy": privacy}), engine)
    own = own_viewers(engine, config, now=NOW)
    blobs = {round_config.VOCABULARY: round_config.encode_vocabulary(own.catalogue.urls)}
    noisy(context, replace(first, aggregator=PEERS[0].host), blobs, own, windows_of(context))
    with pytest.raises(Refusal, match="budget"):
        noisy(context, replace(first, aggregator=PEERS[1].host), blobs, own, windows_of(context))


def test_who_only_ever_asked_has_given_nothing(config: Config, engine: Engine) -> None:
    activity.save_session(engine, SessionRecord("a" * 64, "aggregator", config.instance.host, NOW - 9))
    assert not config.windows_dir.exists()
    assert not windows_of(context_of(config, engine)).restored


def test_a_session_that_dies_after_its_sum_is_stored_can_end(config: Config, engine: Engine) -> None:
    """It is run again with what its members answered: the sum is stored once, and whole."""
    session_id, urls = "a" * 64, ("https://v.example/1", "https://v.example/2")
    record = SessionRecord(session_id, "aggregator", config.instance.host, NOW, survivors=["two.example"])
    activity.save_session(engine, record)
    for moment in (NOW, NOW + 60):
        sums.save(
            engine,
            config.sums_dir,
            session_id=session_id,
            urls=urls,
            counts=np.array([3, 4]),
            triangle=np.array([2]),
            privacy=EXACT_SUM,
            now=moment,
        )
    activity.save_session(engine, replace(record, ended=NOW + 60, outcome="done"))
    (stored,) = sums.records(engine)
    assert (stored.session_id, stored.run, stored.created) == (session_id, session_id, NOW + 60)
    assert (stored.verdict, stored.survivors) == ("new", ("two.example",))
    found = sums.newest(engine, config.sums_dir)
    assert found is not None
    assert (found.urls, found.counts.tolist(), found.triangle.tolist()) == (urls, [3, 4], [2])
    assert len(list(config.sums_dir.iterdir())) == 1
    assert sums.prune(engine, config.sums_dir, keep=1) == 0
    ended = activity.session(engine, session_id)
    assert ended is not None
    assert ended.outcome == "done"


def test_a_session_can_be_tried_again_after_a_peer_was_approved(config: Config, engine: Engine) -> None:
    before = _Session(context_of(config, engine))._propose()[0].first.proposal
    fewer = config.model_copy(update={"peers": config.peers[:5]})
    after = _Session(context_of(fewer, engine))._propose()[0].first.proposal
    assert len(after.roster) < len(before.roster)
    assert after.parameters == before.parameters


def test_a_release_counts_for_a_year(config: Config, engine: Engine) -> None:
    for number, at in enumerate((NOW - YEAR - 1, NOW - YEAR + 1, NOW)):
        record = ReleaseRecord(f"w{number}", 1, at, "two.example", "s", 16, 8.0, 200, 30 + number)
        releases.save(engine, record)
    assert [one.head for one in yearly_budget.past_year(engine, NOW)] == [31, 32]
