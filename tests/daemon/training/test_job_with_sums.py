"""What training makes of new sums: accepted ones serve, the first waits, impossible ones are quarantined."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config import load
from daemon.errors import JobError
from daemon.ledger.chain import Kind, newest
from daemon.maintenance import sync
from daemon.maintenance.training import run as train
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext
from daemon.store import activity, current_model, engagement_arrays, model_records, sums
from daemon.store.engagement_arrays import interactions
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.model_records import ModelRecord
from daemon.training import deploy
from models.counting import counts, pair_counts, weighted_counts
from models.statistics import head
from tests.daemon.running_daemon import instance
from tests.daemon.small_dataset import write_set
from tests.daemon.stored_sums import EXACT_SUM

pytestmark = pytest.mark.daemon

KEY = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
OTHER = "ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="


@pytest.fixture
def context(tmp_path: Path) -> Iterator[JobContext]:
    write_set(tmp_path / "set", users=120, videos=120)
    path = instance(tmp_path / "one", extra='mode = "consume"', source=tmp_path / "set")
    config = load(path)
    migrate(config.database)
    engine = open_checked(config.database)
    found = JobContext(config, engine, lambda _stage, _part: None, time.time)
    sync.run(found)
    for host, key in (("two.example", KEY), ("three.example", OTHER)):
        repository.save(engine, Peer(host, "http://127.0.0.1:9", key, "approved", max_users=200))
    yield found
    engine.dispose()


def first_may_serve(context: JobContext) -> JobContext:
    acceptance = context.config.acceptance.model_copy(update={"confirm_first": False})
    return replace(context, config=context.config.model_copy(update={"acceptance": acceptance}))


def add(
    context: JobContext,
    round_: str,
    survivor: str,
    *,
    run: str = "",
    times: int = 1,
    at: float = 0.0,
    pairs: NDArray[np.int64] | None = None,
) -> None:
    """Store a part as if another instance had the same viewers, so many times over."""
    stored, engagements = engagement_arrays.read(context.engine)
    own = interactions(engagements, len(stored), limit=None)
    videos = head(counts(own), min_users=5, max_head=99)
    record = activity.RoundRecord(round_, "aggregator", "one.example", 1.0, survivors=[survivor])
    activity.save_round(context.engine, record)
    sums.save(
        context.engine,
        context.config.sums_dir,
        round_id=round_,
        urls=tuple(stored.urls[video] for video in videos),
        counts=times * weighted_counts(own, videos)[videos],
        triangle=times * pair_counts(own, videos) if pairs is None else pairs,
        privacy=EXACT_SUM,
        now=at or time.time(),
        run=run,
        sub_cohort=int(round_[-1]),
    )


def verdicts(context: JobContext) -> dict[str, str]:
    return {part.round_id: part.verdict for part in sums.records(context.engine)}


def served(context: JobContext) -> ModelRecord:
    name = current_model.read(context.config.models_dir)
    return next(m for m in model_records.models(context.engine) if m.directory == name)


def last_acceptance(context: JobContext) -> dict[str, Any]:
    return newest(context.engine, limit=1, kind=Kind.ACCEPTANCE)[0].details


def test_the_first_model_learnt_with_others_waits_for_the_admin(context: JobContext) -> None:
    add(context, "s0", "two.example")
    result = train(context)
    assert result["acceptance"] == "awaiting"
    assert served(context).kind == "local"
    assert verdicts(context) == {"s0": "awaiting"}
    waiting = next(m for m in model_records.models(context.engine) if m.state == "awaiting")
    assert waiting.report["verdict"] == "awaiting"
    # Trained again meanwhile, it goes on waiting, and nothing of it serves.
    assert train(context)["kind"] == "local"
    from daemon.training.acceptance import decisions

    decisions.accept(context.engine, context.config, waiting.id, time.time())
    assert served(context).id == waiting.id
    assert train(context)["kind"] == "federated"
    # From then on a sum that passes serves by itself.
    add(context, "s1", "two.example")
    assert train(context)["acceptance"] == "accepted"


def test_a_sum_that_people_cannot_be_behind_is_quarantined_and_the_one_before_stays(
    context: JobContext,
) -> None:
    context = first_may_serve(context)
    add(context, "s0", "two.example", at=time.time() - 60)
    assert train(context)["acceptance"] == "accepted"
    before = served(context)
    add(context, "s1", "two.example", times=20)
    result = train(context)
    assert result["acceptance"] == "quarantined"
    assert "two.example" in result["sum_not_used"]
    assert served(context).round_id == before.round_id == "s0"
    assert verdicts(context) == {"s0": "accepted", "s1": "quarantined"}
    told = last_acceptance(context)
    assert (told["verdict"], told["survivors"], bool(told["failed"])) == (
        "quarantined",
        ["two.example"],
        True,
    )
    # Quarantined for good: it is not looked at again, and what is accepted goes on being trained.
    assert "acceptance" not in train(context)


def test_a_sum_that_cannot_even_be_trained_on_is_quarantined(context: JobContext) -> None:
    context = first_may_serve(context)
    videos = 99
    add(context, "s0", "two.example", pairs=np.full(videos * (videos - 1) // 2, -5, np.int64))
    result = train(context)
    assert (result["acceptance"], result["kind"]) == ("quarantined", "local")
    assert verdicts(context) == {"s0": "quarantined"}


def test_of_a_sum_in_parts_the_bad_one_is_left_out(context: JobContext) -> None:
    context = first_may_serve(context)
    add(context, "s0", "two.example", run="b")
    add(context, "s1", "three.example", run="b", times=20)
    result = train(context)
    assert result["acceptance"] == "accepted"
    assert verdicts(context) == {"s0": "accepted", "s1": "quarantined"}
    assert served(context).survivors == ["two.example"]
    assert last_acceptance(context)["left_out"] == ["s1"]


def test_what_was_learnt_from_somebody_who_was_taken_out_meanwhile_does_not_serve(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = first_may_serve(context)
    add(context, "s0", "two.example")
    put = deploy.put_into_service

    def taken_out_meanwhile(*arguments: Any, **named: Any) -> ModelRecord:
        peer = repository.read(context.engine, context.config).find("two.example")
        assert peer is not None
        repository.save(context.engine, replace(peer, state="reverted"))
        return put(*arguments, **named)

    monkeypatch.setattr(deploy, "put_into_service", taken_out_meanwhile)
    with pytest.raises(JobError, match=r"two\.example"):
        train(context)
    assert current_model.read(context.config.models_dir) is None


def test_the_model_that_serves_is_signed_and_in_the_ledger(context: JobContext) -> None:
    train(context)
    entry = newest(context.engine, limit=1, kind=Kind.SERVED)[0]
    model = served(context)
    assert (entry.subject, entry.details["manifest"]) == (model.id, model.manifest_sha256)
    assert (context.config.models_dir / model.directory / "manifest.sig").is_file()
