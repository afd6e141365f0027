"""`shoal run`, `shoal stop` and `shoal admin`: the daemon of an instance, and where its admin page is."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.terminal import count, line, prose, result, say
from daemon.config import Config, PeerTubeSource
from daemon.errors import AlreadyRunningError, NotRunningError, RequestError, ShoalError
from daemon.group import repository
from daemon.group.flower_installed import missing
from daemon.process import preflight
from daemon.process.child import python_module
from daemon.process.daemon_lock import Running, find
from daemon.serve.admin import token

app = Commands()
_SOURCE_WITHIN: Final = 3.0
"""Seconds that PeerTube has to answer, of the five in which `run` says what is wrong."""


@app.command()
def run(instance: InstanceOption = HERE) -> None:
    """Serve until stopped.

    The daemon answers the plugin and peers, and runs scheduled jobs. First it tests the cryptography of this
    installation and migrates the database, and says within five seconds what is wrong.
    """
    # Loads NumPy, which goes with this process.
    from daemon.doctor import cryptography
    from federation import self_test

    config = instance.config
    cryptography.require(self_test.failures)
    if (running := find(config.data_dir)) is not None:
        raise AlreadyRunningError(
            f"a daemon with process id {running.pid} already serves {config.data_dir}",
            advice=f"Stop it with: shoal stop -c {instance}",
        )
    preflight.require_writable(config.data_dir)
    preflight.require_free_ports(config)
    with ThreadPoolExecutor(1) as executor:
        # Meanwhile, and said as soon as it is known: a large migration takes its time.
        executor.submit(_say_source_problem, config)
        lost = instance.job("migrate").result["lost"]
    for problem in filter(None, (lost, preflight.nearly_full(config.data_dir))):
        say(problem)
    if config.federates and (lacks := missing()) and repository.current(instance.store):
        say(f"{lacks.message}. {lacks.advice} Everything but the group works without it.")
    say(f"Serving {config.instance.host}. Stop with Ctrl+C, or: shoal stop -c {instance}")
    command, environment = python_module("daemon.serve", "--config", str(instance))
    # Replacing this process leaves the command line's packages behind.
    os.execve(command[0], command, environment)  # noqa: S606 (no shell is wanted)


def _say_source_problem(config: Config) -> None:
    """Ask PeerTube and the plugin whether all is well, and say what is wrong and what to do.

    The daemon serves in any case: PeerTube may only be starting, and later jobs try again.
    """
    source = config.source
    if not isinstance(source, PeerTubeSource):
        return
    # Loads aiohttp.
    from daemon.source.plugin_probe import probe_now

    secret = source.secret.get_secret_value()
    found = probe_now(source.url, secret, host=config.instance.host, within=_SOURCE_WITHIN)
    if not found.ok:
        say(f"{found.message[:1].upper()}{found.message[1:]}. {found.advice}")


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
    if not instance.config.listen.api_is_local:
        raise RequestError(
            "other machines can reach this daemon, so that it answers PeerTube's plugin alone",
            advice="Open the page in PeerTube: /p/shoal",
        )
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
