"""Headings and paragraphs on a terminal: lines no longer than a person reads easily."""

import textwrap

from rich.text import Text

from daemon.cli.terminal import out, printable

_WIDEST = 100


def heading(text: str) -> None:
    """Print a line in bold after an empty one."""
    out.print()
    paragraph(text, indent=0, bold=True)


def paragraph(text: str, *, indent: int = 2, hanging: int = 0, bold: bool = False) -> None:
    """Print a paragraph; lines after the first are indented by `hanging` more."""
    lines = textwrap.wrap(
        printable(text),
        max(min(out.width, _WIDEST), 30),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
    )
    for line in lines:
        out.print(Text(line, style="bold" if bold else ""))
