"""`shoal run` and `shoal stop`."""

import os
import signal
import time
from typing import Annotated

import typer

from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run")(run)
    app.command("stop")(stop)


def run(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Serve until stopped: the local API, peers, scheduled jobs. Migrates the database first."""
    from daemon.cli.sync_and_train import job
    from daemon.config import load
    from daemon.errors import AlreadyRunningError
    from daemon.process.child import python_module
    from daemon.process.daemon_lock import find

    settings = load(config)
    if (running := find(settings.data_dir)) is not None:
        raise AlreadyRunningError(
            f"a daemon with process id {running.pid} already serves {settings.data_dir}",
            advice=f"Stop it with: shoal stop -c {config}",
        )
    job("migrate", config, settings)
    if output is Output.HUMAN:
        say(f"Serving {settings.instance.host}. Stop with Ctrl+C, or: shoal stop -c {config}")
    command, environment = python_module("daemon.serve", "--config", str(config))
    # Replacing this process leaves the command line's packages behind.
    os.execve(command[0], command, environment)  # noqa: S606 (no shell is wanted)


def stop(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    wait: Annotated[float, typer.Option(help="Seconds to wait for it to finish.")] = 20.0,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Stop the running daemon and leave every open session; answers in progress are finished.

    A daemon that is only restarted (by systemd, say) goes on with its sessions instead.
    """
    from daemon.config import load
    from daemon.errors import NotRunningError, ShoalError
    from daemon.process.daemon_lock import find
    from daemon.rounds.abort import leave_all
    from daemon.store.engine import open_checked

    settings = load(config)
    running = find(settings.data_dir)
    if running is None:
        raise NotRunningError(
            f"no daemon serves {settings.data_dir}", advice=f"Start one with: shoal run -c {config}"
        )
    os.kill(running.pid, signal.SIGTERM)
    began = time.monotonic()
    while find(settings.data_dir) is not None:
        if time.monotonic() - began > wait:
            raise ShoalError(
                f"the daemon with process id {running.pid} is still running",
                advice="It may be finishing a request; try again, or end it by hand.",
            )
        time.sleep(0.05)
    left = leave_all(open_checked(settings.database), settings)
    seconds = time.monotonic() - began

    def show() -> None:
        out.print(f"Stopped the daemon (process {running.pid}) after {seconds:.1f} s.")
        if left.as_member or left.own:
            out.print(
                f"Left sums of others: {left.as_member}, sessions of our own: {left.own}. Nothing further of "
                "them can be answered."
            )

    result(
        output,
        {
            "stopped": running.pid,
            "seconds": round(seconds, 2),
            "left": {"sums_of_others": left.as_member, "own_sessions": left.own},
        },
        show,
    )
