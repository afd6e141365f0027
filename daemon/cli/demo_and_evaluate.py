"""`shoal demo` and `shoal evaluate`: what the method is worth, on data that anybody can have."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import click
import typer

from daemon.cli.command import Commands, human
from daemon.errors import RequestError

app = Commands()

Data = Annotated[Path | None, typer.Option(help="Folder of another data set.", exists=True, file_okay=False)]
Level = Annotated[
    str,
    typer.Option(
        # The highest needs more viewers than any data set here has.
        click_type=click.Choice(["none", "default", "strict"]),
        help="Privacy level, whose noise is in the sums and in own releases.",
    ),
]


class Mode(StrEnum):
    """How the instances of a demo are connected."""

    peers = "peers"
    group = "group"


class Attack(StrEnum):
    """Attacks that can be shown."""

    push = "push"


@app.command()
def demo(
    *,
    data: Data = None,
    instances: Annotated[int, typer.Option(min=5, max=50, help="How many instances.")] = 5,
    mode: Annotated[
        Mode, typer.Option(help="Each instance asks its peers, or all are in a group that one of them hosts.")
    ] = Mode.peers,
    kill: Annotated[
        str | None, typer.Option(metavar="N@STAGE", help="Kill instance N at a stage, to see what happens.")
    ] = None,
    level: Level = "default",
    attack: Annotated[
        Attack | None, typer.Option(help="One instance attacks, is refused, and is taken out again.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep the daemons running, to look at their admin pages.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Same as -o json.")] = False,
) -> None:
    """Run several instances on this machine.

    They learn together, and what each can recommend is compared: alone, together, and from all data in one
    place. Each sum is held against the plain one plus the noise drawn, integer for integer.
    """
    if attack is not None and (kill or serve or mode is Mode.group):
        raise RequestError(
            "--attack excludes --kill, --serve and --mode group", advice="Leave one of them out."
        )
    # Loads SciPy and PyTorch, once the command is known to make sense.
    from daemon.lab.demo.main import main

    raise typer.Exit(
        main(
            data=data,
            instances=instances,
            kill=kill,
            level=level,
            attack=attack is not None,
            serve=serve,
            group=mode is Mode.group,
            as_json=as_json or not human(),
        )
    )


@app.command()
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of a data set.", exists=True, file_okay=False)],
    *,
    instances: Annotated[
        int | None,
        typer.Option(min=2, max=1000, help="Split the users over this many instances, and compare them."),
    ] = None,
    skew: Annotated[
        float,
        typer.Option(min=0, max=10, help="How much the tastes of these instances differ; 0 for not at all."),
    ] = 2.0,
    heads: Annotated[
        bool,
        typer.Option(
            "--heads", help="Compare ways to choose the videos whose pairs are summed. Takes minutes."
        ),
    ] = False,
    together: Annotated[
        bool,
        typer.Option("--together", help="Compare instances alone and with others. Takes minutes."),
    ] = False,
    viewers: Annotated[
        bool,
        typer.Option("--viewers", help="Show from how many viewers on a model is useful. Takes minutes."),
    ] = False,
    family: Annotated[
        bool,
        typer.Option("--family", help="Compare models of ratings by RMSE and ranking. Takes many minutes."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 1,
    like_at: Annotated[
        float | None, typer.Option(help="Least value of a like; without it, as the data set has it.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, max=256, help="Threads; 0 means every core.")] = 0,
) -> None:
    """Compare models on a data set.

    Popularity, nearest neighbours, implicit ALS and PeerTube's own rule are measured beside them.
    """
    wanted = {
        "heads": heads,
        "together": together,
        "viewers": viewers,
        "family": family,
        "instances": instances is not None,
    }
    asked = [name for name, given in wanted.items() if given]
    if len(asked) > 1:
        raise RequestError(
            f"{', '.join(f'--{name}' for name in asked)} exclude each other",
            advice="Leave all but one of them out.",
        )
    if family and not find_spec("sklearn"):
        raise RequestError(
            "--family needs scikit-learn, which is not installed",
            advice="Install it: pip install 'shoal[family]'",
        )
    # Loads SciPy and PyTorch.
    from daemon.cli import evaluate_view

    evaluate_view.run(
        data,
        asked[0] if asked else "models",
        instances=instances,
        skew=skew,
        seed=seed,
        like_at=like_at,
        threads=threads,
    )
