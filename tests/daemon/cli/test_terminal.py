"""What commands print with: paragraphs, units, questions, and progress where there is no terminal."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.cli import evaluate_view
from daemon.cli.command import printable
from daemon.cli.terminal import ago, bytes_of, confirm, count, progress_bar, result, utc
from daemon.errors import RequestError
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set


def test_numbers_are_written_with_their_units() -> None:
    assert [bytes_of(number) for number in (0, 160, 1600, 2.5e6, 3e9, 4e12)] == [
        "0 B",
        "160 B",
        "1.6 kB",
        "2.5 MB",
        "3.0 GB",
        "4.0 TB",
    ]
    assert [ago(seconds) for seconds in (-1, 59, 60, 7200, 200_000)] == [
        "0 s ago",
        "59 s ago",
        "1 min ago",
        "2 h ago",
        "2 d ago",
    ]
    assert [count(1, "entry"), count(2, "entry"), count(1000, "video")] == [
        "1 entry",
        "2 entries",
        "1,000 videos",
    ]
    assert utc(0) == "1970-01-01 00:00 UTC"


def test_a_title_cannot_drive_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r\n") == "a\N{REPLACEMENT CHARACTER}[2Jb" + 2 * "\N{REPLACEMENT CHARACTER}"


def test_what_was_not_measured_is_null_in_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass(frozen=True)
    class Report:
        values: tuple[float, ...]
        inner: dict[str, float]

    monkeypatch.setattr("daemon.cli.terminal.human", lambda: False)
    result(Report((1.0, math.nan), {"x": math.inf}), lambda: None)
    assert json.loads(capsys.readouterr().out) == {"values": [1.0, None], "inner": {"x": None}}


def test_nobody_is_asked_where_nobody_is() -> None:
    confirm("Sure?", yes=True)
    with pytest.raises(RequestError) as raised:
        confirm("Sure?", yes=False, advice="Give --yes.")
    assert raised.value.advice == "Give --yes."


def test_progress_is_a_line_now_and_then_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("daemon.cli.terminal.time.monotonic", lambda: now)
    with progress_bar("simulate", every=20.0) as progress, progress_bar("sync") as silent:
        for step in range(7):
            now = 10.0 * step
            progress("10 instances: sums", step / 8)
            silent("reading", step / 8)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "simulate: 10 instances: sums, 25% done after 20 s",
        "simulate: 10 instances: sums, 50% done after 40 s",
        "simulate: 10 instances: sums, 75% done after 60 s",
    ]


def test_an_evaluation_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path)
    monkeypatch.setattr(evaluate_view, "PROGRESS_SECONDS", 1e-9)
    done = shoal("evaluate", "--data", tmp_path)
    assert done.returncode == 0
    assert "A viewer's next videos" in done.stdout
    assert "nan" not in done.stdout
    assert done.stderr.startswith("evaluate: ")
    assert "% done after" in done.stderr
