"""`shoal run`, `shoal stop` and `shoal admin`: the daemon of an instance, and where its admin page is."""

import os
import signal
import time
from typing import Annotated

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.terminal import count, line, prose, result, say
from daemon.errors import AlreadyRunningError, NotRunningError, ShoalError
from daemon.group import repository
from daemon.group.flower_installed import missing
from daemon.process.child import python_module
from daemon.process.daemon_lock import Running, find
from daemon.serve.admin import token

app = Commands()


@app.command()
def run(instance: InstanceOption = HERE) -> None:
    """Serve until stopped.

    The daemon answers the plugin and peers, and runs scheduled jobs. It migrates the database first.
    """
    config = instance.config
    if (running := find(config.data_dir)) is not None:
        raise AlreadyRunningError(
            f"a daemon with process id {running.pid} already serves {config.data_dir}",
            advice=f"Stop it with: shoal stop -c {instance}",
        )
    if lost := instance.job("migrate").result["lost"]:
        say(lost)
    if config.federates and (lacks := missing()) and repository.current(instance.store):
        say(f"{lacks.message}. {lacks.advice} Everything but the group works without it.")
    say(f"Serving {config.instance.host}. Stop with Ctrl+C, or: shoal stop -c {instance}")
    command, environment = python_module("daemon.serve", "--config", str(instance))
    # Replacing this process leaves the command line's packages behind.
    os.execve(command[0], command, environment)  # noqa: S606 (no shell is wanted)


@app.command()
def stop(
    instance: InstanceOption = HERE,
    *,
    wait: Annotated[float, typer.Option(help="Seconds to wait until it has stopped.")] = 20.0,
) -> None:
    """Stop the running daemon.

    It answers requests in progress and leaves open rounds. To keep the rounds, restart the daemon with
    your service manager instead.
    """
    from daemon.rounds.abort import leave_all

    running = _running(instance)
    os.kill(running.pid, signal.SIGTERM)
    began = time.monotonic()
    while find(instance.config.data_dir) is not None:
        if time.monotonic() - began > wait:
            raise ShoalError(
                f"the daemon with process id {running.pid} is still running",
                advice="It may be answering a request. Try again, or kill the process.",
            )
        time.sleep(0.05)
    left = leave_all(instance.store, instance.config)
    seconds = time.monotonic() - began

    def show() -> None:
        line(f"Stopped the daemon (process {running.pid}) after {seconds:.1f} s.")
        if left.as_member or left.own:
            prose(
                f"Left {count(left.as_member, 'round')} of others and {count(left.own, 'round')} of this "
                "instance. They cannot go on."
            )

    found = {
        "stopped": running.pid,
        "seconds": round(seconds, 2),
        "left": {"rounds_of_others": left.as_member, "own_rounds": left.own},
    }
    result(found, show)


@app.command()
def admin(instance: InstanceOption = HERE) -> None:
    """Print the address of the admin page.

    The address works on this machine until the daemon stops.
    """
    data_dir = instance.config.data_dir
    address = token.page_address(_running(instance).api, token.read(data_dir))

    def show() -> None:
        line(address)
        prose(
            "Open it on this machine, or through an SSH tunnel. Do not share it: it opens the admin page to "
            "anyone on this machine until the daemon stops."
        )

    result({"url": address, "token_file": str(data_dir / token.FILE_NAME)}, show)


def _running(instance: Instance) -> Running:
    running = find(instance.config.data_dir)
    if running is None:
        raise NotRunningError(
            f"no daemon serves {instance.config.data_dir}", advice=f"Start one with: shoal run -c {instance}"
        )
    return running
