"""`shoal config`: the settings in effect, and where each comes from."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, InstanceOption
from daemon.cli.terminal import line, out, paragraph, prose, result, table
from daemon.config.effective import DEFAULT, HIDDEN, Setting, effective
from daemon.errors import RequestError

app = Commands()


@app.callback()
def _group() -> None:
    """Keep `show` a command of its own, although it is the only one."""


@app.command()
def show(
    instance: InstanceOption = HERE,
    *,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help='A setting or table, such as "privacy" or "log.level", with reasons.'
        ),
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Show those with their default value as well.")
    ] = False,
) -> None:
    """Show the settings in effect, and whether file, variable or default set them.

    Only those that are set, unless you name some or ask for all. Secrets are not shown.
    """
    known = effective(instance.config_file)
    if key:
        found = [one for one in known if one.key == key or one.key.startswith(f"{key}.")]
        if not found:
            raise RequestError(
                f'there is no setting "{key}"', advice="See all of them: shoal config show --all"
            )
    else:
        found = [one for one in known if everything or one.origin != DEFAULT]
    as_json = {
        one.key: {"value": one.value, "from": one.origin, **({"reason": one.reason} if key else {})}
        for one in found
    }
    result(as_json, lambda: _show_reasons(found) if key else _show_table(found, more=len(known) - len(found)))


def _show_table(found: list[Setting], *, more: int) -> None:
    table(["SETTING", "VALUE", "FROM"], [(one.key, _written(one.value), one.origin) for one in found])
    if more:
        prose(f"{more} more have their default value: shoal config show --all")
    prose("What one does and why: shoal config show KEY")


def _show_reasons(found: list[Setting]) -> None:
    for number, one in enumerate(found):
        if number:
            out.print()
        line(f"{one.key} = {_written(one.value)}", style="bold")
        paragraph(f"From: {one.origin}.")
        paragraph(one.reason)


def _written(value: Any) -> str:
    """Write a value as it stands in shoal.toml; what is unset is named so."""
    if value is None:
        return "(unset)"
    return HIDDEN if value == HIDDEN else json.dumps(value, ensure_ascii=False)
