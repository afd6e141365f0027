"""`shoal evaluate` and `shoal demo`: what the method is worth, on data that anybody can have."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.terminal import Output, OutputOption


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("evaluate")(evaluate)
    app.command("demo")(demo)


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of a data set.", exists=True, file_okay=False)],
    *,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split.")] = 1,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Compare the models with popularity, neighbours and PeerTube's own rule on a data set."""
    from daemon.evaluate import main

    raise typer.Exit(main(data, seed=seed, as_json=output is Output.JSON))


def demo(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Folder of another data set.", exists=True, file_okay=False)
    ] = None,
    instances: Annotated[int, typer.Option(min=5, max=50, help="How many instances.")] = 5,
    kill: Annotated[
        str | None, typer.Option(metavar="N@STAGE", help="Kill instance N at a stage, to see what happens.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Run several instances on this machine that learn together, and compare what each can recommend."""
    from daemon.demo.main import main

    raise typer.Exit(
        main(data=data, instances=instances, kill=kill, as_json=as_json or output is Output.JSON)
    )
