"""Settings that the page changes: they hold at once, let nothing out unasked, and no viewer notices."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.config import choices, load
from daemon.ledger import chain
from daemon.process.daemon_lock import find
from daemon.store.engine import open_checked
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import Daemon, daemon, instance, put_model, until
from tests.daemon.small_dataset import write_set
from tests.models.made import made_labels

pytestmark = pytest.mark.daemon

CONTRIBUTE = {"mode": "contribute", "agreed": ["lets_contribute"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    instance(tmp_path, source=write_set(tmp_path / "set"))
    assert run_here("sync", tmp_path / "shoal.toml").ok
    put_model(tmp_path, "first")
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[Daemon]:
    with daemon(folder / "shoal.toml") as found:
        yield found


def ask(running: Daemon, path: str, body: Any = None) -> tuple[int, Any]:
    return running.call(f"/v1/admin/{path}", body=body, admin=True, timeout=120)


def value(running: Daemon, key: str) -> tuple[Any, str]:
    status, found = ask(running, "settings")
    assert status == 200, found
    return next((one["value"], one["origin"]) for one in found["settings"] if one["key"] == key)


def changes(folder: Path) -> list[Any]:
    engine = open_checked(folder / "shoal.db")
    found = [entry.details["changed"] for entry in chain.entries(engine, 0, 100) if entry.kind == "settings"]
    engine.dispose()
    return found


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return bool(address) and probe.connect_ex((host, int(port))) == 0


def at(folder: Path) -> str:
    known = find(folder)
    assert known is not None
    return known.federation


def test_contributing_holds_at_once_after_a_yes_and_across_a_restart(folder: Path, running: Daemon) -> None:
    assert value(running, "mode") == ("off", "default")
    status, answer = ask(running, "settings", {"mode": "contribute"})
    assert (status, answer["code"]) == (409, "unconfirmed")
    assert "how many of your viewers who agreed engaged with it" in answer["message"]
    assert "lets_contribute" in answer["advice"]
    assert not (folder / choices.NAME).exists()
    assert at(folder) == ""

    assert ask(running, "settings", CONTRIBUTE)[0] == 200
    assert value(running, "mode") == ("contribute", "choices.json")
    assert listens(at(folder))
    assert stat.S_IMODE((folder / choices.NAME).stat().st_mode) == 0o600
    assert changes(folder) == [{"mode": ["off", "contribute"]}]
    assert 'message="settings changed" mode=contribute privacy_level=default' in running.logged()
    # What protects more is not asked about, and what protects less is.
    assert ask(running, "settings", {"level": "strict"})[0] == 200
    status, answer = ask(running, "settings", {"level": "default"})
    assert (status, answer["code"]) == (409, "unconfirmed")
    assert load(folder / "shoal.toml", {}).privacy.level == "strict"
    before = at(folder)

    running.process.terminate()
    running.process.wait(15)
    with daemon(folder / "shoal.toml") as again:
        assert value(again, "mode") == ("contribute", "choices.json")
        assert ask(again, "settings", {"mode": "off"})[0] == 200
        assert at(folder) == ""
        assert not listens(before)
    assert changes(folder)[-1] == {"mode": ["contribute", "off"]}


def test_no_request_of_a_viewer_is_refused_meanwhile(folder: Path, running: Daemon) -> None:
    """On connections that stay open, as the plugin's do, and on new ones."""
    label, stop = made_labels().uuid[3], threading.Event()
    answers: list[int] = []

    problems: list[str] = []
    host, _, port = running.running.api.rpartition(":")

    def view(keep: bool) -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        while not stop.is_set():
            try:
                connection.request("GET", f"/v1/related?video={label}&limit=4")
                answer = connection.getresponse()
                answer.read()
                answers.append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                problems.append(repr(error))
                connection.close()

            if not keep:
                connection.close()
            time.sleep(0.005)
        connection.close()

    viewers = [threading.Thread(target=view, args=(keep,)) for keep in (True, False)]
    for one in viewers:
        one.start()
    for order in (
        CONTRIBUTE,
        {"level": "strict"},
        {"discovery": "explore"},
        {"mode": "consume"},
        {"mode": "off"},
    ):
        status, answer = ask(running, "settings", order)
        assert status == 200, answer
    stop.set()
    for one in viewers:
        one.join()
    assert problems == []
    assert len(answers) > 20
    assert set(answers) == {200}
    assert value(running, "serve.discovery") == ("explore", "choices.json")


def test_what_cannot_hold_leaves_everything_as_it_was(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = folder / "shoal.toml"
        port = taken.getsockname()[1]
        path.write_text(path.read_text().replace("federation_port = 0", f"federation_port = {port}"))
        with daemon(path) as running:
            status, answer = ask(running, "settings", CONTRIBUTE)
            assert (status, answer["code"]) == (500, "cannot-listen")
            assert str(port) in answer["message"]
            assert value(running, "mode")[0] == "off"
            assert load(path, {}).mode == "off"
            # Both are on record: that it was chosen, and that it was taken back.
            assert changes(folder) == [{"mode": ["off", "contribute"]}, {"mode": ["contribute", "off"]}]
            assert running.call(f"/v1/related?video={made_labels().uuid[3]}")[0] == 200


def test_a_variable_comes_first_and_a_damaged_file_changes_nothing(folder: Path) -> None:
    with daemon(folder / "shoal.toml", SHOAL_MODE="simulate") as running:
        found = ask(running, "settings")[1]["settings"][0]
        assert (found["value"], found["origin"], found["locked"]) == ("simulate", "SHOAL_MODE", True)
        status, answer = ask(running, "settings", CONTRIBUTE)
        assert (status, answer["code"]) == (403, "refused")
        assert "SHOAL_MODE" in answer["message"]
        (folder / choices.NAME).write_text('{"version": 1, "cho')
        status, answer = ask(running, "settings", {"level": "strict"})
        assert answer["code"] == "bad-configuration"
        assert "choices.json" in answer["message"]
        assert (folder / choices.NAME).read_text() == '{"version": 1, "cho'
        assert changes(folder) == []


def test_jobs_start_from_the_page_or_say_why_not(folder: Path, running: Daemon) -> None:
    def jobs() -> dict[str, Any]:
        return {one["job"]: one for one in ask(running, "start")[1]["jobs"]}

    assert jobs()["round"]["refused"] == {"code": "roundOff", "params": {}}
    assert ask(running, "start", {"job": "round"})[0] == 403
    assert ask(running, "start", {"job": "prune"})[0] == 400
    assert ask(running, "settings", {"mode": "consume"})[0] == 200
    assert jobs()["round"]["refused"] == {"code": "roundPeers", "params": {"count": 4}}
    status, answer = ask(running, "start", {"job": "round"})
    assert (status, answer["code"]) == (403, "refused")
    assert ask(running, "settings", {"mode": "simulate"})[0] == 200
    before = jobs()["sync"]["last"]["at"]
    assert ask(running, "start", {"job": "sync"})[0] == 200
    status, answer = ask(running, "start", {"job": "sync"})
    assert (status, answer["code"]) == (409, "busy")
    until(lambda: jobs()["sync"]["last"]["at"] > before and jobs()["sync"]["running"] is None, 120)
    assert jobs()["sync"]["last"]["sentence"]["code"] == "syncEnded"
    assert ask(running, "start", {"job": "round"})[0] == 200
    until(lambda: jobs()["round"]["last"] is not None, 120)
    last = jobs()["round"]["last"]
    assert (last["ok"], last["sentence"]["code"]) == (True, "roundSimulated")


def test_shared_videos_come_a_page_at_a_time_and_leave_no_file(folder: Path, running: Daemon) -> None:
    status, whole = ask(running, "share/videos?limit=100")
    assert status == 200, whole
    assert whole["total"] == whole["found"] == len(whole["videos"]) > 20
    users = [video["users"] for video in whole["videos"]]
    assert users == sorted(users, reverse=True)
    _status, second = ask(running, "share/videos?limit=10&offset=10")
    assert second["videos"] == whole["videos"][10:20]
    assert second["at"] == whole["at"]
    title = whole["videos"][5]["title"]
    _status, one = ask(running, f"share/videos?q={title.upper().replace(' ', '%20')}")
    assert title in [video["title"] for video in one["videos"]]
    assert one["found"] < whole["total"]
    assert ask(running, "share/videos?q=%22%5C%20users")[1]["found"] == 0
    assert ask(running, "share/videos?offset=100000")[1]["videos"] == []
    assert not [path.name for path in folder.iterdir() if "share" in path.name]
    status, share = ask(running, "share")
    assert "videos" not in share["next"]
    assert share["next"]["total"] == whole["total"]
    assert json.dumps(share).count("title") == 0


def test_levels_come_with_what_they_cost(running: Daemon) -> None:
    status, found = ask(running, "settings/levels")
    assert status == 200, found
    plans = {plan["level"]: plan for plan in found["levels"]}
    assert list(plans) == ["none", "default", "strict", "user-level"]
    assert plans["none"]["epsilon_year"] == "infinite"
    epsilons = [plans[level]["epsilon_year"] for level in ("default", "strict", "user-level")]
    assert epsilons == sorted(epsilons, reverse=True)
    assert all(plan["epsilon_window"] < plan["epsilon_year"] for plan in found["levels"][1:])
    assert found["bytes_month"] > 0
    assert not running.forbidden()
