"""`shoal peers suspects`: which sub-cohorts were there when a sum did not pass."""

from __future__ import annotations

import time
from typing import Any

import typer

from daemon.cli.prose import heading, paragraph
from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, ago, out, result

VERDICTS = {
    "new": "not judged yet",
    "accepted": "passed",
    "awaiting": "passed, waits for your look",
    "quarantined": "put aside",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("suspects")(suspects)


def suspects(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Name the sub-cohorts in sums that did not pass. What one peer gave is known to nobody."""
    from daemon.config import load
    from daemon.store.engine import open_checked
    from daemon.training.acceptance.suspect_sub_cohorts import suspects as found_in

    found = found_in(open_checked(load(config).database))
    result(output, {"suspects": found}, lambda: _show(found))


def _show(batches: list[dict[str, Any]]) -> None:
    if not batches:
        out.print("No stored sum was put aside.")
        return
    for batch in batches:
        heading(f"Sum {batch['batch'][:12]}, {ago(time.time() - batch['at'])}")
        paragraph(batch["sentence"])
        for group in batch["subcohorts"]:
            verdict = VERDICTS.get(group["verdict"], group["verdict"])
            paragraph(f"Sub-cohort {group['number']}, {verdict}: {', '.join(group['members'])}", hanging=2)
            for reason in group["reasons"]:
                paragraph(reason, indent=4)
    out.print()
    paragraph("To take out a peer and what was learnt with it: shoal peers revert HOST", indent=0)
