"""What the first two tabs of the admin page are told: two numbers, a year, who learns with whom, jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from daemon.config import Config, load
from daemon.identity import open_identity
from daemon.ledger import chain
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.process.live import Live
from daemon.sentences import english, sentence
from daemon.status import jobs, network, quality, timeline
from daemon.status.quality import Trained
from daemon.store import activity, model_records, releases, source_state, traffic, viewer_numbers
from daemon.store.activity import JobRecord, RoundRecord
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from daemon.store.model_records import ERROR, MEASURE, NOT_MEASURED, ModelRecord
from daemon.store.releases import OWN, ReleaseRecord
from daemon.store.rows import Exclusions
from daemon.store.tables import IntroductionRow, Revert, Video
from federation.identity import Identity, format_key
from tests.daemon.running_daemon import instance

NOW = 1_790_000_000.0
DAY = 86400.0
A, B, C = (Identity(f"{name}.example", bytes([n]) * 32) for n, name in enumerate("abc", 1))


@pytest.fixture
def store(tmp_path: Path) -> tuple[Engine, Config]:
    config = load(instance(tmp_path))
    migrate(config.database)
    return open_checked(config.database), config


def model(engine: Engine, name: str, kind: Any, at: float, **measured: float) -> None:
    named = {{"value": MEASURE, "error": ERROR}[key]: value for key, value in measured.items()}
    model_records.save(engine, ModelRecord(name, at, kind, None, name, "", named))


def trained(engine: Engine, **result: Any) -> None:
    activity.save_job(engine, JobRecord("train", NOW - 9, NOW, "done", "", result))


def peer(engine: Engine, identity: Identity, **more: Any) -> None:
    known = Peer(identity.host, "https://x.example", format_key(identity.public.key), since=NOW)
    repository.save(engine, replace(known, **more))


def rounds(engine: Engine, *given: tuple[str, str, float, str, list[str], list[str]]) -> None:
    for number, (role, aggregator, at, outcome, roster, survivors) in enumerate(given):
        activity.save_round(
            engine,
            RoundRecord(f"{number:064}", role, aggregator, at, at + 9, outcome, "", roster, survivors),  # type: ignore[arg-type]
        )


def test_the_newest_model_of_each_kind_has_its_interval(store: tuple[Engine, Config]) -> None:
    engine, _ = store
    model(engine, "old", "local", NOW - 2 * DAY, value=0.3, error=0.1)
    model(engine, "own", "local", NOW - DAY, value=0.2, error=0.01)
    model(engine, "both", "federated", NOW - DAY + 1, value=0.01, error=0.01)
    found = quality.two_numbers(engine, quality.trained(engine))
    assert found["alone"] == {
        "at": NOW - DAY,
        "value": 0.2,
        "low": pytest.approx(0.1804),
        "high": pytest.approx(0.2196),
    }
    together = found["together"]
    assert together is not None
    assert together["low"] == 0, "a share is not negative"
    assert (found["alone_why"], found["together_why"]) == (None, None)


def test_what_was_not_measured_says_why(store: tuple[Engine, Config]) -> None:
    engine, _ = store

    def why() -> tuple[str, str]:
        found = quality.two_numbers(engine, quality.trained(engine))
        assert found["alone"] is found["together"] is None
        assert found["alone_why"]
        assert found["together_why"]
        return english(found["alone_why"]), english(found["together_why"])

    assert "has been trained yet" in why()[0]
    assert "learnt with others yet" in why()[1]
    model(engine, "own", "local", NOW)
    trained(engine, **{NOT_MEASURED: sentence("unmeasuredFew", count=41, least=300)})
    assert "about 41 viewers take part" in why()[0]
    model(engine, "both", "federated", NOW)
    assert "about 41 viewers take part" in why()[1]
    trained(engine)
    assert "hardly any viewer" in why()[0]
    activity.save_job(engine, JobRecord("train", NOW, NOW + 1, "failed", "full", {}))
    assert "last training failed" in why()[0]
    trained(engine, **{NOT_MEASURED: "of another program"})
    assert "hardly any viewer" in why()[0], "what is stored may be anything"


def test_points_pair_a_model_with_the_local_one_of_the_same_training() -> None:
    def one(at: float, kind: Any, value: float | None) -> Trained:
        return Trained(f"{at}", at, kind, "ready", value, None)

    made = [one(1, "local", 0.1), one(2, "local", 0.2), one(3, "federated", 0.3), one(4, "federated", 0.4)]
    points = [(p["at"], p["kind"], p["local"], p["federated"]) for p in quality.over_time(made)]
    assert points == [(1, "local", 0.1, None), (3, "federated", 0.2, 0.3), (4, "federated", None, 0.4)]
    many = quality.over_time([one(n, "local", 0.1) for n in range(1001)])
    assert len(many) <= 400
    assert many[-1]["at"] == 1000
    assert quality.over_time([]) == []


def release(window: str, at: float, aggregator: str, videos: int = 9) -> ReleaseRecord:
    return ReleaseRecord(window, at, aggregator, "", 1.0, 1.0, 1.0, videos, 1, 1)


def test_a_year_has_a_line_for_each_peer(store: tuple[Engine, Config], tmp_path: Path) -> None:
    engine, config = store
    peer(engine, A, state="approved")
    peer(engine, C, state="removed")
    rounds(
        engine,
        ("aggregator", "one.example", NOW - 3 * DAY, "done", [A.host, B.host], [A.host]),
        ("member", A.host, NOW - 2 * DAY, "abandoned", [A.host, "one.example"], []),
        ("member", A.host, NOW - DAY, "waiting", [], []),
        ("member", C.host, NOW - 400 * DAY, "done", [], []),
    )
    for one in (
        release("w1", NOW - DAY / 2, A.host),
        release("w2", NOW - 9, OWN),
        release("w3", NOW, A.host, 0),
    ):
        releases.save(engine, one, tmp_path)
    with writes(engine) as connection:
        connection.execute(insert(Revert), {"at": NOW - 60, "host": B.host, "report": {}})
    for hour in range(5):
        model(engine, f"own {hour}", "local", NOW - 5 * DAY + 3600 * hour / 2)
    identity = open_identity(config.identity_file, config.instance.host)
    details = {"kind": "federated", "quality": None}
    chain.append(engine, identity, Kind.MODEL, "gone", details, now=NOW - 100 * DAY)
    found = timeline.read(engine, config, NOW)
    told = {line["host"]: [(e["what"], e["outcome"]) for e in line["events"]] for line in found["peers"]}
    assert list(told) == [A.host, B.host], "whom nothing is known of and who is no peer is left out"
    assert told[A.host] == [("round", "done"), ("round", "failed"), ("round", "running"), ("window", "given")]
    assert told[B.host] == [("round", "left-out"), ("revert", "reverted")]
    own = [(event["what"], event["outcome"]) for event in found["own"]]
    assert own == [
        ("model", "together"),
        ("model", "alone"),
        ("round", "done"),
        ("revert", "reverted"),
        ("window", "given"),
    ], "models of one day are told once"


def test_viewers_are_counted_once_a_day_for_the_admin(store: tuple[Engine, Config]) -> None:
    engine, config = store
    midnight = NOW - NOW % DAY
    with writes(engine) as connection:
        viewer_numbers.note(connection, now=midnight - 1, viewers=3)
        viewer_numbers.note(connection, now=midnight + 1, viewers=5)
    source_state.checked(engine, Exclusions(), now=midnight + 2, participants=4, closed=False)
    assert timeline.read(engine, config, NOW)["viewers"] == [
        {"day": midnight - DAY, "viewers": 3},
        {"day": midnight, "viewers": 4},
    ]
    assert viewer_numbers.prune(engine, before=midnight) == 1
    assert viewer_numbers.since(engine, 0) == [(midnight, 4)]


def test_who_learns_with_whom_is_what_this_instance_knows(store: tuple[Engine, Config]) -> None:
    engine, config = store
    peer(engine, A, state="approved", theirs="approved")
    peer(engine, B, state="approved", theirs="asked")
    peer(engine, C, state="candidate")
    rounds(
        engine,
        ("aggregator", "one.example", NOW - 3 * DAY, "done", [A.host, B.host], [A.host]),
        ("member", A.host, NOW - 2 * DAY, "done", ["one.example", B.host], ["one.example", B.host]),
        ("member", B.host, NOW - DAY, "failed", ["one.example", A.host], []),
    )
    now = 1_793_500_000.0  # 1 November 2026
    for month, sent in (("2026-11", 5), ("2026-10", 70), ("2026-09", 900)):
        traffic.add(engine, month, A.host, sent, 1)
    key = format_key(C.public.key)
    lists = [(A.host, {C.host: key}), (B.host, {C.host: format_key(A.public.key)})]
    with writes(engine) as connection:
        for introducer, instances in lists:
            row = {
                "introducer": introducer,
                "said": now,
                "until": now + DAY,
                "instances": instances,
                "answered": [],
            }
            connection.execute(insert(IntroductionRow), row)
        video = dict.fromkeys(("title", "channel", "category", "language", "account"), "")
        row = {
            "url": "u",
            "uuid": "u",
            "host": A.host,
            "nsfw": False,
            "views": 1,
            "likes": 1,
            "scope": 1,
            "own": False,
        }
        connection.execute(insert(Video), {**video, **row})
    found = network.read(engine, config, now)
    assert found["month"] == "2026-11"
    peers = {one["host"]: one for one in found["peers"]}
    assert peers[A.host] == {
        "host": A.host,
        "videos": 1,
        "last_round": NOW - 2 * DAY,
        "bytes": 6,
        "bytes_before": 71,
        "vouched_by": [],
    }
    assert peers[C.host]["vouched_by"] == [A.host], "B names it with another key"
    links = {(link["of"], link["to"], link["what"]) for link in found["links"]}
    assert links == {
        ("one.example", A.host, "approved"),
        (A.host, C.host, "introduces"),
        (A.host, "one.example", "learns"),
        ("one.example", A.host, "learns"),
        (B.host, A.host, "learns"),
    }, "failed rounds taught nobody, and what one side approved is no link"


def test_jobs_say_how_they_stand(store: tuple[Engine, Config]) -> None:
    engine, _ = store
    told = {"message": "the disk is full", "advice": "Make room."}
    activity.save_job(engine, JobRecord("prune", NOW - 10, NOW - 8, "done", "", {}))
    activity.save_job(engine, JobRecord("sync", NOW - 5, NOW - 4, "failed", "full", told))
    live = Live(NOW, upcoming={"sync": NOW + 60, "peers": NOW + 5}, running={"train": NOW - 1})
    found = jobs.states(engine, live)
    assert found["alive"]
    assert [one["job"] for one in found["jobs"]] == ["sync", "train", "peers", "prune"]
    sync, train, peers, prune = found["jobs"]
    assert (sync["outcome"], sync["message"], sync["advice"]) == ("failed", told["message"], told["advice"])
    assert (sync["next"], sync["seconds"]) == (NOW + 60, 1)
    assert (train["running"], train["outcome"], train["ended"]) == (NOW - 1, "", None)
    assert (peers["next"], prune["outcome"], prune["next"]) == (NOW + 5, "done", None)
    assert not jobs.states(engine, None)["alive"]
    assert json.dumps(found)
