"""The part of `shoal group` that members use: join, look around, recognise, leave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import group_view
from daemon.cli.instance import Instance, Yes, confirm, name_of
from daemon.cli.prose import paragraph
from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result, say
from daemon.errors import PolicyRefusedError, RequestError, ShoalError

if TYPE_CHECKING:
    from daemon.group.membership.key_verification import Seen
    from daemon.group.repository import GroupMember


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("join")(join)
    app.command("members")(members)
    app.command("recognise")(recognise)
    app.command("leave")(leave)
    app.command("status")(status)


def join(
    url: Annotated[str, typer.Argument(metavar="URL", help="From the invitation; a host's name will do.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    group: Annotated[str, typer.Option(help="Only if the group has this name.")] = "",
    words: Annotated[str, typer.Option(help="Only if these are the eight words of the host's key.")] = "",
    yes: Yes = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Ask a host to be let into its group. First its words and the members are shown; nothing binds yet."""
    from daemon.group import status as view
    from daemon.group.membership import join_and_leave
    from daemon.peers import repository as peers

    setting = Instance.open(config)
    offer = setting.online(
        lambda session: join_and_leave.look(setting.config, setting.engine, session, url, group, time.time)
    )
    join_and_leave.require_free_for(setting.engine, offer)
    shown = offer.as_json(peers.read(setting.engine, setting.config))
    if output is Output.HUMAN:
        group_view.show_offer(shown)
    group_view.compare(offer.seen, words, yes=yes, output=output)
    setting.online(
        lambda session: join_and_leave.join(setting.config, setting.engine, session, offer, time.time)
    )
    found = view.status(setting.config, setting.engine, time.time())

    def show() -> None:
        out.print()
        paragraph(found["sentence"], indent=0)
        for sentence in found["sentences"]:
            paragraph(sentence, indent=0)
        if found["state"] == "asked":
            paragraph("Tell its admin the words of this instance's key:", indent=0)
            group_view.show_words(_own_words(setting))

    result(output, {**found, "offer": shown}, show)


def members(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """List the members: the words of their keys, who is recognised here, and who is summed together."""
    from daemon.group import repository
    from daemon.group import status as view

    setting = Instance.open(config)
    found = view.members(setting.config, setting.engine)
    group = repository.current(setting.engine)
    state = group.state if group is not None else None
    result(output, {"members": found, "state": state}, lambda: group_view.show_members(found, state))


def recognise(
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="HOST...", help="Members of the group.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="All that are not recognised yet.")] = False,
    words: Annotated[str, typer.Option(help="Only if these are the eight words of its key (one HOST).")] = "",
    yes: Yes = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Approve members of the group as peers, by a key that each one's domain shows where it can be asked."""
    from daemon.group import commands
    from daemon.group.membership import key_verification as keys

    setting = Instance.open(config)
    commands.require_speaking(setting.config)
    chosen, against = _chosen(setting, hosts or [], everybody=everybody)
    if words and len(chosen) != 1:
        raise RequestError("--words are those of one key", advice="Name one HOST with it.")
    done: list[dict[str, Any]] = []
    failed = {host: _against(setting, host) for host in against}
    for one in chosen:
        try:
            seen = _seen(setting, one)
            group_view.compare(seen, words, yes=yes or seen.voucher == "book", output=output)
            keys.pin(setting.engine, setting.config, seen, time.time())
            done.append(seen.as_json())
        except ShoalError as error:
            if not everybody:
                raise
            failed[one.host] = error
    found = {
        "recognised": done,
        "not_recognised": {host: error.message for host, error in failed.items()},
        "advice": {host: error.advice for host, error in failed.items() if error.advice},
    }
    result(output, found, lambda: _show_recognised(done, failed))
    if failed:
        # All were meant: a script has to hear that some are not.
        raise typer.Exit(max(error.exit_code for error in failed.values()))


def leave(
    config: ConfigOption = DEFAULT_CONFIG, *, yes: Yes = False, output: OutputOption = Output.HUMAN
) -> None:
    """Leave the group, at once. What was learnt with it stays; to take out a member's: shoal peers revert."""
    from daemon.group import commands, repository
    from daemon.group.membership import join_and_leave

    setting = Instance.open(config)
    commands.require_speaking(setting.config)
    before = repository.current(setting.engine)
    if before is not None and before.role == "member":
        confirm(f"Leave the group {before.group}?", yes=yes, output=output)
    after = setting.online(
        lambda session: join_and_leave.leave(setting.config, setting.engine, session, time.time)
    )
    name = before.group if before is not None else ""

    def show() -> None:
        paragraph(
            f"This instance is not in the group {name} any more. What was learnt with it stays; to take out "
            "what came from one of its members: shoal peers revert HOST",
            indent=0,
        )
        if after is not None:
            say(f"Its host could not be told yet ({after.problem}); the daemon tries again.")

    result(output, {"group": name, "left": True, "host_told": after is None}, show)


def status(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Show how this instance stands to its group, and what is missing for it to be counted."""
    from daemon.group import status as view

    setting = Instance.open(config)
    found = view.status(setting.config, setting.engine, time.time())
    found["sentences"] += _unlearnable(setting)
    result(output, found, lambda: group_view.show_status(found))


def _chosen(setting: Instance, hosts: list[str], *, everybody: bool) -> tuple[list[GroupMember], list[str]]:
    """Return the members that are meant, and those that are left out as our admin decided against them."""
    from daemon.group import repository
    from daemon.group.commands import NoGroupError, UnknownMemberError
    from daemon.group.membership import key_verification as keys
    from daemon.peers import repository as peers

    if repository.current(setting.engine) is None:
        raise NoGroupError("this instance is in no group", advice="Join one: shoal group join URL")
    if bool(hosts) == everybody:
        raise RequestError("whom?", advice="Name members, or say --all.")
    listed = tuple(one for one in repository.members(setting.engine) if one.state == "member")
    if everybody:
        return keys.wanted(listed, peers.read(setting.engine, setting.config), setting.config.instance.host)
    found = []
    for name in map(name_of, hosts):
        one = next((one for one in listed if one.host == name), None)
        if one is None:
            raise UnknownMemberError(f"{name} is not a member", advice="See: shoal group members")
        found.append(one)
    return found, []


def _seen(setting: Instance, one: GroupMember) -> Seen:
    from daemon.group.membership import key_verification as keys

    return setting.online(
        lambda session: keys.look(setting.config, setting.engine, session, one.host, one.key, time.time)
    )


def _against(setting: Instance, host: str) -> ShoalError:
    from daemon.peers import repository as peers

    peer = peers.find(setting.engine, setting.config, host)
    # Only `peers approve` takes a revert back.
    reverted = peer is not None and peer.state == "reverted"
    how = f"shoal peers approve {host}" if reverted else f"shoal group recognise {host}"
    return PolicyRefusedError("decided against here before", advice=f"Should it count again: {how}")


def _own_words(setting: Instance) -> list[str]:
    from daemon.identity import open_identity
    from federation.key_words import words

    return list(words(open_identity(setting.config.identity_file, setting.config.instance.host).public.key))


def _unlearnable(setting: Instance) -> list[str]:
    """Say why the newest sum of the group is not learnt from, where it is not."""
    # Loads SciPy, which the daemon that answers the admin page does without.
    from daemon.group import repository
    from daemon.peers import repository as peers
    from daemon.store import sums
    from daemon.training.sum_selection import choose

    group, stored = repository.current(setting.engine), sums.records(setting.engine)
    if group is None or not stored or stored[0].run != group.batch:
        return []
    refused = choose(stored, peers.read(setting.engine, setting.config)).refused
    return [f"Nothing new is learnt from the group: {refused}."] if refused else []


def _show_recognised(done: list[dict[str, Any]], failed: dict[str, ShoalError]) -> None:
    if not done and not failed:
        paragraph("All members are recognised here.", indent=0)
    for one in done:
        how = {
            "domain": "its domain vouches for the key",
            "card": "it shows the key itself, without its domain's signature",
            "book": "it was recognised already",
            "unread": "its domain could not be asked: the key is as the host lists it",
        }[one["voucher"]]
        paragraph(f"Recognised {one['host']}: {how}.", indent=0, hanging=2)
    for host, error in failed.items():
        paragraph(f"Not recognised: {host}: {error.message}. {error.advice}", indent=0, hanging=2)
