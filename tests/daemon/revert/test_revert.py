"""Taking a peer out: what serves then, what is deleted, and what the report says."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.errors import JobError, PolicyRefusedError, RequestError
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.peers import commands, repository
from daemon.revert import changed_lists, job, proof, report
from daemon.revert.artifacts import artifacts_of
from daemon.revert.out_of_service import take_out_of_service
from daemon.serve.model_loader import CurrentModel
from daemon.store import model_records, sums
from daemon.store.model_records import State
from daemon.training.deploy import put_into_service
from models import artefact
from models.item_scores import Factorized
from tests.daemon.instance_with_peer import (
    HOST,
    NOW,
    OTHERS,
    VIDEOS,
    Instance,
    open_instance,
    out_of_service,
    tainted,
    take_out,
)
from tests.models.made import made_labels, made_model


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Instance]:
    with open_instance(tmp_path) as found:
        yield found


# -- what serves at once ------------------------------------------------------------------------------------


def test_the_newest_model_that_never_had_the_peer_serves_at_once(one: Instance) -> None:
    _, older, newer = tainted(one)
    one.model("local")
    switch = out_of_service(one)
    assert (switch.before, switch.now, switch.basis) == (newer, older, "older sum")
    assert one.served() == older
    peer = repository.read(one.engine, one.config).find(HOST)
    assert peer is not None
    assert (peer.state, peer.since) == ("reverted", NOW)
    assert repository.read(one.engine, one.config).allowlist().find(HOST) is None


def test_without_such_a_sum_the_local_model_serves(one: Instance) -> None:
    local = one.model("local")
    one.serve(one.model("federated", [*OTHERS, HOST], round_id=one.sum(1, [*OTHERS, HOST])))
    switch = out_of_service(one)
    assert (switch.now, switch.basis) == (local, "local")


@pytest.mark.parametrize("state", ["awaiting", "quarantined", "deleted"])
def test_what_the_admin_has_not_accepted_does_not_begin_to_serve(one: Instance, state: State) -> None:
    local = one.model("local")
    one.serve(one.model("federated", [*OTHERS, HOST], round_id=one.ask(1, [*OTHERS, HOST])))
    one.model("federated", OTHERS, round_id=one.ask(2, OTHERS), state=state)
    assert out_of_service(one).now == local


def test_neither_a_damaged_model_nor_one_of_unknown_origin_nor_one_of_a_removed_peer_serves(
    one: Instance,
) -> None:
    local = one.model("local")
    peer = repository.read(one.engine, one.config).find(OTHERS[0])
    assert peer is not None
    repository.save(one.engine, replace(peer, state="removed"))
    one.model("federated", OTHERS, round_id=one.ask(1, OTHERS))
    one.model("federated", [], round_id=None)
    damaged = one.model("federated", OTHERS[1:], round_id=one.ask(2, OTHERS[1:]))
    one.serve(one.model("federated", [*OTHERS, HOST], round_id=one.ask(3, [*OTHERS, HOST])))
    with (one.config.models_dir / damaged / artefact.MODEL).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    assert out_of_service(one).now == local


def test_a_row_that_forgot_the_peer_does_not_hide_it(one: Instance) -> None:
    local = one.model("local")
    by_round = one.model("federated", OTHERS, round_id=one.ask(1, [*OTHERS, HOST]))
    by_manifest = one.model("federated", [*OTHERS, HOST], round_id=one.ask(2, OTHERS))
    one.serve(by_round)
    assert artifacts_of(one.engine, one.config, HOST).models == (by_manifest, by_round)
    assert out_of_service(one).now == local


def test_what_serves_goes_on_serving_where_the_peer_was_never_in_it(one: Instance) -> None:
    _, older, _ = tainted(one)
    chosen = one.model("local")
    one.serve(chosen)
    switch = out_of_service(one)
    assert (switch.before, switch.now) == (chosen, chosen)
    assert older != chosen


@pytest.mark.asyncio
async def test_with_no_model_left_the_serving_process_drops_the_one_it_has(one: Instance) -> None:
    newer = one.model("federated", [*OTHERS, HOST], round_id=one.ask(1, [*OTHERS, HOST]))
    one.serve(newer)
    current = CurrentModel(one.config.models_dir)
    assert await current.refresh()
    switch = out_of_service(one)
    assert (switch.now, one.served()) == (None, None)
    await current.refresh()
    assert current.loaded is None
    assert "removed" in current.problem
    one.serve(one.model("local"))
    assert await current.refresh()
    assert current.loaded is not None


def test_nobody_can_be_taken_out_who_was_never_there_nor_the_instance_itself(one: Instance) -> None:
    with pytest.raises(RequestError, match=r"never a peer.*"):
        take_out_of_service(one.engine, one.config, "nobody.example", NOW)
    with pytest.raises(RequestError, match="is this instance"):
        take_out_of_service(one.engine, one.config, one.config.instance.host, NOW)
    assert not report.newest_records(one.engine)


def test_a_peer_that_is_no_peer_any_more_can_still_be_taken_out(one: Instance) -> None:
    strangers = ["gone.example", *OTHERS]
    local = one.model("local")
    one.serve(one.model("federated", strangers, round_id=one.sum(1, strangers)))
    switch = take_out_of_service(one.engine, one.config, "gone.example", NOW)
    assert switch.now == local


def test_a_model_trained_meanwhile_from_the_peer_does_not_come_into_service(one: Instance) -> None:
    _, older, _ = tainted(one)
    late = one.model("federated", [*OTHERS, HOST], round_id=one.ask(2, [*OTHERS, HOST]))
    out_of_service(one)
    with pytest.raises(JobError, match="was taken out"):
        put_into_service(one.engine, one.config, late)
    assert one.served() == older


# -- deleting -----------------------------------------------------------------------------------------------


def test_every_sum_and_model_that_had_the_peer_is_deleted_whatever_its_state(one: Instance) -> None:
    local, older, newer = tainted(one)
    everybody = [*OTHERS, HOST]
    waiting = one.model("federated", everybody, round_id=one.ask(3, everybody), state="awaiting")
    refused = one.sum(4, everybody, verdict="quarantined")
    bad = one.model("federated", everybody, round_id=refused, state="quarantined")
    stray = one.model("federated", everybody, row=False)
    (one.config.models_dir / newer / "vectors.bin").write_bytes(b"SHLV")
    (one.config.sums_dir / "half.partial").write_bytes(b"x")
    found = take_out(one)
    assert {record.id for record in model_records.models(one.engine)} == {local, older}
    folders = {path.name for path in one.config.models_dir.iterdir() if path.is_dir()}
    assert folders == {local, older}
    assert [part.survivors for part in sums.records(one.engine)] == [tuple(OTHERS)]
    assert len(list(one.config.sums_dir.iterdir())) == 1
    assert found["deleted"]["models"] == sorted([waiting, bad, stray, newer])
    assert len(found["deleted"]["sums"]) == 2
    assert proof.prove(one.engine, one.config, HOST).holds


def test_other_parts_of_the_same_sums_stay(one: Instance) -> None:
    first, second = OTHERS[:3], [*OTHERS[3:], HOST]
    one.model("local")
    run = one.sum(1, first)
    one.sum(2, second, run=run)
    one.serve(one.model("federated", [*first, *second], round_id=run))
    assert take_out(one)["basis"] == "sub-cohorts"
    assert [part.survivors for part in sums.records(one.engine)] == [tuple(first)]


def test_the_report_compares_lists_exposure_and_quality(one: Instance) -> None:
    _, older, newer = tainted(one)
    found = take_out(one, seconds="1.25")
    assert (found["served_before"], found["served_now"]) == (newer, older)
    assert found["seconds_out_of_service"] == 1.25
    assert found["quality"] == {"before": pytest.approx(0.3), "after": pytest.approx(0.2)}
    changed = found["changed"]
    assert (changed["lists"], changed["of"]) == (VIDEOS, VIDEOS)
    models = [artefact.load(one.config.models_dir / older)]
    lists = [[item.video for item in models[0].related(video, limit=10)] for video in range(VIDEOS)]
    # Of made-up models with few videos; the test below has more.
    expected = sum(any(video % 3 == 0 for video in chosen) for chosen in lists) / VIDEOS
    assert found["exposure"]["after"] == pytest.approx(expected, abs=1e-4)
    example = changed["examples"][0]
    assert example["before"] != example["after"]
    assert len(changed["examples"]) == 10
    # What is kept for good names no title.
    assert "title" not in json.dumps(report.newest_records(one.engine)[0].report)


def test_exposure_is_that_of_made_up_viewers_where_there_are_enough_videos(one: Instance) -> None:
    size = 300
    labels = replace(
        made_labels(size),
        host=(np.arange(size) % 30 > 0).astype(np.int32),
        hosts=hosts_named([HOST, "one.example"]),
    )
    pushed, plain = (artefact.in_memory(made_model(size, size, seed=3), labels) for _ in range(2))
    mine = changed_lists.videos_of(labels, HOST)[pushed.items]
    assert isinstance(pushed.scoring, Factorized)
    pushed.scoring.V[mine] *= 50
    change = changed_lists.changes(pushed, plain, HOST)
    before, after = change.exposure
    assert before > 0.9
    assert 0.05 < after < 0.6
    assert changed_lists.changes(plain, plain, HOST).exposure == (after, after)
    assert changed_lists.changes(plain, None, HOST).exposure[1] == 0.0


def hosts_named(names: list[str]) -> Any:
    return type(made_labels(1).url).pack(names)


def test_titles_are_those_that_are_public_today(one: Instance) -> None:
    example = {"url": "https://a.example/1", "before": ["https://a.example/2"], "after": []}
    shown = report.with_titles(one.engine, {"changed": {"examples": [example]}, "host": HOST})
    assert shown["changed"]["examples"] == [
        {
            "url": "https://a.example/1",
            "title": "",
            "before": [{"url": "https://a.example/2", "title": ""}],
            "after": [],
        }
    ]


def test_a_dry_run_tells_the_same_and_changes_nothing(one: Instance) -> None:
    _, older, newer = tainted(one)
    before = everything(one)
    told = job.run(one.context(host=HOST, dry_run="1"))
    assert everything(one) == before
    assert one.served() == newer
    done = take_out(one)
    same = ("basis", "changed", "exposure", "quality", "deleted", "served_before", "served_now", "limits")
    assert {name: told[name] for name in same} == {name: done[name] for name in same}
    assert (told["dry_run"], told["proof"], told["served_now"]) == (True, "", older)


def everything(one: Instance) -> dict[str, str]:
    """Return a hash of every file, and of what the database says."""
    folder = one.config.data_dir
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("shoal.db")]
    found = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.suffix != ".lock"
    }
    with one.engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    return found | {"database": hashlib.sha256(dump.encode()).hexdigest()}


def test_the_ledger_tells_the_decision_and_what_was_deleted(one: Instance) -> None:
    _, older, newer = tainted(one)
    take_out(one)
    take_out(one)
    entries = [e for e in ledger.entries(one.engine) if e.subject == HOST]
    assert [e.kind for e in entries] == [Kind.PEER_REVERTED, Kind.REVERT, Kind.REVERT]
    (served,) = [e for e in ledger.entries(one.engine) if e.kind == Kind.SERVED]
    assert (served.subject, served.details["survivors"]) == (older, OTHERS)
    details = entries[1].details
    assert details["models"] == [newer]
    assert set(details["manifests"]) == {newer}
    assert (details["served_before"], details["served_now"]) == (newer, older)


def test_approved_again_nothing_of_before_comes_back(one: Instance) -> None:
    _, older, _ = tainted(one)
    out_of_service(one)
    # Approved before everything is deleted, it would be learnt from again.
    with pytest.raises(PolicyRefusedError, match="not deleted yet"):
        commands.approve(one.engine, one.config, HOST, key=None, max_users=None, now=NOW, holds=artifacts_of)
    take_out(one)
    assert (
        commands.approve(
            one.engine, one.config, HOST, key=None, max_users=None, now=NOW, holds=artifacts_of
        ).state
        == "approved"
    )
    assert repository.read(one.engine, one.config).allowlist().find(HOST) is not None
    assert not artifacts_of(one.engine, one.config, HOST)
    assert one.served() == older
    # Taken out a second time, it is a new revert.
    take_out(one)
    assert len(report.newest_records(one.engine, HOST)) == 2
