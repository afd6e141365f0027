"""An approved peer that pushes its own videos: its sum is quarantined, and the admin reads why and who."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.config import load
from daemon.lab.demo import poisoning
from daemon.ledger.chain import Kind, newest
from daemon.maintenance import sync
from daemon.maintenance.training import run as train
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext
from daemon.sentences import english
from daemon.status import notices
from daemon.store import activity, content_arrays, current_model, engagement_arrays, model_records, sums
from daemon.store.engagement_arrays import interactions
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from federation.identity import Identity, format_key
from models.counting import counts
from models.statistics import Statistic, head
from tests.daemon.running_daemon import instance
from tests.daemon.small_dataset import write_set
from tests.daemon.stored_sums import EXACT_SUM
from tests.models.worlds import summed

pytestmark = pytest.mark.slow

HONEST, POISONER = "friend.example", "poisoner.example"
FAKES = 100
CAP, GENEROUS = 150, 10_000
"""Viewers that each may have: with the second one no number alone gives twenty times as many fakes away."""


@pytest.fixture
def context(tmp_path: Path) -> Iterator[JobContext]:
    write_set(tmp_path / "set", users=120, videos=120)
    path = instance(tmp_path / "one", extra='mode = "consume"', source=tmp_path / "set")
    path.write_text(path.read_text() + "[acceptance]\nconfirm_first = false\n")
    config = load(path)
    migrate(config.database)
    engine = open_checked(config.database)
    found = JobContext(config, engine, lambda _stage, _part: None, time.time)
    sync.run(found)
    approve(found, CAP)
    yield found
    engine.dispose()


def approve(context: JobContext, cap: int) -> None:
    for number, host in enumerate((HONEST, POISONER)):
        key = format_key(Identity(host, bytes([number + 1]) * 32).public.key)
        repository.save(context.engine, Peer(host, "http://127.0.0.1:9", key, "approved", max_users=cap))


def store(context: JobContext, round_: str, part: Statistic, survivors: list[str], *, at: float) -> None:
    record = activity.RoundRecord(round_, "aggregator", "one.example", 1.0, survivors=survivors)
    activity.save_round(context.engine, record)
    catalogue = content_arrays.read(context.engine)
    sums.save(
        context.engine,
        context.config.sums_dir,
        round_id=round_,
        urls=tuple(catalogue.urls[video] for video in part.head),
        counts=part.counts,
        triangle=part.triangle,
        privacy=EXACT_SUM,
        now=at,
        run=round_,
    )


def test_a_pushed_sum_does_not_serve_and_the_admin_is_told(context: JobContext) -> None:
    catalogue, engagements = engagement_arrays.read(context.engine)
    people = interactions(engagements, len(catalogue), limit=None)
    videos = head(counts(people), min_users=5, max_head=99)
    honest = summed(people, videos)
    store(context, "s0", honest, [HONEST], at=time.time() - 60)
    assert train(context)["acceptance"] == "accepted"
    assert notices.current(context.engine, context.config, time.time()) == []
    rng = np.random.default_rng(0)
    pushed = poisoning.targets(counts(people), videos, rng)

    few = poisoning.push(pushed, counts(people), FAKES, 3, rng).fakes
    told = quarantined(context, "s1", honest, poisoning.scaled(summed(few, videos)))
    assert {"counts-total", "viewers-total"} <= told

    approve(context, GENEROUS)
    many = poisoning.push(pushed, counts(people), poisoning.SCALE * FAKES, 3, rng).fakes
    told = quarantined(context, "s2", honest, summed(many, videos))
    assert told
    assert all(name.startswith("exposure-") for name in told)


def quarantined(context: JobContext, round_: str, honest: Statistic, part: Statistic) -> set[str]:
    """Train from a sum with a hostile part; check that it does not serve; return the rules it broke."""
    together = replace(honest, counts=honest.counts + part.counts, triangle=honest.triangle + part.triangle)
    store(context, round_, together, [HONEST, POISONER], at=time.time())
    assert train(context)["acceptance"] == "quarantined"
    verdicts = {stored.round_id: stored.verdict for stored in sums.records(context.engine)}
    assert (verdicts["s0"], verdicts[round_]) == ("accepted", "quarantined")
    served = current_model.read(context.config.models_dir)
    [model] = [m for m in model_records.models(context.engine) if m.directory == served]
    assert model.round_id == "s0"
    notice = notices.current(context.engine, context.config, time.time())[0]
    assert notice.kind == "quarantine"
    assert POISONER in english(*notice.sentences)
    entry = newest(context.engine, limit=1, kind=Kind.ACCEPTANCE)[0]
    assert (entry.details["verdict"], entry.details["survivors"]) == ("quarantined", [HONEST, POISONER])
    return set(entry.details["failed"])
