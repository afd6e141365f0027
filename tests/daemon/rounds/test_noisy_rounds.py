"""Rounds between real daemons with noise: what is stored is the plain sum and exactly what members drew.

A member and an aggregator are killed on the way. The tests follow one another: a data window remembers what
was given in it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from scipy.stats import chisquare

from daemon.config import Config, load
from daemon.disclosure.share_report import gather
from daemon.identity import open_identity
from daemon.lab.demo.instances import build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.ledger import chain as ledger
from daemon.ledger.canonical import canonical, signed_part
from daemon.rounds import head_history, own_release
from daemon.rounds.crash_points import VARIABLE
from daemon.rounds.data_windows import DataWindows, StoredWindow, open_windows
from daemon.store import activity, content_arrays, releases, sums
from daemon.store.engine import connect, open_checked
from daemon.store.releases import OWN
from daemon.store.sums import StoredSum
from federation.keys import derive
from federation.noise import pmf, skellam
from models import counting, statistics
from models import head as heads
from models.interactions import Interactions
from models.weights import UNIT
from policies.privacy import PROTECTION, Level
from policies.window import Closed
from tests.daemon import plain_sums
from tests.daemon.small_dataset import write_overlapping_tastes

pytestmark = [pytest.mark.daemon, pytest.mark.asyncio(loop_scope="module")]

LEVEL = PROTECTION[Level.DEFAULT]
MEMBERS, THRESHOLD = 4, 3
DECLARED = (LEVEL.counts_noise, LEVEL.pairs_noise)
SHARES = tuple(Fraction(noise * UNIT**2, THRESHOLD - 1) for noise in DECLARED)
"""Variance of what each member adds to counts and pairs, in entries squared."""
VIDEOS = 120
PRIVATE: dict[str, str | int] = {"level": "default", "window_max": "7d", "min_changed_users": 3}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Daemon]]:
    base = tmp_path_factory.mktemp("noisy")
    world = build(base / "instances", write_overlapping_tastes(base / "set"), MEMBERS + 1, PRIVATE)
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


@contextmanager
def fault(point: str) -> Iterator[None]:
    os.environ[VARIABLE] = point
    try:
        yield
    finally:
        del os.environ[VARIABLE]


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


def noise_of(members: Sequence[Daemon], aggregator: Daemon, segment: int, size: int) -> NDArray[np.int64]:
    """Return what these drew for an aggregator, from what they keep sealed."""
    keys = [derive(kept_for(one, aggregator).seed, b"storage", f"noise {segment}") for one in members]
    return sum((skellam(SHARES[segment], size, key) for key in keys), np.zeros(size, np.int64))


def together(members: Sequence[Daemon]) -> Interactions:
    return plain_sums.together([daemon.instance.config_file for daemon in members])


def users_of(daemon: Daemon) -> Interactions:
    return plain_sums.users_of(daemon.instance.config_file)


def hosts(daemons: Sequence[Daemon], *but: Daemon) -> set[str]:
    return {daemon.instance.host for daemon in daemons if daemon not in but}


def frozen(daemons: Sequence[Daemon]) -> dict[Path, bytes]:
    """Return the sealed vectors of all instances."""
    paths = [path for d in daemons for path in (d.instance.folder / "windows").rglob("given")]
    return {path: path.read_bytes() for path in paths}


def stored_sum(aggregator: Daemon) -> tuple[StoredSum | None, tuple[str, ...]]:
    config = config_of(aggregator)
    engine = open_checked(config.database)
    try:
        return sums.newest(engine, config.sums_dir), content_arrays.read_urls(engine)
    finally:
        engine.dispose()


def catalogue_of(daemon: Daemon) -> content_arrays.Catalogue:
    engine = open_checked(config_of(daemon).database)
    try:
        return content_arrays.read(engine)
    finally:
        engine.dispose()


def newest_round(daemon: Daemon) -> activity.RoundRecord:
    engine = open_checked(config_of(daemon).database)
    try:
        return activity.rounds(engine, limit=1)[0]
    finally:
        engine.dispose()


def releases_of(daemon: Daemon) -> list[releases.ReleaseRecord]:
    engine = open_checked(config_of(daemon).database)
    try:
        return releases.since(engine, 0.0)
    finally:
        engine.dispose()


async def test_a_round_in_which_the_aggregator_and_then_a_member_was_killed_is_completed(
    daemons: list[Daemon],
) -> None:
    aggregator, victim = daemons[0], daemons[3]
    with fault("aggregator.shares"):
        died = await aggregator.job("round")
    assert died.code == "job-died"
    begun = newest_round(aggregator)
    assert begun.outcome == "running"
    before = frozen(daemons)
    # One for each member, and the aggregator's own release.
    assert len(before) == MEMBERS + 1
    await victim.stop()
    await victim.start(die_at="member.survivors")
    done = await aggregator.job("round")
    assert done.ok, done.message
    assert not victim.alive
    assert [told["round"] for told in done.result["sub_cohorts"]] == [begun.id]
    # It gave its vector before it died, and the others open the sum without it.
    assert set(done.result["survivors"]) == hosts(daemons, aggregator)
    assert done.result["lost"] == {victim.host: "unreachable"}
    assert frozen(daemons) == before
    await victim.start()


async def test_what_is_stored_is_the_plain_sum_and_what_the_survivors_drew(daemons: list[Daemon]) -> None:
    aggregator, members = daemons[0], daemons[1:]
    stored, urls = stored_sum(aggregator)
    assert stored is not None
    plain = together(members)
    head = np.array([urls.index(url) for url in stored.urls], np.int64)
    assert len(head) > 5
    size = statistics.pairs(len(head))
    counts, pairs = noise_of(members, aggregator, 0, VIDEOS), noise_of(members, aggregator, 1, size)
    np.testing.assert_array_equal(stored.counts, counting.weighted_counts(plain, head)[head] + counts[head])
    np.testing.assert_array_equal(stored.triangle, counting.pair_counts(plain, head) + pairs)
    # Heads of later windows are chosen from what was released: these counts.
    (released,) = head_history.of_peers(config_of(aggregator)).newest()
    np.testing.assert_array_equal(released.counts, counting.weighted_counts(plain, head) + counts)


async def test_the_first_head_follows_from_public_counters_and_its_own_release(
    daemons: list[Daemon],
) -> None:
    aggregator = daemons[0]
    stored, urls = stored_sum(aggregator)
    assert stored is not None
    windows = windows_of(aggregator)
    own, kept = own_release.known(config_of(aggregator), windows), windows.read(OWN)
    assert own is not None
    assert kept is not None
    noise = skellam(Fraction(LEVEL.counts_noise * UNIT**2), VIDEOS, derive(kept.seed, b"storage", "noise 0"))
    assert np.count_nonzero(noise) > VIDEOS / 4
    exact = counting.weighted_counts(users_of(aggregator), own.question.head)
    np.testing.assert_array_equal(own.counts - noise, exact)
    catalogue = catalogue_of(aggregator)
    head = heads.first_head(
        catalogue.views,
        catalogue.likes,
        own.counts_over(urls),
        own_variance=float(LEVEL.counts_noise),
    )
    assert stored.urls == tuple(urls[place] for place in head)


async def test_the_noise_in_a_sum_has_the_law_that_is_declared(daemons: list[Daemon]) -> None:
    aggregator, members = daemons[0], daemons[1:]
    stored, urls = stored_sum(aggregator)
    assert stored is not None
    head = np.array([urls.index(url) for url in stored.urls], np.int64)
    # Of the pairs, since a high draw lets a count into the head.
    noise = stored.triangle - counting.pair_counts(together(members), head)
    variance = MEMBERS * SHARES[1]
    law = pmf(variance)
    # In bins of a quarter of the standard deviation: single entries are too many for a test.
    width = round(float(variance) ** 0.5 / 4)
    edges = range(0, 12 * width, width)
    expected = [2 * law[12 * width :].sum(), *(2 * law[k : k + width].sum() for k in edges)]
    expected[1] -= law[0]
    size = np.abs(noise)
    found = [(size >= 12 * width).sum(), *((size // width == k // width).sum() for k in edges)]
    assert chisquare(found, np.array(expected) / np.sum(expected) * noise.size).pvalue > 1e-6
    assert abs(noise.mean()) < 6 * float(variance / noise.size) ** 0.5


async def test_the_sum_says_what_noise_is_in_it(daemons: list[Daemon]) -> None:
    stored, _ = stored_sum(daemons[0])
    assert stored is not None
    privacy = stored.privacy
    assert (privacy.counts_noise, privacy.pairs_noise) == (LEVEL.counts_noise, LEVEL.pairs_noise)
    realised = tuple(float(MEMBERS * share / UNIT**2) for share in SHARES)
    assert (privacy.counts_noise_realised, privacy.pairs_noise_realised) == realised
    assert realised[1] >= LEVEL.pairs_noise
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
        assert [one.window for one in found] == [kept.id]
        assert (found[0].aggregator, found[0].round_id) == (aggregator.instance.host, stored.round_id)
        assert (found[0].counts_noise, found[0].pairs_noise) == (LEVEL.counts_noise, LEVEL.pairs_noise)
        assert found[0].share * LEVEL.pairs_noise * UNIT**2 == float(SHARES[1])
        assert (found[0].vocabulary, found[0].head) == (VIDEOS, len(stored.urls))
    # Nothing of own viewers leaves but the head that was chosen by their noisy counts, so these cost as well.
    (own,) = releases_of(aggregator)
    assert (own.aggregator, own.share, own.viewers) == (OWN, 1.0, True)


async def test_both_sides_can_show_what_left(daemons: list[Daemon]) -> None:
    """The aggregator its own release, of which others see the head; each member its vector."""
    aggregator = daemons[0]
    for daemon in daemons:
        config = config_of(daemon)
        engine = open_checked(config.database)
        report = gather(config, engine, time.time()).with_videos(VIDEOS)
        engine.dispose()
        receiver = OWN if daemon is aggregator else aggregator.instance.host
        raw = windows_of(daemon).frozen(receiver) or b""
        sha256 = hashlib.sha256(raw).hexdigest()
        (window,) = report["windows"]
        assert window["vector"] is not None
        assert window["vector"].sha256 == sha256
        assert [one["sha256"] for one in report["left"]] == [sha256]
        counts = np.frombuffer(raw, "<i4")[:VIDEOS] / UNIT
        exact = counting.counts(users_of(daemon))
        shown = report["next"]["videos"]
        assert sorted(video.users for video in shown) == sorted(exact[exact > 0].tolist())
        assert {video.given[receiver] for video in shown} <= set(counts.tolist())
        others = {one.peer for one in report["traffic"]}
        if daemon is aggregator:
            # The job that was killed took its counts along. Who had answered it was not asked again, and the
            # victim never answered the second.
            assert others | {daemons[3].instance.host} == hosts(daemons, aggregator)
        else:
            assert others == {aggregator.instance.host}


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
        done = [e for e in entries if e.kind == ledger.Kind.ROUND and e.details["outcome"] == "done"]
        # One died before the end, and knows of none.
        assert len(done) == (0 if daemon is daemons[3] else 1)
        for entry in done:
            assert set(entry.details["survivors"]) == hosts(daemons, daemons[0])
            if daemon is not daemons[0]:
                assert {entry.details["given"]["sha256"]} == given
        told = " ".join(canonical(signed_part(entry)).decode() for entry in entries)
        assert "Secret title" not in told
        assert "/videos/watch/" not in told
        assert not any(f'"u{user}"' in told for user in range(60))
        assert identity.seed.hex() not in told
        assert not any(kept.seed.hex() in told for kept in windows_of(daemon).all())


async def test_no_second_round_in_a_window(daemons: list[Daemon]) -> None:
    before = frozen(daemons)
    again = await daemons[0].job("round")
    assert not again.ok
    assert "gave their sum for this data window" in again.message
    assert "shoal train" in again.advice
    assert frozen(daemons) == before


def without(daemon: Daemon, leaving: Callable[[str], bool]) -> None:
    """Take a viewer out of what the instance's source delivers."""
    path = daemon.instance.folder / "dataset" / "interactions.csv.gz"
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    kept = [row for row in rows if not leaving(row.split(",")[0])]
    assert len(kept) < len(rows)
    path.write_bytes(gzip.compress("\n".join([header, *kept, ""]).encode()))


async def test_who_withdraws_before_the_vector_leaves_is_in_nothing(daemons: list[Daemon]) -> None:
    aggregator, member = daemons[1], daemons[0]
    with fault("aggregator.keys"):
        died = await aggregator.job("round")
    assert died.code == "job-died"
    assert len(frozen([member])) == 2
    path = member.instance.folder / "dataset" / "interactions.csv.gz"
    somebody = gzip.decompress(path.read_bytes()).decode().splitlines()[1].split(",")[0]
    without(member, lambda user: user == somebody)
    require([await member.job("sync")])
    # For every aggregator, its own release included: sealed vectors and hashes are gone.
    kept = windows_of(member).all()
    assert len(kept) == 2
    assert {one.window.closed for one in kept} == {Closed.VOID}
    assert frozen([member]) == {}
    # The round goes on without this member, which is as silent as if it was away.
    done = await aggregator.job("round")
    assert done.ok, done.message
    assert done.result["lost"] == {member.host: "unreachable"}
    others = [one for one in daemons if one not in (aggregator, member)]
    assert set(done.result["survivors"]) == {one.host for one in others}
    stored, urls = stored_sum(aggregator)
    assert stored is not None
    head = np.array([urls.index(url) for url in stored.urls], np.int64)
    noise = noise_of(others, aggregator, 0, VIDEOS)
    np.testing.assert_array_equal(
        stored.counts, counting.weighted_counts(together(others), head)[head] + noise[head]
    )
    assert frozen([member]) == {}
    assert [one.aggregator for one in releases_of(member)] == [OWN]
    # What was drawn for one aggregator is not what was drawn for the other.
    assert not np.array_equal(noise, noise_of(others[:1], daemons[0], 0, VIDEOS))


async def test_logs_name_no_viewer_title_or_secret(daemons: list[Daemon]) -> None:
    seeds = [kept.seed.hex() for daemon in daemons for kept in windows_of(daemon).all()]
    for daemon in daemons:
        text = (daemon.instance.folder / "daemon.log").read_text()
        assert "Traceback" not in text
        assert "Secret title" not in text
        assert "/videos/watch/" not in text
        assert not any(f"u{user} " in text for user in range(60))
        assert not any(seed in text for seed in seeds)
