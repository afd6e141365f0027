"""Builds what is published of the newest commit: `python -m tests.release [FOLDER]`, by default into dist/.

The wheel, the plugin as npm packs it, and SHA256SUMS. One commit gives the same bytes with the same tools.
There is no archive of the sources: it would hold the films of the demo, which have terms of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests import ROOT
from tests.release import checks
from tests.release.checks import LINKS, PLUGIN, Project

SUMS = "SHA256SUMS"


def main(argv: list[str]) -> int:
    """Check and build; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    folder = parser.parse_args(argv).folder
    with tempfile.TemporaryDirectory() as name:
        project = checks.read(commit(Path(name)))
        found = checks.problems(project)
        if _git("status", "--porcelain"):
            found.append("The working tree differs from the newest commit: commit or discard the changes.")
        if found:
            sys.stderr.write("Not released.\n" + "".join(f"  - {problem}\n" for problem in found))
            return 1
        for path in build(project, folder):
            sys.stdout.write(f"{path}\n")
    return 0


def commit(folder: Path) -> Path:
    """Unpack the newest commit there, nothing else of this folder."""
    content = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def build(project: Project, folder: Path) -> list[Path]:
    """Build everything into a folder, which is emptied of what was built before; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("shoal-*.whl"), *folder.glob("peertube-plugin-shoal-*.tgz"), folder / SUMS):
        old.unlink(missing_ok=True)
    wheel(project.root, folder)
    plugin(project, folder)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".whl", ".tgz"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), "ascii")
    return [*files, folder / SUMS]


def wheel(source: Path, folder: Path) -> None:
    """Build the wheel of the project in `source`; files in it carry the time of the newest commit."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    epoch = {"SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct")}
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, env={**os.environ, **epoch})


def plugin(project: Project, folder: Path) -> None:
    """Pack the plugin, with the links of the project."""
    links = {key: project.links.get(name, "") for name, key in LINKS.items()}
    path = project.root / PLUGIN
    path.write_text(json.dumps({**project.plugin(), **links}, indent=2, ensure_ascii=False) + "\n", "utf-8")
    pack = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder.resolve())]
    subprocess.run(pack, cwd=path.parent, check=True, stdout=subprocess.DEVNULL)


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
