"""The command line as people and programs use it: real processes, exit statuses, one JSON object."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from daemon.process.child import python_module
from daemon.process.daemon_lock import find
from models.labels import Labels
from tests.daemon import fake_peertube
from tests.daemon.running_daemon import daemon, instance, put_model, until
from tests.daemon.shoal_command import as_json, shoal
from tests.daemon.small_dataset import write_set
from tests.models.made import made_labels

LABELS = made_labels()


def test_help_appears_at_once_and_explains_exit_statuses() -> None:
    began = time.monotonic()
    done = shoal("--help")
    seconds = time.monotonic() - began
    assert done.returncode == 0
    words = "init run stop sync train sessions models related explain evaluate demo"
    for word in words.split():
        assert f" {word} " in done.stdout
    assert "3 refused by a policy" in " ".join(done.stdout.split())
    # Half a second is the aim; a busy machine gets three times that.
    assert seconds < 1.5


def test_init_asks_the_plugin_and_leaves_a_working_pair(tmp_path: Path) -> None:
    folder = tmp_path / "pair"
    with fake_peertube.peertube(fake_peertube.small_world()) as server:
        address = ("--peertube", server.url, "--secret")
        wrong = shoal("init", folder, *address, "another-secret-0123456789")
        assert (wrong.returncode, wrong.stdout) == (5, "")
        assert "secret" in wrong.stderr
        assert not (folder / "shoal.toml").exists()
        answer = as_json(shoal("init", folder, *address, fake_peertube.SECRET, "-o", "json"))
        assert answer["host"] == fake_peertube.HOST
        assert fake_peertube.SECRET not in json.dumps(answer)
        assert (folder / "shoal.toml").stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in folder.iterdir()) == ["identity.key", "shoal.toml"]
        assert as_json(shoal("sync", "-c", folder, "-o", "json"))["videos"] == 30
        assert as_json(shoal("train", "-c", folder, "-o", "json"))["kind"] == "local"
        seed = fake_peertube.video_uuid(8)
        found = as_json(shoal("related", seed, "-c", folder, "-o", "json"))["videos"]
        # Without a daemon, the command line keeps to the exclusions too.
        server.world.exclusions["videos"] = [found[0]["url"]]
        as_json(shoal("sync", "-c", folder, "-o", "json"))
        after = as_json(shoal("related", seed, "-c", folder, "-o", "json"))["videos"]
        assert found[0]["uuid"] not in {item["uuid"] for item in after}
    gone = shoal("sync", "-c", folder)
    assert gone.returncode == 5
    assert "cannot be reached" in gone.stderr
    both = shoal("init", tmp_path / "x", "--peertube", "http://127.0.0.1:1", "--dataset", tmp_path)
    assert both.returncode == 2


def test_init_writes_a_usable_folder_once(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    answer = as_json(shoal("init", folder, "--host", "one.example", "-o", "json"))
    assert answer["host"] == "one.example"
    assert answer["key"].startswith("ed25519:")
    assert (folder / "identity.key").stat().st_mode & 0o077 == 0
    again = shoal("init", folder)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    refused = shoal("init", tmp_path / "other", "--host", "https://x")
    assert refused.returncode == 2
    assert "instance.host" in refused.stderr
    assert not (tmp_path / "other" / "shoal.toml").exists()


def test_sync_train_and_ask_without_a_daemon(tmp_path: Path) -> None:
    write_set(tmp_path / "dataset")
    config = instance(tmp_path)
    assert as_json(shoal("sync", "-c", config, "-o", "json"))["videos"] == 40
    trained = as_json(shoal("train", "-c", tmp_path, "-o", "json"))
    assert trained["kind"] == "local"
    listed = as_json(shoal("models", "list", "-c", config, "-o", "json"))
    assert [(m["id"], m["current"]) for m in listed] == [(trained["model"], True)]
    found = shoal("related", "title 3 (", "-c", config)
    assert found.returncode == 0, found
    assert "Related to Private title 3 (2003)" in found.stdout
    assert "WHY" in found.stdout
    several = shoal("related", "private", "-c", config)
    assert several.returncode == 2
    assert "40 titles match" in several.stderr
    shown = as_json(shoal("models", "show", "-c", config, "-o", "json"))
    assert shown["provenance"]["host"] == "one.example"
    exported = as_json(shoal("models", "export", tmp_path / "out", "-c", config, "-o", "json"))
    assert set(exported["files"]) == {path.name for path in (tmp_path / "out").iterdir()}
    assert shoal("models", "export", tmp_path / "out", "-c", config).returncode == 2


def test_nothing_but_the_result_reaches_standard_output(tmp_path: Path) -> None:
    config = instance(tmp_path)
    done = shoal("sync", "-c", config)
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    told = shoal("sync", "-c", config, "-o", "json")
    assert told.returncode == 5
    assert json.loads(told.stdout)["code"] == "source"


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (["stop"], 4, "shoal run"),
        (["related", "x"], 4, "shoal train"),
        (["models", "show"], 4, "shoal train"),
        (["models", "list"], 6, "shoal run"),
        (["sessions", "start"], 3, "mode ="),
        (["sync", "--limit"], 2, "No such option"),
    ],
)
def test_exit_statuses_mean_something(tmp_path: Path, words: list[str], status: int, hint: str) -> None:
    done = shoal(*words, "-c", instance(tmp_path))
    assert done.returncode == status, done
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_peers_are_a_refusal(tmp_path: Path) -> None:
    config = instance(tmp_path, extra='mode = "contribute"')
    done = shoal("sessions", "start", "-c", config, "-o", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["code"] == "refused"


def test_a_bad_configuration_is_one_line_per_problem(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").write_text("[listen]\napi_port = 'x'\n")
    done = shoal("sync", cwd=tmp_path)
    assert done.returncode == 2
    assert [line.split(":")[0].removeprefix("Error") for line in done.stderr.splitlines()][:1] == [""]
    assert "listen.api_port" in done.stderr
    assert "instance" in done.stderr


def test_run_serves_until_stop_in_the_very_process_that_was_started(tmp_path: Path) -> None:
    config = instance(tmp_path)
    put_model(tmp_path, "one")
    command, environment = python_module("daemon.cli.main", "run", "-c", str(config))
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: find(tmp_path) is not None)
        running = find(tmp_path)
        assert running is not None
        assert running.pid == process.pid
        assert b"daemon.serve" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        second = shoal("run", "-c", config)
        assert second.returncode == 4
        assert str(process.pid) in second.stderr
        assert as_json(shoal("stop", "-c", config, "-o", "json"))["stopped"] == process.pid
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def test_answers_come_from_the_running_daemon(tmp_path: Path) -> None:
    config = instance(tmp_path)
    put_model(tmp_path, "one")
    with daemon(config) as running:
        answer = as_json(shoal("related", LABELS.uuid[3], "-c", config, "-n", "3", "-o", "json"))
        assert answer["videos"] == running.call(f"/v1/related?video={LABELS.uuid[3]}&limit=3")[1]["videos"]
        why = as_json(
            shoal("explain", LABELS.uuid[3], "--history", LABELS.uuid[4], "-c", config, "-o", "json")
        )
        assert why["model"] == "one"
        assert len(why["by_video"]) == 1
        assert 'route="/v1/explain",status="200"' in running.call("/metrics")[1]
    direct = as_json(shoal("related", LABELS.uuid[3], "-c", config, "-n", "3", "-o", "json"))
    assert direct == answer


def test_titles_cannot_drive_the_terminal(tmp_path: Path) -> None:
    titles = [f"\x1b[2Jcleared {number}\r\x07 [bold]x[/bold]" for number in range(60)]
    labels = Labels.pack(
        uuid=[LABELS.uuid[n] for n in range(60)],
        url=[LABELS.url[n] for n in range(60)],
        title=titles,
        channels=["c"] * 7,
        categories=["c"] * 4,
        languages=["en"] * 3,
    )
    put_model(tmp_path, "one", labels=labels)
    for words in (["related", LABELS.uuid[3]], ["explain", LABELS.uuid[3], "--history", LABELS.uuid[4]]):
        done = shoal(*words, "-c", instance(tmp_path))
        assert done.returncode == 0, done
        assert "\x1b" not in done.stdout
        assert "\r" not in done.stdout
        assert "[bold]x[/bold]" in done.stdout
    assert "\x1b" not in shoal("related", "cleared", "-c", tmp_path).stderr
