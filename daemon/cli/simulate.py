"""`shoal simulate`: what groups of many instances cost and give, before anybody is asked to join one."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.terminal import Output, OutputOption, progress_bar, result
from daemon.errors import RequestError, SourceError

_FEWEST, _MOST = 5, 1000


class Level(StrEnum):
    """Privacy levels whose noise can be in the sums."""

    none = "none"
    default = "default"
    strict = "strict"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(
    *,
    instances: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Members; several times, or as 10,100,1000, the default (with --sizes: its lines).",
        ),
    ] = None,
    sizes: Annotated[
        Path | None,
        typer.Option(help="File with accounts per instance, one number a line.", exists=True, dir_okay=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of another data set.", exists=True, file_okay=False)
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(metavar="PERCENT", help="Members lost, in per cent; several times, or as 10,30."),
    ] = None,
    level: Annotated[Level, typer.Option(help="Privacy level; its noise is in the sums.")] = Level.default,
    trained: Annotated[
        int, typer.Option(min=1, max=1000, help="Instances of each size whose models are trained.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 1,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Simulate groups: bytes, time, losses, and what learning together is worth by size of the instance."""
    import os

    from daemon.cli import simulate_view
    from daemon.lab.demo.instances import SHIPPED
    from daemon.lab.simulate import sizes as accounts
    from daemon.lab.simulate.main import Options
    from daemon.lab.simulate.main import simulate as run
    from daemon.source.dataset_files import DataSetError, read
    from models.trained import Recipe
    from policies.privacy import Level as Privacy

    known = None if sizes is None else accounts.read(sizes)
    default = ["10,100,1000"] if known is None else [str(len(known))]
    options = Options(
        instances=tuple(_numbers(instances or default, "--instances", _FEWEST, _MOST)),
        losses=tuple(percent / 100 for percent in _numbers(loss or ["10,30"], "--loss", 1, 99)),
        sizes=known,
        level=Privacy(level.value),
        trained=trained,
        seed=seed,
        recipe=Recipe(threads=os.cpu_count() or 1),
    )
    try:
        tables = read(data or SHIPPED)
        with progress_bar("simulate") as progress:
            report = run(tables, options, progress)
    except DataSetError as error:
        advice = "" if data else "Wheels do not contain the demo's data: use a checkout, or --data DIR."
        raise SourceError(str(error), advice=advice) from error
    except ValueError as error:
        raise SourceError(
            f"this data set cannot be used: {error}", advice="Give one with more viewers."
        ) from error
    result(output, simulate_view.as_json(report), lambda: simulate_view.show(report))


def _numbers(given: list[str], option: str, low: int, high: int) -> list[int]:
    found = []
    for text in ",".join(given).split(","):
        word = text.strip()
        if not (word.isascii() and word.isdigit() and low <= int(word) <= high):
            raise RequestError(
                f"{option}: {word[:20]!r} is not a whole number from {low} to {high}",
                advice="Separate several by commas.",
            )
        found.append(int(word))
    return list(dict.fromkeys(found))
