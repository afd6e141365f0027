"""Sessions between real daemons on loopback, with members and aggregators killed at every stage."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from scipy.sparse import csr_array, vstack

from daemon.config import load
from daemon.lab.demo.instances import DemoInstance, build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.rounds import round_config
from daemon.rounds.abort import Left, leave_all
from daemon.rounds.crash_points import VARIABLE
from daemon.store import activity, content_arrays, sums
from daemon.store.engine import open_checked
from daemon.store.model_inputs import interactions, statistic
from models import statistics
from models.interactions import Interactions

pytestmark = [pytest.mark.daemon, pytest.mark.asyncio(loop_scope="module")]


EXACT: dict[str, str | int] = {"level": "none", "window": "1s", "min_changed_users": 0}
"""Without noise a sum can be compared to the last digit; windows so short that every session is a new one."""


def write_set(folder: Path, users: int = 60) -> Path:
    """Write users in three tastes over 120 videos: enough for pairs, and read in no time."""
    rng = random.Random(7)
    folder.mkdir()
    with (folder / "interactions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "value"])
        for user in range(users):
            liked = rng.sample(range(40), 18) if user % 3 else rng.sample(range(30, 120), 25)
            rows.writerows([f"u{user}", f"v{video}", 1] for video in liked)
    with (folder / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "title"])
        rows.writerows([f"v{video}", f"Secret title {video}"] for video in range(120))
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Daemon]]:
    base = tmp_path_factory.mktemp("sessions")
    world = build(base / "instances", write_set(base / "set"), 5, EXACT)
    for instance in world.instances:
        # A stage that nobody answers ends sooner than an admin would want it to.
        with instance.config_file.open("a") as file:
            file.write('[cohort]\nstage_timeout = "20s"\n')
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


def users_of(instance: DemoInstance) -> Interactions:
    engine = open_checked(load(instance.config_file).database)
    catalogue, engagements = content_arrays.read(engine)
    engine.dispose()
    return interactions(engagements, len(catalogue), limit=200)


def assert_exact(daemon: Daemon, everyone: list[Daemon], survivors: set[str]) -> None:
    """Check the newest stored sum against simply putting the survivors' users together."""
    config = load(daemon.instance.config_file)
    engine = open_checked(config.database)
    stored = sums.newest(engine, config.sums_dir)
    catalogue, _ = content_arrays.read(engine)
    engine.dispose()
    assert stored is not None
    assert set(stored.survivors) == survivors
    members = [users_of(d.instance).matrix for d in everyone if d.instance.host in survivors]
    together = Interactions(csr_array(vstack(members, format="csr")))
    total = statistics.counts(together) + statistics.counts(users_of(daemon.instance))
    head = statistics.head(total, min_users=5, max_head=4096)
    found = statistic(stored, catalogue)
    np.testing.assert_array_equal(found.head, head)
    np.testing.assert_array_equal(found.counts, statistics.counts(together, head))
    np.testing.assert_array_equal(found.triangle, statistics.pair_counts(together, head))


def hosts(daemons: list[Daemon], *but: Daemon) -> set[str]:
    return {d.instance.host for d in daemons if d not in but}


async def test_a_session_gives_the_plain_sum_and_both_sides_remember_it(daemons: list[Daemon]) -> None:
    outcome = await daemons[0].job("session")
    assert outcome.ok, outcome.message
    assert_exact(daemons[0], daemons, hosts(daemons, daemons[0]))
    for daemon in daemons:
        engine = open_checked(load(daemon.instance.config_file).database)
        found = activity.session(engine, outcome.result["session"])
        engine.dispose()
        assert found is not None
        assert (found.role, found.outcome) == ("aggregator" if daemon is daemons[0] else "member", "done")
        assert found.bytes_out > 0
        # What was secret or large is gone from the journal; only answers that may be asked for again stay.
        member = round_config.member_journal(load(daemon.instance.config_file))
        for sum_id in member.sums():
            assert not {"root", "input", "shares"} & set(member.names(sum_id))
    config = load(daemons[0].instance.config_file)
    assert round_config.aggregator_journal(config).sums() == []
    # Who took part approves us: nobody has to say so first.
    engine = open_checked(config.database)
    known = repository.read(engine, config)
    engine.dispose()
    assert {peer.host for peer in known.approved() if peer.theirs == "approved"} == hosts(daemons, daemons[0])


# Before it gave anything, between its keys and its vector, and after it: more is for the state machines.
@pytest.mark.parametrize("stage", ["propose", "shares", "confirmations"])
async def test_a_member_killed_at_any_stage(daemons: list[Daemon], stage: str) -> None:
    aggregator, victim = daemons[1], daemons[3]
    await victim.stop()
    await victim.start(die_at=f"member.{stage}")
    outcome = await aggregator.job("session")
    assert not victim.alive
    if stage in ("propose", "keys", "shares"):
        assert outcome.ok, outcome.message
        assert_exact(aggregator, daemons, hosts(daemons, aggregator, victim))
    else:
        # Its vector is in the counts, so the pair counts would need it too.
        assert outcome.code == "job-failed"
        assert "abandoned" in outcome.message
    await victim.start()


async def test_a_member_that_its_admin_stopped_leaves_for_good(daemons: list[Daemon]) -> None:
    aggregator, leaver = daemons[1], daemons[3]
    await leaver.stop()
    await leaver.start(die_at="member.keys")
    assert (await aggregator.job("session")).ok
    config = load(leaver.instance.config_file)
    engine = open_checked(config.database)
    try:
        # This one, and those in which it was killed before.
        running = [s for s in activity.sessions(engine) if (s.role, s.outcome) == ("member", "running")]
        assert running
        assert leave_all(engine, config) == Left(as_member=len(running), own=0)
        entry = ledger.newest(engine, 1, kind=Kind.STOPPED)[0]
        assert entry.details == {"sums_of_others": len(running), "own_sessions": 0}
        journal = round_config.member_journal(config)
        assert {name for sum_id in journal.sums() for name in journal.names(sum_id)} == {"closed"}
        assert activity.sessions(engine, limit=1)[0].outcome == "abandoned"
        assert leave_all(engine, config) == Left(0, 0)
    finally:
        engine.dispose()
        await leaver.start()


async def test_after_all_those_deaths_everybody_is_in_the_next_session(daemons: list[Daemon]) -> None:
    outcome = await daemons[1].job("session")
    assert outcome.ok, outcome.message
    assert_exact(daemons[1], daemons, hosts(daemons, daemons[1]))


@pytest.mark.parametrize("point", ["counts.survivors", "pairs.confirmations"])
async def test_an_aggregator_killed_at_any_stage_goes_on_where_it_was(
    daemons: list[Daemon], point: str
) -> None:
    aggregator = daemons[2]
    with fault(f"aggregator.{point}"):
        died = await aggregator.job("session")
    assert died.code == "job-died"
    engine = open_checked(load(aggregator.instance.config_file).database)
    begun = activity.sessions(engine, limit=1)[0]
    engine.dispose()
    assert begun.outcome == "running"
    outcome = await aggregator.job("session")
    assert outcome.ok, outcome.message
    assert outcome.result["session"] == begun.id
    assert_exact(aggregator, daemons, hosts(daemons, aggregator))


async def test_logs_name_no_viewer_title_or_address(daemons: list[Daemon]) -> None:
    for daemon in daemons:
        text = (daemon.instance.folder / "daemon.log").read_text()
        assert "Secret title" not in text
        assert "/videos/watch/" not in text
        for user in range(60):
            assert f"u{user} " not in text
