"""Reads the files of docker/: instructions of a Dockerfile, services of compose files, sections of a unit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests import ROOT

DOCKER: Final = ROOT / "docker"
DOCKERFILE: Final = DOCKER / "Dockerfile"
OVERRIDE: Final = DOCKER / "compose.override.yml"
GROUP_HOST: Final = DOCKER / "compose.group-host.yml"
UNIT: Final = DOCKER / "systemd" / "shoal.service"


def instructions(path: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """Return (instruction, arguments) of a Dockerfile, continued lines joined and comments left out."""
    found: list[tuple[str, str]] = []
    pending = ""
    for line in path.read_text("utf-8").splitlines():
        if not pending and (not line.strip() or line.startswith("#")):
            continue
        pending += line.rstrip("\\") if line.endswith("\\") else line
        if not line.endswith("\\"):
            name, _, arguments = pending.strip().partition(" ")
            found.append((name, arguments.strip()))
            pending = ""
    assert not pending, "the last line goes on"
    return found


def last_stage() -> list[tuple[str, str]]:
    """Return the instructions that make the image itself."""
    found = instructions()
    start = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def words(arguments: str) -> list[str]:
    """Return the words of an instruction's JSON or shell form."""
    return list(map(str, json.loads(arguments))) if arguments.startswith("[") else shlex.split(arguments)


def compose(path: Path) -> dict[str, Any]:
    """Return a compose file. Raises on a key that occurs twice."""
    found = yaml.load(path.read_text("utf-8"), _Strict)
    assert isinstance(found, dict)
    return found


def unit(path: Path = UNIT) -> dict[str, list[tuple[str, str]]]:
    """Return (key, value) of each section of a unit file, in order."""
    sections: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            current.append((key, value))
    return sections


def environments() -> Iterator[tuple[Path, str, str]]:
    """Yield (file, variable, value) of everything that the files set for the daemon."""
    for path in (OVERRIDE, GROUP_HOST):
        for service in compose(path)["services"].values():
            for name, value in service.get("environment", {}).items():
                yield path, name, value
    for name, arguments in last_stage():
        if name == "ENV":
            for word in words(arguments):
                variable, _, value = word.partition("=")
                yield DOCKERFILE, variable, value
    for key, value in unit()["Service"]:
        if key == "Environment":
            variable, _, content = value.partition("=")
            yield UNIT, variable, content


class _Strict(yaml.SafeLoader):
    """Refuses a mapping in which a key occurs twice: the first would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{keys} has one twice"
        return super().construct_mapping(node, deep=deep)
