"""Every path, command and variable that the image, the compose files and the unit name is in the code."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from pydantic import SecretStr, TypeAdapter

from daemon.cli.main import app
from daemon.config import Config
from daemon.config.load import RESERVED
from daemon.config.schema import PeerTubeSource
from daemon.serve import ready
from tests import ROOT
from tests.docker.deployment_files import (
    DOCKERFILE,
    GROUP_HOST,
    OVERRIDE,
    UNIT,
    compose,
    environments,
    instructions,
    last_stage,
    unit,
    words,
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
IMAGE = f"shoal:{PROJECT['version']}"


def command(arguments: list[str]) -> click.Command:
    """Return the command of these words; fails where there is none."""
    found: click.Command = typer.main.get_command(app)
    context = click.Context(found)
    for word in arguments:
        if isinstance(found, click.Group) and not word.startswith("-"):
            inner = found.get_command(context, word)
            assert inner is not None, f"there is no command {word}"
            found = inner
    return found


@pytest.mark.parametrize(
    ("path", "variable", "value"),
    [pytest.param(*one, id=f"{one[0].name} {one[1]}") for one in environments()],
)
def test_a_variable_of_ours_is_a_setting_and_its_value_fits(path: Path, variable: str, value: str) -> None:
    if not variable.startswith("SHOAL_") or variable in RESERVED:
        return
    section, _, key = variable.removeprefix("SHOAL_").lower().partition("__")
    table: Any = PeerTubeSource if section == "source" else Config.model_fields[section].annotation
    secret = key.endswith("_file") and key.removesuffix("_file") in table.model_fields
    field = table.model_fields[key.removesuffix("_file") if secret else key]
    if secret:
        assert field.annotation is SecretStr
        assert value.startswith("/run/secrets/")
        return
    adapter = TypeAdapter(field.annotation)
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "video.example", value)
    found = adapter.validate_json(text) if text.startswith("[") else adapter.validate_strings(text)
    assert found != field.get_default(call_default_factory=True), (
        f"{path.name} sets {variable} to its default"
    )


def test_the_image_copies_what_is_there_and_builds_what_is_locked() -> None:
    copied = [
        word
        for name, arguments in instructions()
        if name == "COPY" and "--from" not in arguments
        for word in words(arguments)[:-1]
    ]
    assert {"pyproject.toml", "docker/requirements.txt", "docker/requirements-torch.txt"} <= set(copied)
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in ignored or path.startswith("docker/requirements"), (
            f"{path} is left out of the build"
        )
    packages = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    )
    assert packages <= set(copied)
    assert "daemon/lab/demo/data" in ignored
    pips = [
        part
        for name, arguments in instructions()
        if name == "RUN"
        for part in arguments.split("&&")
        if "pip install" in part
    ]
    for pip in pips:
        assert "--require-hashes" in pip or "--no-deps" in pip, f"this takes what nobody locked: {pip}"


def test_the_image_runs_as_nobody_and_starts_what_is_installed() -> None:
    stage = dict(last_stage())
    assert not {name for name, _ in instructions()} - {
        "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "HEALTHCHECK", "RUN", "USER", "VOLUME", "WORKDIR"
    }  # fmt: skip
    assert stage["USER"].split(":")[0].isdigit()
    assert int(stage["USER"].split(":")[0]) > 0
    [script] = words(stage["ENTRYPOINT"])
    assert script in PROJECT["scripts"]
    assert command(words(stage["CMD"])).name == "run"
    assert stage["VOLUME"] == stage["WORKDIR"] == "/var/lib/shoal"


def test_the_health_check_is_a_module_that_asks_for_a_model() -> None:
    check = words(dict(last_stage())["HEALTHCHECK"].partition("CMD ")[2])
    module = check[check.index("-m") + 1]
    assert importlib.util.find_spec(module) is not None
    assert module == ready.__name__
    config = Path(check[check.index("--config") + 1])
    assert str(config) == dict(one[1:] for one in environments() if one[0] == DOCKERFILE)["SHOAL_CONFIG"]


@pytest.mark.parametrize("path", [OVERRIDE, GROUP_HOST])
def test_services_run_commands_of_ours_with_nothing_that_they_do_not_need(path: Path) -> None:
    content = compose(path)
    assert set(content) <= {"services", "secrets", "volumes", "networks"}
    volumes = {**compose(OVERRIDE).get("volumes", {})}
    for name, service in content["services"].items():
        if "image" in service:
            assert service["image"] == IMAGE
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert service["tmpfs"] == ["/tmp"]
            assert service["mem_limit"]
        else:
            assert name in compose(OVERRIDE)["services"]
        command(service.get("command", ["run"]))
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")
            assert source in volumes
            assert target == dict(last_stage())["VOLUME"]
        for secret in service.get("secrets", ()):
            assert secret in compose(OVERRIDE)["secrets"]
            assert f"/run/secrets/{secret}" in service["environment"].values()


def test_no_port_of_an_instance_is_published_and_one_of_a_host() -> None:
    assert "ports" not in compose(OVERRIDE)["services"]["shoal"]
    services = compose(GROUP_HOST)["services"]
    port = Config.model_fields["group"].get_default(call_default_factory=True).listen_port
    assert services["shoal"]["ports"] == [f"{port}:{port}"]
    assert "ports" not in services["superlink"]


def test_nobody_but_the_daemon_reaches_the_superlink() -> None:
    content = compose(GROUP_HOST)
    assert content["networks"]["superlink"] == {"internal": True}
    inside = {name for name, one in content["services"].items() if "superlink" in one.get("networks", ())}
    assert inside == {"shoal", "superlink"}
    assert content["services"]["superlink"]["networks"] == ["superlink"]
    addresses = {one["environment"]["SHOAL_GROUP__SUPERLINK_SERVICE"] for one in content["services"].values()}
    assert [address.partition(":")[0] for address in addresses] == ["superlink"]


@pytest.mark.parametrize("path", [OVERRIDE, GROUP_HOST, UNIT, DOCKERFILE])
def test_commands_in_comments_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    typed = re.findall(r"(?:exec|--no-deps) shoal (?:shoal )?([a-z -]+?)(?: [A-Z/]|\s\s|$)", text, re.M)
    typed += re.findall(r"^#   shoal ([a-z]+)", text, re.M)
    assert typed or path == DOCKERFILE
    for line in typed:
        command(line.split())
    for named in re.findall(r"docker/[\w./-]+", text):
        assert named == "docker/production" or (ROOT / named).exists(), named


def test_the_unit_waits_for_the_daemon_watches_it_and_gives_it_a_folder_only() -> None:
    service = dict(unit()["Service"])
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["DynamicUser"] == "yes"
    assert service["StateDirectory"] == "shoal"
    assert service["MemoryMax"]
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name in PROJECT["scripts"]
    assert command(arguments).name == "run"
    values = {name: value for path, name, value in environments() if path == UNIT}
    assert values["SHOAL_CONFIG"].startswith(f"/var/lib/{service['StateDirectory']}/")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = dict(unit()["Service"])["ExecStart"].split()[0]
    copy = tmp_path / UNIT.name
    # The same unit with a program that is there on this machine.
    copy.write_text(UNIT.read_text("utf-8").replace(program, sys.executable), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
