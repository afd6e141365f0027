"""`shoal peers introduce` and `shoal peers circle`: approving many instances that peers introduce."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from daemon.cli.command import Commands, human
from daemon.cli.instance import HERE, Instance, InstanceOption, Yes, host_name
from daemon.cli.terminal import ago, confirm, count, out, paragraph, prose, result, say, table, utc
from daemon.errors import RequestError, ShoalError
from daemon.peers import circle as circles
from daemon.peers import listing, offers, repository
from daemon.peers.circle import Circle, Introduced
from daemon.sentences import english

app = Commands()


@app.command()
def introduce(
    host: Annotated[
        str,
        typer.Argument(metavar="HOST", help="Peer to introduce the others to; without it, to one another."),
    ] = "",
    instance: InstanceOption = HERE,
    *,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", metavar="HOST", help="Do not introduce this peer; repeat for several."),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Introduce nobody any more.")] = False,
    yes: Yes = False,
) -> None:
    """Introduce your approved peers to one another.

    Each admin can then approve them in one decision. Each peer is told which hosts you approved and by which
    keys, in a signed list for it alone that expires. The daemon renews it until you stop.
    """
    store, config, name = instance.store, instance.config, host_name(host) if host else ""
    if stop:
        told = offers.take_back(store, config, to=name, now=time.time())
        _send(instance)
        result({"told": told}, lambda: prose(f"Nobody is introduced any more. Told: {', '.join(told)}."))
        return
    out_of_it = [host_name(one) for one in leave_out or ()]
    listed = [
        one.host for one in offers.listed(repository.read(store, config), out_of_it) if one.host != name
    ]
    if human() and listed:
        prose(f"Introduced to {name or 'one another'}: {', '.join(listed)}.")
        paragraph(
            "They learn that you approved these instances. Approving them is for their admins to decide."
        )
    confirm("Introduce them?", yes=yes)
    offered = offers.introduce(store, config, to=name, leave_out=out_of_it, now=time.time())
    _send(instance)
    waiting = sorted(
        one for one, offer in offers.read(store).items() if one in offered and offer.taken is None
    )

    def show() -> None:
        prose(f"{count(len(offered) - len(waiting), 'peer')} took your list.")
        if waiting:
            prose(f"Tried again within the hour, once they answer and approve you: {', '.join(waiting)}.")

    result({"introduced": offered, "waiting": waiting}, show)


@app.command()
def circle(
    host: Annotated[str, typer.Argument(metavar="HOST", help="Only those that this peer introduces.")] = "",
    instance: InstanceOption = HERE,
    *,
    tick: Annotated[
        list[str] | None, typer.Option("--tick", metavar="HOST", help="Approve this one, too.")
    ] = None,
    untick: Annotated[
        list[str] | None, typer.Option("--untick", metavar="HOST", help="Leave this one out.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Approve instances that your peers introduce.

    Each is shown with what stands for it. Ticked are those whose domain vouches for the key, and that this
    PeerTube has followed for 30 days or two of your peers vouch for. Others that you tick are asked and
    summed with as well, and count as strangers until more stands for them or you compare their words: shoal
    peers approve HOST. With -o json and without --yes nothing is decided.
    """
    name = host_name(host) if host else ""
    _read_cards(instance)
    found = circles.read(instance.store, instance.config, time.time(), introducer=name)
    ticked = _ticked(found, [host_name(one) for one in tick or ()], [host_name(one) for one in untick or ()])
    if human():
        _show(found, ticked)
    if not (ticked or any(one.waits for one in found.instances)) or not (human() or yes):
        result({**vars(found), "approved": []}, lambda: None)
        return
    question = f"Approve the {count(len(ticked), 'instance')} ticked?" if ticked else "Leave all of them?"
    confirm(
        question, yes=yes, advice="Approve those ticked with --yes; change that with --tick and --untick."
    )
    left = [one.host for one in found.instances if one.open and one.host not in ticked]
    approved = circles.decide(instance.store, instance.config, ticked, left=left, now=time.time())
    _send(instance)
    now = circles.read(instance.store, instance.config, time.time(), introducer=name)
    cohort = listing.listing(instance.store, instance.config, time.time())["cohort"]

    def show() -> None:
        out.print()
        prose(f"Approved {count(len(approved), 'instance')}.")
        strangers = [one.host for one in approved if not one.evidence]
        if strangers:
            prose(
                f"Counted as strangers until more stands for them: {', '.join(strangers)}. To count one now, "
                "compare its words: shoal peers approve HOST"
            )
        out.print()
        prose(english(*cohort.sentences))

    result({**vars(now), "approved": [one.host for one in approved], "cohort": cohort}, show)


def _ticked(found: Circle, tick: Sequence[str], untick: Sequence[str]) -> dict[str, str]:
    """Return the key by host of those to approve."""
    known = {one.host: one for one in found.instances}
    for name in (*tick, *untick):
        if name not in known:
            raise RequestError(
                f"none of your peers introduces {name}", advice="See who is introduced: shoal peers circle"
            )
        if name in tick and not known[name].open:
            why = english(known[name].sentence)
            raise RequestError(f"{name} cannot be ticked. {why}", advice="Leave it out.")
    chosen = {one.host for one in found.instances if one.ticked} | set(tick)
    return {name: known[name].key for name in sorted(chosen - set(untick))}


def _read_cards(instance: Instance) -> None:
    """Read the cards anew, so that what is approved is what each instance shows now."""
    if not instance.config.federates:
        say(f'No card is read, because mode is "{instance.config.mode}".')
        return
    try:
        instance.job("peers", circle="1")
    except ShoalError as error:
        say(f"The cards could not be read now: {error.message}")


def _send(instance: Instance) -> None:
    """Tell everybody concerned at once; who is away hears of it later."""
    if not instance.config.federates:
        say(f'Nobody is told, because mode is "{instance.config.mode}".')
        return
    try:
        instance.job("peers")
    except ShoalError as error:
        say(f"Peers could not be told yet: {error.message}")


def _show(found: Circle, ticked: Mapping[str, str]) -> None:
    for said in found.introducers:
        prose(f"{said.host} introduces {count(said.instances, 'instance')}, until {utc(said.until)}.")
    if not found.instances:
        prose("No peer introduces an instance that you do not know. Peers do so with: shoal peers introduce")
        return
    out.print()
    columns = ["", "HOST", "KEY BY", "FOLLOWED", "VIDEOS", "SINCE", "VOUCHED FOR BY"]
    table(columns, [_row(one, ticked) for one in found.instances], right=("VIDEOS",))
    out.print()
    for one in found.instances:
        prose(f"{one.host}: {english(one.sentence)}", hanging=2)


def _row(one: Introduced, ticked: Mapping[str, str]) -> tuple[Any, ...]:
    now = time.time()
    followed = "yes" if one.followed else "-"
    return (
        "[x]" if one.host in ticked else "[ ]" if one.open else "",
        one.host,
        "domain" if one.bound else "words" if one.key else "?",
        ago(now - one.followed_since) if one.followed_since else followed,
        f"{one.videos:,}" if one.videos else "-",
        ago(now - one.videos_since) if one.videos_since else "-",
        ", ".join(one.vouchers) or "-",
    )
