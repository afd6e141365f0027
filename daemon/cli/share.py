"""`shoal share`: what exactly would leave, what has left, and both as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result
from daemon.errors import RequestError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from daemon.config import Config

app = typer.Typer(help="What leaves: show, export, kinds.", no_args_is_help=True)


@app.command("show")
def show_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    session: Annotated[str, typer.Option(help="Only what left in this session, by how its id begins.")] = "",
    videos: Annotated[int, typer.Option(min=0, max=1000, help="How many videos are listed.")] = 10,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Show what would leave next, what each rule says to it, and what has left; nothing is sent."""
    import time

    from daemon.cli import share_view
    from daemon.disclosure.share_report import gather

    settings, engine = _open(config)
    share = gather(settings, engine, time.time())
    if session:
        found = _session(engine, session)
        left = [one for one in share.left if one.session_id == found]
        value = {
            "session": found,
            "left": [one for one in share.as_json()["left"] if one["session"] == found],
        }
        result(output, value, lambda: share_view.session(share, found, left, videos))
        return
    result(output, share.as_json(most=videos), lambda: share_view.show(share, videos))


@app.command("export")
def export(
    destination: Annotated[
        Path, typer.Argument(help="New file: .csv, one line per video, or .json with all.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    pairs: Annotated[
        str, typer.Option(metavar="HOST", help="Write the numbers of pairs that this aggregator has (.csv).")
    ] = "",
    output: OutputOption = Output.HUMAN,
) -> None:
    """Write every video, the viewers behind it, and the number that each aggregator has of it."""
    import time

    from daemon.disclosure.share_export import write
    from daemon.disclosure.share_report import gather

    settings, engine = _open(config)
    written: dict[str, Any] = {"file": str(destination)}
    if pairs:
        written["pairs"] = _pairs(settings, engine, pairs, destination)
    else:
        written["videos"] = write(gather(settings, engine, time.time()), destination)
    what = "pairs" if pairs else "videos"
    result(
        output, written, lambda: out.print(f"Wrote {written[what]:,} {what} to {destination}.", markup=False)
    )


@app.command("kinds")
def kinds(*, output: OutputOption = Output.HUMAN) -> None:
    """Say which kinds of data leave this instance at all, and to whom."""
    from daemon.cli.prose import paragraph
    from daemon.disclosure.data_kinds import DATA_KINDS

    def show() -> None:
        for kind in DATA_KINDS:
            paragraph(f"{kind.name}, to {kind.to}", indent=0, bold=True)
            paragraph(f"{kind.sentence[:1].upper()}{kind.sentence[1:]}")

    result(output, [kind.as_json() for kind in DATA_KINDS], show)


def _pairs(settings: "Config", engine: "Engine", host: str, destination: Path) -> int:
    import time

    from daemon.disclosure.share_export import write_pairs
    from daemon.disclosure.windows import frozen_pairs

    found = frozen_pairs(settings, engine, host, time.time())
    if found is None:
        raise RequestError(
            f"{host} has no pairs in its present data window",
            advice="See which aggregator has what: shoal share show",
        )
    return write_pairs(destination, *found)


def _session(engine: "Engine", beginning: str) -> str:
    from daemon.store.activity import session

    found = session(engine, beginning)
    if found is None:
        raise RequestError("there is no such session", advice="See: shoal sessions list")
    return found.id


def _open(config_file: Path) -> "tuple[Config, Engine]":
    from daemon.config import load
    from daemon.store.engine import open_checked

    settings = load(config_file)
    return settings, open_checked(settings.database)
