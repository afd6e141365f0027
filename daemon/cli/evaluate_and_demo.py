"""`shoal evaluate` and `shoal demo`: what the method is worth, on data that anybody can have."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.terminal import Output, OutputOption, progress_bar, result
from daemon.errors import RequestError, SourceError


class Level(StrEnum):
    """Levels that a demo can show; the highest needs more viewers than any set here has."""

    none = "none"
    default = "default"
    strict = "strict"


class How(StrEnum):
    """How the instances of a demo are connected."""

    peers = "peers"
    group = "group"


class Attack(StrEnum):
    """Attacks that can be shown."""

    push = "push"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("evaluate")(evaluate)
    app.command("demo")(demo)


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of a data set.", exists=True, file_okay=False)],
    *,
    instances: Annotated[
        int | None,
        typer.Option(min=2, max=1000, help="Split the users into so many instances, and compare them."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 1,
    like_at: Annotated[
        float | None, typer.Option(help="A value of at least this is a like; unset follows the set.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, max=256, help="Threads; 0 takes every core.")] = 0,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Compare the models with popularity, neighbours and PeerTube's own rule on a data set."""
    from daemon.cli import evaluate_view
    from daemon.lab.evaluate import Options
    from daemon.lab.evaluate import evaluate as measure
    from daemon.lab.evaluate_instances import Partition, evaluate_instances
    from daemon.source.dataset_files import DataSetError, read
    from models.trained import Recipe

    # Evaluation releases nothing, so pairs of few users may count.
    recipe = Recipe(min_pair_users=1, threads=threads or os.cpu_count() or 1)
    options = Options(positive_from=like_at, seed=seed, recipe=recipe)
    try:
        tables = read(data)
        with progress_bar("evaluate") as progress:
            if instances is None:
                report = measure(tables, options, progress)
                result(output, evaluate_view.as_json(report), lambda: evaluate_view.show(report))
            else:
                split = evaluate_instances(tables, options, Partition(instances=instances), progress)
                result(output, evaluate_view.as_json(split), lambda: evaluate_view.show_instances(split))
    except DataSetError as error:
        raise SourceError(str(error), advice="See the format in the documentation of data sets.") from error
    except ValueError as error:
        raise SourceError(
            f"this data set cannot be evaluated: {error}", advice="Give more users, or fewer instances."
        ) from error


def demo(
    *,
    data: Annotated[
        Path | None, typer.Option(help="Folder of another data set.", exists=True, file_okay=False)
    ] = None,
    instances: Annotated[int, typer.Option(min=5, max=50, help="How many instances.")] = 5,
    mode: Annotated[
        How, typer.Option(help="Everybody asks its own peers, or all are a group that one of them hosts.")
    ] = How.peers,
    kill: Annotated[
        str | None, typer.Option(metavar="N@STAGE", help="Kill instance N at a stage, to see what happens.")
    ] = None,
    level: Annotated[
        Level, typer.Option(help="Privacy level; without noise, federated and pooled are the same model.")
    ] = Level.default,
    attack: Annotated[
        Attack | None,
        typer.Option(help="One instance attacks, is refused, overruled, and taken out again."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep the daemons up, to click through their admin pages.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Run several instances on this machine that learn together, and compare what each can recommend."""
    from daemon.lab.demo.main import main

    if attack is not None and (kill or serve or mode is How.group):
        raise RequestError(
            "--attack goes with none of --kill, --serve and --mode group", advice="Leave one of them out."
        )
    raise typer.Exit(
        main(
            data=data,
            instances=instances,
            kill=kill,
            level=level.value,
            attack=attack is not None,
            serve=serve,
            group=mode is How.group,
            as_json=as_json or output is Output.JSON,
        )
    )
