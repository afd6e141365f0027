"""`shoal peers revert` against a running daemon: what an admin types, sees, and what viewers get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.cli import terminal
from daemon.identity import open_identity
from daemon.maintenance import sync
from daemon.peers import repository
from daemon.rounds import head_history
from daemon.rounds.head_history import ReleasedCounts
from daemon.store import sums
from tests.daemon.instance_with_peer import HOST, OTHERS, Instance, open_instance, tainted
from tests.daemon.running_daemon import daemon, until
from tests.daemon.shoal_command import Done, at_terminal, shoal
from tests.daemon.small_dataset import write_set

pytestmark = pytest.mark.daemon


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Instance]:
    with open_instance(tmp_path) as found:
        write_set(found.config.data_dir / "dataset")
        sync.run(found.context())
        yield found


def revert(one: Instance, *words: str) -> Done:
    return shoal("peers", "revert", *words, "--config", one.config.data_dir / "shoal.toml")


def test_the_running_daemon_is_without_the_peer_and_the_admin_sees_what_changed(
    one: Instance, capfd: pytest.CaptureFixture[str]
) -> None:
    _, older, newer = tainted(one)
    video = one.labels().uuid[0]
    with daemon(one.config.data_dir / "shoal.toml") as running:

        def answers() -> Any:
            return running.call(f"/v1/related?video={video}&limit=3")[1]

        assert answers()["model"] == newer
        preview = revert(one, HOST, "--dry-run")
        assert preview.returncode == 0
        assert preview.stdout.startswith("Nothing was changed")
        assert f"would serve {older}" in preview.said
        assert answers()["model"] == newer

        report = revert(one, HOST, "--yes", "-o", "json").json
        # From the order to the moment the daemon's own answers come from another model.
        assert 0 < report["seconds_out_of_service"] < 20
        assert (report["served_before"], report["basis"]) == (newer, "older sum")
        assert report["served_now"] not in (newer, older)
        assert report["proof"].startswith(f"proof: no stored sum or model names {HOST}; served model")
        assert f"of [{', '.join(OTHERS)}]" in report["proof"]
        assert {len(example["before"]) for example in report["changed"]["examples"]} == {10}
        # What the job trained afterwards serves a second later.
        until(lambda: running.call("/health/ready")[1]["model"] == report["served_now"])

        done = revert(one, HOST, "--verify")
        assert (done.returncode, done.stdout.startswith("proof: ")) == (0, True)
        one.model("federated", [*OTHERS, HOST], row=False)
        done = revert(one, HOST, "--verify")
        assert (done.returncode, done.stdout.startswith("not proven: ")) == (5, True)
        assert f"Take it out with: shoal peers revert {HOST}" in done.stderr
        assert "Traceback" not in running.logged()
    # Log lines of the job would come past the runner.
    assert "level=" not in capfd.readouterr().err


def test_it_shows_what_goes_and_asks_before_it_deletes_anything(one: Instance) -> None:
    open_identity(one.config.identity_file, one.config.instance.host)
    _, older, newer = tainted(one)
    everybody = [*OTHERS, HOST]
    one.sum(3, everybody, verdict="quarantined")
    counts = ReleasedCounts("ab" * 32, 1, tuple(everybody), ("https://v.example/1",), np.array([7]))
    head_history.of_peers(one.config).add(counts)
    toml = one.config.data_dir / "shoal.toml"
    refused = at_terminal("peers", "revert", HOST, "-c", toml, answer="n")
    assert refused.returncode == 3, refused.stderr
    assert f"Take out {HOST}? [y/N]" in refused.stderr
    lines = (line.rstrip().split("  ") for line in refused.stdout.splitlines())
    shown = {parts[0]: parts[-1].strip() for parts in lines}
    assert (shown["sums"], shown["models"]) == ("2", "1")
    assert shown["counts that heads are chosen from"] == "1 run"
    assert (shown["serves now"], shown["serves next"]) == (newer, older)
    assert shown["learns from"] == "a sum that it was never in"
    # Five others stay, which is enough.
    assert "a sum needs" not in refused.stdout
    assert one.served() == newer
    assert len(sums.records(one.engine)) == 3
    peer = repository.read(one.engine, one.config).find(HOST)
    assert peer is not None
    assert peer.state == "approved"


@pytest.mark.parametrize("columns", [80, 120])
def test_it_says_beforehand_that_too_few_peers_are_left(
    one: Instance, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.out, "_width", columns)
    open_identity(one.config.identity_file, one.config.instance.host)
    tainted(one)
    for host in OTHERS[:2]:
        peer = repository.read(one.engine, one.config).find(host)
        assert peer is not None
        repository.save(one.engine, replace(peer, state="removed"))
    asked = revert(one, HOST)
    assert asked.returncode == 2
    assert "confirm it with --yes" in asked.stderr
    assert "3 peers stay approved, and a sum needs 4" in asked.said
    assert all(len(line) <= columns for line in asked.stdout.splitlines())
    # A program is asked nothing, and nothing is printed that it would read as a result.
    asked = revert(one, HOST, "-o", "json")
    assert (asked.returncode, asked.json["code"]) == (2, "bad-request")


def test_what_cannot_be_taken_out_is_said_in_two_lines(one: Instance) -> None:
    done = revert(one, "nobody.example")
    assert (done.returncode, "nobody.example was never a peer here" in done.stderr) == (2, True)
    done = revert(one, HOST, "--dry-run", "--verify")
    assert (done.returncode, "exclude each other" in done.stderr) == (2, True)
