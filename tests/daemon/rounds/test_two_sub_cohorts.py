"""A cohort of eight, summed in two parts by real daemons: they add up, and either can be left out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from scipy.sparse import csr_array, vstack

from daemon.config import load
from daemon.lab.demo.instances import build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.store import activity, content_arrays, model_records, sums
from daemon.store.engine import open_checked
from daemon.store.model_inputs import statistic
from daemon.store.model_records import ModelRecord
from daemon.store.sums import StoredSum, SumRecord
from models import artefact, statistics
from models.interactions import Interactions
from tests.daemon.rounds.test_sessions import EXACT, users_of, write_set

pytestmark = [pytest.mark.daemon, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemons(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Daemon]]:
    base = tmp_path_factory.mktemp("parts")
    world = build(base / "instances", write_set(base / "set", users=108), 9, EXACT)
    for instance in world.instances:
        with instance.config_file.open("a") as file:
            file.write('[cohort]\nstage_timeout = "30s"\n')
    found = [Daemon(instance) for instance in world.instances]
    try:
        require(await every(found, "sync"))
        for daemon in found:
            await daemon.start()
        yield found
    finally:
        for daemon in found:
            await daemon.stop()


def stored_by(daemon: Daemon) -> tuple[list[SumRecord], StoredSum]:
    config = load(daemon.instance.config_file)
    engine = open_checked(config.database)
    try:
        found = sums.newest(engine, config.sums_dir)
        assert found is not None
        return sums.records(engine), found
    finally:
        engine.dispose()


async def test_the_parts_of_a_cohort_add_up_to_the_plain_sum(daemons: list[Daemon]) -> None:
    outcome = await daemons[0].job("session")
    assert outcome.ok, outcome.message
    parts, stored = stored_by(daemons[0])
    others = daemons[1:]
    assert sorted(host for part in parts for host in part.survivors) == sorted(
        daemon.instance.host for daemon in others
    )
    assert [len(part.survivors) for part in parts] == [4, 4]
    assert {part.run for part in parts} == {outcome.result["session"]}
    engine = open_checked(load(daemons[0].instance.config_file).database)
    catalogue, _ = content_arrays.read(engine)
    rosters = {record.id: record.roster for record in activity.sessions(engine)}
    engine.dispose()
    # No member was in two parts.
    assert sorted(host for roster in rosters.values() for host in roster) == sorted(stored.survivors)
    together = Interactions(csr_array(vstack([users_of(d.instance).matrix for d in others], format="csr")))
    total = statistics.counts(together) + statistics.counts(users_of(daemons[0].instance))
    head = statistics.head(total, min_users=5, max_head=4096)
    found = statistic(stored, catalogue)
    np.testing.assert_array_equal(found.head, head)
    np.testing.assert_array_equal(found.counts, statistics.counts(together, head))
    np.testing.assert_array_equal(found.triangle, statistics.pair_counts(together, head))


async def test_what_is_left_out_of_a_model_is_out_of_its_numbers_and_its_head(daemons: list[Daemon]) -> None:
    require([await daemons[0].job("train")])
    assert newest_model(daemons[0]).survivors == sorted(d.instance.host for d in daemons[1:])
    config = load(daemons[0].instance.config_file)
    engine = open_checked(config.database)
    parts = sums.records(engine)
    sums.set_verdict(engine, [parts[1].session_id], "quarantined", {})
    kept = sums.load(engine, config.sums_dir, [parts[0].session_id])
    engine.dispose()
    require([await daemons[0].job("train")])
    model = newest_model(daemons[0])
    assert model.state == "current"
    assert model.survivors == list(parts[0].survivors)
    least = kept.privacy.min_users
    own = statistics.counts(users_of(daemons[0].instance))
    engine = open_checked(config.database)
    catalogue, _ = content_arrays.read(engine)
    engine.dispose()
    place = {url: number for number, url in enumerate(catalogue.urls)}
    standing = [
        url for url, count in zip(kept.urls, kept.counts, strict=True) if count + own[place[url]] >= least
    ]
    assert 0 < len(standing) < len(kept.urls)
    served = artefact.load(config.models_dir / model.directory)
    assert served.manifest["scalars"]["head_size"] == len(standing)


async def test_a_part_that_fails_is_missing_and_the_other_counts(daemons: list[Daemon]) -> None:
    aggregator = daemons[0]
    parts, _ = stored_by(aggregator)
    gone = [d for d in daemons if d.instance.host in parts[1].survivors][:2]
    for daemon in gone:
        await daemon.stop()
    outcome = await aggregator.job("session")
    assert outcome.ok, outcome.message
    assert sorted(told["outcome"] for told in outcome.result["sub_cohorts"]) == ["abandoned", "done"]
    newest, _ = stored_by(aggregator)
    last = [part for part in newest if part.run == outcome.result["session"]]
    assert [part.survivors for part in last] == [parts[0].survivors]


def newest_model(daemon: Daemon) -> ModelRecord:
    engine = open_checked(load(daemon.instance.config_file).database)
    try:
        return next(m for m in model_records.models(engine) if m.kind == "federated")
    finally:
        engine.dispose()
