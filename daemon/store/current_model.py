"""Which model is served: `models/current` holds the name of its folder and is replaced atomically."""

import os
import re
from pathlib import Path
from typing import Final

from daemon.process.daemon_lock import replace_file

POINTER_NAME: Final = "current"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read(models_dir: Path) -> str | None:
    """Return the name of the current model's folder, None where there is none or the file makes no sense."""
    try:
        name = (models_dir / POINTER_NAME).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return name if _NAME.fullmatch(name) else None


def write(models_dir: Path, name: str) -> None:
    """Make a complete model the current one.

    Raises:
        ValueError: the name could lead out of the folder.
    """
    if not _NAME.fullmatch(name) or name == POINTER_NAME:
        raise ValueError("not the name of a model folder")
    replace_file(models_dir / POINTER_NAME, f"{name}\n".encode())


def clear(models_dir: Path) -> None:
    """Let no model be the current one: PeerTube's own lists are shown then."""
    if not models_dir.is_dir():
        return
    (models_dir / POINTER_NAME).unlink(missing_ok=True)
    # A power cut must not bring back a model that was taken out.
    folder = os.open(models_dir, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
