"""What `shoal demo --attack push` prints."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from daemon.lab.demo.attack import Case, Story

_TITLES = {"fakes": "Fake viewers, as many as real ones", "scaled": "Its part, counted twentyfold"}


def show(story: Story, console: Console) -> None:
    """Print it for people."""
    table = Table(
        title=f"Viewers with one of the five pushed films in their ten, served by {_short(story.observer)}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("Attack by " + _short(story.attacker))
    for name in ("Before", "Without guards", "With guards", "After revert"):
        table.add_column(name, justify="right")
    for case in story.cases:
        shares = (case.before, case.without_guards, case.with_guards, case.after_revert)
        table.add_row(_TITLES[case.name], *(f"{share:.1%}" for share in shares))
    console.print(table)
    for case in story.cases:
        console.print(f"{_TITLES[case.name]}: {_verdict(case)}", markup=False)
        console.print(
            f"  Revert: out of service after {case.seconds_out_of_service:.1f} s. What served then, and in "
            f"the next window, {'equals' if case.equal_to_never else 'DOES NOT EQUAL'} byte for byte what "
            "serves in a federation in which the attacker never was."
        )
    console.print(f"Everything took {story.seconds:.0f} s.")


def _verdict(case: Case) -> str:
    if case.verdict == "quarantined":
        return f"refused. {case.why}"
    return "accepted: it gains too little to be told from honest viewers."


def _short(host: str) -> str:
    return host.removesuffix(".example")
