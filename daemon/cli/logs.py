"""`shoal logs`: what the daemon and its jobs logged last."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Self

import typer

from daemon import log
from daemon.cli.command import Commands, human, printable
from daemon.cli.instance import HERE, InstanceOption
from daemon.cli.terminal import result, say
from daemon.errors import RequestError

app = Commands()

_LOOK_EVERY = 0.3
"""Seconds."""


@app.command()
def logs(
    instance: InstanceOption = HERE,
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Show this many lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl+C.")] = False,
) -> None:
    """Show what the daemon and its jobs logged last.

    Under systemd and in containers, the journal has the same and what was printed before the log begins.
    """
    folder = instance.config.log_dir
    if follow and not human():
        raise RequestError(
            "--follow prints lines, and no JSON object", advice='Set log.format = "json", and leave out -o.'
        )
    with _Followed(folder / log.FILE_NAME) as file:
        found = log.tail(folder, lines)
        if not found and human():
            say(f"Nothing has been logged in {folder}. The log begins when the daemon does: shoal run")
        result({"folder": str(folder), "lines": found}, lambda: _print(found))
        while follow:
            _print(file.new_lines())
            time.sleep(_LOOK_EVERY)


def _print(lines: list[str]) -> None:
    for one in lines:
        sys.stdout.write(f"{printable(one)}\n")
    sys.stdout.flush()


class _Followed:
    """A file from its present end on, also when it is moved away and begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb") if path.exists() else None
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            self._file.close()

    def new_lines(self) -> list[str]:
        """Return the lines that were completed since."""
        read = self._file.read() if self._file is not None else b""
        if self._moved():
            # What came between the two looks; whoever writes opens the new one before its next line.
            if self._file is not None:
                read += self._file.read()
                self._file.close()
            self._file = self._path.open("rb")
            read += self._file.read()
        *whole, self._rest = (self._rest + read).split(b"\n")
        return [one.decode("utf-8", "replace") for one in whole]

    def _moved(self) -> bool:
        if not self._path.exists():
            return False
        if self._file is None:
            return True
        return self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
