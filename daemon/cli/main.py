"""The command line `shoal`: which commands there are, and the module that each is in.

A module is imported when its command is run or its help is asked for, so that `shoal --help` appears at once,
and a command loads what it needs and nothing else.
"""

import logging
from typing import Annotated, Final

import click
import typer

from daemon.cli.command import CommandGroup, Commands, Entry, failure, first_sentence
from daemon.errors import NoModelError, ShoalError
from daemon.own_packages import require_own_packages
from daemon.process.full_disk import disk_full, is_full
from models.errors import ModelError

COMMANDS: Final = {
    "Run an instance": {
        "init": Entry("daemon.cli.init", "Write shoal.toml and create the key of a new instance."),
        "run": Entry("daemon.cli.run_stop_admin", "Serve until stopped."),
        "status": Entry("daemon.cli.status", "Show how the instance is, what comes next, and what is wrong."),
        "doctor": Entry("daemon.cli.status", "Check everything, and say what to do about what is wrong."),
        "stop": Entry("daemon.cli.run_stop_admin", "Stop the running daemon."),
        "admin": Entry("daemon.cli.run_stop_admin", "Print the address of the admin page."),
        "config": Entry("daemon.cli.config", "Show the settings in effect, and where each comes from."),
        "logs": Entry("daemon.cli.logs", "Show what the daemon and its jobs logged last."),
        "support": Entry("daemon.cli.support", "Make a redacted report about a fault."),
        "sync": Entry("daemon.cli.sync_and_train", "Read videos and engagements from the source."),
        "train": Entry("daemon.cli.sync_and_train", "Train a model from what is stored."),
        "backup": Entry(
            "daemon.cli.backup_restore",
            "Write all that the instance needs into one file, while the daemon runs.",
        ),
        "restore": Entry(
            "daemon.cli.backup_restore",
            "Put a backup in place, into an empty folder or over what is left of the instance.",
        ),
        "uninstall": Entry(
            "daemon.cli.uninstall", "Tell peers that this instance leaves, and delete its data."
        ),
    },
    "Learn together": {
        "peers": Entry(
            "daemon.cli.peers",
            "Find, approve and revert peers.",
            {
                "introduce": Entry(
                    "daemon.cli.peers_circle", "Introduce your approved peers to one another."
                ),
                "circle": Entry("daemon.cli.peers_circle", "Approve instances that your peers introduce."),
                "revert": Entry("daemon.cli.peers_revert", "Take out a peer and what was learnt with it."),
                "suspects": Entry("daemon.cli.peers_revert", "List who was in sums that were quarantined."),
            },
        ),
        "group": Entry(
            "daemon.cli.group",
            "Learn in a group, with one sum that a member hosts.",
            {
                "check": Entry(
                    "daemon.cli.group_check", "Try a group out before you join it, with made-up data."
                )
            },
        ),
        "identity": Entry("daemon.cli.identity", "Show or replace the key of this instance."),
        "rounds": Entry("daemon.cli.rounds", "List rounds, the secure sums with others, and start one."),
    },
    "See what viewers get": {
        "models": Entry("daemon.cli.models", "List, accept, roll back and export models."),
        "related": Entry("daemon.cli.related", "List the videos that are suggested beside a video."),
        "explain": Entry("daemon.cli.related", "Explain why a video is suggested to a viewer, exactly."),
    },
    "See what leaves": {
        "share": Entry("daemon.cli.share", "Show what leaves this instance, before it leaves."),
        "privacy": Entry("daemon.cli.privacy", "Show what others can learn about your viewers."),
        "ledger": Entry("daemon.cli.ledger", "Show, verify and export the record of what happened."),
        "viewers": Entry("daemon.cli.viewers", "Forget viewers who left."),
    },
    "Try it out": {
        "demo": Entry("daemon.cli.demo_and_evaluate", "Run several instances on this machine."),
        "evaluate": Entry("daemon.cli.demo_and_evaluate", "Compare models on a data set."),
        "simulate": Entry("daemon.cli.simulate", "Estimate what groups of many instances cost and gain."),
    },
}

ENTRIES: Final = {name: entry for section in COMMANDS.values() for name, entry in section.items()}

EXIT_STATUS: Final = """\b
Exit status:
  0    done
  1    a bug in Shoal
  2    wrong usage or configuration
  3    refused by a policy
  4    not running, already running, or no model yet
  5    a job or its source failed
  6    the database cannot be used, or was changed by somebody else
  7    status or doctor found something wrong
  130  interrupted
"""


class _Shoal(CommandGroup):
    """All commands; only the one that is named is imported."""

    elsewhere = ENTRIES

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write one line for each command, without importing any."""
        width = max(map(len, self.elsewhere))
        for title, entries in COMMANDS.items():
            rows = [(f"{name:{width}}", first_sentence(entry.help)) for name, entry in entries.items()]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; errors meant for people become two lines and an exit status."""
        try:
            return super().invoke(ctx)
        except ShoalError as error:
            failure(error)
            raise typer.Exit(error.exit_code) from None
        except ModelError as error:
            # A model of another version, a damaged one, or too little to learn from: the message says which.
            found = NoModelError(str(error).rstrip("."), advice="`shoal train` makes a new model.")
            failure(found)
            raise typer.Exit(found.exit_code) from None
        except OSError as error:
            if not is_full(error):
                raise
            failure(full := disk_full())
            raise typer.Exit(full.exit_code) from None


app = Commands(
    cls=_Shoal,
    name="shoal",
    epilog=EXIT_STATUS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
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


def main() -> None:
    """Run the command line."""
    require_own_packages()
    # What a command has to say it prints; only a fault that nothing else reports is worth a line of log.
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.ERROR)
    app()


if __name__ == "__main__":
    main()
