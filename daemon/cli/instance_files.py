"""Which files of a data folder are the daemon's own, and how they are deleted, and nothing else."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from daemon.config import FILE_NAME, Config, choices
from daemon.config.schema import DATABASE
from daemon.ledger import second_copy
from daemon.peers import rotation
from daemon.process import daemon_lock
from daemon.serve.admin import notice_watcher, shared_videos, token
from daemon.store import loss

_FILES: Final = (
    FILE_NAME,
    choices.NAME,
    f"{DATABASE}*",
    "identity.*",
    "viewers.key",
    "*.lock",
    daemon_lock.LOCK_NAME,
    daemon_lock.STATE_NAME,
    token.FILE_NAME,
    notice_watcher.LOGGED_NAME,
    rotation.FILE_NAME,
    loss.NOTE_NAME,
    f"{second_copy.NAME}*",
)
_FOLDERS: Final = ("models", "sums", "windows", "journal", "group", "log")


def of_the_instance(config: Config) -> tuple[list[Path], list[Path]]:
    """Return what the data folder holds, sorted: the daemon's own, and what somebody else put there."""
    found = sorted(config.data_dir.iterdir()) if config.data_dir.is_dir() else []
    own = [path for path in found if _is_own(path)]
    return own, [path for path in found if path not in own]


def delete(config: Config) -> list[Path]:
    """Delete the daemon's own files, and the folder if nothing else is in it; returns what is left in it.

    Links are removed, never followed. The key goes first: without it, nothing that is left can be used.

    Raises:
        OSError: something cannot be deleted.
    """
    own, others = of_the_instance(config)
    for path in sorted(own, key=lambda path: not path.name.endswith(".key")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not others and config.data_dir.is_dir():
        try:
            config.data_dir.rmdir()
        except OSError:
            # A mount point, such as the volume of a container, stays; so does a folder of another user's.
            return []
    return others


def _is_own(path: Path) -> bool:
    name = path.name
    if path.is_dir() and not path.is_symlink():
        return name in _FOLDERS
    # What a crash left of a file that was about to be replaced is called .NAME.RANDOM.
    if fnmatch(name, shared_videos.FILES):
        return True
    whole = name[1:].rpartition(".")[0] if name.startswith(".") else name
    return name in _FOLDERS or any(fnmatch(whole, pattern) for pattern in _FILES)
