"""What waits for the admin: when it appears and goes, that each is told once; who is named as suspect."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, insert

from daemon.config import Config, load
from daemon.peers import circle, repository
from daemon.peers.repository import Peer
from daemon.sentences import english
from daemon.serve.admin.notice_watcher import LOGGED_NAME, NoticeLog
from daemon.status.notices import UNREACHABLE_SECONDS, current
from daemon.store import model_records, sums
from daemon.store.activity import RoundRecord, count_refusal, save_round
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from daemon.store.model_records import ModelRecord
from daemon.store.tables import IntroductionRow
from daemon.training.acceptance.suspect_sub_cohorts import suspects
from tests.daemon.running_daemon import instance
from tests.daemon.stored_sums import EXACT_SUM

NOW = 1_800_000_000.0
WINDOW = 28 * 86400.0


@pytest.fixture
def store(tmp_path: Path) -> tuple[Engine, Config]:
    config = load(instance(tmp_path))
    migrate(config.database)
    return open_checked(config.database), config


def kinds(store: tuple[Engine, Config], now: float = NOW) -> list[tuple[str, str]]:
    return [(notice.kind, notice.subject) for notice in current(*store, now)]


def model(engine: Engine, name: str, state: Any, *, at: float, round_: str | None = None) -> None:
    record = ModelRecord(name, at, "federated", round_, name, "", {}, state, ["a.example", "b.example"])
    model_records.save(engine, record)


def stored(
    engine: Engine, config: Config, name: str, verdict: Any, *, at: float, run: str = "", number: int = 0
) -> None:
    hosts = [f"{name[0]}{n}.example" for n in range(2)]
    save_round(engine, RoundRecord(name, "aggregator", "one.example", at, at, "done", "", hosts, hosts))
    sums.save(
        engine,
        config.sums_dir,
        round_id=name,
        urls=("https://v.example/1", "https://v.example/2"),
        counts=np.array([7, 8]),
        triangle=np.array([6]),
        privacy=EXACT_SUM,
        now=at,
        run=run,
        sub_cohort=number,
        verdict=verdict,
    )
    too_much = {"code": "One gains too much.", "params": {}}
    checks = [{"id": "gain", "ok": False, "sentence": too_much}, {"id": "x", "ok": True}]
    sums.set_verdict(engine, [name], verdict, {"sentences": [too_much], "checks": checks})


def test_nothing_waits_on_a_new_instance(store: tuple[Engine, Config]) -> None:
    assert kinds(store) == []


def test_a_request_waits_until_it_is_decided(store: tuple[Engine, Config]) -> None:
    peer = Peer("a.example", theirs="asked", source="asked", since=NOW - 5)
    repository.save(store[0], peer)
    assert kinds(store) == [("peer-request", "a.example")]
    states: list[repository.State] = ["approved", "paused", "removed", "reverted"]
    for state in states:
        repository.save(store[0], replace(peer, state=state))
        assert kinds(store) == []


def test_a_changed_key_waits_only_where_the_old_one_counted(store: tuple[Engine, Config]) -> None:
    peer = Peer("a.example", key="ed25519:x", next_key="ed25519:y")
    expected: list[tuple[repository.State, int]] = [
        ("approved", 1),
        ("paused", 1),
        ("reverted", 0),
        ("candidate", 0),
    ]
    for state, wanted in expected:
        repository.save(store[0], replace(peer, state=state))
        assert len(kinds(store)) == wanted
    # Another key is other news.
    repository.save(store[0], replace(peer, state="approved"))
    first = current(*store, NOW)[0].id
    repository.save(store[0], replace(peer, state="approved", next_key="ed25519:z"))
    assert current(*store, NOW)[0].id != first


def test_who_is_introduced_waits_until_the_admin_saw_it(store: tuple[Engine, Config]) -> None:
    engine, config = store
    keys = {name: "ed25519:" + base64.b64encode(name.encode() * 32).decode() for name in "abcd"}
    for name in "ab":
        repository.save(engine, Peer(f"{name}.example", "https://x", keys[name], "approved"))
    for name in "cd":
        repository.save(engine, Peer(f"{name}.example", "https://x", keys[name], bound=True, source="circle"))

    def introduces(name: str, *named: str) -> None:
        row = {"introducer": f"{name}.example", "said": NOW - 9, "until": NOW + 9, "answered": []}
        row["instances"] = {f"{one}.example": keys[one] for one in named}
        with writes(engine) as connection:
            connection.execute(insert(IntroductionRow), row)

    introduces("a", "c")
    assert [(n.subject, english(*n.sentences)) for n in current(engine, config, NOW)] == [
        ("a.example", "a.example introduces 1 instance.")
    ]
    introduces("b", "c", "d")
    (notice,) = current(engine, config, NOW)
    assert (notice.kind, english(*notice.sentences)) == ("introductions", "Your peers introduce 2 instances.")
    assert kinds(store, NOW + 10) == []
    circle.decide(engine, config, {}, left=["c.example", "d.example"], now=NOW)
    assert kinds(store) == []


def test_silence_is_told_after_a_day_of_trying(store: tuple[Engine, Config]) -> None:
    peer = Peer("a.example", state="approved", seen=NOW - UNREACHABLE_SECONDS - 1)
    repository.save(store[0], peer)
    assert kinds(store) == []
    repository.save(store[0], replace(peer, failures=1))
    assert kinds(store) == [("unreachable", "a.example")]
    assert kinds(store, NOW - 2) == []
    repository.save(store[0], replace(peer, failures=1, state="paused"))
    assert kinds(store) == []


def test_what_was_quarantined_waits_until_something_newer_passes(store: tuple[Engine, Config]) -> None:
    engine, config = store
    stored(engine, config, "a" * 64, "quarantined", at=NOW - 9)
    stored(engine, config, "b" * 64, "quarantined", at=NOW - 8)
    model(engine, "held", "quarantined", at=NOW - 7, round_="b" * 64)
    model(engine, "waits", "awaiting", at=NOW - 6)
    # A sum that has a model is told of by its model.
    assert kinds(store) == [("awaiting", "waits"), ("quarantine", "held"), ("quarantine", "a" * 64)]
    quarantine = current(*store, NOW)[2]
    assert "a0.example and a1.example" in english(*quarantine.sentences)
    assert english(*quarantine.sentences).endswith("One gains too much.")
    stored(engine, config, "c" * 64, "accepted", at=NOW - 5)
    assert kinds(store) == [("awaiting", "waits"), ("quarantine", "held")]
    model(engine, "good", "ready", at=NOW - 4)
    assert kinds(store) == []


def test_a_spent_budget_is_told_as_long_as_it_refuses(store: tuple[Engine, Config]) -> None:
    count_refusal(store[0], "rate-limited", now=NOW)
    assert kinds(store) == []
    count_refusal(store[0], "budget-spent", now=NOW)
    assert kinds(store, NOW + WINDOW) == [("budget", "one.example")]
    assert kinds(store, NOW + 2 * WINDOW) == []


def test_each_is_told_once_across_restarts_and_again_when_it_comes_back(
    store: tuple[Engine, Config], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="daemon.serve.admin.notice_watcher")
    peer = Peer("a.example", theirs="asked", since=NOW)
    repository.save(store[0], peer)

    def told() -> list[tuple[Any, ...]]:
        caplog.clear()
        NoticeLog(tmp_path).write(current(*store, NOW))
        return [(vars(record)["code"], vars(record)["subject"]) for record in caplog.records]

    assert told() == [("peer-request", "a.example")]
    assert told() == []
    repository.save(store[0], replace(peer, state="removed"))
    assert told() == []
    repository.save(store[0], peer)
    assert told() == [("peer-request", "a.example")]
    (tmp_path / LOGGED_NAME).write_text("[nonsense")
    assert told() == [("peer-request", "a.example")]


def test_suspects_are_sub_cohorts_of_what_did_not_pass(store: tuple[Engine, Config]) -> None:
    engine, config = store
    stored(engine, config, "a" * 64, "accepted", at=NOW - 9)
    assert suspects(engine) == []
    stored(engine, config, "b" * 64, "quarantined", at=NOW - 8, run="run", number=2)
    stored(engine, config, "c" * 64, "accepted", at=NOW - 8, run="run", number=1)
    stored(engine, config, "d" * 64, "quarantined", at=NOW - 7)
    alone, run = suspects(engine)
    assert [group["number"] for group in run["sub_cohorts"]] == [1, 2]
    assert [group["members"] for group in run["sub_cohorts"]] == [
        ["c0.example", "c1.example"],
        ["b0.example", "b1.example"],
    ]
    assert run["sub_cohorts"][1]["reasons"] == [{"code": "One gains too much.", "params": {}}]
    assert english(run["sentence"]).startswith("Without sub-cohort 2 the sum passes")
    assert "c0.example" not in english(run["sentence"])
    assert "any of them" in english(alone["sentence"])
    stored(engine, config, "e" * 64, "quarantined", at=NOW - 6, run="both", number=1)
    stored(engine, config, "f" * 64, "quarantined", at=NOW - 6, run="both", number=2)
    assert english(suspects(engine)[0]["sentence"]).startswith("No single sub-cohort")
