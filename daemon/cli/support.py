"""`shoal support`: what a report of a fault should have with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, InstanceOption
from daemon.cli.terminal import bytes_of, line, prose, result
from daemon.errors import RequestError

app = Commands()


@app.callback()
def _group() -> None:
    """Keep `dump` a command of its own, although it is the only one."""


@app.command()
def dump(
    instance: InstanceOption = HERE,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file; - prints it.")] = Path(
        "shoal-support.txt"
    ),
) -> None:
    """Write one redacted text file for a report of a fault.

    It has versions, settings without names and secrets, sizes, rounded counts, how jobs and rounds ended and
    the last lines of the log. Hosts are numbered; viewers, titles, keys and addresses are left out. Nothing
    is sent: read it, then attach it yourself. It can be made when settings or database are broken, too.
    """
    # Loads NumPy.
    from daemon.disclosure.support_dump import dump as made

    text = made(instance.config_file)
    if str(file) == "-":
        result({"dump": text}, lambda: _print(text))
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RequestError(
            f"{file} exists already", advice="Give a new file: shoal support dump FILE"
        ) from None
    except OSError as error:
        raise RequestError(
            f"{file} cannot be written: {error.strerror}", advice="Give another file."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)

    def show() -> None:
        line(f"Wrote {file}, {bytes_of(len(text.encode()))}.")
        prose("Nothing was sent. Read it before you attach it to a report.")

    result({"file": str(file), "bytes": len(text.encode())}, show)


def _print(text: str) -> None:
    sys.stdout.write(text)
