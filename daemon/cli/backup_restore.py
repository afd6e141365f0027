"""`shoal backup` and `shoal restore`: all that an instance needs in one file, and back."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.command import Commands, human
from daemon.cli.instance import HERE, Instance, InstanceOption, Yes
from daemon.cli.terminal import bytes_of, confirm, count, line, prose, result, say, utc
from daemon.config import FILE_NAME
from daemon.errors import AlreadyRunningError, RequestError
from daemon.process.daemon_lock import find

if TYPE_CHECKING:
    from daemon.store.loss import Cause

app = Commands()

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file, readable by its owner only.")],
    instance: InstanceOption = HERE,
) -> None:
    """Write all that the instance needs into one file, while the daemon runs.

    Settings, keys, database, ledger, models and what was released are in it. What viewers watched and liked
    is not: PeerTube has it. Keep the file where only you can read it: it holds the key by which peers know
    this instance.
    """
    # Loads SQLAlchemy.
    from daemon.maintenance import backup as backups

    made = backups.make(instance.config, _config_file(instance), file.absolute(), time.time())

    def show() -> None:
        line(f"Wrote {file}: {count(made.files, 'file')}, {bytes_of(made.size)}.")
        prose("Keep it on another machine, where only you can read it. Back: shoal restore FILE")

    result({"file": str(file), "files": made.files, "bytes": made.size, "made": made.header.made}, show)


@app.command()
def restore(file: File, instance: InstanceOption = HERE, *, yes: Yes = False) -> None:
    """Put a backup in place, into an empty folder or over what is left of the instance.

    The daemon must be stopped. The backup is checked first, and what is there and newer stays: settings,
    keys, models, the ledger. Peers that were paused, removed or reverted since stay so, and everything counts
    as given to peers for one data window.
    """
    # Loads SQLAlchemy, and NumPy.
    from daemon.maintenance import backup as backups
    from daemon.maintenance import restore as restores

    config_file = _config_file(instance)
    folder = config_file.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".restore.", dir=folder) as scratch:
        unpacked = Path(scratch)
        header = backups.unpack(file, unpacked)
        say(f"{file} is a backup of {header.host}, made {utc(header.made)} by Shoal {header.shoal}.")
        draft = instance if config_file.exists() else Instance(unpacked / FILE_NAME)
        if (running := find(draft.config.data_dir)) is not None:
            raise AlreadyRunningError(
                f"the daemon with process id {running.pid} is running",
                advice=f"Stop it first: shoal stop -c {instance}",
            )
        if config_file.exists():
            restores.require_same_instance(draft.config, header, unpacked)
        confirm(_question(draft, config_file), yes=yes)
        if not config_file.exists():
            config_file.write_bytes((unpacked / FILE_NAME).read_bytes())
            config_file.chmod(0o600)
            instance = Instance(config_file)
        config, now = instance.config, time.time()
        cause: Cause = "restored"
        hosts = restores.approved(config, unpacked)
        if hosts and not restores.decisions_are_known(config, unpacked) and not _nothing_since(header.made):
            cause = "copied"
        with restores.alone(config):
            restores.put_in_place(config, unpacked, cause, now)
        told = instance.job("migrate").result["lost"]
        served_until = _count_as_served(instance)
    left = restores.approved(config, config.data_dir)

    def show() -> None:
        line(f"Restored {header.host} from {file}.")
        prose(told)
        prose(f"Nobody is given anything new before {utc(served_until)}.")
        if gone := sorted(set(hosts) - set(left)):
            prose(f"Not approved any more: {', '.join(gone)}. See: shoal peers list")
        prose("Check the ledger (shoal ledger verify), then start the daemon: shoal run")

    found = {
        "host": header.host,
        "made": header.made,
        "cause": cause,
        "approved": list(left),
        "approved_in_backup": list(hosts),
        "served_until": served_until,
    }
    result(found, show)


def _config_file(instance: Instance) -> Path:
    path = instance.config_file
    folder = path.is_dir() or path.suffix != ".toml"
    return (path / FILE_NAME if folder else path).absolute()


def _question(instance: Instance, config_file: Path) -> str:
    if not config_file.exists():
        return f"Restore it into {config_file.parent}?"
    database = instance.config.database
    if not database.exists():
        return f"Restore it into {instance.config.data_dir}?"
    return f"Replace {database}? The file that is there is kept beside it for a week."


def _nothing_since(made: float) -> bool:
    """Ask what nothing here can tell; without anybody to ask, what is safe holds."""
    if not human() or not sys.stdin.isatty():
        return False
    say("Nothing here tells what was decided about peers after the backup.")
    question = f"Is it certain that no peer was paused, removed or reverted after {utc(made)}?"
    return typer.confirm(question, default=False, err=True)


def _count_as_served(instance: Instance) -> float:
    """Leave every sum under way, and count all as given; returns until when, Unix seconds."""
    from daemon.identity import open_identity
    from daemon.rounds.abort import leave_all
    from daemon.rounds.data_windows import open_windows

    config = instance.config
    leave_all(instance.store, config)
    windows = open_windows(
        config, open_identity(config.identity_file, config.instance.host), instance.store, time.time
    )
    windows.count_as_served()
    until = windows.served_until()
    if until is None:
        raise RequestError("the data windows cannot be written", advice="See who owns data_dir.")
    return until
