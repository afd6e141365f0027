"""Documents name files and folders that exist, and link to headings that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests import ROOT

FOLDERS: Final = ("*.md", "docs/**/*.md", "peertube-plugin/*.md", ".github/**/*.md")
DOCUMENTS: Final = sorted(path for folder in FOLDERS for path in ROOT.glob(folder))
PACKAGES: Final = ("daemon", "federation", "models", "peertube-plugin", "policies")
TOP: Final = r"(?:daemon|docker|docs|federation|models|peertube-plugin|policies|tests|\.ci|\.github)/"
NO_FILES: Final = re.compile(r".*/v1/.*|models/current")
"""Routes, and files of an instance's data folder."""
ARCHITECTURE: Final = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def text_of(path: Path) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def named(text: str) -> list[str]:
    """Return the paths in back-ticks."""
    found = re.findall(rf"`({TOP}[^`\s]*)`", text)
    return [name for name in found if not NO_FILES.fullmatch(name)]


def exists(name: str) -> bool:
    """Whether a path, or at least one file that it stands for, is there."""
    return any(ROOT.glob(name.rstrip("/"))) and (not name.endswith("/") or (ROOT / name).is_dir())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_files_exist(path: Path) -> None:
    assert [name for name in named(text_of(path)) if not exists(name)] == []


def test_files_that_are_named_without_a_folder_exist() -> None:
    known = {path.name for top in PACKAGES for path in (ROOT / top).rglob("*.??*")}
    text = "".join(text_of(path) for path in DOCUMENTS)
    assert set(re.findall(r"`([\w-]+\.(?:js|py))`", text)) - known == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        target, _, heading = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        found = path if not target else path.parent / target
        if not found.exists() or (heading and heading not in headings(found)):
            broken.append(link)
    assert broken == []


def headings(path: Path) -> set[str]:
    """Return what a forge calls the headings of a document in addresses."""
    titles = re.findall(r"^#+ (.+)$", text_of(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_where_to_change_what() -> None:
    start = ARCHITECTURE.index("## To change X, open Y")
    table = ARCHITECTURE[start : ARCHITECTURE.find("\n## ", start + 1)]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", table, flags=re.MULTILINE)[2:]
    assert len(rows) >= 40
    assert len({change for change, _ in rows}) == len(rows)
    assert [change for change, where in rows if not named(where)] == []


def test_the_drawing_has_the_rooms_of_the_contract_in_their_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(one for one in contracts if one.get("containers") == ["daemon"])["layers"]
    rooms = [name.strip() for layer in layers for name in layer.split("|")]
    drawing = ARCHITECTURE[ARCHITECTURE.index("## Rooms of the daemon") :].split("```")[1]
    assert re.findall(r"^(\w+)\b", drawing, flags=re.MULTILINE) == rooms
