"""What must hold before a release: one version everywhere, a changelog, and links that lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

LINKS: Final = {"Homepage": "homepage", "Issues": "bugs"}
"""From a name in `[project.urls]` of pyproject.toml to the key of the plugin's package.json that gets it."""
_PLACEHOLDERS: Final = (
    "example",
    "example.com",
    "example.net",
    "example.org",
    "invalid",
    "localhost",
    "test",
)
PLUGIN: Final = Path("peertube-plugin", "package.json")


@dataclass(frozen=True)
class Project:
    """The project in a folder: version and links as pyproject.toml has them."""

    root: Path
    version: str
    links: Mapping[str, str]

    def plugin(self) -> dict[str, Any]:
        """Return package.json of the plugin."""
        content: dict[str, Any] = json.loads((self.root / PLUGIN).read_text("utf-8"))
        return content


def read(root: Path) -> Project:
    """Read pyproject.toml of the project."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return Project(root, project["version"], project.get("urls", {}))


def problems(project: Project) -> list[str]:
    """Return what forbids a release, one sentence each that says what to do."""
    return [*_links(project), *_versions(project), *_changelogs(project)]


def _links(project: Project) -> Iterator[str]:
    for name, key in LINKS.items():
        link = urlsplit(project.links.get(name, ""))
        host = link.hostname or ""
        if link.scheme != "https" or not host:
            yield f'{name} is missing in [project.urls] of pyproject.toml: add {name} = "https://...".'
        elif any(host == name or host.endswith(f".{name}") for name in _PLACEHOLDERS):
            yield f"{name} in [project.urls] of pyproject.toml is a placeholder ({host}): replace it."
        if project.plugin()[key]:
            yield f"{key} in {PLUGIN} is not empty: it is filled in from [project.urls], so empty it."


def _versions(project: Project) -> Iterator[str]:
    found = {str(PLUGIN): project.plugin()["version"]}
    for path in sorted((project.root / "docker").glob("*.yml")):
        for name, service in yaml.safe_load(path.read_text("utf-8"))["services"].items():
            if "image" in service:
                found[f"{path.name}, service {name}"] = service["image"].rpartition(":")[2]
    for where, version in found.items():
        if version != project.version:
            yield f"The version is {project.version} in pyproject.toml and {version} in {where}: correct one."


def _changelogs(project: Project) -> Iterator[str]:
    version = re.escape(project.version)
    ours = (project.root / "CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"^## {version}, \d{{4}}-\d\d-\d\d$", ours, re.M):
        yield f"CHANGELOG.md knows no {project.version}: run make changelog VERSION={project.version}."
    left = [
        path.name for path in (project.root / "docs" / "changes").glob("*.md") if path.name != "README.md"
    ]
    if left:
        yield f"docs/changes holds {len(left)} changes that no release has: run make changelog VERSION=..."
    plugins = (project.root / "peertube-plugin" / "CHANGELOG.md").read_text("utf-8")
    [newest] = re.findall(r"^## (\S+)", plugins, re.M)[:1]
    if newest != project.version:
        yield f'The newest heading of the plugin\'s CHANGELOG.md is "{newest}": make it "{project.version}".'
