"""A folder that is there whole or not at all, whenever whoever makes it is stopped."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from daemon.errors import RequestError

_DRAFT: Final = ".{name}.init"


@contextmanager
def new_folder(directory: Path, *, last: str) -> Iterator[Path]:
    """Yield an empty folder whose content is in `directory` at the end of the block, and not before.

    A `directory` that exists, such as the mount point of a container, is filled file by file, `last` being
    the last one. After an error, SIGINT or SIGTERM everything is as before; what SIGKILL leaves of a draft is
    removed by the next call.

    Raises:
        RequestError: the folder cannot be written, or somebody else made it meanwhile.
    """
    existed = directory.is_dir()
    draft = (directory if existed else directory.parent) / _DRAFT.format(name=directory.resolve().name)
    try:
        if existed:
            _withdraw(directory, draft)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        with _stoppable():
            yield draft
            if existed:
                _move(draft, directory, last)
            else:
                _sync(draft)
                draft.rename(directory)
                _sync(directory.parent)
    except OSError as error:
        raise RequestError(
            f"{directory} cannot be made ({os.strerror(error.errno or 0)})",
            advice="Give a folder that this user may write.",
        ) from error
    finally:
        if existed:
            _withdraw(directory, draft)
        shutil.rmtree(draft, ignore_errors=True)


def _move(draft: Path, directory: Path, last: str) -> None:
    names = sorted(path.name for path in draft.iterdir())
    for name in sorted(names, key=lambda name: name == last):
        if (directory / name).exists():
            raise FileExistsError(17, "exists", name)
        # A link, so that a crash leaves in the draft what tells which files are from here.
        os.link(draft / name, directory / name)
    _sync(directory)
    shutil.rmtree(draft)


def _withdraw(directory: Path, draft: Path) -> None:
    """Remove from an existing folder what a draft put there and did not finish."""
    if not draft.is_dir():
        return
    for path in draft.iterdir():
        target = directory / path.name
        if target.exists() and target.samefile(path):
            target.unlink()


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM end the block like an interrupt, so that it cleans up."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
