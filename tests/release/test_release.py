"""A release is refused while anything in it is untrue, and is whole otherwise."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import ROOT
from tests.release import __main__ as release
from tests.release import checks

VERSION = checks.read(ROOT).version
HOME, ISSUES = "https://shoal.coop/", "https://shoal.coop/issues"


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A copy of the project in which everything holds."""
    for name in ("CHANGELOG.md", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in ("daemon", "docker", "federation", "models", "peertube-plugin", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / "docs" / "changes").mkdir(parents=True)
    edit(
        tmp_path / "pyproject.toml",
        "[project.scripts]",
        f'[project.urls]\nHomepage = "{HOME}"\nIssues = "{ISSUES}"\n\n[project.scripts]',
    )
    with (tmp_path / "CHANGELOG.md").open("a") as file:
        file.write(f"\n## {VERSION}, 2026-12-01\n")
    plugins = tmp_path / "peertube-plugin" / "CHANGELOG.md"
    plugins.write_text(f"# Changelog\n\n## {VERSION}\n- Everything.\n")
    return tmp_path


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def test_nothing_forbids_a_release_of_what_is_ready(ready: Path) -> None:
    assert checks.problems(checks.read(ready)) == []


PYPROJECT, CHANGES, PLUGIN = "pyproject.toml", "CHANGELOG.md", str(checks.PLUGIN)
COMPOSE, PLUGIN_CHANGES = "docker/compose.override.yml", "peertube-plugin/CHANGELOG.md"


@pytest.mark.parametrize(
    ("path", "before", "after", "said"),
    [
        (PYPROJECT, f'Homepage = "{HOME}"\n', "", "Homepage is missing"),
        (PYPROJECT, ISSUES, "https://shoal.example/", "placeholder (shoal.example)"),
        (PYPROJECT, ISSUES, "https://localhost/", "placeholder (localhost)"),
        (PLUGIN, '"bugs": ""', f'"bugs": "{HOME}"', "bugs in"),
        (PLUGIN, VERSION, "9.9.9", "9.9.9 in peertube-plugin/package.json"),
        (COMPOSE, f"image: shoal:{VERSION}", "image: shoal:9", "9 in"),
        (CHANGES, f"## {VERSION},", "## 9.9.9,", f"knows no {VERSION}"),
        (PLUGIN_CHANGES, f"## {VERSION}", "## Unreleased", '"Unreleased"'),
    ],
)
def test_what_is_untrue_forbids_it(ready: Path, path: str, before: str, after: str, said: str) -> None:
    edit(ready / path, before, after)
    [problem] = checks.problems(checks.read(ready))
    assert said in problem


def test_changes_that_are_in_no_changelog_forbid_it(ready: Path) -> None:
    (ready / "docs" / "changes" / "1.added.md").write_text("New.")
    [problem] = checks.problems(checks.read(ready))
    assert "1 changes that no release has" in problem


def test_the_same_version_is_everywhere_in_the_project() -> None:
    assert [
        problem for problem in checks.problems(checks.read(ROOT)) if problem.startswith("The version")
    ] == []


@pytest.mark.slow
def test_what_is_built_is_whole_and_the_same_again(ready: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    built = release.build(checks.read(ready), first)
    assert [path.name for path in built] == [
        f"peertube-plugin-shoal-{VERSION}.tgz", f"shoal-{VERSION}-py3-none-any.whl", release.SUMS
    ]  # fmt: skip
    lines = (first / release.SUMS).read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    for path in built[:2]:
        assert sums[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    with tarfile.open(built[0]) as archive:
        package = archive.extractfile("package/package.json")
        assert package is not None
        manifest = json.load(package)
        names = {name.removeprefix("package/") for name in archive.getnames()}
    assert (manifest["homepage"], manifest["bugs"]) == (HOME, ISSUES)
    served = [manifest["library"], *manifest["css"], *manifest["translations"].values()]
    for path in [*served, *(one["script"] for one in manifest["clientScripts"])]:
        assert path.removeprefix("./") in names, path
    with zipfile.ZipFile(built[1]) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        about = archive.read(metadata).decode()
    assert f"Project-URL: Homepage, {HOME}" in about
    assert release.build(checks.read(ready), again)[2].read_text() == (first / release.SUMS).read_text()
