"""Whatever is wrong with an instance, `doctor` and `status` name it, with the next step."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from daemon.cli import status as command
from daemon.config import load
from daemon.doctor import examination, machine
from daemon.doctor.check import Outcome
from daemon.doctor.examination import Subject
from daemon.identity import open_identity
from daemon.process.daemon_lock import Running
from daemon.source import plugin_probe
from daemon.store.migrate import migrate
from tests.daemon.fake_peertube import SECRET, PeerTube, configure, peertube, small_world
from tests.daemon.shoal_command import shoal

DAY = 86400.0


@pytest.fixture
def server() -> Iterator[PeerTube]:
    with peertube(small_world()) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: PeerTube) -> Path:
    return made(tmp_path, server.url)


def made(folder: Path, url: str) -> Path:
    path = configure(folder / "one", url)
    settings = load(path)
    open_identity(settings.identity_file, settings.instance.host)
    migrate(settings.database)
    return path


def named(config: Path) -> dict[str, tuple[str, str]]:
    """Return what `doctor` finds wrong, by check, after making sure that `status` says the same."""
    doctor, status = shoal("doctor", "-c", config, "-o", "json"), shoal("status", "-c", config, "-o", "json")
    found = {
        one["check"]: (one["sentence"], one["next_step"])
        for one in doctor.json["checks"]
        if one["outcome"] == "failure"
    }
    assert doctor.returncode == status.returncode == command.SOMETHING_WRONG
    assert doctor.json["wrong"] >= 1
    assert not doctor.json["fine"]
    told = {
        one["check"]: (one["sentence"], one["next_step"])
        for one in status.json["problems"]
        if one["outcome"] == "failure"
    }
    assert told == {check: said for check, said in found.items() if check in told}
    assert found.keys() - told.keys() <= {"key", "listener", "model", "peers", "rounds"}
    for one in (doctor, status):
        assert SECRET not in one.stdout + one.stderr
    shown = shoal("doctor", "-c", config, columns=80).said
    also = shoal("status", "-c", config, columns=80).said
    for sentence, step in found.values():
        assert sentence in shown
        assert step in shown
    for sentence, step in told.values():
        assert sentence in also
        assert step in also
    # No daemon runs in these tests, which is a failure of its own.
    assert found.pop("daemon")[1] == "Start the daemon: shoal run"
    return found


def test_nothing_but_the_daemon_is_missing_where_all_else_is_well(config: Path) -> None:
    assert named(config) == {}
    assert shoal("doctor", "-c", config).stdout.rstrip().splitlines()[-1].startswith("1 thing is wrong")


def test_a_wrong_secret(config: Path) -> None:
    config.write_text(config.read_text().replace(SECRET, "another-secret-of-16-characters"))
    assert named(config) == {
        "secret": (
            "The plugin does not accept this daemon's secret.",
            "Copy the one on the plugin's settings page into shoal.toml, as source.secret.",
        )
    }


def test_a_wrong_address(config: Path, server: PeerTube) -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>Welcome to nginx</h1>", content_type="text/html")

    server.faults["config"] = page
    [(check, (sentence, step))] = named(config).items()
    assert (check, sentence) == ("peertube", f"What answers at {server.url} is not PeerTube.")
    assert "source.url" in step


def test_peertube_down(tmp_path: Path) -> None:
    with peertube(small_world()) as gone:
        url = gone.url
    [(check, (sentence, step))] = named(made(tmp_path, url)).items()
    assert (check, sentence) == ("peertube", f"Nothing answers at {url}.")
    assert step.startswith("Start PeerTube")


def test_a_plugin_that_is_missing(config: Path, server: PeerTube) -> None:
    server.plugin = None
    [(check, (sentence, step))] = named(config).items()
    assert (check, sentence) == ("plugin", f"PeerTube at {server.url} has no Shoal plugin.")
    assert "Administration > Plugins" in step


def test_an_old_plugin(config: Path, server: PeerTube) -> None:
    server.plugin = "0.0.9"
    [(check, (sentence, step))] = named(config).items()
    assert check == "plugin"
    assert "0.0.9, older than this daemon" in sentence
    assert step.startswith("Update the plugin")


@pytest.mark.parametrize(("off", "said"), [(DAY + 60, "1 day ahead of"), (-DAY - 60, "1 day behind")])
def test_a_clock_that_is_off_by_a_day(config: Path, server: PeerTube, off: float, said: str) -> None:
    async def dated(_request: web.Request) -> web.StreamResponse:
        return web.json_response(
            server.config(), headers={"Date": formatdate(time.time() + off, usegmt=True)}
        )

    server.faults["config"] = dated
    [(check, (sentence, step))] = named(config).items()
    assert (check, sentence) == ("clock", f"PeerTube's clock is {said} the clock of this machine.")
    assert "NTP" in step


@contextmanager
def taken() -> Iterator[int]:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        yield other.getsockname()[1]


def test_a_port_that_is_taken(config: Path) -> None:
    with taken() as port:
        config.write_text(config.read_text().replace("api_port = 0", f"api_port = {port}"))
        [(check, (sentence, step))] = named(config).items()
        assert (check, sentence) == (
            "ports",
            f"Port {port} is taken: another program listens on 127.0.0.1:{port}.",
        )
        assert "listen.api_port" in step
    assert named(config) == {}


def test_the_port_for_peers_matters_where_peers_are_answered(config: Path) -> None:
    with taken() as port:
        config.write_text(config.read_text().replace("federation_port = 0", f"federation_port = {port}"))
        assert named(config) == {}
        config.write_text(f'mode = "consume"\n{config.read_text()}')
        assert "listen.federation_port" in named(config)["ports"][1]


def test_a_full_disk(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = command._subject

    def full(instance: Any) -> Subject:
        return Subject(**{**vars(real(instance)), "free": lambda _folder: 1_000_000})

    monkeypatch.setattr(command, "_subject", full)
    [(check, (sentence, step))] = named(config).items()
    assert check == "disk"
    assert sentence.startswith("The disk is full: 1 MB free for ")
    assert step.startswith("Free some space.")


def test_a_damaged_database(config: Path) -> None:
    database = load(config).database
    database.write_bytes(b"not a database" * 1000)
    [(check, (sentence, step))] = named(config).items()
    assert (check, sentence) == ("database", "shoal.db is damaged.")
    assert "backup" in step


def test_a_database_of_a_newer_release(config: Path) -> None:
    with closing(sqlite3.connect(load(config).database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert "newer Shoal" in named(config)["database"][0]


def test_a_key_that_others_can_read(config: Path) -> None:
    path = load(config).identity_file
    path.chmod(0o644)
    assert "chmod 600" in named(config)["key file"][1]
    path.unlink()
    assert named(config)["key file"][0] == "There is no identity.key."
    assert not path.exists(), "looking changes nothing"


def test_a_daemon_that_does_not_answer(config: Path) -> None:
    settings = load(config)
    with taken() as port:
        running = Running(1, f"127.0.0.1:{port}", "", 0.0)
        report = examination.quick(Subject(settings, running, None, _probe(config)))
    [found] = [one for one in report.results if one.outcome is Outcome.FAILURE]
    assert (found.check, "does not answer" in found.sentence) == ("daemon", True)


def _probe(config: Path) -> plugin_probe.Probe:
    source: Any = load(config).source
    return plugin_probe.probe_now(source.url, source.secret.get_secret_value())


def test_the_real_disk_tells_its_space(tmp_path: Path) -> None:
    assert machine.free_bytes(tmp_path) > 0
    assert machine.disk(tmp_path / "not" / "there" / "yet", 0).outcome is not Outcome.UNCHECKED


def test_an_unusable_configuration_is_told_as_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").write_text('mode = "loud"\n')
    for name in ("status", "doctor"):
        done = shoal(name, "-c", tmp_path, "-o", "json")
        assert done.returncode == 2
        assert json.loads(done.stdout)["code"] == "bad-configuration"
