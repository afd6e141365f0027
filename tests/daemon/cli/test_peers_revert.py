"""`shoal peers revert` against a running daemon: what an admin types, sees, and what viewers get."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.maintenance import sync
from daemon.process.child import python_module
from tests.daemon.instance_with_peer import HOST, OTHERS, Instance, open_instance, tainted
from tests.daemon.running_daemon import daemon, until
from tests.daemon.small_dataset import write_set


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Instance]:
    with open_instance(tmp_path) as found:
        write_set(found.config.data_dir / "dataset")
        sync.run(found.context())
        yield found


def shoal(one: Instance, *words: str) -> tuple[int, str, str]:
    environment = python_module("x")[1]
    config_file = one.config.data_dir / "shoal.toml"
    command = [sys.executable, "-m", "daemon.cli.main", *words, "--config", str(config_file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_running_daemon_is_without_the_peer_and_the_admin_sees_what_changed(one: Instance) -> None:
    _, older, newer = tainted(one)
    video = one.labels().uuid[0]
    with daemon(one.config.data_dir / "shoal.toml") as running:

        def answers() -> Any:
            return running.call(f"/v1/related?video={video}&limit=3")[1]

        assert answers()["model"] == newer
        status, preview, _ = shoal(one, "peers", "revert", HOST, "--dry-run")
        assert status == 0
        assert preview.startswith("Nothing was changed")
        assert f"would serve                    {older}" in preview
        assert answers()["model"] == newer

        status, said, errors = shoal(one, "peers", "revert", HOST, "-o", "json")
        assert status == 0, errors
        report = json.loads(said)
        # From the order to the moment the daemon's own answers come from another model.
        assert 0 < report["seconds_out_of_service"] < 20
        assert (report["served_before"], report["basis"]) == (newer, "older sum")
        assert report["served_now"] not in (newer, older)
        assert report["proof"].startswith(f"proof: no stored sum or model names {HOST}; served model")
        assert f"of [{', '.join(OTHERS)}]" in report["proof"]
        assert {len(example["before"]) for example in report["changed"]["examples"]} == {10}
        # What the job trained afterwards serves a second later.
        until(lambda: running.call("/health/ready")[1]["model"] == report["served_now"])

        status, said, _ = shoal(one, "peers", "revert", HOST, "--verify")
        assert (status, said.startswith("proof: ")) == (0, True)
        one.model("federated", [*OTHERS, HOST], row=False)
        status, said, errors = shoal(one, "peers", "revert", HOST, "--verify")
        assert (status, said.startswith("not proven: ")) == (5, True)
        assert f"Take it out with: shoal peers revert {HOST}" in errors
        assert "Traceback" not in running.logged()


def test_what_cannot_be_taken_out_is_said_in_two_lines(one: Instance) -> None:
    status, _, errors = shoal(one, "peers", "revert", "nobody.example")
    assert (status, "nobody.example was never a peer here" in errors) == (2, True)
    status, _, errors = shoal(one, "peers", "revert", HOST, "--dry-run", "--verify")
    assert (status, "exclude each other" in errors) == (2, True)
