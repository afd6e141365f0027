"""`shoal group check`: whether a group's host answers, and whether this machine can carry a round of it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.command import Commands
from daemon.cli.instance import HERE, InstanceOption
from daemon.cli.terminal import bytes_of, facts, line, progress_bar, prose, result
from daemon.errors import JobError, RequestError

if TYPE_CHECKING:
    from daemon.group.membership.join_and_leave import GroupOffer
    from daemon.lab.group_check import GroupCheck

app = Commands()

_MOST = 1000
_LEAST = 5
"""Members: with fewer there is no sum yet."""


class TooSlowError(JobError):
    """The machine would be left out of rounds."""

    code = "too-slow"


@app.command()
def check(
    instance: InstanceOption = HERE,
    *,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="From the invitation, or the name of the host; without it, no host is asked."
        ),
    ] = "",
    group: Annotated[str, typer.Option(help="Check only if the group has this name.")] = "",
    members: Annotated[
        int,
        typer.Option(min=0, max=_MOST, help="Size of the group. Default: that of the group after joining."),
    ] = 0,
) -> None:
    """Try a group out before you join it, with made-up data.

    The host is asked for its group, which shows it the name and key of this instance and binds nobody. Then
    this machine does a member's part of a round as large as it can get. Nothing of your viewers is used or
    sent.
    """
    # Loads NumPy and Flower's side of the protocol.
    from daemon.group import flower_installed
    from daemon.lab import group_check

    flower_installed.require()
    if not (url or members):
        raise RequestError(
            "nothing says how large the group is", advice="Give the URL of its host, or --members."
        )
    offer = _offer(instance, url, group) if url else None
    joined = {instance.config.instance.host, *(one["host"] for one in (offer["members"] if offer else ()))}
    size = members or max(_LEAST, len(joined))
    with progress_bar("dry round") as progress:
        found = group_check.check(instance.config, instance.config_file, size, progress)
    result({"offer": offer, **asdict(found), "in_time": found.in_time}, lambda: _show(offer, found))
    if not found.in_time:
        raise TooSlowError(
            "this machine takes too long for a round, and would be left out of it",
            advice="Give it more processor time, or join a smaller group.",
        )


def _offer(instance: InstanceOption, url: str, group: str) -> GroupOffer:
    from daemon.group.membership import join_and_leave
    from daemon.peers import repository

    config, store = instance.config, instance.store
    offer = instance.online(
        lambda http: join_and_leave.fetch_offer(config, store, http, url, group, time.time)
    )
    return offer.shown(repository.read(store, config))


def _show(offer: GroupOffer | None, found: GroupCheck) -> None:
    if offer is not None:
        line(f"{offer['host']['host']} answers for the group {offer['group']}. Nothing was joined.")
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in found.seconds.items())
    facts(
        [
            (
                "members",
                f"{found.members:,}; in one sum {found.sub_cohort}, of whom {found.threshold} must stay",
            ),
            ("largest round", f"{found.videos:,} videos, pairs of {found.head:,}"),
            ("computing", seconds),
            ("host waits", f"{found.stage_limit:.0f} s for each of these"),
            ("memory", f"{found.memory_mb:,.0f} MiB of the {found.memory_limit_mb:,} MiB that a job may use"),
            ("would be sent", f"{bytes_of(found.sent)}, masked and with noise"),
            ("would be received", bytes_of(found.received)),
            ("dry round", "complete, and its sum is exact"),
        ]
    )
    if found.in_time:
        prose("This machine can carry a round of this group. Whether its line can, the first round shows.")
