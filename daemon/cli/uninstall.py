"""`shoal uninstall`: peers and the group hear that this instance leaves, then its data is deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption, Yes
from daemon.cli.terminal import confirm, count, line, prose, result, say
from daemon.config import FILE_NAME, Config, PeerTubeSource
from daemon.errors import AlreadyRunningError, ShoalError, StoreError
from daemon.process.daemon_lock import find, only_daemon

app = Commands()


@dataclass
class _Told:
    """Who heard that this instance leaves, and who did not, with the reason."""

    peers: list[str] = field(default_factory=list)
    not_told: dict[str, str] = field(default_factory=dict)
    group: str = ""


@app.command()
def uninstall(instance: InstanceOption = HERE, *, yes: Yes = False) -> None:
    """Tell peers that this instance leaves, and delete its data.

    The daemon must be stopped. Peers and the group are told that this instance approves nobody any more. Then
    everything that the daemon wrote into the data folder is deleted, the key and the ledger included. Nothing
    outside that folder is touched, and nothing in it that the daemon did not write.
    """
    # Loads aiohttp.
    from daemon.cli import instance_files

    config = instance.config
    if (running := find(config.data_dir)) is not None:
        raise AlreadyRunningError(
            f"the daemon with process id {running.pid} is running",
            advice=f"Stop it first: shoal stop -c {instance}",
        )
    own, others = instance_files.of_the_instance(config)
    say(f"This deletes from {config.data_dir}: {', '.join(path.name for path in own)}.")
    if others:
        say(f"What the daemon did not write stays: {', '.join(path.name for path in others)}.")
    say(
        f"Peers that cannot be told now find no answer. To keep the record: shoal ledger export -c {instance}"
    )
    confirm(f"Remove the instance {config.instance.host} for good?", yes=yes)
    # Until the lock itself is deleted, so that no daemon starts meanwhile.
    with only_daemon(config.data_dir):
        told = _tell(instance)
        left = _delete(config)

    def show() -> None:
        _show_told(told)
        for text in _still_to_do(config, _config_file(instance), left):
            prose(text, hanging=2)

    found = {
        "host": config.instance.host,
        "deleted": [str(path) for path in own],
        "left": [str(path) for path in left],
        "peers_told": told.peers,
        "peers_not_told": told.not_told,
        "group_left": told.group,
    }
    result(found, show)


def _config_file(instance: Instance) -> Path:
    path = instance.config_file
    return (path / FILE_NAME if path.is_dir() else path).resolve()


def _delete(config: Config) -> list[Path]:
    from daemon.cli import instance_files

    try:
        return instance_files.delete(config)
    except OSError as error:
        raise StoreError(
            f"{error.filename} cannot be deleted ({error.strerror})",
            advice="Run this again as the user that the daemon ran as, or delete the folder yourself.",
        ) from None


def _tell(instance: Instance) -> _Told:
    """Leave the group, and say to every peer that it is not approved any more; a problem is told, no end."""
    told = _Told()
    if not instance.config.database.exists():
        return told
    try:
        _leave_group(instance, told)
        _leave_peers(instance, told)
        instance.store.dispose()
    except ShoalError as error:
        # Whoever leaves for good must be able to, whatever became of the database.
        told.not_told[""] = error.message
    return told


def _leave_group(instance: Instance, told: _Told) -> None:
    # Loads what a group needs.
    from daemon.group import commands, repository
    from daemon.group.membership import join_and_leave

    config, store = instance.config, instance.store
    group = repository.current(store)
    if group is None or group.state == "left":
        return
    if not config.federates:
        told.not_told[group.host] = f'mode is "{config.mode}"'
    elif group.role == "host":
        commands.close(config, store, now=time.time())
        told.group = group.group
    else:
        after = instance.online(lambda http: join_and_leave.leave(config, store, http, time.time))
        told.group = group.group
        if after is not None:
            told.not_told[group.host] = after.problem


def _leave_peers(instance: Instance, told: _Told) -> None:
    # Loads cryptography.
    from daemon.peers import commands, repository

    config, store = instance.config, instance.store
    known = repository.read(store, config).peers.values()
    hosts = sorted(peer.host for peer in known if peer.state in {"approved", "paused"})
    if not hosts:
        return
    if not config.federates:
        told.not_told |= dict.fromkeys(hosts, f'mode is "{config.mode}"')
        return
    for host in hosts:
        commands.remove(store, config, host, now=time.time())
    found = instance.job("peers", host=",".join(hosts)).result
    problems = dict.fromkeys(found["unreachable"], "it does not answer") | found["refused"]
    told.not_told |= problems
    told.peers += [host for host in hosts if host not in problems]


def _show_told(told: _Told) -> None:
    if told.group:
        line(f"Left the group {told.group}.")
    if told.peers:
        prose(f"Told {count(len(told.peers), 'peer')} that this instance leaves: {', '.join(told.peers)}.")
    for host, why in told.not_told.items():
        prose(f"{host or 'Peers'} could not be told: {why}.", hanging=2)


def _still_to_do(config: Config, config_file: Path, left: list[Path]) -> list[str]:
    """Return what is done and what is left to do, in sentences."""
    texts = [f"Deleted the data of {config.instance.host}."]
    if left:
        texts.append(
            f"Left in {config.data_dir}, since the daemon did not write it: "
            f"{', '.join(path.name for path in left)}."
        )
    if config_file.exists():
        texts.append(f"{config_file} is outside the data folder: delete it yourself. It may hold a secret.")
    texts.append("Backups of the folder hold what it held: delete them as well.")
    if isinstance(config.source, PeerTubeSource):
        texts.append(
            "In PeerTube: open /p/shoal, erase everything under Plugin, then uninstall the plugin under "
            "Administration > Plugins. PeerTube is then as before."
        )
    return texts
