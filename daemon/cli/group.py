"""`shoal group`: one sum shared by many instances, which one of them hosts."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import group_view
from daemon.cli.command import Commands, human
from daemon.cli.instance import HERE, Host, Instance, InstanceOption, Yes, host_name, peer_url
from daemon.cli.key_words import show_words
from daemon.cli.terminal import confirm, line, out, prose, result, say
from daemon.config.types import parse_duration
from daemon.errors import PolicyRefusedError, RequestError, ShoalError
from daemon.group import commands, flower_installed, repository
from daemon.group import status as group_status
from daemon.group.commands import NoGroupError, UnknownMemberError
from daemon.group.membership import join_and_leave, key_verification
from daemon.group.membership.key_verification import KeyEvidence, SeenKey
from daemon.peers import cards
from daemon.peers import repository as peers
from daemon.peers.listing import words_of
from federation.identity import format_key

if TYPE_CHECKING:
    from daemon.group.repository import GroupMember

app = Commands()

Words = Annotated[str, typer.Option(help="Go on only if these are the eight words of its key.")]


# Hosting a group.


@app.command()
def host(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new group.")],
    instance: InstanceOption = HERE,
    *,
    url: Annotated[
        str, typer.Option(help="Where this Shoal answers peers, if not behind the domain of its PeerTube.")
    ] = "",
) -> None:
    """Start a group that this instance hosts, and show the invitation."""
    made = commands.host(instance.config, instance.store, name, url=peer_url(url), now=time.time())
    result(made, lambda: group_view.show_hosted(made))


@app.command()
def invite(host: Host, instance: InstanceOption = HERE, *, words: Words = "", yes: Yes = False) -> None:
    """Admit an instance before it asks. This also approves it as a peer."""
    config, store = instance.config, instance.store
    commands.require_speaking(config)
    commands.hosted(store)
    name = host_name(host)
    known = peers.find(store, config, name)
    url = known.url if known is not None and known.url else cards.base_url(name) + cards.ROUTER
    card = instance.online(lambda http: cards.read_named_card(http, name, url, now=time.time()))
    seen = KeyEvidence(name, card.key, "domain" if card.bound else "card", card.url)
    group_view.compare(seen, words, yes=yes)
    commands.invite(config, store, seen, now=time.time())
    invitation = commands.invitation(config, commands.hosted(store))

    def show() -> None:
        prose(f"Invited {name}. It becomes a member when it asks. Send its admin this line:")
        line(f"    {invitation['command']}")

    result({"host": name, "state": "invited", "invitation": invitation}, show)


@app.command()
def requests(instance: InstanceOption = HERE) -> None:
    """List the instances that ask to join, with the words of their keys."""
    waiting = commands.requests(instance.config, instance.store)
    result({"requests": waiting}, lambda: group_view.show_requests(waiting))


@app.command()
def admit(host: Host, instance: InstanceOption = HERE, *, words: Words = "", yes: Yes = False) -> None:
    """Admit an instance that asks, after comparing the words of its key. This also approves it as a peer."""
    config, store = instance.config, instance.store
    commands.require_speaking(config)
    name = host_name(host)
    seen = _look(instance, name, commands.find_request(store, name).key)
    group_view.compare(seen, words, yes=yes or seen.voucher == "book")
    commands.admit(config, store, seen, now=time.time())
    _show_decided(instance, name, f"{name} is now a member, and an approved peer.")


@app.command()
def refuse(host: Host, instance: InstanceOption = HERE) -> None:
    """Refuse an instance that asks. It is told when it asks again."""
    name = host_name(host)
    commands.refuse(instance.config, instance.store, name, now=time.time())
    _show_decided(instance, name, f"Refused {name}.")


@app.command()
def eject(host: Host, instance: InstanceOption = HERE) -> None:
    """Remove a member, from the next sum on. The others see it in the signed list."""
    name = host_name(host)
    commands.eject(instance.config, instance.store, name, now=time.time())
    _show_decided(
        instance,
        name,
        f"{name} is out from the next sum on. It stays an approved peer. To take out what was learnt with it "
        f"as well: shoal peers revert {name}",
    )


@app.command()
def start(
    instance: InstanceOption = HERE,
    *,
    within: Annotated[str, typer.Option("--in", metavar="TIME", help='Such as "30m" or "2h".')] = "",
    at: Annotated[str, typer.Option(metavar="TIME", help='Such as "2026-11-30T20:00", local time.')] = "",
) -> None:
    """Announce a round, so that members connect for it. The daemon does so once per data window."""
    config, now = instance.config, time.time()
    begin = _begin(within, at, now, config.group.notice.total_seconds())
    _require_window(instance, begin, now)
    after = commands.start(config, instance.store, at=begin, now=now)

    def show() -> None:
        prose(f"Announced a sum of {after.group} for {group_view.local_time(begin)}.")
        if begin - now < config.group.poll.total_seconds():
            prose("Members that do not ask again before then miss it; they ask every group.poll.")

    result({"group": after.group, "next_at": after.next_at}, show)


@app.command()
def superlink(instance: InstanceOption = HERE) -> None:
    """Run Flower's SuperLink as a service of its own, at the address in group.superlink_service."""
    from daemon.group.hosting import host_process, superlink_service

    config = instance.config
    command, environment = superlink_service.command(config, host_process.folder_of(config))
    os.execve(command[0], command, environment)  # noqa: S606 (no shell is wanted)


@app.command()
def close(instance: InstanceOption = HERE, *, yes: Yes = False) -> None:
    """Close the group that this instance hosts. What was learnt stays, here and at its members."""
    commands.require_speaking(instance.config)
    group = commands.hosted(instance.store)
    confirm(f"Close the group {group.group}?", yes=yes)
    commands.close(instance.config, instance.store, now=time.time())
    result(
        {"group": group.group, "closed": True},
        lambda: prose(f"Closed {group.group}. Its members find no host when they ask next."),
    )


# Being a member.


@app.command()
def join(
    url: Annotated[str, typer.Argument(metavar="URL", help="From the invitation, or the name of the host.")],
    instance: InstanceOption = HERE,
    *,
    group: Annotated[str, typer.Option(help="Join only if the group has this name.")] = "",
    words: Words = "",
    yes: Yes = False,
) -> None:
    """Ask to join a group, after comparing the words of the host's key. The members are shown first."""
    config, store = instance.config, instance.store
    # Before anybody compares words.
    flower_installed.require()
    offer = instance.online(
        lambda http: join_and_leave.fetch_offer(config, store, http, url, group, time.time)
    )
    join_and_leave.require_no_other_group(store, offer)
    shown = offer.shown(peers.read(store, config))
    if human():
        group_view.show_offer(shown)
    group_view.compare(offer.host_key, words, yes=yes)
    instance.online(lambda http: join_and_leave.join(config, store, http, offer, time.time))
    found = group_status.status(config, store, time.time())

    def show() -> None:
        out.print()
        for text in found["sentences"]:
            prose(text)
        if found["standing"] is not None and found["standing"]["state"] == "asked":
            prose("Tell the admin of the host the words of this instance's key:")
            show_words(words_of(format_key(instance.public.key)))

    result({**found, "offer": shown}, show)


@app.command()
def members(instance: InstanceOption = HERE) -> None:
    """List the members, the words of their keys, and which are approved here."""
    found = group_status.members(instance.config, instance.store)
    group = repository.current(instance.store)
    state = None if group is None else group.state
    result({"members": found, "state": state}, lambda: group_view.show_members(found, state))


@app.command()
def approve(
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="HOST...", help="Members of the group.")
    ] = None,
    instance: InstanceOption = HERE,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="All that are not approved yet.")] = False,
    words: Annotated[
        str, typer.Option(help="Go on only if these are the eight words of its key (one HOST).")
    ] = "",
    yes: Yes = False,
) -> None:
    """Approve members as peers. If the domain of one can be asked, its key must be the one listed."""
    commands.require_speaking(instance.config)
    chosen, decided_against = _chosen(instance, hosts or [], everybody=everybody)
    if words and len(chosen) != 1:
        raise RequestError("--words are those of one key", advice="Name one HOST with it.")
    done: list[SeenKey] = []
    failed = {name: _decided_against(instance, name) for name in decided_against}
    for one in chosen:
        try:
            seen = _look(instance, one.host, one.key)
            group_view.compare(seen, words, yes=yes or seen.voucher == "book")
            key_verification.pin(instance.store, instance.config, seen, time.time())
            done.append(seen.seen)
        except ShoalError as error:
            if not everybody:
                raise
            failed[one.host] = error
    found = {
        "approved": done,
        "not_approved": {name: error.message for name, error in failed.items()},
        "advice": {name: error.advice for name, error in failed.items() if error.advice},
    }
    result(found, lambda: _show_approved(done, failed))
    if failed:
        # All were meant: a script has to hear that some are not.
        raise typer.Exit(max(error.exit_code for error in failed.values()))


@app.command()
def leave(instance: InstanceOption = HERE, *, yes: Yes = False) -> None:
    """Leave the group at once. What was learnt with it stays."""
    config, store = instance.config, instance.store
    commands.require_speaking(config)
    before = repository.current(store)
    name = before.group if before is not None else ""
    if before is not None and before.role == "member":
        confirm(f"Leave the group {name}?", yes=yes)
    after = instance.online(lambda http: join_and_leave.leave(config, store, http, time.time))

    def show() -> None:
        prose(
            f"This instance left the group {name}. What was learnt with it stays. To take out what came from "
            "one of its members: shoal peers revert HOST"
        )
        if after is not None:
            say(f"Its host could not be told yet ({after.problem}). The daemon tries again.")

    result({"group": name, "left": True, "host_told": after is None}, show)


@app.command()
def status(instance: InstanceOption = HERE) -> None:
    """Show the group, the next sum, and what is missing for this instance to be in it."""
    found = group_status.status(instance.config, instance.store, time.time())
    found["sentences"] += _not_eligible(instance)
    result(found, lambda: group_view.show_status(found))


# What the commands share.


def _look(instance: Instance, name: str, key: str) -> KeyEvidence:
    """Ask the domain of an instance whether this is its key."""
    return instance.online(
        lambda http: key_verification.verify(instance.config, instance.store, http, name, key, time.time)
    )


def _begin(within: str, at: str, now: float, otherwise: float) -> float:
    """Return when a sum is to begin, Unix seconds; without either, in `otherwise` seconds."""
    if within and at:
        raise RequestError("--in and --at exclude each other", advice="Give one of them.")
    try:
        if within:
            length = parse_duration(within)
            if not isinstance(length, timedelta) or length < timedelta(0):
                raise ValueError("no duration")
            return now + length.total_seconds()
        # Without a zone it is this machine's.
        return datetime.fromisoformat(at).timestamp() if at else now + otherwise
    except (ValueError, OverflowError):
        raise RequestError(
            f'"{within or at}" is not a time', advice='Write --in 2h, or --at "2026-11-30T20:00".'
        ) from None


def _require_window(instance: Instance, begin: float, now: float) -> None:
    """Refuse a sum that members would not give: they give one in a data window.

    Raises:
        NoGroupError: this instance hosts none. PolicyRefusedError: this window's sum is there.

    """
    # Loads NumPy.
    from daemon.disclosure.next_sum import aggregator_windows

    group = commands.hosted(instance.store)
    record = aggregator_windows(instance.config, instance.store, now)
    free = record.next_at() if record is not None else 0.0
    if now <= begin < free:
        # A full minute, so that the time in the advice is late enough.
        earliest = (free // 60 + 1) * 60
        typed = datetime.fromtimestamp(earliest).astimezone().isoformat(timespec="minutes")
        raise PolicyRefusedError(
            f"the members of {group.group} gave their sum for this data window; the next is possible from "
            f"{group_view.local_time(earliest)}",
            advice=f"Announce it for then: shoal group start --at {typed}. See privacy.window_max.",
        )


def _chosen(instance: Instance, hosts: list[str], *, everybody: bool) -> tuple[list[GroupMember], list[str]]:
    """Return the members that are meant, and those that are left out as our admin decided against them."""
    store = instance.store
    if repository.current(store) is None:
        raise NoGroupError("this instance is in no group", advice="Join one: shoal group join URL")
    if bool(hosts) == everybody:
        raise RequestError("no member is named", advice="Name members, or give --all.")
    listed = tuple(one for one in repository.members(store) if one.state == "member")
    if everybody:
        me = instance.config.instance.host
        return key_verification.not_approved(listed, peers.read(store, instance.config), me)
    found = []
    for name in map(host_name, hosts):
        one = next((one for one in listed if one.host == name), None)
        if one is None:
            raise UnknownMemberError(f"{name} is not a member", advice="See: shoal group members")
        found.append(one)
    return found, []


def _decided_against(instance: Instance, name: str) -> ShoalError:
    peer = peers.find(instance.store, instance.config, name)
    # Only `peers approve` takes a revert back.
    reverted = peer is not None and peer.state == "reverted"
    how = f"shoal peers approve {name}" if reverted else f"shoal group approve {name}"
    return PolicyRefusedError("you decided against it before", advice=f"To approve it after all: {how}")


def _not_eligible(instance: Instance) -> list[str]:
    """Say why the newest sum of the group is not learnt from, where it is not."""
    group = repository.current(instance.store)
    if group is None:
        return []
    # Loads SciPy, which the daemon that answers the admin page does without.
    from daemon.store import sums
    from daemon.training.sum_selection import choose

    stored = sums.records(instance.store)
    if not stored or stored[0].run != group.run:
        return []
    refused = choose(stored, peers.read(instance.store, instance.config)).refused
    return [f"Nothing new is learnt from the group: {refused}."] if refused else []


def _show_decided(instance: Instance, name: str, done: str) -> None:
    described = group_status.members(instance.config, instance.store)
    state = getattr(repository.member(instance.store, name), "state", "left")
    found = next((one for one in described if one["host"] == name), {"host": name, "state": state})
    result(found, lambda: prose(done))


def _show_approved(done: list[SeenKey], failed: dict[str, ShoalError]) -> None:
    if not done and not failed:
        prose("All members are approved here.")
    for one in done:
        how = {
            "domain": "its domain vouches for the key",
            "card": "it shows the key itself, without a signature of its domain",
            "book": "it was approved already",
            "unread": "its domain could not be asked, so the key is as the host lists it",
        }[one["voucher"]]
        prose(f"Approved {one['host']}: {how}.", hanging=2)
    for name, error in failed.items():
        prose(f"Not approved: {name}: {error.message}. {error.advice}", hanging=2)
