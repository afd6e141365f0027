"""Sessions between real daemons with noise: what is stored is the plain sum and exactly what members drew.

The tests follow one another: a data window remembers what was given in it.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.stats import chisquare

from daemon.config import Config, load
from daemon.disclosure.share_report import gather
from daemon.identity import open_identity
from daemon.lab.demo.instances import build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.ledger import chain as ledger
from daemon.ledger.canonical import canonical
from daemon.rounds import round_config
from daemon.rounds.contribution_job import read_counts
from daemon.rounds.data_windows import DataWindows, StoredWindow, open_windows
from daemon.store import content_arrays, releases, sums
from daemon.store.engine import connect, open_checked
from daemon.store.sums import StoredSum
from federation.noise import pmf, skellam
from models import statistics
from models.interactions import Interactions
from policies.privacy import PROTECTION, Level
from policies.window import Closed
from tests.daemon.rounds.test_sessions import fault, hosts, users_of, write_set

pytestmark = [pytest.mark.daemon, pytest.mark.asyncio(loop_scope="module")]

LEVEL = PROTECTION[Level.DEFAULT]
MEMBERS, THRESHOLD = 4, 3
SHARE = Fraction(LEVEL.pairs_noise, THRESHOLD - 1)
"""Variance of what each member adds; counts and pairs are alike."""
VIDEOS = 120
PRIVATE: dict[str, str | int] = {"level": "default", "window": "7d", "min_changed_users": 3}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Daemon]]:
    base = tmp_path_factory.mktemp("noisy")
    world = build(base / "instances", write_set(base / "set"), MEMBERS + 1, PRIVATE)
    for instance in world.instances:
        with instance.config_file.open("a") as file:
            file.write('[cohort]\nstage_timeout = "15s"\n')
    found = [Daemon(instance) for instance in world.instances]
    try:
        require(await every(found, "sync"))
        for daemon in found:
            await daemon.start()
        yield found
    finally:
        for daemon in found:
            await daemon.stop()


def config_of(daemon: Daemon) -> Config:
    return load(daemon.instance.config_file)


def windows_of(daemon: Daemon) -> DataWindows:
    config = config_of(daemon)
    identity = open_identity(config.identity_file, config.instance.host)
    return open_windows(config, identity, connect(config.database), lambda: 0.0)


def kept_for(daemon: Daemon, aggregator: Daemon) -> StoredWindow:
    kept = windows_of(daemon).read(aggregator.instance.host)
    assert kept is not None
    return kept


def noise_of(members: Sequence[Daemon], aggregator: Daemon, round_: int, size: int) -> NDArray[np.int64]:
    """Return what these drew for an aggregator, from what they keep sealed."""
    keys = [kept_for(member, aggregator).noise_key(round_) for member in members]
    return sum((skellam(SHARE, size, key) for key in keys), np.zeros(size, np.int64))


def together(members: Sequence[Daemon]) -> Interactions:
    return Interactions(csr_array(vstack([users_of(d.instance).matrix for d in members], format="csr")))


def frozen(daemons: Sequence[Daemon]) -> dict[Path, bytes]:
    """Return the sealed vectors of all instances."""
    paths = [path for d in daemons for path in (d.instance.folder / "windows").rglob("given-*")]
    return {path: path.read_bytes() for path in paths}


def stored_sum(aggregator: Daemon) -> tuple[StoredSum | None, tuple[str, ...]]:
    config = config_of(aggregator)
    engine = open_checked(config.database)
    try:
        return sums.newest(engine, config.sums_dir), content_arrays.read(engine)[0].urls
    finally:
        engine.dispose()


def releases_of(daemon: Daemon) -> list[releases.ReleaseRecord]:
    engine = open_checked(config_of(daemon).database)
    try:
        return releases.since(engine, 0.0)
    finally:
        engine.dispose()


async def test_a_failed_session_is_tried_again_with_the_same_noise(daemons: list[Daemon]) -> None:
    aggregator, victim = daemons[0], daemons[3]
    await victim.stop()
    await victim.start(die_at="member.survivors")
    failed = await aggregator.job("session")
    # The counts could be opened without it; the pairs cannot.
    assert failed.code == "job-failed", failed.message
    assert stored_sum(aggregator)[0] is None
    before = frozen(daemons)
    # Own viewers of the aggregator are in the counts that members are shown. The victim gave no pairs.
    assert sorted(path.name for path in before) == ["given-0"] * (MEMBERS + 1) + ["given-1"] * (MEMBERS - 1)
    await victim.start()
    done = await aggregator.job("session")
    assert done.ok, done.message
    assert set(done.result["survivors"]) == hosts(daemons, aggregator)
    after = frozen(daemons)
    assert before.items() <= after.items()
    assert len(after) == 2 * MEMBERS + 1


async def test_what_is_stored_is_the_plain_sum_and_what_the_survivors_drew(daemons: list[Daemon]) -> None:
    aggregator, members = daemons[0], daemons[1:]
    stored, urls = stored_sum(aggregator)
    assert stored is not None
    plain = together(members)
    head = np.array([urls.index(url) for url in stored.urls], np.int64)
    assert len(head) > 5
    size = statistics.pairs(len(head))
    counts, pairs = noise_of(members, aggregator, 0, VIDEOS), noise_of(members, aggregator, 1, size)
    np.testing.assert_array_equal(stored.counts, statistics.counts(plain, head) + counts[head])
    np.testing.assert_array_equal(stored.triangle, statistics.pair_counts(plain, head) + pairs)
    # The head follows from what members were shown, the aggregator's own noise in it as well.
    everyone = statistics.counts(together(daemons)) + noise_of(daemons, aggregator, 0, VIDEOS)
    least = stored.privacy.min_users
    np.testing.assert_array_equal(head, statistics.head(everyone, min_users=least, max_head=4096))


async def test_the_noise_in_a_sum_has_the_law_that_is_declared(daemons: list[Daemon]) -> None:
    aggregator, members = daemons[0], daemons[1:]
    stored, urls = stored_sum(aggregator)
    assert stored is not None
    head = np.array([urls.index(url) for url in stored.urls], np.int64)
    # Of the pairs, since a high draw lets a count into the head.
    noise = stored.triangle - statistics.pair_counts(together(members), head)
    law = pmf(MEMBERS * SHARE)
    edge = 12
    expected = [2 * law[edge:].sum(), law[0], *(2 * law[1:edge])]
    found = [(np.abs(noise) >= edge).sum(), *((np.abs(noise) == k).sum() for k in range(edge))]
    assert chisquare(found, np.array(expected) / np.sum(expected) * noise.size).pvalue > 1e-6
    assert abs(noise.mean()) < 6 * float(MEMBERS * SHARE / noise.size) ** 0.5


async def test_the_sum_says_what_noise_is_in_it(daemons: list[Daemon]) -> None:
    stored, _ = stored_sum(daemons[0])
    assert stored is not None
    privacy = stored.privacy
    assert (privacy.counts_noise, privacy.pairs_noise) == (LEVEL.counts_noise, LEVEL.pairs_noise)
    realised = float(MEMBERS * SHARE)
    assert (privacy.counts_noise_realised, privacy.pairs_noise_realised) == (realised, realised)
    assert realised >= LEVEL.pairs_noise
    expected = {
        "max_videos_per_user": LEVEL.max_videos_per_user,
        "members": MEMBERS,
        "threshold": THRESHOLD,
        "colluders": 1,
        "survivors": MEMBERS,
        "publish": False,
    }
    assert {name: getattr(privacy, name) for name in expected} == expected


async def test_each_release_is_on_record_once(daemons: list[Daemon]) -> None:
    aggregator, members = daemons[0], daemons[1:]
    stored, _ = stored_sum(aggregator)
    assert stored is not None
    for member in members:
        found = releases_of(member)
        kept = kept_for(member, aggregator)
        assert [(one.window, one.round) for one in found] == [(kept.id, 0), (kept.id, 1)]
        assert {one.aggregator for one in found} == {aggregator.instance.host}
        assert {one.share_variance for one in found} == {float(SHARE)}
        assert {one.noise for one in found} == {LEVEL.pairs_noise}
        assert [one.videos for one in found] == [VIDEOS, len(stored.urls)]
        assert found[1].session_id == stored.session_id
    # Pairs of own viewers never leave; their counts are shown to members, so they cost as well.
    (own,) = releases_of(aggregator)
    assert (own.round, own.aggregator) == (0, aggregator.instance.host)


async def test_both_sides_can_show_what_left(daemons: list[Daemon]) -> None:
    """The aggregator its own counts, which members are shown in the totals; each member both vectors."""
    aggregator = daemons[0]
    for daemon in daemons:
        config = config_of(daemon)
        engine = open_checked(config.database)
        report = gather(config, engine, time.time()).as_json()
        engine.dispose()
        raw = [windows_of(daemon).frozen(aggregator.instance.host, number) for number in (0, 1)]
        given = [hashlib.sha256(one).hexdigest() for one in raw if one is not None]
        assert len(given) == (1 if daemon is aggregator else 2)
        (window,) = report["windows"]
        assert [vector["sha256"] for vector in window["vectors"]] == given
        assert sorted(one["sha256"] for one in report["left"]) == sorted(given)
        counts = np.frombuffer(raw[0] or b"", "<i4")
        catalogue = users_of(daemon.instance)
        exact = statistics.counts(catalogue)
        shown = report["next"]["videos"]
        assert sorted(video["users"] for video in shown) == sorted(exact[exact > 0].tolist())
        assert {video["given"][aggregator.instance.host] for video in shown} <= set(counts.tolist())
        # What one side sent, the other received, except for answers that a killed daemon never gave.
        others = {one["peer"] for one in report["traffic"]}
        assert others == (hosts(daemons, aggregator) if daemon is aggregator else {aggregator.instance.host})


async def test_both_sides_keep_a_ledger_that_names_nobody(daemons: list[Daemon]) -> None:
    for daemon in daemons:
        config = config_of(daemon)
        engine = open_checked(config.database)
        identity = open_identity(config.identity_file, config.instance.host)
        checked = ledger.verify(engine, identity.public)
        assert checked.ok, checked.problem
        entries = ledger.entries(engine)
        given = {one.vector_sha256 for one in releases.since(engine, 0.0)}
        engine.dispose()
        done = [e for e in entries if e.kind == ledger.Kind.SESSION and e.details["outcome"] == "done"]
        assert len(done) == 1
        assert set(done[0].details["survivors"]) == hosts(daemons, daemons[0])
        if daemon is not daemons[0]:
            assert {one["sha256"] for one in done[0].details["given"]} == given
        told = " ".join(canonical(ledger.signed_part(entry)).decode() for entry in entries)
        assert "Secret title" not in told
        assert "/videos/watch/" not in told
        assert not any(f'"u{user}"' in told for user in range(60))
        assert identity.seed.hex() not in told
        assert not any(kept.seed.hex() in told for kept in windows_of(daemon).all())


async def test_no_second_session_in_a_window(daemons: list[Daemon]) -> None:
    before = frozen(daemons)
    again = await daemons[0].job("session")
    assert not again.ok
    assert "gave their sum for this data window" in again.message
    assert "shoal train" in again.advice
    assert frozen(daemons) == before


async def test_own_viewers_are_shown_to_members_with_noise_only(daemons: list[Daemon]) -> None:
    aggregator = daemons[1]
    members = [daemon for daemon in daemons if daemon is not aggregator]
    with fault("aggregator.pairs.propose"):
        died = await aggregator.job("session")
    assert died.code == "job-died"
    journal = round_config.aggregator_journal(config_of(aggregator))
    (blob,) = filter(None, (journal.read(sum_id, f"blob.{round_config.COUNTS}") for sum_id in journal.sums()))
    shown = read_counts(blob, VIDEOS)
    others = statistics.counts(together(members)) + noise_of(members, aggregator, 0, VIDEOS)
    own_plain, own_noise = users_of(aggregator.instance), noise_of([aggregator], aggregator, 0, VIDEOS)
    assert np.count_nonzero(own_noise) > VIDEOS / 4
    np.testing.assert_array_equal(shown - others, statistics.counts(own_plain) + own_noise)
    # What was drawn for one aggregator is not what was drawn for the other.
    assert not np.array_equal(
        noise_of(daemons[2:], daemons[0], 0, VIDEOS), noise_of(daemons[2:], aggregator, 0, VIDEOS)
    )


def without(daemon: Daemon, leaving: Callable[[str], bool]) -> None:
    """Take a viewer out of what the instance's source delivers."""
    path = daemon.instance.folder / "dataset" / "interactions.csv.gz"
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    kept = [row for row in rows if not leaving(row.split(",")[0])]
    assert len(kept) < len(rows)
    path.write_bytes(gzip.compress("\n".join([header, *kept, ""]).encode()))


async def test_who_withdraws_between_the_two_sums_ends_them_and_is_in_nothing(daemons: list[Daemon]) -> None:
    # The session that the test before left open: its counts are summed, its pairs proposed.
    aggregator, member = daemons[1], daemons[0]
    given = frozen([member])
    path = member.instance.folder / "dataset" / "interactions.csv.gz"
    somebody = gzip.decompress(path.read_bytes()).decode().splitlines()[1].split(",")[0]
    without(member, lambda user: user == somebody)
    require([await member.job("sync")])
    # For every aggregator, its own sums included: sealed vectors and hashes are gone.
    kept = windows_of(member).all()
    assert len(kept) == 2
    assert {one.window.closed for one in kept} == {Closed.VOID}
    assert given
    assert frozen([member]) == {}
    outcome = await aggregator.job("session")
    assert outcome.code == "job-failed", outcome.message
    assert stored_sum(aggregator)[0] is None
    assert frozen([member]) == {}
    # The others are not told that somebody left.
    log = (member.instance.folder / "daemon.log").read_text()
    # Half a minute after the withdrawal the sum is closed, and what belongs to it is old.
    assert "code=window-open" in log or "code=replayed" in log


async def test_logs_name_no_viewer_and_no_secret(daemons: list[Daemon]) -> None:
    seeds = [kept.seed.hex() for daemon in daemons for kept in windows_of(daemon).all()]
    for daemon in daemons:
        text = (daemon.instance.folder / "daemon.log").read_text()
        assert "Traceback" not in text
        assert "/videos/watch/" not in text
        assert not any(f"u{user} " in text for user in range(60))
        assert not any(seed in text for seed in seeds)
