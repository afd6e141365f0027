"""Talking to a person or to a program: tables and progress for one, a single JSON object for the other.

Standard output carries the result, standard error everything else, so that `shoal ... -o json | jq` always
works.
"""

import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.cli.command import human, printable
from daemon.errors import RequestError

# Lines that another program or a file receives are not folded to a screen that nobody has.
_UNFOLDED = 200
_WIDEST = 100
"""Columns of a paragraph: longer lines are hard to read."""
PROGRESS_SECONDS = 20.0
"""Between two lines about a long computation, where there is no terminal to show a bar on."""
out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNFOLDED)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNFOLDED)


def result(value: Any, show: Callable[[], None]) -> None:
    """Print a result: `value` as JSON, null where a number was not measured, or what `show` prints."""
    if human():
        show()
    else:
        sys.stdout.write(to_json(value, inf_nan_mode="null").decode() + "\n")


def say(text: str) -> None:
    """Tell a person something that is not the result."""
    if human():
        err.print(Text(text))


def confirm(question: str, *, yes: bool, advice: str = "Confirm it with --yes.") -> None:
    """Ask the person at the terminal, unless `yes`.

    Raises:
        RequestError: there is nobody to ask. typer.Exit: the answer is no.

    """
    if yes:
        return
    if not human() or not sys.stdin.isatty():
        raise RequestError("this needs an answer, and no terminal is attached", advice=advice)
    if not typer.confirm(question, err=True):
        raise typer.Exit(3)


def line(text: str = "", *, style: str = "") -> None:
    """Print a line as it is, unbroken: it can be copied."""
    out.print(Text(printable(text), style=style), soft_wrap=True)


def heading(text: str) -> None:
    """Print a line in bold after an empty one."""
    out.print()
    prose(text, bold=True)


def prose(text: str, *, hanging: int = 0, bold: bool = False) -> None:
    """Print a paragraph at the left margin."""
    paragraph(text, indent=0, hanging=hanging, bold=bold)


def paragraph(text: str, *, indent: int = 2, hanging: int = 0, bold: bool = False) -> None:
    """Print a paragraph; lines after the first are indented by `hanging` more."""
    for wrapped in textwrap.wrap(
        printable(text),
        max(min(out.width, _WIDEST), 30),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        # A path, an address or a command has to stay in one piece, to be copied.
        break_on_hyphens=False,
        break_long_words=False,
    ):
        out.print(Text(wrapped, style="bold" if bold else ""), soft_wrap=True)


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


def facts(rows: Sequence[tuple[str, Any]]) -> None:
    """Print names with their values, one to a line."""
    table(["", ""], rows)


@contextmanager
def progress_bar(title: str, *, every: float = 0.0) -> Iterator[Callable[[str, float], None]]:
    """Show a bar on a terminal; elsewhere a line each `every` seconds, or nothing where that is 0."""
    if not err.is_terminal:
        yield _lines(title, every) if every else lambda _stage, _part: None
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


def _lines(title: str, every: float) -> Callable[[str, float], None]:
    began = last = time.monotonic()

    def show(stage: str, part: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every:
            last = now
            err.print(Text(f"{title}: {stage}, {part:.0%} done after {now - began:,.0f} s"))

    return show


def ago(seconds: float) -> str:
    """Say how long ago something was, in the largest fitting unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(int(seconds), 0)} s ago"


def utc(at: float) -> str:
    """Write a moment in UTC, to the minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, noun: str) -> str:
    """Write a number with its noun."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def bytes_of(number: float) -> str:
    """Write a number of bytes with a unit."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} B"
