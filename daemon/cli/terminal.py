"""Talking to a person or to a program: tables and progress for one, a single JSON object for the other.

Standard output carries the result, standard error everything else, so that `shoal ... -o json | jq` always
works.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.errors import ShoalError


class Output(StrEnum):
    """How results are printed."""

    HUMAN = "human"
    JSON = "json"


class _Chosen:
    """The format that the command line asked for; errors follow it too."""

    output = Output.HUMAN


def _remember(value: Output) -> Output:
    _Chosen.output = value
    return value


ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="SHOAL_CONFIG", help="shoal.toml, or the folder that holds it."),
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", callback=_remember, help="Tables for people, or one JSON object.")
]
DEFAULT_CONFIG = Path("shoal.toml")

# Lines that another program or a file receives are not folded to a screen that nobody has.
_UNFOLDED = 200
out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNFOLDED)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNFOLDED)


def human() -> bool:
    """Tell whether the reader is a person."""
    return _Chosen.output is Output.HUMAN


def result(output: Output, value: Any, show: Callable[[], None]) -> None:
    """Print a result: `value` as JSON, or whatever `show` prints for people."""
    if output is Output.HUMAN:
        show()
    else:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def failure(error: ShoalError) -> None:
    """Print an error and what to do about it."""
    if not human():
        sys.stdout.write(json.dumps(error.as_json(), ensure_ascii=False) + "\n")
        return
    for number, line in enumerate(error.message.splitlines()):
        err.print(Text.assemble(("Error: " if number == 0 else "       ", "bold red"), printable(line)))
    if error.advice:
        err.print(Text(f"       {printable(error.advice)}"))


def say(text: str) -> None:
    """Tell a person something that is not the result."""
    if human():
        err.print(Text(text))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print a table; text from videos is printed as it is, never as markup."""
    grid = Table(
        box=None, pad_edge=False, show_header=any(columns), header_style="bold", padding=(0, 2, 0, 0)
    )
    for name in columns:
        grid.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(printable(str(cell))) for cell in row))
    out.print(grid)


def printable(text: str) -> str:
    """Replace control characters: a title must not be able to drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, float], None]]:
    """Show a bar while a person watches a terminal; say nothing otherwise."""
    if not human() or not err.is_terminal:
        yield lambda _stage, _part: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<30}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda stage, part: progress.update(task, description=stage[:30], completed=part)


def ago(seconds: float) -> str:
    """Say how long ago something was, in the largest fitting unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(int(seconds), 0)} s ago"
