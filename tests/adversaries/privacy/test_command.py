"""The command runs, prints its table, and takes the levels from where they are defined."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.privacy import PROTECTION, Level
from tests.adversaries.privacy.__main__ import main

pytestmark = pytest.mark.slow


def test_a_quick_run_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "found.json"
    arguments = ["--quick", "--attack", "6", "--levels", "none,default", "--json", str(written)]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    chosen = PROTECTION[Level.DEFAULT]
    assert f"noise {chosen.counts_noise}, {chosen.pairs_noise}" in shown
    assert "honeypot, 1 video" in shown
    assert "NDCG@10 0." in shown
    assert "none: attack 6 wins" in shown
    found = json.loads(written.read_text())
    assert set(found["ndcg10"]) == {"none", "default"}
    assert all(outcome["gain"]["low"] <= outcome["gain"]["value"] for outcome in found["outcomes"])


def test_a_missing_data_set_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "nothing")]) == 1
    assert "--data DIR" in capsys.readouterr().err
