"""`shoal init`: one code is enough, nothing is written that does not work, and never half of it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from daemon.cli.new_folder import new_folder
from daemon.config import PeerTubeSource, load
from daemon.errors import RequestError
from daemon.process.child import python_module
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import PeerTube, pairing_code, peertube, small_world
from tests.daemon.running_daemon import until
from tests.daemon.shoal_command import shoal

pytestmark = pytest.mark.daemon

WHOLE = ["identity.fresh", "identity.key", "shoal.toml"]


@pytest.fixture
def server() -> Iterator[PeerTube]:
    with peertube(small_world()) as running:
        yield running


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_code_is_enough_and_leaves_a_working_pair(tmp_path: Path, server: PeerTube) -> None:
    folder = tmp_path / "pair"
    code = pairing_code(server.url)
    answer = shoal("init", folder, "--pair", "-", "-o", "json", typed=f"{code[:50]}\n{code[50:]}\n").json
    assert answer["host"] == pt.HOST
    assert (answer["follows"], answer["participants"]) == (1, 40)
    assert answer["peertube"] == {
        "url": server.url,
        "version": "7.2.1",
        "plugin": pt.PLUGIN,
        "name": "Ones & Others",
    }
    assert pt.SECRET not in str(answer)
    assert names(folder) == WHOLE
    assert (folder / "shoal.toml").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    source = load(folder, {}).source
    assert isinstance(source, PeerTubeSource)
    assert (source.url, source.secret.get_secret_value()) == (server.url, pt.SECRET)
    assert shoal("sync", "-c", folder, "-o", "json").json["videos"] == 30
    assert shoal("train", "-c", folder, "-o", "json").json["kind"] == "local"
    seed = pt.video_uuid(8)
    found = shoal("related", seed, "-c", folder, "-o", "json").json["videos"]
    # Without a daemon, the command line keeps to the exclusions too.
    server.world.exclusions["videos"] = [found[0]["url"]]
    assert shoal("sync", "-c", folder, "-o", "json").returncode == 0
    after = shoal("related", seed, "-c", folder, "-o", "json").json["videos"]
    assert found[0]["uuid"] not in {item["uuid"] for item in after}


def test_what_people_read_fits_and_holds_no_secret(tmp_path: Path, server: PeerTube) -> None:
    for columns in (80, 120):
        folder = tmp_path / str(columns)
        done = shoal("init", folder, "--pair", pairing_code(server.url), columns=columns)
        assert done.returncode == 0, done
        assert f"PeerTube 7.2.1 answers at {server.url}" in done.said
        assert "Ones & Others follows 1 instance; 40 viewers take part so far." in done.said
        assert f"Next: shoal run -c {folder}" in done.said
        assert pt.SECRET not in done.stdout + done.stderr


def test_the_code_is_asked_for_and_not_shown(tmp_path: Path, server: PeerTube) -> None:
    folder = tmp_path / "asked"
    code = pairing_code(server.url)
    command, environment = python_module("daemon.cli.main", "init", str(folder))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        seen = ""
        while "Pairing code:" not in seen:
            seen += read(ours)
        os.write(ours, f"{code}\n".encode())
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            text = read(ours)
            if not text and process.poll() is not None:
                break
            seen += text
    os.close(ours)
    assert process.returncode == 0, seen
    assert names(folder) == WHOLE
    assert code not in seen
    assert pt.SECRET not in seen


def read(terminal: int) -> str:
    if not select.select([terminal], [], [], 0.1)[0]:
        return ""
    try:
        return os.read(terminal, 10_000).decode()
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("what", "said", "advice"),
    [
        ("secret", "does not accept", "Copy the pairing code again"),
        ("missing", "no Shoal plugin", "Install peertube-plugin-shoal"),
        ("stopped", "did not start", "restart PeerTube"),
        ("old", "older than this daemon", "Update the plugin"),
        ("down", "nothing answers", "--peertube http://127.0.0.1:9000"),
        ("follows", "api/v1/server/following", "PeerTube's log"),
    ],
)
def test_what_is_wrong_is_said_with_the_next_step_and_leaves_nothing(
    tmp_path: Path, server: PeerTube, what: str, said: str, advice: str
) -> None:
    async def fails(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    url, secret = server.url, pt.SECRET
    if what == "secret":
        secret = "another-secret-0123456789"
    elif what == "missing":
        server.plugin = None
    elif what == "stopped":
        server.started = False
    elif what == "old":
        server.plugin = "0.0.1"
    elif what == "down":
        url = "http://127.0.0.1:1"
    else:
        server.faults["following"] = fails
    folder = tmp_path / "new"
    done = shoal("init", folder, "--pair", pairing_code(url, secret))
    assert (done.returncode, done.stdout) == (5, "")
    stderr = " ".join(done.stderr.split())
    assert said in stderr
    assert advice in stderr
    assert secret not in stderr
    assert list(tmp_path.iterdir()) == []


def test_the_second_address_of_a_code_is_tried_and_an_option_replaces_both(
    tmp_path: Path, server: PeerTube
) -> None:
    code = pairing_code(f"http://127.0.0.1:1 {server.url}")
    assert shoal("init", tmp_path / "a", "--pair", code, "-o", "json").json["peertube"]["url"] == server.url
    elsewhere = pairing_code("http://127.0.0.1:1")
    option = ("--peertube", server.url + "/")
    assert shoal("init", tmp_path / "b", "--pair", elsewhere, *option, "-o", "json").json["host"] == pt.HOST
    nowhere = shoal("init", tmp_path / "c", "--pair", pairing_code("http://127.0.0.1:1 http://127.0.0.1:2"))
    assert "also tried: http://127.0.0.1:2" in " ".join(nowhere.stderr.split())


def test_a_wrong_clock_is_said_and_stops_nobody(tmp_path: Path, server: PeerTube) -> None:
    async def yesterday(_request: web.Request) -> web.Response:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 86_400))
        return web.json_response(server.config(), headers={"Date": date})

    server.faults["config"] = yesterday
    done = shoal("init", tmp_path / "new", "--pair", pairing_code(server.url))
    assert done.returncode == 0
    assert "PeerTube's clock is 1 day behind" in done.stderr


def test_a_data_set_makes_a_usable_folder_once(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    answer = shoal("init", folder, "--host", "one.example", "-o", "json").json
    assert answer["host"] == "one.example"
    assert answer["key"].startswith("ed25519:")
    assert (folder / "identity.key").stat().st_mode & 0o077 == 0
    before = (folder / "identity.key").read_bytes()
    again = shoal("init", folder, "--host", "one.example")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    (folder / "shoal.toml").unlink()
    (folder / "shoal.db").touch()
    lost = shoal("init", folder, "--host", "one.example")
    assert "no shoal.toml" in lost.stderr
    assert (folder / "identity.key").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        # Never a placeholder that would be wrong for everybody.
        ([], "--pair -"),
        (["--data", "."], "Give --host"),
        (["--host", "https://x"], "--host: "),
        (["--host", "one.example", "--data", "/nope"], "--data"),
        (["--pair", "nonsense"], "no pairing code"),
        (["--pair", pairing_code("http://127.0.0.1:1")[:-3]], "a part of the pairing code is missing"),
        (["--pair", pairing_code("http://127.0.0.1:1"), "--peertube", "ftp://x"], "--peertube: "),
        (["--peertube", "http://127.0.0.1:1", "--data", "."], "--peertube excludes"),
        (["--host", "one.example", "--pair", "x"], "--pair excludes"),
        (["--secret", "s" * 20], "No such option"),
    ],
)
def test_the_option_that_is_wrong_is_named_and_no_folder_made(
    tmp_path: Path, words: list[str], hint: str
) -> None:
    folder = tmp_path / "new"
    done = shoal("init", folder, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr
    assert "draft" not in done.stderr
    assert not folder.exists()


# The folder.


def put(folder: Path, *files: str, error: type[BaseException] | None = None) -> None:
    with new_folder(folder, last="z") as draft:
        for name in files:
            (draft / name).touch()
        if error is not None:
            raise error


@pytest.mark.parametrize("exists", [False, True])
def test_an_existing_empty_folder_is_filled_and_what_else_is_in_it_stays(
    tmp_path: Path, *, exists: bool
) -> None:
    folder = tmp_path / "new"
    if exists:
        folder.mkdir()
        (folder / "lost+found").mkdir()
    assert shoal("init", folder, "--host", "one.example", "-o", "json").returncode == 0
    assert names(folder) == [*WHOLE[:2], *(["lost+found"] if exists else []), "shoal.toml"]
    assert names(tmp_path) == ["new"]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_after_an_error_everything_is_as_before(
    tmp_path: Path, error: type[BaseException], *, exists: bool
) -> None:
    folder = tmp_path / "new"
    if exists:
        folder.mkdir()
    with pytest.raises(error):
        put(folder, "a", error=error)
    assert names(tmp_path) == (["new"] if exists else [])
    assert not exists or names(folder) == []


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "identity.key").write_text("of somebody")
    with pytest.raises(RequestError):
        put(tmp_path, "a", "identity.key", "z")
    assert names(tmp_path) == ["identity.key"]
    assert (tmp_path / "identity.key").read_text() == "of somebody"


_SLOW = """
import sys, time
from pathlib import Path
from daemon.cli import new_folder as module
move = module.os.link
def slowly(source, target):
    move(source, target)
    Path(sys.argv[2]).touch()
    time.sleep(60)
if sys.argv[3] == "moving":
    module.os.link = slowly
with module.new_folder(Path(sys.argv[1]), last="z") as draft:
    for name in "az":
        (draft / name).touch()
    if sys.argv[3] == "writing":
        Path(sys.argv[2]).touch()
        time.sleep(60)
"""


@pytest.mark.parametrize("when", ["writing", "moving"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whoever_is_killed_leaves_no_half_of_an_instance(
    tmp_path: Path, number: signal.Signals, when: str
) -> None:
    folder, told = tmp_path / "new", tmp_path / "told"
    if when == "moving":
        folder.mkdir()
    command, environment = python_module("daemon.cli.main")
    words = [command[0], "-P", "-c", _SLOW, str(folder), str(told), when]
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        until(told.exists)
        process.send_signal(number)
    told.unlink()
    assert process.returncode != 0
    assert not (folder / "z").exists()
    if number == signal.SIGTERM:
        assert names(tmp_path) == (["new"] if when == "moving" else [])
        assert when != "moving" or names(folder) == []
    put(folder, "a", "z")
    assert names(tmp_path) == ["new"]
    assert names(folder) == ["a", "z"]
