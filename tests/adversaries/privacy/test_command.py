"""The command runs, prints its table, and takes the levels from where they are defined."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.privacy import PROTECTION, Level
from tests.adversaries.privacy.__main__ import main


def test_a_quick_run_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "found.json"
    arguments = ["--quick", "--attack", "6,8", "--levels", "none,default", "--json", str(written)]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    chosen = PROTECTION[Level.DEFAULT]
    assert f"noise {chosen.counts_noise}, {chosen.pairs_noise}" in shown
    assert "honeypot, 1 video" in shown
    assert "sock puppets, federated, 10 accounts, 21 lists" in shown
    assert "next 0." in shown
    assert "related 0." in shown
    assert "none: attack 6 wins" in shown
    assert "none, 100 users: attack 8 wins by 1 list" in shown
    found = json.loads(written.read_text())
    assert set(found["ndcg10"]) == {"none", "default"}
    measured = [outcome["gain"] for outcome in found["outcomes"] if outcome["targets"]]
    assert measured
    assert all(gain["low"] <= gain["value"] <= gain["high"] for gain in measured)


def test_the_front_has_columns_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--front", "--quick", "--attack", "6", "--levels", "pairs 8,pairs 64"]) == 0
    shown = capsys.readouterr().out
    assert "noise 16, 8" in shown
    assert "noise 16, 64" in shown


@pytest.mark.parametrize("arguments", [["--levels", "loud"], ["--attack", "6,99"]])
def test_what_is_unknown_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "known are" in capsys.readouterr().err


def test_a_missing_data_set_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "nothing")]) == 1
    assert "--data DIR" in capsys.readouterr().err
