"""A release of this project by its git reference: found, exported, and built as it was published."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests import ROOT
from tests.install import wheels

_RELEASE: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def newest_release(tags: list[str]) -> str | None:
    """Return the tag of the newest release; None where there is none."""
    found = {tag: tuple(map(int, match.groups())) for tag in tags if (match := _RELEASE.fullmatch(tag))}
    return max(found, key=lambda tag: found[tag], default=None)


def released() -> str | None:
    """Return the tag of the newest release of this project; None where there is none."""
    return newest_release(_git("tag", "--list").decode().split())


def install(reference: str, folder: Path) -> Path:
    """Build the wheel of a reference in an environment of its own; returns the Python of that.

    Raises:
        LookupError: there is no such reference, or what it needs is not installed here.
    """
    source, built = folder / "source", folder / "built"
    # A name that begins with a dash is no option.
    archive = _git("archive", "--format=tar", "--end-of-options", reference)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(source, filter="tar")
    built.mkdir()
    return wheels.environment(folder / "environment", wheels.build_from(source, built))


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=False, capture_output=True)
    if done.returncode:
        raise LookupError(done.stderr.decode("utf-8", "replace").strip())
    return done.stdout
