"""`shoal peers`: who could be asked, who is approved here and there, and what is still missing for a sum."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from daemon.cli.command import Commands, human
from daemon.cli.instance import HERE, Host, Instance, InstanceOption, Yes, host_name, peer_url
from daemon.cli.key_words import confirm_words, matching_key, show_words
from daemon.cli.terminal import ago, heading, out, paragraph, prose, result, say, table
from daemon.disclosure import waiting
from daemon.errors import ShoalError
from daemon.group import messages as group_messages
from daemon.group import repository as groups
from daemon.maintenance import database_loss
from daemon.peers import commands, listing, repository
from daemon.peers.listing import Peer, Peers
from daemon.sentences import english
from daemon.store import source_state

app = Commands()


@app.command("list")
def list_(
    instance: InstanceOption = HERE,
    *,
    words: Annotated[bool, typer.Option("--words", help="Show the words of each key as well.")] = False,
) -> None:
    """List peers, who approves whom, and what is missing for a sum. Nothing is sent."""
    found = _listing(instance)
    lost = database_loss.told(instance.store, instance.config, time.time())
    missing = waiting.gather(instance.config, instance.store, time.time())

    def show() -> None:
        if lost:
            prose(english(*lost))
            out.print()
        prose(missing.english)
        _show_list(found, words=words)

    result({**found, "lost": lost, "waiting": missing}, show)


@app.command()
def candidates(instance: InstanceOption = HERE) -> None:
    """Ask the instances that PeerTube follows whether they run Shoal. This approves nobody."""
    outcome = instance.job("peers", candidates="1")
    found = {**_listing(instance), "asked": outcome.result}
    result(found, lambda: _show_candidates(found))


@app.command()
def add(
    host: Host,
    instance: InstanceOption = HERE,
    *,
    url: Annotated[
        str, typer.Option(help="Where its Shoal answers, if not behind the domain of its PeerTube.")
    ] = "",
) -> None:
    """Read the key of an instance, and whether its domain vouches for it. This approves nobody."""
    name, address = host_name(host), peer_url(url)
    instance.job("peers", add=name, **({"url": address} if address else {}))
    peer = _peer(instance, name)

    def show() -> None:
        _show_key(peer)
        if peer["state"] != "approved":
            out.print()
            prose(f"If this is the instance you mean: shoal peers approve {name}")

    result(peer, show)


@app.command()
def approve(
    host: Host,
    instance: InstanceOption = HERE,
    *,
    key: Annotated[str, typer.Option(help="Approve only if this is its key (ed25519:...).")] = "",
    words: Annotated[str, typer.Option(help="Approve only if these are the eight words of its key.")] = "",
    yes: Yes = False,
    max_users: Annotated[
        int | None, typer.Option(min=1, help="Count at most this many of its viewers in a sum.")
    ] = None,
) -> None:
    """Approve a peer after comparing the words of its key. A sum needs its approval as well."""
    # Loads NumPy.
    from daemon.revert.artifacts import artifacts_of

    name = host_name(host)
    _read_card(instance, name)
    peer = _peer(instance, name)
    if key or words:
        known = {peer["key"]: peer["words"], peer["next_key"]: peer["next_key_words"]}
        chosen = matching_key(name, known, key=key, words=words)
    else:
        chosen = str(peer["next_key"] or peer["key"])
        if human():
            _show_key(peer)
        confirm_words(name, yes=yes)
    commands.approve(
        instance.store,
        instance.config,
        name,
        key=chosen,
        max_users=max_users,
        now=time.time(),
        holds=artifacts_of,
    )
    _tell_and_show(instance, name, f"Approved {name}.")


@app.command()
def pause(host: Host, instance: InstanceOption = HERE) -> None:
    """Learn nothing new from a peer until you approve it again. What was learnt stays."""
    name = host_name(host)
    commands.pause(instance.store, instance.config, name, now=time.time())
    _tell_and_show(instance, name, f"Paused {name}. To go on with it: shoal peers approve {name}")


@app.command()
def remove(host: Host, instance: InstanceOption = HERE) -> None:
    """Remove a peer. What was learnt with it goes at the next training; at once: shoal peers revert."""
    name = host_name(host)
    commands.remove(instance.store, instance.config, name, now=time.time())
    _tell_and_show(instance, name, f"Removed {name}.")


# What the commands share.


def tell(instance: Instance, host: str) -> None:
    """Tell the peer at once what was decided; if it is away, it learns of it when it next says hello."""
    if not instance.config.federates:
        say(
            f'{host} is not told, because mode is "{instance.config.mode}". '
            'Set mode to "consume" or "contribute".'
        )
        return
    try:
        instance.job("peers", host=host)
    except ShoalError as error:
        say(f"{host} could not be told yet: {error.message}")


def _tell_and_show(instance: Instance, host: str, done: str) -> None:
    tell(instance, host)
    peer, cohort = _peer(instance, host), _listing(instance)["cohort"]

    def show() -> None:
        out.print()
        prose(done)
        if peer["state"] == "approved":
            prose(english(*peer["sentences"]))
        out.print()
        prose(english(*cohort.sentences))

    result({**peer, "cohort": cohort}, show)


def _listing(instance: Instance) -> Peers:
    through = group_messages.learns_in_group(groups.current(instance.store))
    return listing.listing(instance.store, instance.config, time.time(), through)


def _peer(instance: Instance, host: str) -> Peer:
    peer = repository.find(instance.store, instance.config, host)
    if peer is None:
        raise commands.UnknownPeerError(
            f"nothing is known of {host}", advice=f"Read its key first: shoal peers add {host}"
        )
    return listing.described(peer, time.time(), followed=host in source_state.follows(instance.store))


def _read_card(instance: Instance, host: str) -> None:
    """Read the card anew, so that what is approved is what the peer shows now; it may be away just now."""
    known = repository.find(instance.store, instance.config, host)
    try:
        instance.job("peers", add=host)
    except ShoalError as error:
        if known is None or not known.url or not known.key or error.code != "peer-silent":
            raise
        say(f"{error.message}; this is its key as it was read before.")


# What people see.


def _show_key(peer: Peer) -> None:
    host, new = peer["host"], bool(peer["next_key"])
    heading(f"The words of {host}'s {'new ' if new else ''}key")
    show_words(peer["next_key_words"] if new else peer["words"])
    out.print()
    if new:
        paragraph(
            "Another key is pinned here, and it did not hand over to this one. Either the admin lost the old "
            "key, or somebody else holds the domain. Only the admin can tell you."
        )
    elif peer["bound"]:
        paragraph(f"The domain {host} vouches for this key: its ActivityPub actor signed it.")
    else:
        paragraph(
            "No ActivityPub actor signed this key, so only these words show that it is theirs. Compare them "
            "before you approve."
        )
    paragraph("Its admin sees the same words with: shoal identity show")


def _show_list(found: Peers, *, words: bool) -> None:
    prose(english(*found["cohort"].sentences))
    peers = found["peers"]
    out.print()
    if not peers:
        prose("Find some with: shoal peers candidates, or: shoal peers add HOST")
        return
    _table(peers)
    out.print()
    for peer in peers:
        prose(f"{peer['host']}: {english(*peer['sentences'])}", hanging=2)
        if words and peer["words"]:
            paragraph(" ".join(peer["words"]), indent=4)


_HERE = {"candidate": "-"}
_THERE = {"unknown": "?", "asked": "asks", "declined": "no"}


def _table(peers: list[Peer]) -> None:
    now = time.time()
    rows = [
        (
            peer["host"],
            "introduced" if peer["on_word_alone"] else _HERE.get(peer["state"], peer["state"]),
            _THERE.get(peer["theirs"], peer["theirs"]),
            _vouches(peer),
            _users(peer),
            peer["version"],
            ago(now - peer["seen"]) if peer["seen"] else "never",
        )
        for peer in peers
    ]
    columns = ["HOST", "YOU", "THEY", "KEY BY", "USERS", "VERSION", "SEEN"]
    table(columns, rows, right=("USERS",))


def _vouches(peer: Peer) -> str:
    """Say what shows that the key is the host's: its domain, or only the words that two admins compare."""
    return "domain" if peer["bound"] else "words" if peer["words"] else ""


def _users(peer: Peer) -> str:
    known = [number for number in (peer["users"], peer["max_users"]) if number is not None]
    return f"{min(known):,}" if known else ""


def _show_candidates(found: Mapping[str, Any]) -> None:
    asked, followed = found["asked"], found["followed"]
    if not followed["total"]:
        prose(
            "PeerTube follows no instance, or was not read yet (shoal sync). To add one that it does not "
            "follow: shoal peers add HOST"
        )
        return
    prose(
        f"Asked {asked['asked']} of {followed['total']} followed instances. {asked['silent']} did not "
        f"answer; {followed['with_shoal']} are known to run Shoal."
    )
    if asked["left"]:
        prose(f"{asked['left']} are left. Run this again to ask them.")
    peers = [peer for peer in found["peers"] if peer["state"] == "candidate"]
    if peers:
        out.print()
        rows = [(p["host"], p["version"], _vouches(p), _users(p), english(*p["sentences"])) for p in peers]
        table(["HOST", "SHOAL", "KEY BY", "USERS", ""], rows, right=("USERS",))
        out.print()
        prose("Approve one that you know and trust: shoal peers approve HOST")
