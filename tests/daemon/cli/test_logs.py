"""`shoal logs`, and the file that the daemon and its jobs write together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import log
from daemon.config import load
from daemon.process.child import python_module
from tests.daemon.running_daemon import daemon, instance, until
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set

_WRITER = """
import logging, sys
from pathlib import Path
from daemon import log
log.FILE_BYTES = int(sys.argv[3])
handler = log.RotatedFile(Path(sys.argv[1]))
handler.setFormatter(log.TextFormatter())
logging.getLogger("test").addHandler(handler)
logging.getLogger("test").setLevel("INFO")
for number in range(int(sys.argv[4])):
    logging.getLogger("test").info("line", extra={"of": sys.argv[2], "number": number})
"""


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[log.RotatedFile]:
    made = log.RotatedFile(tmp_path)
    made.setFormatter(log.TextFormatter())
    yield made
    made.close()


def say(handler: log.RotatedFile, message: str, **extra: object) -> None:
    handler.emit(logging.getLogger("t").makeRecord("t", logging.INFO, "f", 1, message, (), None, extra=extra))


@pytest.mark.daemon
def test_what_the_running_daemon_and_its_jobs_log_is_there_for_its_owner_alone(tmp_path: Path) -> None:
    config = instance(tmp_path / "one")
    write_set(tmp_path / "one" / "dataset")
    with daemon(config):
        folder = load(config).log_dir
        until(lambda: any("message=serving" in one for one in log.tail(folder, 9)))
        # A job of the daemon's writes to the same file.
        done = shoal("train", "-c", config)
        assert done.returncode == 5
        shown = shoal("logs", "-c", config)
        assert "message=serving" in shown.stdout
        assert shoal("logs", "-n", "1", "-c", config, "-o", "json").json["lines"] == log.tail(folder, 1)
    assert stat.S_IMODE((folder / log.FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "message=stopping" in shoal("logs", "-c", config).stdout


@pytest.mark.daemon
def test_follow_shows_what_comes_also_when_the_file_is_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = instance(tmp_path / "one")
    handler = log.RotatedFile(load(config).log_dir)
    handler.setFormatter(log.TextFormatter())
    say(handler, "before")
    command, environment = python_module("daemon.cli.main", "logs", "-f", "-n", "1", "-c", str(config))
    shown = tmp_path / "shown"
    with shown.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.PIPE)
    try:
        until(lambda: "before" in shown.read_text())
        monkeypatch.setattr(log, "FILE_BYTES", 150)
        for number in range(6):
            say(handler, f"after-{number}")
            until(lambda number=number: f"after-{number}" in shown.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        handler.close()
    assert process.returncode == 130
    assert len(log.files(load(config).log_dir)) >= 3
    assert len(shown.read_text().splitlines()) == 7


def test_several_processes_fill_it_and_no_line_is_lost_or_cut(tmp_path: Path) -> None:
    """Three processes move the file away about twice a second, within the number of files that are kept."""
    lines, size = 250, 30_000
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), name, str(size), str(lines)])
        for name in "abc"
    ]
    assert [process.wait(60) for process in writers] == [0, 0, 0]
    assert len(log.files(tmp_path)) >= 2
    found = log.tail(tmp_path, 10_000)
    for name in "abc":
        mine = [one for one in found if f" of={name} " in one]
        assert [int(one.rpartition("=")[2]) for one in mine] == list(range(lines))


def test_it_is_bounded_and_its_end_goes_across_files(
    handler: log.RotatedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "FILE_BYTES", 500)
    for number in range(200):
        say(handler, "something happened", number=number)
    assert len(log.files(tmp_path)) == log.OLDER_FILES + 1
    assert sum(path.stat().st_size for path in log.files(tmp_path)) < (log.OLDER_FILES + 1) * 700
    numbers = [int(one.rpartition("=")[2]) for one in log.tail(tmp_path, 9)]
    assert numbers == list(range(191, 200))
    assert log.tail(tmp_path, 0) == []
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in log.files(tmp_path))


@pytest.mark.parametrize("why", ["disk full", "not a file"])
def test_a_file_that_cannot_be_written_costs_its_lines_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], why: str
) -> None:
    handler = log.RotatedFile(tmp_path)
    assert handler.stream is not None
    if why == "disk full":
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, handler.stream.fileno())
        os.close(full)
    else:
        (tmp_path / log.FILE_NAME).unlink()
        (tmp_path / log.FILE_NAME).mkdir()
    say(handler, "alice watched a video")
    with contextlib.suppress(OSError):
        handler.close()
    # What logging itself prints about an error quotes the line as it is.
    assert capfd.readouterr().err == ""


def test_before_the_first_line_it_says_so_and_follow_is_for_people(tmp_path: Path) -> None:
    config = instance(tmp_path / "one")
    done = shoal("logs", "-c", config)
    assert (done.returncode, done.stdout, "shoal run" in done.stderr) == (0, "", True)
    done = shoal("logs", "--follow", "-c", config, "-o", "json")
    assert (done.returncode, done.json["code"]) == (2, "bad-request")
