"""Judging new sums on the shipped set, and the admin's word on models that wait or are quarantined."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.config import Config, load
from daemon.config.schema import Acceptance
from daemon.errors import JobError, RequestError
from daemon.identity import open_identity
from daemon.lab.demo import poisoning
from daemon.ledger.chain import Kind, newest, verify
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.sentences import english
from daemon.store import activity, current_model, model_records, sums
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from daemon.store.model_records import ModelRecord, State
from daemon.store.rows import VIDEO_COLUMNS, VideoRow
from daemon.store.tables import Video
from daemon.training.acceptance import decisions
from daemon.training.acceptance.judge import Report, judge
from daemon.training.acceptance.reference_models import Pair, with_month
from models import artefact
from models.exposure import View
from models.item_scores import FORMS, Factorized, Form
from models.labels import Labels
from models.statistics import Statistic
from policies.privacy import Level
from tests.adversaries.poisoning import cohorts
from tests.adversaries.poisoning.trial import GENEROUS, Learnt, Trial, trained
from tests.daemon.running_daemon import instance
from tests.daemon.stored_sums import EXACT_SUM
from tests.models.made import made_labels, made_model

pytestmark = pytest.mark.slow

OBSERVER, NEWCOMER = 0, 46
MODEL, BEFORE = "20261121-100000-federated-aaaaaa", "20261120-100000-local-bbbbbb"


@pytest.fixture(scope="module")
def trial() -> Trial:
    world = cohorts.load()
    people = cohorts.split(world, NEWCOMER, 1)
    return Trial(world, people, OBSERVER, Level.DEFAULT, 1)


@pytest.fixture(scope="module")
def honest(trial: Trial) -> Learnt:
    return trial.learnt([(cohorts.split(cohorts.load(), NEWCOMER, 1).joining, 1)])


@pytest.fixture(scope="module")
def hostile(trial: Trial) -> tuple[Learnt, set[str]]:
    """A member with 46 fake viewers whose part is multiplied by twenty, and the addresses that it pushes."""
    rng = np.random.default_rng(0)
    pushed = poisoning.targets(trial.counts, trial.head, rng)
    push = poisoning.push(pushed, trial.counts, NEWCOMER, 3, rng)
    urls = cohorts.load().labels.url
    return trial.learnt([(push.fakes, poisoning.SCALE)]), {urls[int(video)] for video in pushed}


def failed(report: Report) -> set[str]:
    return {check.id for check in report.checks if check.failed}


def test_an_honest_newcomer_is_accepted(trial: Trial, honest: Learnt) -> None:
    for cap, first in ((None, False), (GENEROUS, False), (GENEROUS, True)):
        report = trial.report(honest, cap=cap, first=first)
        assert failed(report) == set(), english(*report.sentences)
        assert report.ok
    compared = {check.id.rsplit("-", 1)[1] for check in report.checks if check.id.startswith("exposure")}
    assert compared == {"local"}
    assert any("no earlier model" in english(warning) for warning in report.warnings)
    both = trial.report(honest)
    assert [gains["against"] for gains in both.gains] == ["local", "month"]
    assert {"viewers-total", "positive-semi-definite"} <= {check.id for check in both.checks if check.ok}
    # 297 own viewers are too few for a decision by their likes, and for small gains to stand out.
    assert {check.id for check in both.checks if check.ok is None} == {"quality", "exposure-local"}
    assert english(*both.sentences) == f"{len(both.checks) - 2} rules hold. 2 could not be checked."


def test_a_scaled_part_is_refused_and_the_report_says_why_and_by_whom(
    trial: Trial, hostile: tuple[Learnt, set[str]]
) -> None:
    learnt, pushed = hostile
    told = trial.report(learnt, cap=GENEROUS).told("quarantined")
    assert told["verdict"] == "quarantined"
    assert told["survivors"] == sorted(learnt.sizes)
    assert all(host in english(*told["sentences"]) for host in learnt.sizes)
    assert told["sums"] == ["one-sum"]
    month = next(gains for gains in told["gains"] if gains["against"] == "month")
    named = {one["url"] for one in month["videos"]}
    assert named & pushed
    bad = {check["id"]: check for check in told["checks"] if check["ok"] is False}
    assert "exposure-risen-month" in bad
    value, bound = (bad["exposure-risen-month"][name] for name in ("value", "bound"))
    assert isinstance(value, float)
    assert isinstance(bound, float)
    assert value > bound
    assert "https://" in english(bad["exposure-risen-month"]["sentence"])
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_true_caps_show_a_scaled_part_without_looking_at_lists(
    trial: Trial, hostile: tuple[Learnt, set[str]]
) -> None:
    report = trial.report(hostile[0])
    assert "viewers-total" in failed(report)
    sentence = next(english(check.sentence) for check in report.checks if check.id == "viewers-total")
    assert f"{sum(hostile[0].sizes.values()):,}" in sentence


def test_a_judgement_is_the_same_again(trial: Trial, honest: Learnt) -> None:
    assert trial.report(honest) == trial.report(honest)


@pytest.mark.parametrize(
    ("observer", "why"), [(2, "videos are in both"), (1, "viewers: too few to tell")], ids=["65", "142"]
)
def test_too_few_own_viewers_are_said_to_be_too_few(honest: Learnt, observer: int, why: str) -> None:
    world = cohorts.load()
    rng = np.random.default_rng(0)
    people = cohorts.split(world, NEWCOMER, 1).five[observer]
    few = cohorts.released(people, Level.DEFAULT, world.features.views, rng)
    report = judge(
        honest.candidate,
        trained(world, few, None),
        None,
        others=honest.others,
        own=few,
        good_enough=None,
        declared=honest.sizes,
        max_videos_per_user=200,
        labels=world.labels,
        settings=Acceptance(),
        seed=0,
        at=0.0,
        survivors=(),
        sums=(),
    )
    assert not [check for check in report.checks if check.id.startswith("exposure")]
    assert any(why in english(warning) for warning in report.warnings)
    assert report.gains == ()


@pytest.mark.parametrize("form", FORMS)
def test_a_stored_model_is_matched_by_address_whatever_its_order(form: Form) -> None:
    model, labels = made_model(form=form), made_labels()
    size = len(labels)
    turned = np.arange(size)[::-1]
    today = Labels.pack(
        uuid=[labels.uuid[int(i)] for i in turned],
        url=[labels.url[int(i)] for i in turned],
        title=[""] * size,
    )
    items = (size - 1 - model.items).astype(np.int32)
    pair = with_month(artefact.in_memory(model, labels), replace(model, items=items), today)
    assert np.array_equal(pair.videos, np.sort(items))
    assert np.array_equal(pair.before.counts, pair.after.counts)
    every = np.arange(len(items))
    before, after = (view.scoring.parts(every, every) for view in (pair.before, pair.after))
    assert np.array_equal(before, after)


def test_what_others_were_not_counted_for_is_no_rise() -> None:
    """A video of an own tail that enters the head brings its other viewers with it, all at once."""
    rng = np.random.default_rng(0)
    size = 200
    before = 20.0 + rng.pareto(1.0, size) * 20
    after = before * 1.2
    summed_before = np.arange(size) >= 20
    before[:20], after[:20] = 6.0, 25.0
    after[20:25] += 300.0
    summed = np.ones(size, np.bool_)
    # Of these only own viewers are known now: that says nothing of a loss.
    summed[150:], after[150:] = False, 3.0
    silent = Factorized(*(np.zeros((size, 1), np.float32),) * 2)
    pair = Pair(
        "month",
        own=False,
        videos=np.arange(size),
        before=View(before, silent),
        after=View(after, silent),
        summed=summed,
        summed_before=summed_before,
        weights=True,
    )
    assert np.flatnonzero(pair.risen(0.0, 0.0)).tolist() == [20, 21, 22, 23, 24]


# -- the admin's word ---------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Config:
    found = load(instance(tmp_path, extra='mode = "consume"'))
    migrate(found.database)
    open_identity(found.identity_file, found.instance.host)
    return found


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    engine = open_checked(config.database)
    repository.save(
        engine, Peer("two.example", "http://127.0.0.1:9", "ed25519:" + "A" * 43 + "=", "approved")
    )
    yield engine
    engine.dispose()


@pytest.fixture
def report(trial: Trial, hostile: tuple[Learnt, set[str]]) -> dict[str, Any]:
    found = trial.report(hostile[0], cap=GENEROUS).told("quarantined")
    return {**found, "survivors": ["two.example"], "sums": ["s0"]}


def waiting(config: Config, engine: Engine, state: State, report: dict[str, Any]) -> None:
    """Store a sum and the model learnt from it, and a local one that serves."""
    round_ = activity.RoundRecord("s0", "aggregator", "one.example", 1.0, survivors=["two.example"])
    activity.save_round(engine, round_)
    nothing = Statistic(np.array([0]), np.array([9]), np.zeros(0, np.int64))
    verdict: sums.Verdict = "awaiting" if state == "awaiting" else "quarantined"
    sums.save(
        engine,
        config.sums_dir,
        round_id="s0",
        urls=("https://one.example/v",),
        counts=nothing.counts,
        triangle=nothing.triangle,
        privacy=EXACT_SUM,
        now=1.0,
        verdict=verdict,
    )
    config.models_dir.mkdir(parents=True, exist_ok=True)
    for name, federated in ((BEFORE, False), (MODEL, True)):
        created = datetime(2026, 11, 20 + (name == MODEL), 10, tzinfo=UTC)
        artefact.save(
            made_model(), config.models_dir / name, labels=made_labels(), provenance={}, created=created
        )
        record = ModelRecord(
            id=name,
            created=created.timestamp(),
            kind="federated" if federated else "local",
            round_id="s0" if federated else None,
            directory=name,
            manifest_sha256="",
            quality={},
            state=state if federated else "current",
            survivors=["two.example"] if federated else [],
            report={**report, "verdict": verdict} if federated else {},
        )
        model_records.save(engine, record)
    current_model.write(config.models_dir, BEFORE)


def verdict_of_sum(engine: Engine) -> str:
    return sums.records(engine)[0].verdict


@pytest.mark.parametrize("state", ["awaiting", "quarantined"])
def test_accepting_lets_a_model_serve_and_is_written_down(
    config: Config, engine: Engine, report: dict[str, Any], state: State
) -> None:
    waiting(config, engine, state, report)
    record = decisions.accept(engine, config, MODEL, 100.0)
    assert current_model.read(config.models_dir) == MODEL
    assert (record.state, record.report["verdict"]) == ("current", "accepted")
    assert record.report["decided"] == {"verdict": "accepted", "at": 100.0, "before": state}
    # What the rules said stays readable.
    assert any(check["ok"] is False for check in record.report["checks"])
    assert verdict_of_sum(engine) == "accepted"
    entry = newest(engine, limit=1, kind=Kind.ACCEPTANCE)[0]
    assert (entry.subject, entry.details["by"], entry.details["survivors"]) == (
        MODEL,
        "admin",
        ["two.example"],
    )
    identity = open_identity(config.identity_file, config.instance.host, create=False)
    assert verify(engine, identity.public).ok
    with pytest.raises(RequestError, match="no decision"):
        decisions.accept(engine, config, MODEL, 101.0)


def test_rejecting_keeps_what_serves(config: Config, engine: Engine, report: dict[str, Any]) -> None:
    waiting(config, engine, "awaiting", report)
    record = decisions.reject(engine, config, MODEL, 100.0)
    assert current_model.read(config.models_dir) == BEFORE
    assert (record.state, record.report["decided"]["before"]) == ("quarantined", "awaiting")
    assert verdict_of_sum(engine) == "quarantined"
    assert newest(engine, limit=1, kind=Kind.ACCEPTANCE)[0].details["verdict"] == "quarantined"


def test_neither_can_what_serves_be_rejected_nor_what_waits_for_nothing_be_accepted(
    config: Config, engine: Engine, report: dict[str, Any]
) -> None:
    waiting(config, engine, "awaiting", report)
    with pytest.raises(RequestError, match="no decision"):
        decisions.accept(engine, config, BEFORE, 1.0)
    with pytest.raises(RequestError, match="this model serves"):
        decisions.reject(engine, config, BEFORE, 1.0)
    for decide in (decisions.accept, decisions.reject):
        with pytest.raises(RequestError, match="no model"):
            decide(engine, config, "nothing", 1.0)


def test_what_was_learnt_from_somebody_taken_out_cannot_be_accepted(
    config: Config, engine: Engine, report: dict[str, Any]
) -> None:
    waiting(config, engine, "quarantined", report)
    peer = repository.read(engine, config).find("two.example")
    assert peer is not None
    repository.save(engine, replace(peer, state="reverted"))
    with pytest.raises(JobError, match=r"two\.example"):
        decisions.accept(engine, config, MODEL, 100.0)
    assert current_model.read(config.models_dir) == BEFORE
    assert verdict_of_sum(engine) == "quarantined"


@pytest.mark.parametrize("columns", [80, 120])
def test_the_command_line_says_why_and_who(
    config: Config, engine: Engine, report: dict[str, Any], tmp_path: Path, columns: int
) -> None:
    waiting(config, engine, "quarantined", report)
    gaining, gone = (video["url"] for video in report["gains"][0]["videos"][:2])
    with writes(engine) as connection:
        row = VideoRow(gaining, "", "A kelp forest")
        connection.execute(insert(Video).values({name: getattr(row, name) for name in VIDEO_COLUMNS}))

    def shoal(*words: str) -> str:
        done = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [*words, "-c", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "shoal models show MODEL" in shoal("models", "list")
    shown = " ".join(shoal("models", "show", MODEL).split())
    assert "Quarantined: it does not serve" in shown
    assert "exposure-risen-month" in shown
    assert "In the sum: two.example (1 member)." in shown
    assert "Could not be checked: how well own viewers' likes are predicted." in shown
    assert "Passed: Could not" not in shown
    # A title as it is today; of what is not public any more, the address that the report keeps.
    assert "video A kelp forest" in shown
    assert gone in shown
    assert f"shoal models accept {MODEL}" in shown
    found = json.loads(shoal("models", "show", MODEL, "-o", "json"))
    assert (found["state"], found["report"]["verdict"]) == ("quarantined", "quarantined")
    accepted = json.loads(shoal("models", "accept", MODEL, "-o", "json"))
    assert (accepted["id"], accepted["state"]) == (MODEL, "current")
    assert "You decided so." in shoal("models", "show", "current")
