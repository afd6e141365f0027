"""`shoal peers revert` against a running daemon: what an admin types, sees, and what viewers get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.maintenance import sync
from tests.daemon.instance_with_peer import HOST, OTHERS, Instance, open_instance, tainted
from tests.daemon.running_daemon import daemon, until
from tests.daemon.shoal_command import Done, shoal
from tests.daemon.small_dataset import write_set


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

        report = revert(one, HOST, "-o", "json").json
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


def test_what_cannot_be_taken_out_is_said_in_two_lines(one: Instance) -> None:
    done = revert(one, "nobody.example")
    assert (done.returncode, "nobody.example was never a peer here" in done.stderr) == (2, True)
    done = revert(one, HOST, "--dry-run", "--verify")
    assert (done.returncode, "exclude each other" in done.stderr) == (2, True)
