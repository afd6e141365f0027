"""What happens next, and why then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daemon.config import Config, load
from daemon.disclosure.waiting import Situation, waiting
from daemon.process.live import Live
from daemon.sentences import english
from daemon.status.next_dates import NextDate, next_dates

NOW = 1_800_000_000.0
DAY = 86400.0
OLD = [NOW - 30 * DAY]


def config(folder: Path, more: str = "", mode: str = "consume") -> Config:
    path = folder / "shoal.toml"
    path.write_text(f'mode = "{mode}"\n[instance]\nhost = "a.example"\n[source]\npath = "."\n{more}')
    return load(path, {})


def found(settings: Config, live: Live | None, **situation: Any) -> list[tuple[str, float | None, str]]:
    known = {"mode": settings.mode, "dates": OLD, "min_age": 7 * DAY, "mutual": 4, "needed": 4, **situation}
    dates = next_dates(settings, live, waiting(Situation(**known), NOW))
    assert all(isinstance(one, NextDate) and one.why for one in dates)
    return [(one.what, one.at, english(*one.why)) for one in dates]


LIVE = Live(NOW - 60, upcoming={"sync": NOW + 600, "round": NOW + 30})


def test_a_running_daemon_has_dates(tmp_path: Path) -> None:
    assert found(config(tmp_path), LIVE) == [
        ("sync", NOW + 600, "Every 6h."),
        ("training", NOW + 600, "After the sync."),
        ("round", NOW + 30, "Nothing else is missing."),
    ]


def test_a_stopped_one_has_none_and_says_so(tmp_path: Path) -> None:
    assert {at for _, at, _ in found(config(tmp_path), None)} == {None}
    assert {cause for _, _, cause in found(config(tmp_path), None)} == {"No daemon runs."}


def test_a_data_window_and_videos_have_their_own_dates(tmp_path: Path) -> None:
    later = NOW + 3 * DAY
    live = Live(NOW, upcoming={"sync": NOW + 1, "round": later})
    dates = found(config(tmp_path), live, next_at=later)
    assert [(what, at) for what, at, _ in dates[2:]] == [("window", later), ("round", later)]
    assert "The peers gave their sum" in dates[2][2]
    young = found(config(tmp_path), live, dates=[NOW - DAY])
    assert young[2][:2] == ("window", NOW + 6 * DAY)


def test_what_waits_for_a_person_has_no_date(tmp_path: Path) -> None:
    [*_, round_] = found(config(tmp_path), LIVE, mutual=1)
    assert round_ == ("round", None, "3 of 4 approvals are missing.")


def test_settings_are_named(tmp_path: Path) -> None:
    by_hand = found(config(tmp_path, "[schedule]\nenabled = false\n"), LIVE, scheduled=False)
    assert "schedule.enabled" in by_hand[0][2]
    no_training = found(config(tmp_path, "[schedule]\ntrain_after_sync = false\n"), LIVE)
    assert no_training[1][1] is None
    assert "train_after_sync" in no_training[1][2]


def test_who_asks_nobody_has_no_rounds(tmp_path: Path) -> None:
    assert [what for what, _, _ in found(config(tmp_path, mode="off"), LIVE)] == ["sync", "training"]
