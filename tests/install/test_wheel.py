"""The wheel is whole, and works without the extras: what needs one says which."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from daemon.config import load
from daemon.group import repository
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.lab.demo.instances import SIZES
from daemon.process.daemon_lock import find
from daemon.serve.admin.page import Page
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from federation.flower.installed import VERSIONS
from tests import ROOT
from tests.daemon.running_daemon import Daemon, instance, until
from tests.install import wheels

pytestmark = pytest.mark.slow

_HOSTED = Membership("coop", "one.example", "https://one.example", "host", "member")
INSTALL = "pip install 'shoal[group]'"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@dataclass
class Base:
    """A plain installation: nothing of the project's folder, and no extra."""

    python: Path

    def run(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-P", *arguments],
            cwd=self.python.parent,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
            **more,
        )

    def shoal(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "daemon.cli.main", *arguments, **more)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Base:
    return Base(wheels.environment(tmp_path_factory.mktemp("base"), wheel))


def test_it_holds_every_file_but_the_films(wheel: Path) -> None:
    films = ROOT / "daemon" / "lab" / "demo" / "data"
    # For tests that load the page's modules in Node.js, and for the checker of their types.
    left_out = {ROOT / "daemon" / "admin_page" / name for name in ("package.json", "api.d.ts", "ask.ts")}
    expected = {
        str(path.relative_to(ROOT))
        for package in ("daemon", "federation", "models", "policies")
        for folder, _, names in os.walk(ROOT / package, followlinks=True)
        for path in (Path(folder, name) for name in names)
        if "__pycache__" not in path.parts and not path.is_relative_to(films) and path not in left_out
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        # Where a wheel is installed, no link can lead back to where it was made.
        assert not [one for one in archive.infolist() if stat.S_ISLNK(one.external_attr >> 16)]
    assert found == expected
    assert films.is_dir()


def test_its_page_is_that_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    assert Page.load(tmp_path / "daemon" / "admin_page").version == Page.load().version


def test_flower_is_in_extras_and_in_the_versions_that_are_tested(base: Base) -> None:
    script = "import json; from importlib.metadata import requires; print(json.dumps(requires('shoal')))"
    flower = [line for line in json.loads(base.run("-c", script).stdout) if line.startswith("flwr")]
    assert len(flower) == 2
    first, last = VERSIONS[0], VERSIONS[-1]
    after = f"1.{int(last.split('.')[1]) + 1}"
    for line in flower:
        requirement = Requirement(line)
        assert requirement.marker is not None
        assert not requirement.marker.evaluate({"extra": ""})
        assert requirement.specifier == SpecifierSet(f">={first},<{after}")


def test_the_command_line_works_and_says_which_extra_a_command_needs(base: Base, tmp_path: Path) -> None:
    assert base.shoal("--version").stdout.startswith("shoal ")
    done = base.shoal("init", str(tmp_path / "one"), "--host", "one.example", "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    config = tmp_path / "one" / "shoal.toml"
    config.write_text('mode = "consume"\n' + config.read_text().replace('\nmode = "off"', ""))
    migrate(load(config).database)
    for command, needed in (
        (("group", "host", "coop", "-c", str(config)), INSTALL),
        (("group", "join", "https://two.example", "-c", str(config)), INSTALL),
        (("demo", "--mode", "group"), INSTALL),
        (("simulate",), "pip install 'shoal[simulation]'"),
    ):
        done = base.shoal(*command)
        assert done.returncode in (2, 5), done.stderr
        assert "Flower" in done.stderr
        assert needed in done.stderr
        assert "Traceback" not in done.stderr


def test_the_demo_has_a_set_of_its_own(base: Base, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from daemon.lab.demo.instances import build\n"
        "found = build(Path(sys.argv[1]), None, 5)\n"
        "print(found.name, *(one.history.users for one in found.instances))"
    )
    done = base.run("-c", script, str(tmp_path))
    assert done.stdout.split() == ["made-up", *map(str, SIZES)], done.stderr


def test_the_daemon_of_a_group_that_lacks_flower_says_so_and_serves(base: Base, tmp_path: Path) -> None:
    config = instance(tmp_path, extra='mode = "consume"')
    migrate(load(config).database)
    open_identity(load(config).identity_file, "one.example")
    engine = open_checked(load(config).database)
    with writes(engine) as connection:
        repository.change_in(connection, lambda _: _HOSTED)
    engine.dispose()
    command = [str(base.python), "-P", "-m", "daemon.cli.main", "run", "-c", str(config)]
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            until(lambda: (running := find(tmp_path)) is not None and running.api)
            running = find(tmp_path)
            assert running is not None
            here = Daemon(config, process, running, log)
            until(lambda: INSTALL in str(here.call("/v1/admin/group", admin=True)[1]))
            done = base.shoal("group", "status", "-c", str(config))
            assert INSTALL in " ".join(done.stdout.split()), done
            status, answer = here.call("/v1/admin/group/start", body={"at": None}, admin=True)
            assert (status, answer["code"]) == (409, "flower-missing")
            assert INSTALL in answer["advice"]
        finally:
            process.terminate()
            process.wait(20.0)
    said = log.read_text("utf-8")
    assert said.count(INSTALL) == 2  # to whoever started it, and in the log
    assert "Traceback" not in said
