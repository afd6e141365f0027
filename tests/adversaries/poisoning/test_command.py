"""The table that the bounds were chosen by: who is counted as refused, and when the command fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policies.privacy import Level
from tests.adversaries.poisoning import __main__ as command
from tests.adversaries.poisoning.trial import Judged

pytestmark = pytest.mark.slow


def judged(case: str, *, generous: tuple[str, ...] = (), refused: tuple[str, ...] = ()) -> Judged:
    return Judged(
        level="none",
        seed=0,
        observer=0,
        newcomer=18,
        case=case,
        refused=refused,
        generous=generous,
        first=(),
        before=0.01,
        after=0.21,
        mean=0.05,
        margins={"exposure-videos-month": 0.5},
        limits={"exposure-videos-month": 0.1},
        unchecked=("local",),
    )


@pytest.mark.parametrize("failing", [False, True])
def test_it_fails_when_somebody_honest_is_refused(
    failing: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    found = [
        judged("honest", generous=("exposure-videos-month",) if failing else ()),
        judged("x20 1+3", generous=("exposure-risen-month",), refused=("viewers-total",)),
        judged("fakes 1+3"),
    ]

    def everything(jobs: list[Any], _data: Path) -> list[Judged]:
        asked.extend(jobs)
        return found

    monkeypatch.setattr(command, "_everything", everything)
    file = tmp_path / "found.json"
    status = command.main(["--seeds", "2", "--attack-seeds", "1", "--levels", "none", "--json", str(file)])
    assert status == int(failing)
    assert len(asked) == 10
    assert {(job[2], job[3]) for job in asked} == {((Level.NONE,), True), ((Level.NONE,), False)}
    shown = capsys.readouterr().out
    assert ("0 of 1" if failing else "1 of 1") in shown
    assert "1 of 1 (1 by totals)" in shown
    assert "local 3 of 3" in shown
    # Refused, an attack leaves what was there; let through, it gains.
    assert [one["guarded"] for one in json.loads(file.read_text())] == [0.01 if failing else 0.21, 0.01, 0.21]
