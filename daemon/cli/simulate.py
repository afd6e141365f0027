"""`shoal simulate`: what groups of many instances cost and give, before anybody is asked to join one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.command import Commands
from daemon.cli.demo_and_evaluate import Data, Level
from daemon.errors import RequestError

app = Commands()

_FEWEST, _MOST = 5, 1000


@app.command()
def simulate(
    *,
    instances: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Sizes of groups: repeat it, or give 10,100,1000, which is the default without --sizes.",
        ),
    ] = None,
    sizes: Annotated[
        Path | None,
        typer.Option(
            help="File with the number of accounts of each instance, one per line.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    data: Data = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PERCENT", help="Share of members that are lost: repeat it, or give 2,10,30, the default."
        ),
    ] = None,
    level: Level = "default",
    trained: Annotated[
        int, typer.Option(min=1, max=1000, help="Instances of each size whose models are trained.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 1,
) -> None:
    """Estimate what groups of many instances cost and gain.

    Reports traffic, time, lost members, and what learning together is worth to instances of each size.
    """
    losses = _numbers(loss or ["2,10,30"], "--loss", 1, 99)
    wanted = _numbers(instances, "--instances", _FEWEST, _MOST) if instances else []
    # Loads SciPy, PyTorch and Flower, once the command is known to make sense.
    from daemon.cli import simulate_view

    simulate_view.run(
        data=data,
        instances=wanted,
        sizes=sizes,
        losses=[percent / 100 for percent in losses],
        level=level,
        trained=trained,
        seed=seed,
    )


def _numbers(given: list[str], option: str, low: int, high: int) -> list[int]:
    found = []
    for text in ",".join(given).split(","):
        word = text.strip()
        if not (word.isascii() and word.isdigit() and low <= int(word) <= high):
            raise RequestError(
                f'{option}: "{word[:20]}" is not a whole number from {low} to {high}',
                advice="Separate several numbers by commas.",
            )
        found.append(int(word))
    return list(dict.fromkeys(found))
