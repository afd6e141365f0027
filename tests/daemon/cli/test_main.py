"""The command line as people and programs use it: help, exit statuses, one JSON object."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from daemon.cli.command import first_sentence
from daemon.cli.main import COMMANDS, ENTRIES, app
from daemon.process.child import python_module
from daemon.process.daemon_lock import find
from models.labels import Labels
from tests import ROOT
from tests.daemon.running_daemon import daemon, instance, put_model, until
from tests.daemon.shoal_command import process, shoal
from tests.daemon.small_dataset import write_set
from tests.models.made import made_labels

pytestmark = pytest.mark.daemon

LABELS = made_labels()


# Help.


def test_help_names_every_command_and_explains_exit_statuses() -> None:
    done = shoal("--help")
    assert done.returncode == 0
    for title, entries in COMMANDS.items():
        assert f"{title}:" in done.stdout
        for name, entry in entries.items():
            assert f"{name} {first_sentence(entry.help)}" in done.said
    assert "3 refused by a policy" in done.said


def test_help_imports_nothing_that_it_does_not_need() -> None:
    script = (
        "import sys\nfrom daemon.cli.main import main\n"
        "sys.argv = ['shoal', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"aiohttp", "asyncio", "cryptography", "nacl", "numpy", "pydantic", "rich", "sqlalchemy", "torch"}
    assert loaded & heavy == set()
    ours = {name for name in loaded if name.startswith(("daemon.", "federation", "models", "policies"))}
    assert ours <= {
        "daemon.cli",
        "daemon.cli.command",
        "daemon.cli.main",
        "daemon.errors",
        "daemon.own_packages",
        "daemon.process",
        "daemon.process.full_disk",
        "models",
        "models.errors",
    }
    # A third of a second is the aim; a busy machine gets three times that.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_what_help_says_of_a_command_is_what_its_own_help_says() -> None:
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)
    context = click.Context(root)
    for name, entry in ENTRIES.items():
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert first_sentence(command.help or "") == first_sentence(entry.help)
        for inner, below in entry.below.items():
            assert isinstance(command, click.Group)
            found = command.get_command(context, inner)
            assert found is not None
            assert first_sentence(found.help or "") == first_sentence(below.help)


@pytest.mark.parametrize("columns", [80, 120])
def test_every_help_fits_the_terminal_and_explains_arguments(columns: int) -> None:
    def look(words: list[str], command: click.Command) -> None:
        done = shoal(*words, "--help", columns=columns)
        assert done.returncode == 0
        assert all(len(line) <= columns for line in done.stdout.splitlines())
        assert "\\[" not in done.stdout
        arguments = done.stdout.partition("Arguments:")[2].partition("Options:")[0]
        assert "[required]" not in arguments
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                look([*words, name], found)
        for one in command.params:
            assert getattr(one, "help", None), (words, one.name)

    root = typer.main.get_command(app)
    look([], root)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], "There is no command 'trian'. Did you mean 'train'?"),  # codespell:ignore trian
        (["staus"], "There is no command 'staus'."),  # codespell:ignore staus
        (["peers", "revrt"], "Did you mean 'revert'?"),
        (["peers", "aprove"], "Did you mean 'approve' or 'remove'?"),  # codespell:ignore aprove
        (["sync", "--limit"], "No such option"),
    ],
)
def test_a_mistyped_command_is_corrected_once(words: list[str], hint: str) -> None:
    done = shoal(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr
    assert done.stderr.count("Did you mean") <= 1
    assert "--help" in done.stderr or "-h" in done.stderr


# An instance without a daemon.


def test_sync_train_and_ask_without_a_daemon(tmp_path: Path) -> None:
    write_set(tmp_path / "dataset")
    config = instance(tmp_path)
    assert shoal("sync", "-c", config, "-o", "json").json["videos"] == 40
    trained = shoal("train", "-c", tmp_path, "-o", "json").json
    assert trained["kind"] == "local"
    listed = shoal("models", "list", "-c", config, "-o", "json").json
    assert [(m["id"], m["current"]) for m in listed] == [(trained["model"], True)]
    found = shoal("related", "title 3 (", "-c", config)
    assert found.returncode == 0, found
    assert "Related to Private title 3 (2003)" in found.stdout
    assert "WHY" in found.stdout
    several = shoal("related", "private", "-c", config)
    assert several.returncode == 2
    assert "40 titles match" in several.stderr
    shown = shoal("models", "show", "-c", config, "-o", "json").json
    assert shown["provenance"]["host"] == "one.example"
    exported = shoal("models", "export", tmp_path / "out", "-c", config, "-o", "json").json
    assert set(exported["files"]) == {path.name for path in (tmp_path / "out").iterdir()}
    assert shoal("models", "export", tmp_path / "out", "-c", config).returncode == 2
    for_people = shoal("models", "show", trained["model"][:13], "-c", config)
    assert "local, from own viewers only" in for_people.said
    assert "40 in the catalogue" in for_people.said
    assert not set("{}[]'") & set(for_people.stdout)


def test_an_id_may_be_given_by_how_it_begins(tmp_path: Path) -> None:
    for name in ("20260101-a", "20260101-b"):
        put_model(tmp_path, name)
    config = instance(tmp_path)
    for words in (["models", "export", tmp_path / "out", "--model"], ["models", "show"]):
        for beginning, problem in (("2026", '2 models begin with "2026"'), ("x", 'no model begins with "x"')):
            done = shoal(*words, beginning, "-c", config)
            assert (done.returncode, problem in done.stderr) == (2, True), done
            assert "shoal models list" in done.stderr
    assert shoal("models", "export", tmp_path / "out", "--model", "20260101-b", "-c", config).returncode == 0


def test_nothing_but_the_result_reaches_standard_output(tmp_path: Path) -> None:
    config = instance(tmp_path)
    done = shoal("sync", "-c", config)
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    told = shoal("sync", "-c", config, "-o", "json")
    assert (told.returncode, told.json["code"]) == (5, "source")


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (["stop"], 4, "shoal run"),
        (["admin"], 4, "shoal run"),
        (["related", "x"], 4, "shoal train"),
        (["models", "show"], 4, "shoal train"),
        (["models", "list"], 6, "shoal run"),
        (["peers", "list"], 6, "shoal run"),
        (["rounds", "start"], 3, "Choose another mode"),
    ],
)
def test_exit_statuses_mean_something(tmp_path: Path, words: list[str], status: int, hint: str) -> None:
    done = shoal(*words, "-c", instance(tmp_path))
    assert done.returncode == status, done
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_peers_are_a_refusal(tmp_path: Path) -> None:
    config = instance(tmp_path, extra='mode = "contribute"')
    done = shoal("rounds", "start", "-c", config, "-o", "json")
    assert done.returncode == 3
    assert done.json["code"] == "refused"


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


def test_kinds_of_data_take_the_options_of_their_neighbours(tmp_path: Path) -> None:
    with_config = shoal("share", "kinds", "-c", instance(tmp_path))
    assert (with_config.returncode, "Viewers per video" in with_config.stdout) == (0, True)
    assert with_config == shoal("share", "kinds")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["simulate", "--instances", "3"], "--instances"),
        (["simulate", "--loss", "ten"], "--loss"),
        (["simulate", "--level", "user-level"], "--level"),
        (["demo", "--attack", "push", "--serve"], "--attack"),
        (["demo", "--level", "user-level"], "--level"),
        (["evaluate", "--data", "/nope"], "--data"),
        (["evaluate", "--data", ".", "--heads", "--together"], "--together"),
        (["evaluate", "--data", ".", "--together", "--instances", "5"], "--instances"),
        (["evaluate", "--data", ".", "--heads", "--instances", "5"], "exclude each other"),
        (["evaluate", "--data", ".", "--family", "--together"], "--family"),
    ],
)
def test_wrong_arguments_are_noticed_before_the_laboratory_is_loaded(words: list[str], hint: str) -> None:
    known = {name for name in sys.modules if name.startswith("daemon.lab")}
    for name in known:
        sys.modules[f"kept {name}"] = sys.modules.pop(name)
    try:
        done = shoal(*words)
        assert (done.returncode, hint in done.stderr) == (2, True)
        assert not [name for name in sys.modules if name.startswith("daemon.lab")]
    finally:
        for name in known:
            sys.modules[name] = sys.modules.pop(f"kept {name}")


# Processes of their own.


def test_a_bad_configuration_is_one_line_per_problem(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").write_text("[listen]\napi_port = 'x'\n")
    done = process("sync", cwd=tmp_path)
    assert done.returncode == 2
    assert [line.split(":")[0].removeprefix("Error") for line in done.stderr.splitlines()][:1] == [""]
    assert "listen.api_port" in done.stderr
    assert "instance" in done.stderr


def test_run_serves_until_stop_in_the_very_process_that_was_started(tmp_path: Path) -> None:
    config = instance(tmp_path)
    put_model(tmp_path, "one")
    command, environment = python_module("daemon.cli.main", "run", "-c", str(config))
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: find(tmp_path) is not None)
        known = find(tmp_path)
        assert known is not None
        assert known.pid == running.pid
        assert b"daemon.serve" in Path(f"/proc/{running.pid}/cmdline").read_bytes()
        second = shoal("run", "-c", config)
        assert second.returncode == 4
        assert str(running.pid) in second.stderr
        # The process is reaped while `stop` waits for it.
        stopped = process("stop", "-c", config, "-o", "json").json
        assert stopped["stopped"] == running.pid
        assert running.wait(10) == 0
    finally:
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
            running.wait()


def test_answers_come_from_the_running_daemon(tmp_path: Path) -> None:
    config = instance(tmp_path)
    put_model(tmp_path, "one")
    with daemon(config) as running:
        answer = shoal("related", LABELS.uuid[3], "-c", config, "-n", "3", "-o", "json").json
        assert answer["videos"] == running.call(f"/v1/related?video={LABELS.uuid[3]}&limit=3")[1]["videos"]
        why = shoal("explain", LABELS.uuid[3], "--history", LABELS.uuid[4], "-c", config, "-o", "json").json
        assert why["model"] == "one"
        assert set(why) == {"model", "uuid", "url", "by_video", "popularity", "by_feature"}
        assert [set(part) for part in why["by_video"]] == [{"uuid", "share"}]
        assert 'route="/v1/explain",status="200"' in running.call("/metrics", admin=True)[1]
    direct = shoal("related", LABELS.uuid[3], "-c", config, "-n", "3", "-o", "json").json
    assert direct == answer


def test_a_command_prints_no_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path / "dataset")
    config = instance(tmp_path)
    for words in (["sync"], ["train"], ["peers", "add", "127.0.0.1:9"]):
        shoal(*words, "-c", config)
        # What a job writes goes to the file descriptor, past the runner.
        assert "level=" not in capfd.readouterr().err
