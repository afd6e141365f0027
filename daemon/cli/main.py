"""The command line `shoal`. Commands import what they need when they run, so that help appears at once."""

import sys
from typing import Annotated

import typer

from daemon.cli import (
    admin,
    evaluate_and_demo,
    group,
    identity,
    init,
    ledger,
    models,
    peers,
    privacy,
    related,
    run_and_stop,
    sessions,
    share,
    simulate,
    sync_and_train,
    viewers,
)
from daemon.cli.terminal import failure
from daemon.errors import ShoalError
from daemon.own_packages import require_own_packages

EXIT_CODES = """
Exit status: 0 done; 1 a fault of this program; 2 wrong usage or configuration; 3 refused by a policy;
4 not running, already running, or no model yet; 5 a job or its source failed; 6 the database cannot be used;
130 interrupted.
"""

app = typer.Typer(
    name="shoal",
    help="Recommendations for PeerTube, learnt together with instances you trust.",
    epilog=" ".join(EXIT_CODES.split()),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 (typer calls it)
    if wanted:
        from importlib.metadata import version

        typer.echo(f"shoal {version('shoal')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Recommendations for PeerTube, learnt together with instances you trust."""


init.register(app)
run_and_stop.register(app)
sync_and_train.register(app)
admin.register(app)
app.add_typer(peers.app, name="peers")
app.add_typer(group.app, name="group")
app.add_typer(identity.app, name="identity")
app.add_typer(sessions.app, name="sessions")
app.add_typer(models.app, name="models")
app.add_typer(privacy.app, name="privacy")
app.add_typer(viewers.app, name="viewers")
app.add_typer(ledger.app, name="ledger")
app.add_typer(share.app, name="share")
related.register(app)
evaluate_and_demo.register(app)
simulate.register(app)


def main() -> None:
    """Run the command line; errors meant for people become two lines and an exit status."""
    require_own_packages()
    try:
        app()
    except ShoalError as error:
        failure(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
