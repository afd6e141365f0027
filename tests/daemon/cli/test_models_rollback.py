"""`shoal models rollback`: which model comes back, which never does, and what is said about the next one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.cli import terminal
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, newest
from daemon.ledger.messages import in_english as sentence
from daemon.peers import repository
from daemon.store import model_records, sums, withdrawn
from daemon.training import sum_selection
from daemon.training.deploy import put_into_service
from models import artefact
from tests.daemon.instance_with_peer import HOST, NOW, OTHERS, Instance, open_instance, out_of_service
from tests.daemon.running_daemon import daemon, until
from tests.daemon.shoal_command import Done, shoal

pytestmark = pytest.mark.daemon


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Instance]:
    with open_instance(tmp_path) as found:
        open_identity(found.config.identity_file, found.config.instance.host)
        yield found


def models(one: Instance, *words: str) -> Done:
    return shoal("models", *words, "--config", one.config.data_dir / "shoal.toml")


def served_one_after_the_other(one: Instance, survivors: tuple[list[str], ...]) -> list[str]:
    """Train and serve a model from a sum of its own for each of these; the local ones never serve."""
    names = []
    for number, hosts in enumerate(survivors):
        one.model("local")
        round_id = one.sum(number, hosts)
        name = one.model("federated", hosts, round_id=round_id)
        model_records.set_report(one.engine, name, {"sums": [round_id], "verdict": "accepted"})
        put_into_service(one.engine, one.config, name)
        names.append(name)
    return names


def test_it_goes_back_one_by_one_and_the_running_daemon_follows(one: Instance) -> None:
    first, second, third = served_one_after_the_other(one, (OTHERS, OTHERS[1:], OTHERS[2:]))
    video = one.labels().uuid[0]
    with daemon(one.config.data_dir / "shoal.toml") as running:

        def answers() -> str:
            return str(running.call(f"/v1/related?video={video}&limit=3")[1]["model"])

        assert answers() == third
        found = models(one, "rollback", "-o", "json").json
        assert (found["before"], found["model"], found["daemon_follows"]) == (third, second, True)
        assert answers() == second
        # Not to what was just left: whoever goes back twice wants the one before.
        assert models(one, "rollback", "-o", "json").json["model"] == first
        assert models(one, "rollback").returncode == 4
        # By name it goes anywhere, forward as well.
        assert models(one, "rollback", third).returncode == 0
        until(lambda: answers() == third)
    entry = newest(one.engine, 1, kind=Kind.SERVED)[0]
    assert sentence(entry) == f"Model {third} now serves. Reason: the admin went back to it."


def test_neither_a_reverted_nor_a_removed_peer_comes_back(one: Instance) -> None:
    clean, removed, reverted, last = served_one_after_the_other(
        one, (OTHERS[2:], OTHERS[1:], [*OTHERS[2:], HOST], OTHERS[2:])
    )
    peer = repository.read(one.engine, one.config).find(OTHERS[1])
    assert peer is not None
    repository.save(one.engine, replace(peer, state="removed"))
    # Blocked, as when the rest of a revert was interrupted: its models are still there.
    out_of_service(one)
    assert one.served() == last
    for name, host in ((removed, OTHERS[1]), (reverted, HOST)):
        done = models(one, "rollback", name)
        assert (done.returncode, f"learnt from {host}" in done.stderr) == (5, True)
        assert one.served() == last
    done = models(one, "rollback", "-o", "json").json
    assert done["model"] == clean
    assert models(one, "rollback").returncode == 4


@pytest.mark.parametrize("hidden", ["row", "round", "manifest"])
def test_a_peer_counts_whoever_of_row_round_and_manifest_names_it(one: Instance, hidden: str) -> None:
    everybody = [*OTHERS, HOST]
    by = {name: everybody if name == hidden else OTHERS for name in ("row", "round", "manifest")}
    name = one.model("federated", by["manifest"], round_id=one.sum(1, by["round"]))
    record = next(record for record in model_records.models(one.engine) if record.id == name)
    model_records.forget(one.engine, [name])
    model_records.save(one.engine, replace(record, survivors=by["row"]))
    one.serve(one.model("local"))
    out_of_service(one)
    done = models(one, "rollback", name)
    assert (done.returncode, f"learnt from {HOST}" in done.stderr) == (5, True)


def test_nor_does_a_viewer_who_withdrew(one: Instance) -> None:
    old, new = one.model("local"), one.model("local")
    for record in model_records.models(one.engine):
        model_records.forget(one.engine, [record.id])
        model_records.save(one.engine, replace(record, drawn=NOW))
    for name in (old, new):
        put_into_service(one.engine, one.config, name)
    withdrawn.note(one.config.windows_dir, NOW + 1)
    for words in ((), (old,)):
        done = models(one, "rollback", *words)
        assert "somebody withdrew" in done.stderr
        assert one.served() == new


def test_what_waits_or_is_damaged_or_serves_is_refused_with_the_way_out(one: Instance) -> None:
    damaged, last = served_one_after_the_other(one, (OTHERS, OTHERS))
    with (one.config.models_dir / damaged / artefact.MODEL).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    waits = one.model("federated", OTHERS, round_id=one.sum(7, OTHERS), state="awaiting")
    for words, status, said in (
        ((), 4, "files are damaged"),
        ((damaged,), 4, "files of model"),
        ((waits,), 2, f"shoal models accept {waits}"),
        ((last,), 2, "serves already"),
        (("nothing",), 2, "shoal models list"),
    ):
        done = models(one, "rollback", *words)
        assert (done.returncode, said in done.stderr) == (status, True), done
        assert one.served() == last


@pytest.mark.parametrize("columns", [80, 120])
def test_it_says_what_the_next_training_does_and_how_to_keep_a_sum_out_of_it(
    one: Instance, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "_width", columns)
    old, new = served_one_after_the_other(one, (OTHERS, [*OTHERS, HOST]))
    done = models(one, "rollback")
    assert f"{old} serves again" in done.stdout
    assert "puts a new model into service: when you run shoal train" in done.said
    assert "It learns again from 1 sum that this model does not hold" in done.said
    assert f"shoal models reject {new}" in done.said
    assert all(len(line) <= columns for line in done.stdout.splitlines())

    def next_sums() -> set[str]:
        book = repository.read(one.engine, one.config)
        return {
            host
            for part in sum_selection.choose(sums.records(one.engine), book).accepted
            for host in part.survivors
        }

    assert next_sums() == {*OTHERS, HOST}
    assert models(one, "reject", new).returncode == 0
    assert next_sums() == set(OTHERS)
    assert one.served() == old
    assert models(one, "accept", new).returncode == 0
    assert (next_sums(), one.served()) == ({*OTHERS, HOST}, new)
