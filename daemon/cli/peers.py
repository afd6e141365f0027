"""`shoal peers`: who could be asked, who is approved here and there, and what is still missing for a sum."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import peers_revert, peers_suspects
from daemon.cli.prose import heading, paragraph
from daemon.cli.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    Output,
    OutputOption,
    ago,
    out,
    result,
    say,
    table,
)
from daemon.errors import RequestError, ShoalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

    from daemon.config import Config
    from daemon.process.job_context import JobOutcome

app = typer.Typer(help="Instances to learn together with: find, approve, take out.", no_args_is_help=True)
Host = Annotated[str, typer.Argument(metavar="HOST", help="Host name of an instance, such as tube.example.")]


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    words: Annotated[bool, typer.Option("--words", help="Show the words of each key, too.")] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """List peers, who approves whom, and what is still missing for a sum. Asks nobody."""
    settings, engine = _open(config)
    found = _listing(engine, settings)
    result(output, found, lambda: _show_list(found, words=words))


@app.command("candidates")
def candidates(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Look which instances that PeerTube follows run Shoal. Followed does not mean trusted."""
    settings, engine = _open(config)
    outcome = _job(config, settings, {"candidates": "1"})
    found = _listing(engine, settings)
    found["asked"] = outcome.result
    result(output, found, lambda: _show_candidates(found))


@app.command("add")
def add(
    host: Host,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    url: Annotated[
        str, typer.Option(help="Where its Shoal answers, if not behind its own PeerTube's domain.")
    ] = "",
    output: OutputOption = Output.HUMAN,
) -> None:
    """Read the card of an instance: its key, and whether its domain vouches for it. Approves nothing."""
    settings, engine = _open(config)
    name = _name(host)
    _job(config, settings, {"add": name, **({"url": _address(url)} if url else {})})
    peer = _peer(engine, settings, name)

    def show() -> None:
        _show_key(peer)
        if peer["state"] != "approved":
            out.print()
            paragraph(f"If that is the instance you mean: shoal peers approve {name}", indent=0)

    result(output, peer, show)


@app.command("approve")
def approve(
    host: Host,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    key: Annotated[str, typer.Option(help="Approve only if this is its key (ed25519:...).")] = "",
    words: Annotated[str, typer.Option(help="Approve only if these are the eight words of its key.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; the key shown is the one.")] = False,
    max_users: Annotated[
        int | None, typer.Option(min=1, help="Its viewers count as at most so many in a sum.")
    ] = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Approve a peer: show the words of its key, pin it, and tell the peer. Sums need its approval, too."""
    from daemon.peers import commands
    from daemon.revert.artifacts import artifacts_of

    settings, engine = _open(config)
    name = _name(host)
    _read_card(config, settings, engine, name)
    peer = _peer(engine, settings, name)
    chosen = _compared(peer, key, words)
    if not chosen:
        chosen = str(peer["next_key"] or peer["key"])
        if output is Output.HUMAN:
            _show_key(peer)
        if not yes:
            _confirm(name, output)
    commands.approve(
        engine, settings, name, key=chosen, max_users=max_users, now=time.time(), holds=artifacts_of
    )
    tell(config, settings, name)
    _decided(engine, settings, name, output, f"Approved {name}.")


@app.command("pause")
def pause(host: Host, config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Learn nothing new with a peer until it is approved again; what was learnt with it stays."""
    from daemon.peers import commands

    settings, engine = _open(config)
    name = _name(host)
    commands.pause(engine, settings, name, now=time.time())
    tell(config, settings, name)
    _decided(
        engine, settings, name, output, f"Paused {name}. Take it up again with: shoal peers approve {name}"
    )


@app.command("remove")
def remove(host: Host, config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """End it with a peer. To take out at once what was learnt with it: shoal peers revert."""
    from daemon.peers import commands

    settings, engine = _open(config)
    name = _name(host)
    commands.remove(engine, settings, name, now=time.time())
    tell(config, settings, name)
    _decided(engine, settings, name, output, f"Removed {name}.")


peers_revert.register(app)
peers_suspects.register(app)


# -- what the commands share --------------------------------------------------------------------------------


def _open(config_file: Path) -> tuple[Config, Engine]:
    from daemon.config import load
    from daemon.store.engine import open_checked

    settings = load(config_file)
    return settings, open_checked(settings.database)


def _job(config_file: Path, settings: Config, arguments: Mapping[str, str]) -> JobOutcome:
    from daemon.cli.sync_and_train import job

    return job("peers", config_file, settings, arguments)


def _listing(engine: Engine, settings: Config) -> dict[str, Any]:
    from daemon.group import messages, repository
    from daemon.peers import commands

    return commands.listing(
        engine, settings, time.time(), messages.learns_in_group(repository.current(engine))
    )


def _peer(engine: Engine, settings: Config, host: str) -> dict[str, Any]:
    from daemon.peers import commands, repository
    from daemon.store import source_state

    peer = repository.find(engine, settings, host)
    if peer is None:
        raise commands.UnknownPeerError(f"nothing is known of {host}", advice=f"See: shoal peers add {host}")
    return commands.described(peer, time.time(), followed=host in source_state.follows(engine))


def _name(host: str) -> str:
    from daemon.config.types import check_host

    try:
        return check_host(host.removeprefix("https://").rstrip("/"))
    except ValueError as error:
        raise RequestError(f'"{host}" {error}') from None


def _address(url: str) -> str:
    from daemon.config.types import check_peer_url

    try:
        return check_peer_url(url)
    except ValueError as error:
        raise RequestError(f'--url "{url}" {error}') from None


def _read_card(config_file: Path, settings: Config, engine: Engine, host: str) -> None:
    """Read the card anew, so that what is approved is what the peer shows now; it may be away just now."""
    from daemon.peers import repository

    known = repository.find(engine, settings, host)
    try:
        _job(config_file, settings, {"add": host})
    except ShoalError as error:
        if known is None or not known.url or not known.key or error.code != "peer-silent":
            raise
        say(f"{error.message}; this is its key as it was read before.")


def _compared(peer: Mapping[str, Any], key: str, words: str) -> str:
    """Return the key that fits what the admin gave, empty where nothing was given."""
    from federation.key_words import same

    if not key and not words:
        return ""
    known = {peer["key"]: peer["words"], peer["next_key"]: peer["next_key_words"]}
    for candidate, spoken in known.items():
        fits = (not key or key == candidate) and (not words or same(words, " ".join(spoken)))
        if candidate and fits:
            return str(candidate)
    from daemon.errors import PolicyRefusedError

    raise PolicyRefusedError(
        f"that is not the key that {peer['host']} shows",
        advice="Ask its admin again, over another channel; if it stays so, somebody is in between.",
    )


def _confirm(host: str, output: Output) -> None:
    import sys

    if output is not Output.HUMAN or not sys.stdin.isatty():
        raise RequestError(
            "nobody is there to compare the words",
            advice="Give what its admin told you with --words or --key, or accept what is shown with --yes.",
        )
    out.print()
    if not typer.confirm(f"Are these the words that the admin of {host} sees?", err=True):
        raise typer.Exit(3)


def tell(config_file: Path, settings: Config, host: str) -> None:
    """Let the peer know at once; if it is away, it hears of it when it says hello itself."""
    if not settings.federates:
        say(f'{host} is not told, since mode is "{settings.mode}"; set "consume" or "contribute" for that.')
        return
    try:
        _job(config_file, settings, {"host": host})
    except ShoalError as error:
        say(f"{host} could not be told yet: {error.message}")


def _decided(engine: Engine, settings: Config, host: str, output: Output, done: str) -> None:
    peer = _peer(engine, settings, host)
    cohort = _listing(engine, settings)["cohort"]

    def show() -> None:
        out.print()
        paragraph(done, indent=0)
        if peer["state"] == "approved":
            paragraph(peer["sentence"], indent=0)
        out.print()
        paragraph(cohort["sentence"], indent=0)

    result(output, {**peer, "cohort": cohort}, show)


# -- what people see ----------------------------------------------------------------------------------------


def _show_key(peer: Mapping[str, Any]) -> None:
    host, new = peer["host"], bool(peer["next_key"])
    heading(f"The words of {host}'s {'new ' if new else ''}key")
    words = peer["next_key_words"] if new else peer["words"]
    for four in (words[:4], words[4:]):
        out.print("    " + "  ".join(f"{word:<8}" for word in four).rstrip())
    out.print()
    if new:
        paragraph(
            "Another key is pinned here, and did not hand over to this one. Its admin lost the old key, or "
            "somebody else holds the domain: only its admin can say."
        )
    elif peer["bound"]:
        paragraph(f"The domain {host} vouches for this key: its ActivityPub actor signed it.")
    else:
        paragraph(
            "No ActivityPub actor signed this key: nothing but these words tells that it is theirs. Compare "
            "them before you approve."
        )
    paragraph("Its admin sees the same words with: shoal identity show")


def _show_list(found: Mapping[str, Any], *, words: bool) -> None:
    paragraph(found["cohort"]["sentence"], indent=0)
    peers = found["peers"]
    if not peers:
        out.print()
        paragraph("Find some with: shoal peers candidates, or: shoal peers add HOST", indent=0)
        return
    out.print()
    _table(peers)
    out.print()
    for peer in peers:
        paragraph(f"{peer['host']}: {peer['sentence']}", indent=0, hanging=2)
        if words and peer["words"]:
            paragraph(" ".join(peer["words"]), indent=4)


_HERE = {"candidate": "-"}
_THERE = {"unknown": "?", "asked": "asks", "declined": "no"}


def _table(peers: list[dict[str, Any]]) -> None:
    now = time.time()
    rows = [
        (
            peer["host"],
            _HERE.get(peer["state"], peer["state"]),
            _THERE.get(peer["theirs"], peer["theirs"]),
            _voucher(peer),
            _users(peer),
            peer["version"],
            ago(now - peer["seen"]) if peer["seen"] else "never",
        )
        for peer in peers
    ]
    columns = ["HOST", "YOU", "THEY", "KEY BY", "USERS", "VERSION", "HEARD"]
    table(columns, rows, right=("USERS",))


def _voucher(peer: Mapping[str, Any]) -> str:
    """Say who tells that the key is the host's: its domain, or nobody but two admins who compare words."""
    return "domain" if peer["bound"] else "words" if peer["words"] else ""


def _users(peer: Mapping[str, Any]) -> str:
    known = [number for number in (peer["users"], peer["max_users"]) if number is not None]
    return f"{min(known):,}" if known else ""


def _show_candidates(found: Mapping[str, Any]) -> None:
    asked, followed = found["asked"], found["followed"]
    if not followed["total"]:
        paragraph(
            "PeerTube follows nobody, or was not read yet (shoal sync). An instance that is not followed: "
            "shoal peers add HOST",
            indent=0,
        )
        return
    paragraph(
        f"Asked {asked['asked']} of {followed['total']} followed instances; {asked['silent']} did not "
        f"answer, {followed['with_shoal']} run Shoal as far as is known.",
        indent=0,
    )
    if asked["left"]:
        paragraph(f"{asked['left']} were not asked yet; run this again.", indent=0)
    peers = [peer for peer in found["peers"] if peer["state"] == "candidate"]
    if peers:
        out.print()
        rows = [(p["host"], p["version"], _voucher(p), _users(p), p["sentence"]) for p in peers]
        table(["HOST", "SHOAL", "KEY BY", "USERS", ""], rows, right=("USERS",))
        out.print()
        paragraph("Approve one you know and trust: shoal peers approve HOST", indent=0)
